from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from configs.schema import Pipeline
from tasks.applications import registry as applications
from tasks.contract.passes import row_checks
from tasks.contract.passes.row_checks import BatchResult, PartResult, RowChecker, Task
from tasks.contract.rows import layout as layouts
from tasks.contract.rows import quarantine
from tasks.contract.rows.layout import Layout
from tasks.contract.rows.quarantine import Fixes
from tasks.contract.rows.spool import SpoolReader
from tasks.contract.rules.findings import Place
from tasks.contract.sources import splits
from tasks.contract.sources.base import Batch, Unreadable, batch_of
from tasks.contract.sources.json_files import JsonLines
from tasks.contract.sources.splits import Part
from tests.support.tables import Row, pipeline, quarantined, write_table

TOPICS = applications.get("topics")
SECRET = "xylophone-7431"
LAYOUT = Layout({"text": "text", "label": "label"}, ("train.csv",), None)


def config(**contract: Any) -> Pipeline:
    return pipeline(Path(), {"train": "train.csv", "labels": ["a", "b"]}, contract)


def batch(rows: Sequence[Row], unreadable: Sequence[Unreadable] = (), start: int = 1) -> Batch:
    return batch_of(list(enumerate(rows, start)), ("text", "label"), unreadable)


def judged(
    rows: Sequence[Row],
    unreadable: Sequence[Unreadable] = (),
    fixes: Fixes | None = None,
    **contract: Any,
) -> BatchResult:
    checker = RowChecker(config(**contract), TOPICS, LAYOUT, fixes or Fixes())
    return checker.check(batch(rows, unreadable))


def fixes(path: Path, *pairs: tuple[Any, Row]) -> Fixes:
    entries = ({"original": quarantine.identity(raw), "row": row} for raw, row in pairs)
    path.write_bytes(b"".join(quarantine.line(entry) for entry in entries))
    return Fixes(path)


def kept(found: BatchResult) -> list[Row]:
    return [{str(k): v for k, v in row.items()} for row in found.valid.to_dict("records")]


GOOD = {"text": "a text", "label": "a"}


def test_good_rows_stay() -> None:
    found = judged([GOOD, {"text": "1", "label": " b"}])
    assert kept(found) == [{"row": 1, **GOOD}, {"row": 2, "text": "1", "label": "b"}]
    assert found.original.values("label") == ["a", " b"]
    assert (found.reasons, found.rejected) == ([], [])
    assert not found.changed.total()


def test_a_row_that_breaks_a_rule_leaves_as_it_was() -> None:
    rows = [GOOD, {"text": SECRET, "label": 7}, {"text": None, "label": "b"}]
    found = judged(rows)
    unknown = [("unknown_label", "label: the label is not declared")]
    missing = [("missing", "text: the value is missing")]
    assert kept(found) == [{"row": 1, **GOOD}]
    assert found.rejected == [(2, unknown, rows[1]), (3, missing, rows[2])]
    assert [(row, why) for row, why, _ in found.reasons] == [(2, unknown), (3, missing)]


def test_a_warning_counts_and_keeps_the_row() -> None:
    found = judged([GOOD, {"text": "so <b>bold</b>", "label": "b"}])
    assert len(found.valid) == 2
    assert found.rejected == []
    assert [(row, [rule for rule, _ in why]) for row, why, _ in found.reasons] == [(2, ["html"])]


def test_a_row_that_leaves_says_first_what_it_leaves_for() -> None:
    found = judged([GOOD, {"text": "<b>cafÃ©</b>\x07", "label": "b"}])
    ((_, reasons, _),) = found.rejected
    first, *others = (rule for rule, _ in reasons)
    assert (first, set(others)) == ("mojibake", {"control", "html"})


@pytest.mark.parametrize(("severity", "left"), [("warn", 2), ("quarantine", 1), ("refuse", 1)])
def test_the_severity_decides_what_leaves(severity: str, left: int) -> None:
    found = judged([GOOD, {"text": "so <b>bold</b>", "label": "b"}], rules={"html": severity})
    assert len(found.valid) == left


def test_a_line_that_cannot_be_parsed_is_set_aside() -> None:
    found = judged([GOOD], [Unreadable(2, "not valid JSON", SECRET)])
    assert found.rejected == [(2, [("unreadable", "not valid JSON")], SECRET)]
    assert len(found.valid) == 1


def test_text_is_shown_only_if_it_may_be() -> None:
    rows = [{"text": f"<b>{SECRET}</b>", "label": "a"}]
    assert [text for _, _, text in judged(rows).reasons] == [""]
    assert [text for _, _, text in judged(rows, show_text=True).reasons] == [rows[0]["text"]]
    line = Unreadable(2, "not valid JSON", SECRET)
    found = judged([{"text": "write to jane@example.com", "label": "a"}], [line], show_text=True)
    assert [text for _, _, text in found.reasons] == ["write to [EMAIL_1]", ""]


def test_a_redacted_row_stays_and_its_original_is_kept_apart() -> None:
    row = {"text": "write to jane@example.com", "label": "a"}
    found = judged([GOOD, row])
    assert found.valid["text"].to_list() == ["a text", "write to [EMAIL_1]"]
    assert found.rejected == [(2, [], row)]
    assert len(found.private) == 1
    assert [why for _, why, _ in found.reasons] == [[("privacy.email", "private data: email")]]
    assert found.changed["redacted"] == 1


def test_private_data_that_is_refused_makes_the_row_leave() -> None:
    row = {"text": "write to jane@example.com", "label": "a"}
    found = judged([GOOD, row], privacy={"email": "refuse"})
    assert found.rejected == [(2, [("privacy.email", "private data: email")], row)]
    assert len(found.valid) == 1


