"""A registered model works where this project is not installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import environment
from tests.support.elsewhere import elsewhere, predict
from tests.support.homes import NAME, Finished, file, finished, shared

__all__ = ["elsewhere", "file", "finished", "shared"]
pytestmark = pytest.mark.xdist_group("homes")


def test_the_champion_loads_and_predicts_without_this_project(
    elsewhere: Path, finished: Finished
) -> None:
    rows = [{"text": text} for text in ("a wonderful warm evening", "a broken cold box")]
    answers = predict(elsewhere, finished.home, f"models:/{NAME}@champion", rows)
    assert len(answers) == 2
    for answer in answers:
        assert answer["label"] in {"negative", "positive"}
        assert answer["score"] == pytest.approx(max(answer["probabilities"]))
        assert sum(answer["probabilities"]) == pytest.approx(1, abs=1e-3)


def test_the_model_names_pinned_requirements_and_a_signature(finished: Finished) -> None:
    program = (
        "import mlflow, sys, json; mlflow.set_tracking_uri(sys.argv[1]);"
        f"info = mlflow.models.get_model_info('models:/{NAME}@champion');"
        "example = mlflow.pyfunc.load_model('models:/" + NAME + "@champion').input_example;"
        "names = info.signature.inputs.input_names(), info.signature.outputs.input_names();"
        "print(json.dumps([names, mlflow.pyfunc.get_model_dependencies("
        f"'models:/{NAME}@champion'), len(example)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, f"sqlite:///{finished.home / 'mlflow.db'}"],
        env=environment(finished.home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    names, requirements, rows = json.loads(done.stdout.splitlines()[-1])
    assert names == [["text"], ["label", "score", "probabilities"]]
    pins = Path(requirements).read_text(encoding="utf-8").splitlines()
    assert all("==" in pin for pin in pins)
    assert {"torch", "transformers", "mlflow"} <= {pin.partition("==")[0] for pin in pins}
    assert rows == 1
