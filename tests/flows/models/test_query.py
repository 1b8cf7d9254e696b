from __future__ import annotations

from collections.abc import Iterator

import pytest

from configs.errors import ModelError, UserError
from flows.models import query
from tasks.tracking import registry, runs
from tasks.workspace import Workspace
from tests.support.stores import embedded_store

pytestmark = pytest.mark.xdist_group("serving")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A registry with two versions of a model, and two of another that has no alias."""
    with embedded_store(tmp_path_factory.mktemp("registry")) as (opened, client):
        for name, verdict in (
            ("a", "promoted"),
            ("a", "not better"),
            ("b", "bad"),
            ("b", "not better"),
        ):
            fingerprint = f"{name}-{verdict}".ljust(64, "0")
            run = runs.open_run(client, opened, name, fingerprint, "a run")
            tags = {registry.VERDICT: verdict}
            registry.create(client, name, f"runs:/{run}/model", run, tags)
        query.promote(opened, "a", 1, "the first")
        yield opened


def test_all_models_are_listed_by_their_aliases_and_one_by_its_versions(
    workspace: Workspace,
) -> None:
    listed = [(r["name"], r["version"], r["aliases"]) for r in query.registered(workspace, None)]
    assert listed == [("a", 1, ["champion"]), ("b", 2, [])]
    assert [r["version"] for r in query.registered(workspace, "a")] == [2, 1]
    assert [r["aliases"] for r in query.registered(workspace, "b")] == [[], []]


def test_history_has_promotions_and_refusals_once(workspace: Workspace) -> None:
    events = [(e["version"], e["event"], e["why"]) for e in query.history(workspace, "a")]
    assert sorted(events) == [(1, "promoted", "the first"), (2, "registered", "not better")]


def test_a_model_that_is_not_registered_is_told_with_those_that_are(workspace: Workspace) -> None:
    with pytest.raises(ModelError, match="no such model") as caught:
        query.registered(workspace, "c")
    assert caught.value.problems[0].advice == "registered: a, b"


@pytest.mark.parametrize("reason", ["", "  ", "\ud83d"])
def test_a_promotion_needs_a_reason(workspace: Workspace, reason: str) -> None:
    with pytest.raises(UserError) as caught:
        query.promote(workspace, "a", 2, reason)
    assert caught.value.problems[0].where == "--reason"
    assert query.registered(workspace, "a")[1]["aliases"] == ["champion"]