def test_a_repaired_row_is_judged_as_it_is_then() -> None:
    row = {"text": "cafÃ© au lait", "label": "a"}
    assert len(judged([row]).valid) == 0
    found = judged([row], repair=True)
    assert found.valid["text"].to_list() == ["café au lait"]
    assert found.changed["repaired"] == 1


def test_a_repaired_row_takes_the_place_of_the_broken_one(tmp_path: Path) -> None:
    rows = [GOOD, {"text": None, "label": "b"}, {"text": "other", "label": "b"}]
    repaired = fixes(tmp_path / "fixed.jsonl", (rows[1], {"text": "mended", "label": "b"}))
    found = judged(rows, fixes=repaired)
    assert found.valid["row"].to_list() == [1, 2, 3]
    assert found.valid["text"].to_list() == ["a text", "mended", "other"]
    assert found.rejected == []


def test_a_repair_of_some_columns_leaves_the_others(tmp_path: Path) -> None:
    row = {"text": None, "label": "b"}
    found = judged([row], fixes=fixes(tmp_path / "fixed.jsonl", (row, {"text": "mended"})))
    assert kept(found) == [{"row": 1, "text": "mended", "label": "b"}]


def test_a_repaired_line_is_a_row(tmp_path: Path) -> None:
    line = Unreadable(2, "not valid JSON", '{"text": ')
    repaired = fixes(tmp_path / "fixed.jsonl", (line.raw, {"text": "mended", "label": "b"}))
    found = judged([GOOD], [line], fixes=repaired)
    assert kept(found) == [{"row": 1, **GOOD}, {"row": 2, "text": "mended", "label": "b"}]
    assert found.rejected == []


def test_a_repair_that_is_not_enough_is_set_aside_as_it_is_now(tmp_path: Path) -> None:
    row, again = {"text": None, "label": "b"}, {"text": "x", "label": "c"}
    found = judged([row], fixes=fixes(tmp_path / "fixed.jsonl", (row, again)))
    assert found.rejected == [(1, [("unknown_label", "label: the label is not declared")], again)]


def test_no_rows_are_judged() -> None:
    found = judged([])
    assert (len(found.valid), found.rejected, found.reasons) == (0, [], [])


def screened(folder: Path, rows: Sequence[Row], lines: str = "", **sections: Any) -> PartResult:
    """One file as a part."""
    path = write_table(folder / "train.jsonl", rows)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(lines)
    settings = pipeline(folder, {"train": "train.jsonl"}, **sections)
    application = applications.get(settings.application)
    layout = layouts.find_columns(settings.data, application, splits.locate(settings.data))
    part = Part("train", JsonLines(path))
    paths = (folder / "spool.arrow", folder / "refused.jsonl", folder / "fixed.jsonl")
    return row_checks.check_part(Task(settings, layout, part, *paths))


def found(result: PartResult) -> Mapping[str, int]:
    return {rule: n for rule, n in result.findings.found.items() if n}


def test_a_part_is_counted_catalogued_and_spooled(tmp_path: Path) -> None:
    rows: list[Row] = [
        GOOD,
        {"text": "<b>x</b> <i>y</i>", "label": "b"},
        {"text": None, "label": None},
        {"text": "write to jane@example.com", "label": "a"},
    ]
    result = screened(tmp_path, rows, "not JSON\n")
    assert (result.rows, result.rejected, len(result.catalogue)) == (5, 2, 3)
    assert found(result) == {"html": 1, "missing": 1, "privacy.email": 1, "unreadable": 1}
    assert result.findings.looked_at["unreadable"] == 5
    assert result.findings.looked_at["html"] == 4
    (example,) = result.findings.examples["missing"]
    assert example.place == Place("train", str(tmp_path / "train.jsonl"), 3)
    assert result.catalogue.row.tolist() == [1, 2, 4]
    records = quarantined(result.task.rejected)
    assert [(record["row"], record["rules"]) for record in records] == [
        (3, ["missing"]),
        (4, []),
        (5, ["unreadable"]),
    ]
    assert records[1]["raw"] == rows[3]
    ((start, table),) = SpoolReader([result.task.spool], [3]).chunks()
    assert start == 0
    assert table["text"].to_pylist() == [GOOD["text"], rows[1]["text"], "write to [EMAIL_1]"]
    assert b"jane@example.com" not in result.task.spool.read_bytes()


def test_row_numbers_go_on_over_chunks(tmp_path: Path) -> None:
    rows = [{"text": f"{n} " + "word " * 300_000, "label": "ab"[n % 2]} for n in range(7)]
    rows[5]["label"] = None
    result = screened(tmp_path, rows, contract={"min_characters": 1, "max_characters": 5_000_000})
    assert result.catalogue.row.tolist() == [1, 2, 3, 4, 5, 7]
    assert [record["row"] for record in quarantined(result.task.rejected)] == [6]


def test_questions_that_cannot_be_read_are_set_aside(tmp_path: Path) -> None:
    context = "It is in Oslo."
    good = {"text": ["Oslo"], "answer_start": [9]}
    answers = [good, None, "Oslo", {"text": ["Oslo"], "answer_start": [2]}, [], ["x"]]
    rows: list[Row] = [
        {"context": f"{context} {n}", "question": "Where?", "answers": answer}
        for n, answer in enumerate(answers)
    ]
    result = screened(tmp_path, rows, application="questions")
    assert result.catalogue.row.tolist() == [1]
    assert [record["rules"] for record in quarantined(result.task.rejected)] == [
        ["missing"],
        ["wrong_type"],
        ["answer_offset"],
        ["answer_missing"],
        ["wrong_type"],
    ]
