"""The training process, run for real by its launcher."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from configs.errors import ModelError, WorkerFailure
from tasks.store import files_below, read_json
from tasks.training import checkpoints, events, loop, session
from tasks.training.events import EventLog, Record
from tasks.training.job import BEST, Job
from tasks.training.launchers import LocalLauncher
from tasks.training.launchers import run as run_job
from tests.support.pipelines import CONSTANT, Prepared, prepare
from tests.support.rows import flipped, reviews
from tests.support.workers import alive, kill_at, reached, run, wait_until, workers_of

pytest_plugins = ["tests.support.fixtures"]
pytestmark = pytest.mark.xdist_group("workers")

PARENT = """
import sys
from pathlib import Path
from tasks.training.launchers import LocalLauncher
from tasks.training.launchers import run
run(LocalLauncher(), Path(sys.argv[1]), lambda record: None)
"""
ENDLESS = 2000


def learned(steps: Iterable[Record]) -> list[tuple[float, ...]]:
    """What each step computed, without the seconds that it took."""
    names = ("step", "loss", "grad_norm", "learning_rate", "samples", "tokens")
    return [tuple(record[name] for name in names) for record in steps]


def of_kind(folder: Path, kind: str) -> list[Record]:
    return [record for record in events.history(folder) if record["kind"] == kind]


def metrics_of(job: Job, folder: Path) -> dict[str, float]:
    """Measure the weights that a finished run kept."""
    spec = replace(job.spec, base=str(folder / BEST))
    best = session.build(replace(job, spec=spec), folder)
    return loop.evaluate(best, "validation").metrics


@pytest.fixture(scope="module")
def reference(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbed, without checkpoints, with dropout."""
    folder = tmp_path_factory.mktemp("reference")
    run(prepared.job(), folder)
    return folder


@pytest.fixture(scope="module")
def misled(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, Path]:
    """A run that gets worse the more it learns: its validation labels are the wrong ones."""
    rows = reviews()
    splits = {"train": rows[:80], "validation": flipped(rows[80:100]), "test": rows[100:]}
    prepared = prepare(tmp_path_factory.mktemp("misled"), str(base), splits)
    settings: dict[str, Any] = {
        "epochs": 9,
        "early_stopping_patience": 2,
        "save_steps": 7,
        "lr_scheduler": CONSTANT,
    }
    job = prepared.job(primary_metric="log_loss", **settings)
    folder = tmp_path_factory.mktemp("misled-run")
    run(job, folder)
    return job, folder


def test_worker_learns(reference: Path) -> None:
    steps, validations = events.steps(reference), of_kind(reference, "validation")
    last = np.mean([record["loss"] for record in steps[-10:]])
    assert last < 0.5 * np.mean([record["loss"] for record in steps[:10]])
    assert validations[-1]["metrics"]["accuracy"] >= 0.9


def test_events_tell_the_whole_run(reference: Path) -> None:
    records = events.history(reference)
    kinds = [record["kind"] for record in records]
    epoch = ["step"] * 18 + ["validation"]
    assert kinds == ["forecast", "started", *epoch, *epoch, *epoch, *epoch, "done"]
    steps = events.steps(reference)
    assert [record["step"] for record in steps] == list(range(1, 73))
    assert [record["epoch"] for record in steps[17::18]] == [1, 2, 3, 4]
    assert sum(record["samples"] for record in steps) == 4 * 72
    assert records[1]["total_steps"] == records[-1]["steps"] == 72
    assert records[1]["precision"] == "fp32"
    assert all(record["time"] > 0 for record in records)


def test_every_epoch_sees_the_same_tokens_in_another_order(reference: Path) -> None:
    steps = events.steps(reference)
    epochs = [[record["tokens"] for record in steps[at : at + 18]] for at in range(0, 72, 18)]
    assert len({sum(tokens) for tokens in epochs}) == 1
    assert len({tuple(tokens) for tokens in epochs}) == 4


def test_epoch_with_the_highest_accuracy_is_kept(prepared: Prepared, reference: Path) -> None:
    validations, done = of_kind(reference, "validation"), of_kind(reference, "done")[0]
    accuracies = [record["metrics"]["accuracy"] for record in validations]
    assert done["best"] == max(accuracies)
    assert done["best_epoch"] == 1 + accuracies.index(max(accuracies))
    assert metrics_of(prepared.job(), reference) == pytest.approx(
        validations[done["best_epoch"] - 1]["metrics"], abs=1e-6
    )


