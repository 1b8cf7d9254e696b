"""Every mistake in a file ends with exit 2, a message that helps, and nothing left behind."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import (
    ONESTEP,
    Done,
    assert_nothing_runs,
    environment,
    leftovers,
    onestep,
)
from tests.support.homes import CONFIG, Finished, run_states, versions
from tests.support.rows import Row, reviews, write_rows

SECRET = "xylophone"
UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
PLAIN_USER = UNPRIVILEGED if os.geteuid() == 0 else ()
"""What keeps root from reading everything."""
Spoil = Callable[[Path], object]


@pytest.fixture
def project(file: Path, tmp_path: Path) -> Path:
    """A pipeline in order, whose every text holds a word that no message may repeat."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "base").symlink_to(file.parent / "base")
    (folder / "reviews.yaml").write_text(CONFIG, encoding="utf-8")
    write_rows(folder / "reviews.csv", secret_rows())
    return folder


def secret_rows() -> list[Row]:
    return [(f"{text} {SECRET}", label) for text, label in reviews()]


def rewrite(old: str, new: str) -> Spoil:
    """Replace a part of the YAML file."""

    def spoil(project: Path) -> None:
        path = project / "reviews.yaml"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    return spoil


def data(content: bytes | str) -> Spoil:
    """Replace the rows."""
    raw = content.encode() if isinstance(content, str) else content
    return lambda project: (project / "reviews.csv").write_bytes(raw)


def rows(header: str, lines: list[str]) -> Spoil:
    return data("\n".join([header, *lines, ""]))


def relabel(change: Callable[[str, str], Row]) -> Spoil:
    """Change every row."""
    return lambda project: write_rows(
        project / "reviews.csv", [change(text, label) for text, label in secret_rows()]
    )


def rename(project: Path) -> None:
    (project / "reviews.csv").rename(project / "review.csv")


def unseen_label(project: Path) -> None:
    new = [(f"{text} again", label) for text, label in secret_rows()[:10]]
    write_rows(project / "held.csv", [*new, (f"so {SECRET}", "furious")])
    rewrite("validation: 0.2", "validation: held.csv")(project)


def base_model(spoil: Callable[[Path], object]) -> Spoil:
    """Give the project a base model of its own and spoil that."""

    def change(project: Path) -> None:
        shared = (project / "base").resolve()
        (project / "base").unlink()
        (project / "base").mkdir()
        for path in shared.iterdir():
            (project / "base" / path.name).write_bytes(path.read_bytes())
        spoil(project / "base")

    return change


def pickled(base: Path) -> None:
    (base / "model.safetensors").rename(base / "pytorch_model.bin")


def without_tokenizer(base: Path) -> None:
    for path in base.glob("*token*"):
        path.unlink()


def of_another_kind(base: Path) -> None:
    config = json.loads((base / "config.json").read_text("utf-8"))
    (base / "config.json").write_text(json.dumps(config | {"model_type": "vit"}), "utf-8")


def without(base: Path) -> None:
    (base / "model.safetensors").unlink()


