"""Questions, translation and summarization on real data, beside what a trivial method reaches."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.arrow import MappedTable
from tests.benchmarks.commands import Timed, peer, run, scratch
from tests.benchmarks.figures import Figures, seconds
from tests.benchmarks.options import HERE, Options, declared_files, overrides, sample
from tests.support.reading import load

SIZES = (1_000, 4_000, 15_000)
ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")


def squad_v1(options: Options) -> Figures:
    """F1 beside plain Transformers code on the same rows."""
    with scratch() as folder:
        chosen = overrides(options, "squad_v1", folder)
        ours = run(folder / "home", HERE / "squad_v1.yaml", chosen)
        other = _peer(folder / "home", folder / "peer", options, chosen)
    metrics, baseline = ours.record["metrics"], ours.record["baseline"]
    rows = [
        _row("onestep", metrics, ("f1", "exact_match"), ours.record["training"]["seconds"]),
        _row("Transformers alone", other, ("f1", "exact_match"), other["seconds"]),
        _row(baseline["name"], baseline, ("f1", "exact_match")),
    ]
    low, high = ours.record["interval"]
    counts = ours.record["rows"]
    note = (
        f"{counts['train']:,} training and {counts['test']:,} test rows, the same for both; "
        f"95% interval of our F1 {low:.2f} to {high:.2f}. The peer trains without validation."
    )
    return Figures("SQuAD v1.1", ["starter", "F1", "exact match", "training s"], rows, note)


def _row(
    name: str, metrics: dict[str, Any], shown: Sequence[str], training: float | None = None
) -> list[str]:
    figures = [f"{metrics[metric]:.2f}" for metric in shown]
    return [name, *figures, "" if training is None else seconds(training)]


def _peer(home: Path, folder: Path, options: Options, chosen: Sequence[str]) -> dict[str, Any]:
    """Train on the rows that our validation kept, with the recipe of the pipeline file."""
    config = load(HERE / "squad_v1.yaml", chosen)
    (validated,) = (home / "stages" / "validation").iterdir()
    folder.mkdir()
    for split in ("train", "test"):
        rows = MappedTable(validated / f"{split}.arrow")
        lines = "".join(f"{json.dumps(row)}\n" for row in rows.slice(0, len(rows)).to_pylist())
        (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    training = config.training
    recipe = {
        "base": str(_base(config)),
        "max_length": config.model.max_length,
        "stride": config.answering.stride,
        "batch_size": training.batch_size,
        "epochs": training.epochs,
        "learning_rate": training.learning_rate,
        "warmup": training.lr_scheduler.warmup_ratio,
        "weight_decay": training.optimizer.weight_decay,
        "seed": config.seed,
        "threads": options.threads or 2,
    }
    (folder / "recipe.json").write_text(json.dumps(recipe), encoding="utf-8")
    return peer("peer_questions.py", folder)


def _base(config: Any) -> Path:
    from tasks.training.model import initial_model

    found = initial_model.find(config.model, config.application)
    assert found.path is not None
    return found.path


def tatoeba_en_zh(options: Options) -> Figures:
    """A model from scratch over training sizes, a pair of encoders, and two trivial methods."""
    sizes = (256,) if options.quick else SIZES
    with scratch() as folder:
        files = declared_files(options, "tatoeba_en_zh")
        runs = {
            f"from scratch, {size:,} pairs": _translator(options, "tatoeba_en_zh", size, folder)
            for size in sizes
        }
        name = f"BERT2BERT, {sizes[-1]:,} pairs"
        runs[name] = _translator(options, "tatoeba_pair", sizes[-1], folder)
        nearest = _nearest(sample(files["train"], sizes[-1], folder), files["test"])
    last = runs[name].record
    shown = ("bleu", "chrf", "length_ratio")
    rows = [
        _row(name, timed.record["metrics"], shown, timed.record["training"]["seconds"])
        for name, timed in runs.items()
    ]
    rows += [_row("nearest neighbour", nearest, shown)]
    rows += [_row(last["baseline"]["name"], last["baseline"], shown)]
    columns = ["Tatoeba, English to Chinese", "BLEU (zh)", "chrF++", "length ratio", "training s"]
    note = f"{last['rows']['test']:,} test pairs; greedy validation, beams of 4 on the test split."
    return Figures("Translation", columns, rows, note)


def _translator(options: Options, name: str, size: int, folder: Path) -> Timed:
    chosen = overrides(options, name, folder)
    if not options.quick:
        train = sample(declared_files(options, name)["train"], size, folder)
        # As many optimizer steps with few rows as with many, up to a point.
        repeats = min(2, max(1, SIZES[-1] // size))
        epochs = load(HERE / f"{name}.yaml").training.epochs * repeats
        chosen += [f"data.train={train}", f"training.epochs={epochs}"]
    return run(folder / f"{name}-{size}", HERE / f"{name}.yaml", chosen)


def _nearest(train: Path, test: Path) -> dict[str, float]:
    """The translation of the most similar training sentence (cosine of word TF-IDF)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    from tasks.applications.translation.scores import TranslationScorer

    known, asked = (_pairs(path) for path in (train, test))
    vectorizer = TfidfVectorizer(token_pattern=r"\w+", sublinear_tf=True)
    matrix = vectorizer.fit_transform(known["source"])
    best = (vectorizer.transform(asked["source"]) @ matrix.T).toarray().argmax(1)
    scorer = TranslationScorer("zh")
    scorer.update(asked, {"text": [known["target"][at] for at in best]})
    return scorer.metrics()


def _pairs(path: Path) -> dict[str, list[str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {name: [row[name] for row in rows] for name in ("source", "target")}


def bbc_news_summary(options: Options) -> Figures:
    """ROUGE beside lead-3. The references are sentences of the articles."""
    with scratch() as folder:
        chosen = overrides(options, "bbc_news_summary", folder)
        timed = run(folder / "home", HERE / "bbc_news_summary.yaml", chosen)
    record = timed.record
    rows = [
        _row("BERT2BERT", record["metrics"], ROUGE, record["training"]["seconds"]),
        _row(record["baseline"]["name"], record["baseline"], ROUGE),
    ]
    columns = ["BBC news", "ROUGE-1", "ROUGE-2", "ROUGE-L", "ROUGE-Lsum", "training s"]
    note = f"{record['rows']['test']:,} test articles, whose summaries are sentences of theirs."
    return Figures("Summarization", columns, rows, note)