def test_killed_run_resumes_bit_for_bit(
    prepared: Prepared, reference: Path, tmp_path: Path
) -> None:
    job = prepared.job(save_steps=2)
    killer = kill_at(tmp_path, 21)
    with pytest.raises(WorkerFailure, match=r"killed by SIGKILL.*run again to resume"):
        run(job, tmp_path)
    killer.join()
    assert workers_of(tmp_path) == []
    seen = run(job, tmp_path)
    (resumed,) = of_kind(tmp_path, "resumed")
    assert resumed["step"] >= 20
    assert resumed["step"] % 2 == 0
    assert [r["step"] for r in seen if r["kind"] == "step"] == list(range(resumed["step"] + 1, 73))
    assert learned(events.steps(tmp_path)) == learned(events.steps(reference))
    metrics = [[r["metrics"] for r in of_kind(f, "validation")] for f in (tmp_path, reference)]
    assert metrics[0] == metrics[1]
    weights = [load_file(f / BEST / "model.safetensors") for f in (tmp_path, reference)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_run_killed_before_its_first_checkpoint_starts_over(
    prepared: Prepared, reference: Path, tmp_path: Path
) -> None:
    with EventLog(tmp_path) as log:
        log.append("started", total_steps=72)
        for record in events.steps(reference)[:5]:
            log.append(**record | {"loss": -1.0, "time": None})
    run(prepared.job(), tmp_path)
    assert learned(events.steps(tmp_path)) == learned(events.steps(reference))


def test_files_of_a_run_are_safetensors_and_text(misled: tuple[Job, Path]) -> None:
    _, folder = misled
    files = [path for path in files_below(folder) if path.suffix != ".safetensors"]
    assert checkpoints.latest(folder) is not None
    for path in files:
        assert path.suffix in {".json", ".jsonl", ".lock", ".log"}
        assert b"\0" not in path.read_bytes()


def test_lower_is_better_for_a_loss(misled: tuple[Job, Path]) -> None:
    _, folder = misled
    losses = [record["metrics"]["log_loss"] for record in of_kind(folder, "validation")]
    (done,) = of_kind(folder, "done")
    assert done["best"] == min(losses)
    assert losses[-1] == max(losses)
    assert done["best_epoch"] < len(losses)


def test_training_stops_early(misled: tuple[Job, Path]) -> None:
    _, folder = misled
    (done,) = of_kind(folder, "done")
    assert done["epochs"] == done["best_epoch"] + 2
    assert done["epochs"] < 9
    assert done["steps"] == 20 * done["epochs"] == events.steps(folder)[-1]["step"]


def test_weights_of_the_best_epoch_are_kept(misled: tuple[Job, Path]) -> None:
    job, folder = misled
    (done,) = of_kind(folder, "done")
    best = of_kind(folder, "validation")[done["best_epoch"] - 1]
    assert metrics_of(job, folder) == pytest.approx(best["metrics"], abs=1e-6)
    record = read_json(folder / BEST / "best.json")
    position = {"epoch": done["best_epoch"], "step": best["step"]}
    assert record == position | {"log_loss": done["best"], "learned": {}}


def test_worker_dies_with_its_parent(prepared: Prepared, tmp_path: Path) -> None:
    prepared.job(epochs=ENDLESS).write(tmp_path)
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)])
    wait_until(reached(tmp_path, 1))
    (worker,) = workers_of(tmp_path)
    parent.kill()
    parent.wait()
    wait_until(lambda: not alive(worker))


def test_run_out_of_time_is_ended(prepared: Prepared, tmp_path: Path) -> None:
    with pytest.raises(WorkerFailure, match=r"longer than compute.timeout_minutes \(0.05\)"):
        run(prepared.job(epochs=ENDLESS), tmp_path, timeout_seconds=3.0)
    assert workers_of(tmp_path) == []


def test_listener_that_raises_ends_the_worker(prepared: Prepared, tmp_path: Path) -> None:
    prepared.job(epochs=ENDLESS).write(tmp_path)

    def refuse(record: Record) -> None:
        raise KeyboardInterrupt(record["kind"])

    with pytest.raises(KeyboardInterrupt, match="forecast"):
        run_job(LocalLauncher(), tmp_path, refuse)
    assert workers_of(tmp_path) == []


def test_error_in_the_worker_is_told(prepared: Prepared, base: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(base, tmp_path / "broken"))
    tensors = load_file(broken / "model.safetensors")
    tensors["embeddings.word_embeddings.weight"][:] = torch.nan
    save_file(tensors, broken / "model.safetensors", {"format": "pt"})
    folder = tmp_path / "run"
    job = prepared.job()
    job = replace(job, spec=replace(job.spec, base=str(broken)))
    with pytest.raises(WorkerFailure, match="training failed: FloatingPointError: loss nan"):
        run(job, folder)
    (error,) = of_kind(folder, "error")
    assert "optimizer_step" in error["traceback"]
    assert events.steps(folder) == []
    assert not (folder / BEST).exists()


def test_a_setting_that_the_model_cannot_follow_is_the_users_mistake(
    prepared: Prepared, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"training\.frozen_layers: expected at most 2"):
        run(prepared.job(frozen_layers=7), tmp_path / "run")


def test_peak_memory_is_not_that_of_the_process_which_has_started_it() -> None:
    """A parent that holds much, as a pipeline with its libraries does."""
    held = np.ones(100_000_000)
    program = (
        "import torch; from tasks.training.hardware import peak_memory;"
        "print(peak_memory(torch.device('cpu')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert 2**20 < int(done.stdout) < held.nbytes
