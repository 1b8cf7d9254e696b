"""Where a version comes from, as its run keeps it."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from configs.errors import ModelError
from tasks.tracking import lineage
from tasks.workspace import Workspace
from tests.support.pipelines import Prepared

pytest_plugins = ["tests.support.fixtures"]
pytestmark = pytest.mark.xdist_group("stages")
Store = tuple[Workspace, MlflowClient]


def version(run_id: str | None) -> ModelVersion:
    return ModelVersion("reviews", "1", 0, run_id=run_id)


def kept(store: Store, record: lineage.Record) -> ModelVersion:
    """A version whose run has a record."""
    run_id = str(store[1].create_run("0").info.run_id)
    store[1].log_dict(run_id, record, lineage.FILE)
    return version(run_id)


def test_a_record_gives_the_settings_back(prepared: Prepared, store: Store) -> None:
    record = lineage.record(prepared.config, prepared.validated)
    assert record["rows"] == prepared.validated.rows
    assert record["rows_digest"] == prepared.validated.digest
    (digest,) = record["sources"]["train"].values()
    assert digest in prepared.validated.sources.digests.values()
    found = lineage.of(store[1], store[0], kept(store, record))
    assert found.config.model_dump() == prepared.config.model_dump()


@pytest.mark.parametrize("run_id", [None, "without"])
def test_a_version_of_another_tool_has_no_lineage(store: Store, run_id: str | None) -> None:
    made = str(store[1].create_run("0").info.run_id) if run_id else None
    with pytest.raises(ModelError, match=r"lineage\.json.*onestep did not register it"):
        lineage.of(store[1], store[0], version(made))


def test_a_record_of_another_onestep_names_what_it_lacks(prepared: Prepared, store: Store) -> None:
    record = lineage.record(prepared.config, prepared.validated)
    del record["fixes"]
    with pytest.raises(ModelError, match=r"lacks fixes.*another version of onestep"):
        lineage.of(store[1], store[0], kept(store, record))


def test_settings_that_no_longer_exist_ask_for_the_onestep_of_then(
    prepared: Prepared, store: Store
) -> None:
    record = lineage.record(prepared.config, prepared.validated)
    record["config"]["training"]["horoscope"] = True
    found = lineage.of(store[1], store[0], kept(store, record))
    with pytest.raises(ModelError, match="not those of this version of onestep"):
        _ = found.config
