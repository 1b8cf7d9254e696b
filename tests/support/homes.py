"""A small pipeline, and homes in which it has run, made once for all test processes.

The whole pipeline takes half a minute from nothing. Tests share one finished home that they only
read, or begin with a copy of what a first run leaves: checked data, token ids and databases.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flows.servers.prefect import hidden_server
from tasks.store import lock
from tasks.training import events
from tasks.workspace import Workspace
from tests.support.commands import (
    ONE_PREFECT,
    Done,
    assert_nothing_runs,
    leftovers,
    onestep,
    succeed,
)
from tests.support.models import tiny_bert
from tests.support.rows import reviews, write_rows

NAME = "reviews"
STEPS = 36
CONFIG = """\
name: reviews
application: sentiment
data:
  train: reviews.csv
  validation: 0.2
  test: 0.2
model:
  base: base
training:
  epochs: 4
  batch_size: 8
  learning_rate: 5e-3
  precision: fp32
  save_steps: 7
compute:
  device: cpu
  threads: 1
  energy: false
seed: 2
"""


@dataclass(frozen=True)
class Finished:
    """A home in which the pipeline has run once, and what the run printed."""

    home: Path
    file: Path
    template: Path
    record: dict[str, Any]
    noise: str

    def copy(self, home: Path) -> Path:
        """A new home with databases, checked rows and token ids, but no run."""
        return Path(shutil.copytree(self.template, home))

    def empty(self, home: Path) -> Path:
        """A new home with databases alone."""
        return Path(shutil.copytree(self.template, home, ignore=shutil.ignore_patterns("stages")))


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all test processes of a session share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if base.name.startswith("popen-") else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


def once(folder: Path, build: Callable[[Path], None]) -> Path:
    """Build a folder unless another test process has."""
    with lock(folder.with_name(f"{folder.name}.lock")):
        marker = folder.with_name(f"{folder.name}.done")
        if not marker.exists():
            folder.mkdir()
            build(folder)
            marker.touch()
    return folder


@pytest.fixture(scope="session")
def file(shared: Path) -> Path:
    """The pipeline's file, with its data and its base model beside it."""
    return once(shared / "pipeline", _write_pipeline) / "reviews.yaml"


def _write_pipeline(folder: Path) -> None:
    tiny_bert(folder / "base")
    write_rows(folder / "reviews.csv", reviews())
    (folder / "reviews.yaml").write_text(CONFIG, encoding="utf-8")


@pytest.fixture(scope="session")
def finished(shared: Path, file: Path) -> Finished:
    """A home in which the pipeline has run once; not to be changed."""
    home, template = shared / "finished", shared / "template"
    once(home, lambda folder: _run(folder, file, template))
    printed = json.loads((shared / "printed.json").read_text(encoding="utf-8"))
    return Finished(home, file, template, json.loads(printed["out"]), printed["err"])


def _run(home: Path, file: Path, template: Path) -> None:
    template.mkdir()
    _succeeded(onestep(home, "models"))
    shutil.copy(home / "mlflow.db", template)
    done = _succeeded(onestep(home, "run", file, "--set", "compute.energy=true", "--json"))
    record = json.dumps({"out": done.out, "err": done.err})
    home.with_name("printed.json").write_text(record, encoding="utf-8")
    assert_nothing_runs(home)
    for part in ("prefect", "bases", "stages/validation", "stages/tokenization"):
        shutil.copytree(home / part, template / part)


def _succeeded(done: Done) -> Done:
    assert done.code == 0, done.output
    return done


@pytest.fixture(scope="session")
def prefect_server(shared: Path) -> Iterator[str]:
    """A Prefect server for the tests of all processes that are about something else."""
    with hidden_server(Workspace.open(shared / "prefect")) as url:
        yield url


@pytest.fixture(scope="module")
def one_prefect(prefect_server: str) -> Iterator[None]:
    """Commands use one server, as with a configured one, and start none of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ONE_PREFECT, prefect_server)
        yield


def query(home: Path, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Ask a home's MLflow database."""
    connection = sqlite3.connect(f"file:{home / 'mlflow.db'}?mode=ro", uri=True)
    try:
        return connection.execute(statement, values).fetchall()
    finally:
        connection.close()


def versions(home: Path, name: str = NAME) -> list[int]:
    """Registered versions of a model."""
    found = query(home, "SELECT version FROM model_versions WHERE name = ?", name)
    return sorted(row[0] for row in found)


def aliases(home: Path, name: str = NAME) -> dict[str, int]:
    """Aliases of a model."""
    statement = "SELECT alias, version FROM registered_model_aliases WHERE name = ?"
    return dict(query(home, statement, name))


def logged_steps(home: Path, metric: str = "train/loss") -> list[int]:
    """The step of every value that MLflow has of a metric, over all runs."""
    statement = "SELECT step FROM metrics WHERE key = ? ORDER BY step"
    return [row[0] for row in query(home, statement, metric)]


def logged(home: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that a second identical run must not log again."""
    statements = {
        "metrics": "SELECT run_uuid, key, step, value FROM metrics WHERE key NOT LIKE 'system/%'",
        "inputs": "SELECT source_id, destination_id FROM inputs",
        "datasets": "SELECT name, digest FROM datasets",
        "runs": "SELECT run_uuid, status FROM runs",
    }
    return {table: sorted(query(home, statement)) for table, statement in statements.items()}


def repeated(home: Path) -> list[tuple[Any, ...]]:
    """Steps that MLflow has more than once of a metric of a run."""
    by = "run_uuid, key, step"
    return query(home, f"SELECT {by} FROM metrics GROUP BY {by} HAVING count(*) > 1")


def run_states(home: Path) -> list[str]:
    """Status of every MLflow run."""
    return [row[0] for row in query(home, "SELECT status FROM runs ORDER BY start_time")]


def stage_folders(home: Path, stage: str) -> list[Path]:
    """Outputs of a stage."""
    return sorted((home / "stages" / stage).glob("*"))


def recorded_steps(home: Path) -> int:
    """How many steps the only fine-tuning in a home has logged so far."""
    return sum(len(events.steps(folder)) for folder in stage_folders(home, "finetuning"))


def losses(home: Path) -> Sequence[float]:
    """The loss of every optimizer step of the only fine-tuning in a home."""
    (folder,) = stage_folders(home, "finetuning")
    return [record["loss"] for record in events.steps(folder)]


def assert_as_if_never_disturbed(home: Path, finished: Finished) -> None:
    """The plain command ends well, and nothing tells its traces from those of a quiet first run."""
    record = json.loads(succeed(home, "run", finished.file, "--json"))
    assert record["metrics"] == finished.record["metrics"]
    assert record["training"]["steps"] == STEPS
    assert losses(home) == losses(finished.home)
    assert versions(home) == [1]
    assert aliases(home) == {"champion": 1}
    assert logged_steps(home) == list(range(1, STEPS + 1))
    assert logged_steps(home, "validation/loss") == [9, 18, 27, 36]
    assert logged_steps(home, "test/accuracy") == [STEPS]
    assert run_states(home) == ["FINISHED"]
    assert repeated(home) == []
    assert len(logged(home)["inputs"]) == 3
    assert_nothing_runs(home)
    assert leftovers(home) == []
