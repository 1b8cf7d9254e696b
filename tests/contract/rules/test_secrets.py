"""Secrets of the data are in the quarantine and nowhere else, whatever becomes of their rows."""

from __future__ import annotations

import base64
import bz2
import gzip
import json
import lzma
import subprocess
import sys
import traceback
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from configs.errors import DataError
from tasks.contract.sources.splits import SPLITS
from tests.support import healthy
from tests.support.tables import Row, pipeline, quarantined, run, split_rows, write_table

# Built from parts, so that a scanner of this repository finds no token.
SECRETS = {
    "secret": "gh" + "p_" + "Fake0Key1Not2Real3Example4Token5Only",
    "key": "AK" + "IA" + "Z7QX3MNO5PRS2TUV",
    "email": "maria.rossi@example.com",
}
LABELLED = [
    "Gulls stole the referee's whistle at half time.",
    "A caddie lost all of the score cards.",
    "Fog hid the finish line from the spectators.",
    "Nobody had told the drummers about the minute of silence.",
    "Under the stands somebody keeps seven hens.",
    "The mascot fainted in the heat before kick-off.",
    "Two judges quarrelled over a chalk mark.",
    "Stewards chased a hare across the pitch.",
    "An old bus brings the visiting fans to the hill.",
    "Lightning struck the floodlights during the interval.",
]
KINDS = ["csv", "tsv", "json", "jsonl", "parquet", "csv.gz"]
UNZIP: tuple[Callable[[bytes], bytes], ...] = (
    *(gzip.decompress, zlib.decompress, bz2.decompress, lzma.decompress),
)


def planted(value: str) -> list[Row]:
    """Rows with a value in every column, of which some stay and some leave."""
    rows = [
        {**row, "customer": f"c{n}", "note": "nothing"} for n, row in enumerate(healthy.topics())
    ]
    kept = [
        {"text": f"The caddie wrote {value} on a score card.", "customer": "own"},
        *({"text": text, "label": value, "customer": f"x{text}"} for text in LABELLED),
        {"text": "The javelin landed beside a startled judge.", "customer": value},
        {"text": "A pigeon delayed the start of the regatta.", "note": value},
    ]
    left = [
        {"text": f"Nobody labelled {value} here.", "label": None},
        {"text": None, "label": value},
        {"text": "\u200b", "label": value, "customer": value, "note": value},
        {"text": rows[0]["text"], "note": value, "customer": value},
        {"text": rows[2]["text"], "label": value, "customer": rows[2]["customer"]},
        {"text": f"The cafÃ© of {value} is closed.", "customer": value},
        {"text": f"The caddie wrote {value} on a score card."},
    ]
    usual = {"label": "sport", "customer": "own", "note": "nothing"}
    return [*rows, *({"text": row["text"]} | usual | row for row in [*kept, *left])]


def unpacked(content: bytes) -> Iterator[bytes]:
    """Bytes, and what they hold if they are zipped."""
    yield content
    for unzip in UNZIP:
        with suppress(OSError, EOFError, ValueError, zlib.error, lzma.LZMAError):
            yield unzip(content)


def written(value: str) -> list[bytes]:
    """Ways in which bytes may hold a value."""
    plain = value.encode()
    return [plain, value.encode("utf-16-le"), plain.hex().encode(), base64.b64encode(plain)[:-4]]


def holders(root: Path, value: str) -> list[str]:
    """Files below a folder that hold a value, but for the quarantine."""
    found = []
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        name = path.relative_to(root).as_posix()
        if name.startswith("quarantine/") or path.name == "quarantine.jsonl":
            continue
        if any(way in part for part in unpacked(path.read_bytes()) for way in written(value)):
            found.append(name)
        assert value not in name
    return found


def told(error: BaseException) -> str:
    """An error with all that Python shows of it."""
    return "".join(traceback.format_exception(error))


