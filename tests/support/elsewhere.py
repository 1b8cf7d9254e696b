"""A Python that has the libraries but not this project, and a model served from it."""

from __future__ import annotations

import json
import subprocess
import sysconfig
import venv
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import environment

PROGRAM = """
import importlib.util, json, sys
import mlflow, pandas as pd
for name in ("onestep", "flows", "tasks", "configs"):
    assert importlib.util.find_spec(name) is None, name
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
answers = model.predict(pd.DataFrame(json.loads(sys.argv[3])))
print(json.dumps(answers.to_dict("records"), default=list))
"""


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment that has the libraries but not this project.

    A path file adds the folder of the installed libraries; path files inside that folder, such
    as the one of an editable install, are not read from there.
    """
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    own = _purelib(python)
    (own / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return python


def _purelib(python: Path) -> Path:
    program = "import sysconfig; print(sysconfig.get_path('purelib'))"
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())


def predict(
    python: Path, home: Path, model: str, rows: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """What a registered model answers there."""
    done = subprocess.run(
        [python, "-c", PROGRAM, f"sqlite:///{home / 'mlflow.db'}", model, json.dumps(rows)],
        env=environment(home),
        cwd=python.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return answers
