"""A run of the small pipeline from a table in memory, which the tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import onestep
from tests.support.homes import Finished, file, finished, shared
from tests.support.rows import reviews

__all__ = ["file", "finished", "shared"]


@pytest.fixture(scope="session")
def frame() -> pd.DataFrame:
    """The rows of the small pipeline's file."""
    return pd.DataFrame(reviews(), columns=["text", "label"])


@pytest.fixture(scope="session")
def home(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with databases, in which the tests run one after the other."""
    return finished.empty(tmp_path_factory.mktemp("door") / "home")


@pytest.fixture(autouse=True)
def _no_servers_of_the_user(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Prefect and MLflow are embedded, whatever an earlier test of this process has set."""
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI", "ONESTEP_HOME"):
        monkeypatch.delenv(name, raising=False)
    return


@pytest.fixture(scope="session")
def outcome(home: Path, file: Path, frame: pd.DataFrame) -> onestep.RunResult:
    """The small pipeline, run from a data frame; several of its tests only look at it."""
    return onestep.run(file, frame, home=home, verbose=False)
