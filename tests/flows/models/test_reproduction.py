"""Inputs that are not what they were when a version was made."""

from __future__ import annotations

from dataclasses import replace

import pytest
from mlflow.entities.model_registry import ModelVersion, ModelVersionTag

from configs.errors import DataError
from flows.models.reproduction import inputs_of
from tasks.tracking import lineage
from tasks.tracking.lineage import Lineage
from tests.support.pipelines import Prepared

pytest_plugins = ["tests.support.fixtures"]
pytestmark = pytest.mark.xdist_group("stages")


@pytest.fixture
def known(prepared: Prepared) -> Lineage:
    """What registration would have kept of the prepared rows."""
    tags = [ModelVersionTag("onestep.base_model", prepared.base.digest)]
    version = ModelVersion("reviews", "1", 0, run_id="", tags=tags)
    return Lineage(version, lineage.record(prepared.config, prepared.validated))


def test_unchanged_inputs_are_found(prepared: Prepared, known: Lineage) -> None:
    found = inputs_of(known, prepared.workspace, prepared.config)
    assert found.base.digest == prepared.base.digest
    assert found.sources.digest == prepared.validated.sources.digest


def test_every_changed_input_is_named_at_once(prepared: Prepared, known: Lineage) -> None:
    files = dict.fromkeys(known.record["sources"]["train"], "0" * 64)
    record = {**known.record, "sources": {"train": files}, "fixes": "other fixes"}
    version = ModelVersion("reviews", "1", 0, run_id="", tags=[])
    with pytest.raises(DataError) as caught:
        inputs_of(
            replace(known, version=version, record=record), prepared.workspace, prepared.config
        )
    told = str(caught.value)
    assert "the train file has changed; expected SHA-256 000000000000" in told
    assert "tiny has changed" in told
    assert "the fixes of quarantined rows have changed since" in told
