from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.contract.rows import quarantine
from tasks.contract.rows.quarantine import Fixes, Record
from tasks.contract.rules.findings import Place

STRANGE = ["\u2028", "\x85", "\x0b", "\r\n", "\0", "🙂", "\ud800", '"']
PLACE = Place("train", "rows.csv", 3)


def entry(row: int = 3, why: str = "text: the value is missing", raw: Any = None) -> Record:
    return quarantine.record(PLACE._replace(row=row), [("missing", why)], raw)


def fixes(path: Path, *pairs: tuple[Any, Any]) -> Fixes:
    lines = [
        quarantine.line({"original": quarantine.identity(raw), "row": row}) for raw, row in pairs
    ]
    path.write_bytes(b"".join(lines))
    return Fixes(path)


def test_a_record_has_its_place_every_reason_and_each_rule_once() -> None:
    reasons = [("missing", "text: the value is missing"), ("html", "b"), ("missing", "c")]
    assert quarantine.record(PLACE, reasons, {"text": None}) == {
        "split": "train",
        "file": "rows.csv",
        "row": 3,
        "rules": ["missing", "html"],
        "reasons": ["text: the value is missing", "b", "c"],
        "raw": {"text": None},
    }


def test_written_records_are_read_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "quarantine" / "parcels.jsonl"
    entries = [entry(n, raw={"text": f"a{text}b"}) for n, text in enumerate(STRANGE)]
    summary = quarantine.write(path, entries)
    assert list(quarantine.read(path)) == entries
    assert (summary.rows, summary.first) == (len(entries), quarantine.place(entries[0]))
    assert [found.name for found in path.parent.iterdir()] == ["parcels.jsonl"]


def test_values_that_json_has_no_form_for_are_written_as_text(tmp_path: Path) -> None:
    line = quarantine.line(entry(raw={"text": Path("x"), "label": float("nan")}))
    assert json.loads(line)["raw"]["text"] == "x"


def test_an_error_leaves_the_quarantine_before(tmp_path: Path) -> None:
    def failing() -> Iterator[Record]:
        yield entry(2)
        raise OSError("no space")

    path = tmp_path / "parcels.jsonl"
    path.write_bytes(quarantine.line(entry(1)))
    with pytest.raises(OSError, match="no space"):
        quarantine.write(path, failing())
    assert [found["row"] for found in quarantine.read(path)] == [1]
    assert list(tmp_path.iterdir()) == [path]


def test_a_quarantine_without_rows_replaces_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "parcels.jsonl"
    path.write_bytes(quarantine.line(entry()))
    summary = quarantine.write(path, [])
    assert path.read_bytes() == b""
    assert (summary.rows, summary.first) == (0, None)


def test_reasons_are_counted_by_kind(tmp_path: Path) -> None:
    reasons = ("12 of 3 characters", "4 of 55 characters", "none")
    entries = [entry(row, why) for row, why in enumerate(reasons)]
    summary = quarantine.write(tmp_path / "parcels.jsonl", entries)
    assert summary.reasons == {"such as: 12 of 3 characters": 2, "none": 1}


def test_where_there_is_no_file_there_are_no_records(tmp_path: Path) -> None:
    assert list(quarantine.read(tmp_path / "none.jsonl")) == []
    nothing = Fixes(tmp_path / "none.jsonl")
    assert not nothing
    assert nothing.digest == Fixes().digest == ""
    assert nothing.of({"text": "x"}) is None


def test_a_repaired_row_is_found_by_its_content(tmp_path: Path) -> None:
    found = fixes(tmp_path / "fixed.jsonl", ({"text": None, "label": "a"}, {"text": "x"}))
    assert found
    assert found.of({"label": "a", "text": None}) == {"text": "x"}
    assert found.of({"text": None, "label": "b"}) is None
    assert found.of('{"text": ') is None


def test_a_line_that_could_not_be_parsed_has_a_repair(tmp_path: Path) -> None:
    found = fixes(tmp_path / "fixed.jsonl", ('{"text": "x', {"text": "x", "label": "a"}))
    assert found.of('{"text": "x') == {"text": "x", "label": "a"}


def test_a_repair_may_be_repaired_again(tmp_path: Path) -> None:
    first, second, third = {"text": None}, {"text": ""}, {"text": "x"}
    found = fixes(tmp_path / "fixed.jsonl", (first, second), (second, third))
    assert found.of(first) == found.of(second) == third
    assert found.of(third) is None


@pytest.mark.parametrize("length", [1, 2, 3])
def test_repairs_in_a_circle_end(tmp_path: Path, length: int) -> None:
    rows = [{"text": str(n)} for n in range(length)]
    pairs = [(row, rows[(n + 1) % length]) for n, row in enumerate(rows)]
    assert fixes(tmp_path / "fixed.jsonl", *pairs).of(rows[0]) in rows


def test_the_digest_follows_the_repairs(tmp_path: Path) -> None:
    one = fixes(tmp_path / "one.jsonl", ({"text": None}, {"text": "x"}))
    same = fixes(tmp_path / "same.jsonl", ({"text": None}, {"text": "x"}))
    other = fixes(tmp_path / "other.jsonl", ({"text": None}, {"text": "y"}))
    assert one.digest == same.digest
    assert one.digest != other.digest


def test_the_last_repair_of_a_row_counts(tmp_path: Path) -> None:
    row = {"text": None}
    found = fixes(tmp_path / "fixed.jsonl", (row, {"text": "x"}), (row, {"text": "y"}))
    assert found.of(row) == {"text": "y"}
