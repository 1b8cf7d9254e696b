"""Training speed against Transformers' ``Trainer``: the same work in alternating pairs."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tasks.contract.sources import splits
from tasks.finetuning import make_job
from tasks.tokenization import tokenize_rows
from tasks.training import events
from tasks.training.job import BEST, Job
from tasks.training.launchers import LocalLauncher, run
from tasks.training.model import initial_model
from tasks.validation import validate
from tasks.workspace import Workspace
from tests.benchmarks.commands import peer, scratch
from tests.benchmarks.figures import Figures
from tests.benchmarks.options import HERE, Options, overrides, sample
from tests.support.reading import load

THREADS = 1
"""Two OpenMP threads on a machine with other work wait for each other: ratios drown in it."""
SCORED_ROWS = 64


@dataclass(frozen=True)
class Trained:
    """One training.

    Attributes:
        loop: samples/s from the first step to the last.
        process: samples/s from the start of the process to the last step.
        accuracy: on the test rows.
    """

    loop: float
    process: float
    accuracy: float


def trainer(options: Options) -> Figures:
    """Ours, the peer, ours, the peer, and so on."""
    with scratch() as folder:
        job, rows = _prepare(options, folder)
        samples = rows * job.training.epochs
        pairs = [
            _pair(job, folder / str(index), samples, options) for index in range(options.pairs)
        ]
    note = (
        f"SST-2, {rows:,} rows, {job.training.epochs} epochs, batches of "
        f"{job.training.batch_size}, threads: {job.threads} on both sides; Trainer runs "
        f"{options.attention} attention. Our validation passes and saved weights are not counted."
    )
    columns = ["samples/s", "onestep", "Trainer", "ratio", "onestep, from process start"]
    columns += ["Trainer, from process start", "ratio", "accuracy", "Trainer's"]
    cells = [[f"pair {index + 1}", *_cells(*pair)] for index, pair in enumerate(pairs)]
    return Figures("Training speed", columns, [*cells, _medians(pairs)], note)


def _cells(ours: Trained, peer: Trained) -> list[str]:
    speeds = [(ours.loop, peer.loop), (ours.process, peer.process)]
    cells = [text for a, b in speeds for text in (f"{a:.1f}", f"{b:.1f}", f"{a / b:.2f}")]
    return [*cells, f"{ours.accuracy:.4f}", f"{peer.accuracy:.4f}"]


def _medians(pairs: list[tuple[Trained, Trained]]) -> list[str]:
    loop = median(ours.loop / peer.loop for ours, peer in pairs)
    process = median(ours.process / peer.process for ours, peer in pairs)
    accuracies = [f"{median(pair[side].accuracy for pair in pairs):.4f}" for side in (0, 1)]
    return ["median", "", "", f"{loop:.2f}", "", "", f"{process:.2f}", *accuracies]


def _prepare(options: Options, folder: Path) -> tuple[Job, int]:
    """Validate and tokenize the rows as the pipeline does; return the job and its rows."""
    chosen = overrides(options, "sst2", folder)
    chosen += [f"training.epochs={options.epochs}", f"compute.threads={options.threads or THREADS}"]
    if not options.quick:
        chosen.append(f"data.train={sample(options.data / 'sst2/train.csv', options.rows, folder)}")
    config = load(HERE / "sst2.yaml", chosen)
    workspace = Workspace.open(folder / "home")
    base = initial_model.find(config.model, config.application)
    validated = validate(config, workspace, splits.locate(config.data))
    tokenized = tokenize_rows(config, workspace, validated, base)
    return make_job("train", config, validated, tokenized, base), validated.rows["train"]


def _pair(job: Job, folder: Path, samples: int, options: Options) -> tuple[Trained, Trained]:
    ours, peer = folder / "ours", folder / "peer"
    for side in (ours, peer):
        side.mkdir(parents=True)
        job.write(side)
    (peer / "peer.json").write_text(json.dumps({"attention": options.attention}))
    return _ours(job, ours, samples), _peer(job, peer, samples)


def _ours(job: Job, folder: Path, samples: int) -> Trained:
    """The real worker; validation passes, which the peer does not make, are taken out."""
    began = time.time()
    run(LocalLauncher(), folder, lambda record: None)
    records = events.history(folder)
    done = records[-1]
    aside = sum(record["seconds"] for record in records if record["kind"] == "validation")
    process = done["time"] - began - aside
    return Trained(samples / (done["seconds"] - aside), samples / process, _score(job, folder))


def _peer(job: Job, folder: Path, samples: int) -> Trained:
    began = time.time()
    result = peer("peer_trainer.py", folder)
    process = result["ended"] - began
    return Trained(samples / result["seconds"], samples / process, _score(job, folder))


def _score(job: Job, folder: Path) -> float:
    """Accuracy on the test rows, by one code for both and by none of ours."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.set_num_threads(job.threads or THREADS)
    rows = sorted(Dataset.from_file(f"{job.tokens}/test.arrow"), key=lambda r: len(r["input_ids"]))
    tokenizer = AutoTokenizer.from_pretrained(job.base, local_files_only=True)
    model = AutoModelForSequenceClassification.from_pretrained(folder / BEST).eval()
    hits = 0
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for start in range(0, len(rows), SCORED_ROWS):
            batch = tokenizer.pad(rows[start : start + SCORED_ROWS], return_tensors="pt")
            labels = batch.pop("labels")
            hits += int((model(**batch).logits.argmax(-1) == labels).sum())
    return hits / len(rows)
