from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from configs.errors import StorageFailure
from tasks.store import lock
from tasks.workspace import Workspace


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
