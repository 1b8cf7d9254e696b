"""What makes a run another run, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from flows.run.fingerprint import fingerprint
from flows.run.inputs import Inputs
from flows.run.stage import Stage
from flows.stages import STAGES
from tests.support.pipelines import Prepared

pytest_plugins = ["tests.support.fixtures"]
pytestmark = pytest.mark.xdist_group("stages")


def changed(prepared: Prepared, section: str, **update: Any) -> str:
    """The fingerprint with some settings changed."""
    config = prepared.config
    part = getattr(config, section).model_copy(update=update)
    other = config.model_copy(update={section: part})
    return fingerprint(other, Inputs(prepared.validated.sources, prepared.base), STAGES)[0]


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
    extra = Stage("extra", lambda run: run[object], version=1)  # type: ignore[type-var]
    silent = Stage("extra", lambda run: run[object])  # type: ignore[type-var]
    _, usual = fingerprint(prepared.config, inputs, STAGES)
    _, longer = fingerprint(prepared.config, inputs, [*STAGES, extra])
    _, same = fingerprint(prepared.config, inputs, [*STAGES, silent])
    assert {name for name in usual if usual[name] != longer[name]} == {"onestep.code"}
    assert same == usual
