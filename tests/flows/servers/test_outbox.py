"""Events that wait on the disk, and moves whose event cannot be noted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from configs.errors import UserError
from flows.models import query
from flows.servers import outbox
from tasks.tracking import registry
from tasks.workspace import Workspace

pytest_plugins = ["tests.support.fixtures"]
pytestmark = pytest.mark.xdist_group("stages")
MODEL = {"prefect.resource.id": "onestep.model.reviews"}


@pytest.fixture
def home(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "home")


def notes(workspace: Workspace) -> list[dict[str, object]]:
    return [note for _, note in outbox._read(workspace)]


def test_the_same_event_is_noted_once_and_gets_its_relations_later(home: Workspace) -> None:
    related = [{"prefect.resource.id": "prefect.flow-run.1", "prefect.resource.role": "flow-run"}]
    for found in ((), related, ()):
        outbox.note(home, "onestep.model.promoted", MODEL, {"version": 1}, found)
    (only,) = notes(home)
    assert (only["event"], only["related"]) == ("onestep.model.promoted", related)


def test_a_note_that_cannot_be_read_stops_no_other(home: Workspace) -> None:
    outbox.note(home, "onestep.model.promoted", MODEL, {"version": 1})
    (outbox.folder(home) / "broken.json").write_text("{", encoding="utf-8")
    assert [note["payload"] for note in notes(home)] == [{"version": 1}]


def test_a_move_stands_when_its_event_cannot_be_noted(
    store: tuple[Workspace, MlflowClient], tmp_path: Path
) -> None:
    workspace, client = store
    client.create_registered_model("moved")
    for number in (1, 2):
        client.create_model_version("moved", str(tmp_path))
        client.set_model_version_tag("moved", str(number), registry.VERDICT, "not promoted: few")
    query.promote(workspace, "moved", 1, "first")
    (workspace.root / "outbox").rename(tmp_path / "outbox")
    (workspace.root / "outbox").touch()
    moved = query.promote(workspace, "moved", 2, "second")
    (workspace.root / "outbox").unlink()
    assert moved.note.startswith("its event was not recorded")
    assert registry.aliases(client, "moved")["champion"] == 2
    (told,) = (tmp_path / "outbox").glob("*.json")
    assert json.loads(told.read_text("utf-8"))["payload"]["reason"] == "first"


@pytest.mark.parametrize("reason", [" ", "caf\udce9"])
def test_a_reason_that_cannot_be_kept_is_refused_before_anything_moves(
    home: Workspace, reason: str
) -> None:
    with pytest.raises(UserError, match="--reason"):
        query.roll_back(home, "reviews", reason)
