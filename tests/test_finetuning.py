from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from configs.files import PARTIAL
from tasks.evaluation import evaluate
from tasks.finetuning import FinetuningResult, finetune
from tasks.progress import Progress, Update, listening
from tasks.store import read_json
from tasks.training import events
from tests.support.pipelines import Prepared, prepare
from tests.support.rows import reviews

pytest_plugins = ["tests.support.fixtures"]
pytestmark = pytest.mark.xdist_group("stages")


def again(prepared: Prepared, watched: list[Path] | None = None) -> FinetuningResult:
    """Run the stage once more."""
    watch = (watched if watched is not None else []).append
    arguments = prepared.validated, prepared.tokenized, prepared.base
    return finetune(prepared.config, prepared.workspace, *arguments, watch)


def test_output_is_a_model_and_its_log(tuned: FinetuningResult) -> None:
    folder = tuned.stored.path
    assert {p.name for p in folder.iterdir()} == {
        "events.jsonl",
        "job.json",
        "manifest.json",
        "model",
    }
    names = {p.name for p in (folder / "model").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    config = read_json(folder / "model" / "config.json")
    assert config["id2label"] == {"0": "negative", "1": "positive"}


def test_summary_adds_up_the_log(tuned: FinetuningResult) -> None:
    steps = events.steps(tuned.stored.path)
    summary = tuned.summary
    assert summary["steps"] == len(steps) == 72
    assert summary["samples"] == 4 * 72
    assert (summary["first_loss"], summary["last_loss"]) == (steps[0]["loss"], steps[-1]["loss"])
    assert summary["step_seconds"] == pytest.approx(sum(record["seconds"] for record in steps))
    assert summary["forecast"]["steps"] == 72
    assert "best epoch" in tuned.note


def test_second_run_trains_nothing(prepared: Prepared, tuned: FinetuningResult) -> None:
    watched: list[Path] = []
    reused = again(prepared, watched)
    assert reused.stored.reused
    assert replace(reused.stored, reused=False) == tuned.stored
    assert (reused.model, watched) == (tuned.model, [])


def test_run_killed_before_its_commit_is_only_committed(
    prepared: Prepared, tuned: FinetuningResult, tmp_path: Path
) -> None:
    workspace = replace(prepared.workspace, root=tmp_path)
    final = workspace.store.stages / "finetuning" / tuned.stored.key
    left = final.with_name(final.name + PARTIAL)
    shutil.copytree(tuned.stored.path, left)
    (left / "manifest.json").unlink()
    heard: list[Update] = []
    with listening(heard.append):
        finished = again(replace(prepared, workspace=workspace))
    assert heard == []
    assert (finished.model, finished.stored.digest) == (tuned.model, tuned.stored.digest)


def test_starter_learns_in_one_epoch(tmp_path: Path) -> None:
    training = {"epochs": 1, "batch_size": 8, "learning_rate": 3e-4, "precision": "fp32"}
    prepared = prepare(tmp_path, "starter", {"train": reviews()}, training=training, seed=2)
    heard: list[Update] = []
    watched: list[Path] = []
    with listening(heard.append):
        tuned = again(prepared, watched)
    kinds = [event.kind for event in heard if isinstance(event, Progress)]
    assert kinds == ["forecast", "started", *["step"] * 9, "validation", "done"]
    assert [folder.name for folder in watched] == [tuned.stored.key + PARTIAL]
    evaluated = evaluate(
        prepared.config, prepared.workspace, prepared.validated, prepared.tokenized, tuned
    )
    assert evaluated.metrics["accuracy"] >= 0.9
    weights = load_file(evaluated.package / "model" / "model.safetensors")
    assert all(tensor.dtype == torch.float32 for tensor in weights.values())
    assert json.loads((evaluated.stored.path / "metrics.json").read_text())["headline"] == (
        evaluated.primary_metric
    )
