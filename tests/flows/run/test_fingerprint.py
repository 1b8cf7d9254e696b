"""What makes a run another run, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from flows.run.fingerprint import fingerprint
from flows.run.inputs import Inputs
from flows.stages import STAGES
from tests.support.pipelines import Prepared

pytest_plugins = ["tests.support.fixtures"]
pytestmark = pytest.mark.xdist_group("stages")
VERSIONS = [stage.version for stage in STAGES]


def changed(prepared: Prepared, section: str, **update: Any) -> str:
    """The fingerprint with some settings changed."""
    config = prepared.config
    part = getattr(config, section).model_copy(update=update)
    other = config.model_copy(update={section: part})
    return fingerprint(other, Inputs(prepared.validated.sources, prepared.base), VERSIONS)[0]


def test_the_schedule_the_machine_and_the_place_of_files_do_not_count(prepared: Prepared) -> None:
    same = changed(prepared, "schedule")
    assert changed(prepared, "schedule", interval="6h") == same
    assert changed(prepared, "compute", threads=7, timeout_minutes=3.0) == same
    assert changed(prepared, "data", train=["elsewhere.csv"]) == same
    assert changed(prepared, "model", base="elsewhere") == same


def test_settings_and_shares_count(prepared: Prepared) -> None:
    same = changed(prepared, "schedule")
    assert changed(prepared, "training", epochs=9) != same
    assert changed(prepared, "data", test=0.3) != same
    assert changed(prepared, "gate", margin=0.5) != same


def test_the_version_of_each_stage_counts(prepared: Prepared) -> None:
    inputs = Inputs(prepared.validated.sources, prepared.base)
    _, usual = fingerprint(prepared.config, inputs, VERSIONS)
    _, longer = fingerprint(prepared.config, inputs, [*VERSIONS, 1])
    _, same = fingerprint(prepared.config, inputs, [*VERSIONS, None])
    assert {name for name in usual if usual[name] != longer[name]} == {"onestep.code"}
    assert same == usual
