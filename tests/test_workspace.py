from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from configs.errors import StorageFailure
from tasks.store import lock
from tasks.workspace import Workspace, sqlite_uri

NAMES = st.text(
    st.sampled_from("?#%&=;+:@[]{}$\\'\" ~é😀\n") | st.characters(exclude_categories=["Cs"]),
    min_size=1,
    max_size=20,
).filter(lambda name: name not in (".", "..") and not set(name) & {"/", "\0"})


@pytest.mark.parametrize("name", ["file", "file/mlruns"])
def test_a_workspace_below_a_file_is_a_storage_failure(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageFailure, match="cannot write"):
        Workspace.open(tmp_path / name)


def test_the_environment_names_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ONESTEP_HOME", raising=False)
    assert Workspace.open().root == tmp_path / "mlruns"
    monkeypatch.setenv("ONESTEP_HOME", "elsewhere")
    assert Workspace.open().root == tmp_path / "elsewhere"
    assert Workspace.open(tmp_path / "given").root == tmp_path / "given"


def test_mlflow_is_embedded_unless_a_server_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    workspace = Workspace.open(tmp_path)
    assert workspace.embedded
    monkeypatch.setenv("MLFLOW_TRACKING_URI", workspace.tracking_uri)
    assert workspace.embedded
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert not workspace.embedded


def test_a_lease_is_held_here_and_on_the_other_machines(tmp_path: Path) -> None:
    held: list[str] = []

    @contextmanager
    def elsewhere(key: str) -> Iterator[None]:
        held.append(key)
        yield
        held.remove(key)

    workspace = replace(Workspace.open(tmp_path), leases=elsewhere)
    with workspace.lease("model"), lock(workspace.locks / "model.lock", wait=False) as free:
        assert (held, free) == (["model"], False)
    with lock(workspace.locks / "model.lock", wait=False) as free:
        assert (held, free) == ([], True)


def test_scratch_space_is_empty(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)
    (workspace.scratch("work") / "file").touch()
    assert list(workspace.scratch("work").iterdir()) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES)
@example(name="a?b")
@example(name="a%3Fb#c")
def test_a_database_is_where_its_name_says(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    engine = create_engine(sqlite_uri(path))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE rows (number)"))
    engine.dispose()
    assert [one.name for one in tmp_path.iterdir()] == [name]
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM rows").fetchall() == [(0,)]
    database.close()
    path.unlink()


def test_the_address_of_a_plain_home_is_the_one_that_people_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace.open(tmp_path / "mlruns")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    assert workspace.embedded