def said(capture: pytest.CaptureFixture[str], logs: pytest.LogCaptureFixture) -> str:
    out, err = capture.readouterr()
    return out + err + logs.text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_in_any_column_is_only_in_the_quarantine(
    tmp_path: Path,
    name: str,
    kind: str,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    value = SECRETS[name]
    caplog.set_level(0)
    path = write_table(tmp_path / f"train.{kind}", planted(value))
    data = {"train": path.name, "group_column": "customer"}
    validated = run(pipeline(tmp_path, data))
    assert holders(tmp_path / "mlruns", value) == []
    assert value not in said(capfd, caplog)
    aside = quarantined(validated.stored.path / "quarantine.jsonl")
    assert sum(value in json.dumps(entry["raw"]) for entry in aside) >= 5
    kept = ("raw", "others")
    assert value not in json.dumps([{k: v for k, v in e.items() if k not in kept} for e in aside])
    kept = [row for split in SPLITS for row in split_rows(validated, split)]
    placeholder = "[EMAIL_1]" if name == "email" else "[SECRET_1]"
    assert sum(placeholder in row["text"] for row in kept) == 1
    labelled = [entry for entry in aside if entry["raw"]["text"] in LABELLED]
    assert [entry["rules"] for entry in labelled] == [["private_label"]] * len(LABELLED)
    again = run(pipeline(tmp_path, data))
    assert again.stored.reused
    assert holders(tmp_path / "mlruns", value) == []


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_in_a_line_that_cannot_be_parsed_is_only_in_the_quarantine(
    tmp_path: Path, name: str
) -> None:
    value = SECRETS[name]
    for kind in ("csv", "jsonl"):
        path = write_table(tmp_path / f"train.{kind}", healthy.topics())
        with path.open("ab") as stream:
            stream.write(f'{{"text: {value}, {value}, {value}\n'.encode())
        validated = run(pipeline(tmp_path, {"train": path.name}), home=kind)
        assert validated.quarantined == 1
        assert holders(tmp_path / kind, value) == []
        assert value in (tmp_path / kind / "quarantine" / "parcels.jsonl").read_text("utf-8")


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "too many": ({}, {"max_quarantined": 0.0}),
    "duplicates": ({}, {"rules": {"duplicates": "refuse"}}),
    "missing": ({}, {"rules": {"missing": "refuse"}}),
    "mojibake": ({}, {"rules": {"mojibake": "refuse"}}),
    "unknown label": ({"labels": ["sport", "cooking"]}, {"rules": {"unknown_label": "refuse"}}),
    "rare label": ({}, {"min_rows_per_class": 1000}),
    "private label": ({}, {"rules": {"private_label": "refuse"}}),
    "email": ({}, {"privacy": {"email": "refuse", "secret": "refuse"}}),
    "label of test rows only": ({"test": "test.jsonl"}, {}),
    "no such column": ({"columns": {"text": "content"}}, {}),
    "secret as text": ({"columns": {"text": "customer", "label": "text"}}, {}),
    "secret as label": ({"columns": {"label": "customer"}}, {}),
}


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("reason", REFUSED)
def test_a_refusal_shows_no_secret(
    tmp_path: Path,
    reason: str,
    name: str,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    value = SECRETS[name]
    caplog.set_level(0)
    data, contract = REFUSED[reason]
    write_table(tmp_path / "train.jsonl", planted(value))
    strange = {"text": "The anthem was played too fast.", "label": f"{value} {value}"}
    write_table(tmp_path / "test.jsonl", [{**strange, "customer": "late", "note": "nothing"}])
    data = {"train": "train.jsonl", **data}
    if reason not in ("secret as text", "secret as label"):
        data["group_column"] = "customer"
    with pytest.raises(DataError) as caught:
        run(pipeline(tmp_path, data, contract))
    assert value not in told(caught.value)
    assert value not in said(capfd, caplog)
    assert holders(tmp_path / "mlruns", value) == []


@pytest.mark.parametrize("name", SECRETS)
def test_a_file_without_a_header_shows_no_secret(tmp_path: Path, name: str) -> None:
    value = SECRETS[name]
    (tmp_path / "train.csv").write_text(f"write to {value},sport\nnow,cooking\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        run(pipeline(tmp_path, {"train": "train.csv"}))
    assert value not in told(caught.value)


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_that_may_be_shown_by_label_quality_is_not(tmp_path: Path, name: str) -> None:
    value = SECRETS[name]
    write_table(tmp_path / "train.jsonl", planted(value))
    contract = {"label_quality": True, "show_text": True}
    run(pipeline(tmp_path, {"train": "train.jsonl", "group_column": "customer"}, contract))
    assert holders(tmp_path / "mlruns", value) == []


KILLED = """
import os, sys
from pathlib import Path

from tasks import validation
from tests.support.tables import pipeline, run

def die(*_):
    os._exit(9)

validation.cross_row_checks.check = die
run(pipeline(Path(sys.argv[1]), {"train": "train.jsonl", "group_column": "customer"}))
"""


@pytest.mark.parametrize("name", SECRETS)
def test_a_killed_run_leaves_no_secret_outside_of_the_quarantine(tmp_path: Path, name: str) -> None:
    value = SECRETS[name]
    write_table(tmp_path / "train.jsonl", planted(value))
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (9, b"", b"")
    assert holders(tmp_path / "mlruns", value) == []
