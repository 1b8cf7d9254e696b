"""The page about operations can be followed: each of its commands runs, with real servers.

What it asks of ``docker`` is done without containers: see :mod:`tests.server.docker`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.followed import INSTALLING, OPERATIONS
from tests.server.docker import engine
from tests.server.stand import Stand
from tests.support.reader import Preparation, Reader, reading
from tests.support.rows import reviews, write_rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group("servers")]

TINY: dict[str, Any] = {
    "name": "sentiment",
    "application": "sentiment",
    "data": {"train": "reviews.csv", "validation": 0.2, "test": 0.2},
    "training": {"epochs": 1, "precision": "fp32"},
    "evaluation": {"bootstrap_samples": 100},
    "gate": {"beat_baseline": False},
    "compute": {"device": "cpu", "threads": 1, "energy": False},
    "schedule": {"cron": "0 3 1 1 *"},
}
VERSIONS = "SELECT version FROM model_versions WHERE name = 'sentiment'"


@pytest.fixture
def reader(file: Path, stand: Stand, tmp_path: Path) -> Iterator[Reader]:
    """With a clone, the stand-in on the path, and a pipeline in the folder of the worker."""
    pipelines = stand.folder / "pipelines"
    pipelines.mkdir()
    write_rows(pipelines / "reviews.csv", reviews())
    folder, tools = tmp_path / "clone", tmp_path / "tools"
    folder.mkdir()
    tools.mkdir()
    base = {"model": {"base": str(file.with_name("base"))}}
    with reading(folder, tmp_path / "home", {}) as working, engine(stand, folder, tools) as found:
        working.environment |= stand.worker() | found
        working.write_pipeline(f"{pipelines}/sentiment.yaml", TINY | base)
        yield working
    stand.stop("worker")


def fill_in(stand: Stand) -> Preparation:
    """Give every variable of ``.env`` its value."""

    def write(reader: Reader) -> None:
        path = reader.folder / ".env"
        names = [line.partition("=")[0] for line in path.read_text("utf-8").splitlines()]
        settings = stand.composition.settings
        lines = [f"{name}={settings[name]}" for name in names if name in settings]
        path.write_text("\n".join(lines), encoding="utf-8")

    return write


def lose(stand: Stand) -> Preparation:
    """Lose the registered models and the store, once there is a backup."""

    def wipe(reader: Reader) -> None:
        assert (reader.folder / "backup" / "store.tar.gz").exists()
        assert stand.query("mlflow", VERSIONS) == [(1,)]
        tables = ("registered_model_aliases", "model_version_tags", "model_versions")
        stand.execute("mlflow", *(f"DELETE FROM {table}" for table in tables))
        shutil.rmtree(stand.folder / "store" / "mlflow")

    return wipe


def test_the_page_about_operations_can_be_followed(reader: Reader, stand: Stand) -> None:
    reader.instead["registry-NAME"] = "registry-sentiment"
    before = {
        "docker compose build": fill_in(stand),
        "docker compose stop worker mlflow prefect store": lose(stand),
    }
    reader.follow(OPERATIONS, before, without=INSTALLING)
    run = reader.said["docker compose exec worker onestep run /pipelines/sentiment.yaml"]
    assert run.endswith("models:/sentiment/1\n")
    assert stand.query("mlflow", VERSIONS) == [(1,)]
    (answer,) = [text for line, text in reader.said.items() if line.startswith("printf")]
    assert answer.startswith("text,label,score\nIt broke on the second day.,")
