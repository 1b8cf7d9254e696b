"""Weights of BERT fit the shapes of RoBERTa and the reverse; what tells them apart is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import BertConfig, RobertaConfig, RobertaModel, XLMRobertaModel

from configs.errors import ModelError
from configs.schema import Model
from tasks.training.model import architecture, initial_model
from tests.support.models import tiny_bert

ADVICE = "take config.json and the weights from one model"


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("models") / "bert")


def roberta(bert: Path, folder: Path, kind: Any = RobertaModel) -> Path:
    """A RoBERTa with the sizes and the tokenizer of a BERT."""
    shutil.copytree(bert, folder)
    sizes = BertConfig.from_pretrained(bert).to_dict()
    own = {k: v for k, v in sizes.items() if k not in ("model_type", "architectures")}
    kind(RobertaConfig(**own)).save_pretrained(folder)
    return folder


def problems(folder: Path, **config: Any) -> list[str]:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    try:
        base = initial_model.find(Model(base=str(folder)), "topics")
        architecture.check(base, "sequence-classification")
    except ModelError as error:
        return [str(one).replace(str(folder), "FOLDER") for one in error.problems]
    return []


def test_a_model_type_that_was_edited_is_refused(bert: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "bert"))
    assert problems(folder, model_type="roberta") == [
        "FOLDER/config.json: model_type roberta and architectures BertModel count positions "
        f"differently ({ADVICE})"
    ]


def test_weights_whose_table_begins_after_the_padding_are_no_bert(
    bert: Path, tmp_path: Path
) -> None:
    folder = roberta(bert, tmp_path / "roberta")
    assert problems(folder) == []
    assert problems(folder, model_type="bert", architectures=["BertModel"]) == [
        "FOLDER/model.safetensors: embeddings.position_embeddings.weight: row 0 is zero, as in "
        f"models that count positions from the padding token; config.json declares bert ({ADVICE})"
    ]


@pytest.mark.parametrize("architectures", [None, [], ["OurModel"], ["XLMRobertaModel"]])
def test_names_of_classes_that_contradict_nothing_fit(
    bert: Path, tmp_path: Path, architectures: list[str] | None
) -> None:
    folder = roberta(bert, tmp_path / "roberta", XLMRobertaModel)
    assert problems(folder, model_type="roberta", architectures=architectures) == []
