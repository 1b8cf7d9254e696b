"""The job of a training process is the same on both sides of its file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from configs.model import Scratch
from configs.schema import Model, Training
from tasks.training.job import FILE, Job
from tasks.training.model.spec import ModelSpec

SPEC = ModelSpec(
    head="seq2seq",
    base="/models/bert",
    decoder="/models/gpt2",
    tokenizer="/models/bert",
    target=None,
    scratch=None,
    vectors=None,
    max_length=128,
    max_target_length=32,
    token_types=False,
    prefix="translate: ",
    languages=("en", "zh"),
)
JOB = Job(
    mode="train",
    application="translation",
    facts={"inputs": ["source"], "language": "zh"},
    rows="rows",
    tokens="tokens",
    spec=SPEC,
    model=Model(base="bert", dropout=0.2),
    training=Training(epochs=7, learning_rate=1e-3),
    seed=3,
    primary_metric="bleu",
    extra_metrics=["cost"],
    device="cpu",
    threads=None,
    evaluation_batch=16,
    beams=4,
    energy=False,
)


@pytest.mark.parametrize("spec", [SPEC, replace(SPEC, scratch=Scratch(architecture="encoder"))])
def test_a_job_is_read_as_it_was_written(spec: ModelSpec, tmp_path: Path) -> None:
    job = replace(JOB, spec=spec)
    job.write(tmp_path)
    assert Job.read(tmp_path) == job


def test_a_job_of_another_layout_is_refused(tmp_path: Path) -> None:
    JOB.write(tmp_path)
    record = json.loads((tmp_path / FILE).read_text("utf-8"))
    (tmp_path / FILE).write_text(json.dumps(record | {"mode": "evaluate"}), "utf-8")
    with pytest.raises(ValidationError, match="mode"):
        Job.read(tmp_path)
