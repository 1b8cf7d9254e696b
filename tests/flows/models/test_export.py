"""A registered version as a folder that Transformers loads by itself."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from mlflow import MlflowClient
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from configs.errors import ModelError, UserError
from configs.schema import Registry
from flows.models.export import export
from tasks.evaluation import EvaluationResult
from tasks.predictor import Predictor
from tasks.registration import Origin, register
from tasks.tracking import runs
from tasks.workspace import Workspace
from tests.support.pipelines import Prepared

pytest_plugins = ["tests.support.fixtures"]
pytestmark = [
    pytest.mark.xdist_group("stages"),
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
]

TEXT = "the coffee was wonderful"


@pytest.fixture
def workspace(
    store: tuple[Workspace, MlflowClient], prepared: Prepared, evaluated: EvaluationResult
) -> Workspace:
    """A workspace with the model ``exported``."""
    workspace, client = store
    config = prepared.config.model_copy(update={"registry": Registry(name="exported")})
    run_id = runs.open_run(client, workspace, "reviews", "exported", "exported")
    for name, value in {"accuracy": 0.875, "accuracy_low": 0.75, "rows": 30}.items():
        client.log_metric(run_id, f"test/{name}", value)
    origin = Origin("exported", lambda: run_id, {"onestep.base_model_name": "owner/base"})
    register(config, workspace, client, evaluated, prepared.validated, origin)
    return workspace


def test_transformers_alone_loads_it_and_answers_the_same(
    workspace: Workspace, evaluated: EvaluationResult, tmp_path: Path
) -> None:
    folder = export(workspace, "exported@champion", tmp_path / "model")
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokens = AutoTokenizer.from_pretrained(folder)(TEXT, return_tensors="pt")
    with torch.inference_mode():
        label = model.config.id2label[int(model(**tokens).logits.argmax())]
    answers = Predictor().open(evaluated.package).predict(None, pd.DataFrame({"text": [TEXT]}))
    assert label == answers["label"][0] == "positive"


def test_the_card_has_labels_metrics_and_origin(workspace: Workspace, tmp_path: Path) -> None:
    folder = export(workspace, "exported/1", tmp_path / "model")
    _, metadata, body = (folder / "README.md").read_text("utf-8").split("---\n", 2)
    found = yaml.safe_load(metadata)
    assert found["library_name"] == "transformers"
    assert found["pipeline_tag"] == "text-classification"
    assert found["base_model"] == "owner/base"
    assert found["language"] == ["en"]
    assert "- `negative`\n- `positive`" in body
    assert found["metrics"] == ["accuracy"]
    assert "| accuracy | 0.8750 |\n\n" in body
    assert re.search(r"Input: `text`; at most \d+ tokens\.\n", body)
    assert "No licence is declared" in body


def test_nothing_is_overwritten(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="expected a new or empty folder"):
        export(workspace, "exported", tmp_path)
    with pytest.raises(ModelError, match="no such model"):
        export(workspace, "nobody", tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