WRONG_CONFIG = {
    "a tab": (rewrite("  train:", "\ttrain:"), ["reviews.yaml:4", "indent with spaces"]),
    "a duplicate key": (
        rewrite("  epochs: 4", "  epochs: 4\n  epochs: 5"),
        ["reviews.yaml:11: training.epochs", "already given on line 10", "keep one"],
    ),
    "an unknown key": (
        rewrite("batch_size", "batchsize"),
        ["reviews.yaml:11: training.batchsize", "unknown key", "did you mean `batch_size`?"],
    ),
    "a wrong type": (
        rewrite("epochs: 4", "epochs: many"),
        ["reviews.yaml:10: training.epochs", "expected a valid integer", '"many"'],
    ),
    "a negative learning rate": (
        rewrite("5e-3", "-5e-3"),
        ["reviews.yaml:12: training.learning_rate", "greater than 0", "-0.005"],
    ),
    "a metric of another application": (
        rewrite("training:", "evaluation:\n  primary_metric: bleu\ntraining:"),
        ["evaluation.primary_metric", "accuracy", "'bleu'"],
    ),
    "a setting of another application": (
        rewrite("training:", "answering:\n  unanswerable: true\ntraining:"),
        ["answering: sentiment has no use for it; leave it out"],
    ),
    "no mapping": (
        lambda project: (project / "reviews.yaml").write_text("reviews\n"),
        ["reviews.yaml", "expected a mapping of sections", "onestep init"],
    ),
    "a file that does not exist": (
        lambda project: (project / "reviews.yaml").rename(project / "review.yaml"),
        ["reviews.yaml: no such file", "did you mean", "review.yaml?"],
    ),
    "a family that cannot": (
        base_model(of_another_kind),
        ["reviews.yaml:8: model.base", "a vit model has no", "bert"],
    ),
}
WRONG_DATA = {
    "no such file": (
        rename,
        ["reviews.csv: no such file", "did you mean", "review.csv?"],
    ),
    "an empty file": (data(""), ["reviews.csv: the file is empty"]),
    "a header alone": (data("text,label\n"), ["found only a header"]),
    "another column name": (
        rows("Text,label", [f"{SECRET},positive"]),
        ["reviews.csv: expected a column 'text'", "'Text'", "data.columns.text: Text"],
    ),
    "a label that training does not have": (
        unseen_label,
        ["label 'furious' never occurs in training", "held.csv row 11"],
    ),
    "one class": (
        relabel(lambda text, label: (text, "positive")),
        ["two", "'positive'"],
    ),
    "numbers for text": (
        relabel(lambda text, label: (str(len(text)), label)),
        ["reviews.csv: expected text in column 'text', found only numbers", "data.columns.text"],
    ),
    "binary data": (
        data(random.Random(0).randbytes(2000)),
        ["reviews.csv: expected UTF-8 text, found binary data"],
    ),
    "two encodings": (
        data(f"text,label\n{SECRET} Le café très bon là,positive\n".encode("cp1252")),
        ["reviews.csv:2: expected UTF-8, found byte 0xe9", "data.encoding: cp1252 or data.enc"],
    ),
    "an open quotation mark": (
        rows("text,label", ["fine,positive", f'"{SECRET} and so on,negative']),
        ["reviews.csv:3", "not valid CSV", "data.quotes: false"],
    ),
    "too many empty texts": (
        rows("text,label", [f"{SECRET},positive", *[",negative"] * 30]),
        ["reviews.csv row 2", "30 of 31 rows break the contract", "quarantine/reviews.jsonl"],
    ),
    "a model folder without weights": (
        base_model(without),
        ["base: found no weights", "model.safetensors"],
    ),
    "pickle weights alone": (
        base_model(pickled),
        ["base: found only pickle weights (pytorch_model.bin)", "safetensors"],
    ),
    "a model folder without a tokenizer": (
        base_model(without_tokenizer),
        ["base: no tokenizer", "tokenizer.json"],
    ),
}


def assert_refused(done: Done, home: Path, expected: list[str]) -> None:
    assert done.code == 2, done.output
    for text in expected:
        assert text in done.err
    assert all(line.startswith("error: ") for line in done.err.splitlines() if line in expected)
    assert "Traceback" not in done.output
    assert SECRET not in done.output
    assert list(home.glob("stages/*/*")) == []
    assert leftovers(home) == []


@pytest.mark.parametrize(("spoil", "expected"), WRONG_CONFIG.values(), ids=WRONG_CONFIG)
def test_a_wrong_config_is_refused(project: Path, spoil: Spoil, expected: list[str]) -> None:
    spoil(project)
    home = project.parent / "home"
    assert_refused(onestep(home, "run", project / "reviews.yaml"), home, expected)
    assert not home.exists()


@pytest.mark.parametrize(("spoil", "expected"), WRONG_DATA.values(), ids=WRONG_DATA)
def test_wrong_data_is_refused(project: Path, spoil: Spoil, expected: list[str]) -> None:
    spoil(project)
    home = project.parent / "home"
    assert_refused(onestep(home, "check", project / "reviews.yaml"), home, expected)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("base/model.safetensors", "the base model cannot be read: Permission denied"),
        ("reviews.csv", "cannot be read: Permission denied"),
    ],
)
def test_what_may_not_be_read_is_named(file: Path, project: Path, name: str, said: str) -> None:
    (project / "base").unlink()
    shutil.copytree(file.parent / "base", project / "base")
    (project / name).chmod(0)
    done = subprocess.run(
        [*PLAIN_USER, ONESTEP, "check", project / "reviews.yaml"],
        env=environment(project.parent / "home"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert f"{project / name}: {said}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", ["no such file", "one class"])
def test_a_run_refuses_like_a_check(
    finished: Finished, project: Path, kind: str, tmp_path: Path
) -> None:
    spoil, expected = WRONG_DATA[kind]
    spoil(project)
    home = finished.copy(tmp_path / "home")
    done = onestep(home, "run", project / "reviews.yaml", "--json")
    assert done.code == 2, done.output
    assert done.out == ""
    assert all(text in done.err for text in expected)
    assert "Traceback" not in done.err
    assert SECRET not in done.err
    assert versions(home) == []
    assert set(run_states(home)) <= {"FAILED"}
    assert leftovers(home) == []
    assert_nothing_runs(home)
