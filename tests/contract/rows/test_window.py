"""The latest part of the training rows."""

from __future__ import annotations

import json
import math
import random
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from pydantic import ValidationError
from rich.console import Console

from configs.errors import DataError
from configs.schema import Pipeline, Window
from flows.cli import reports
from tasks.contract.passes import first_pass
from tasks.contract.report.page import render
from tasks.contract.rows import dates, readmission
from tasks.contract.sources import base, splits
from tests.support.tables import (
    Row,
    check,
    parcels,
    pipeline,
    quarantined,
    reasons,
    run,
    stored_rows,
    write_table,
)

FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def dated(count: int = 60, **step: float) -> list[Row]:
    """Parcels of which each is a little later than the one before."""
    each = timedelta(**(step or {"days": 1}))
    return [{**row, "at": (FIRST + n * each).isoformat()} for n, row in enumerate(parcels(count))]


def kept_numbers(validated: Any) -> list[int]:
    """The numbers in the texts of all stored rows."""
    return sorted(int(row["text"].split()[-1]) for row in stored_rows(validated))


def window(**settings: Any) -> dict[str, Any]:
    return {"window": settings}


def test_the_last_rows_by_column(tmp_path: Path) -> None:
    validated = check(tmp_path, dated(60), window(rows=20, column="at"))
    assert kept_numbers(validated) == list(range(40, 60))
    assert validated.rows == {"train": 12, "validation": 4, "test": 4}
    assert validated.note.endswith("0 quarantined, 40 outside the window")
    rows = validated.report["rows"]
    assert (rows["in"], rows["kept"], rows["quarantined"], rows["outside"]) == (60, 20, 0, 40)


def test_the_last_rows_in_the_order_of_the_files(tmp_path: Path) -> None:
    for name, rows in (("a", parcels(30, "old")), ("b", parcels(30, "new"))):
        write_table(tmp_path / f"{name}.csv", rows)
    data = {"train": ["a.csv", "b.csv"], **window(rows=40)}
    validated = run(pipeline(tmp_path, data))
    texts = [row["text"] for row in stored_rows(validated)]
    assert sum(text.startswith("new") for text in texts) == 30
    assert sorted(int(t.split()[-1]) for t in texts if t.startswith("old")) == list(range(20, 30))


def test_the_last_days(tmp_path: Path) -> None:
    rows = [{**row, "at": row["at"][:10]} for row in dated(60)]
    assert kept_numbers(check(tmp_path, rows, window(days=20, column="at"))) == list(range(40, 60))


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_dates_in_every_form_and_zone_are_compared(tmp_path: Path, kind: str) -> None:
    """One row an hour, each written in another zone, as text or as the file's own type."""
    rows = dated(60, hours=1)
    for n, row in enumerate(rows):
        moment = datetime.fromisoformat(row["at"])
        zones = (moment, moment - timedelta(hours=5), moment + timedelta(hours=9))
        ends = ("", "-05:00", "+09:00")
        row["at"] = zones[n % 3].replace(tzinfo=None).isoformat() + ends[n % 3]
        if kind == "parquet":
            row["at"] = moment
    write_table(tmp_path / f"train.{kind}", rows)
    data = {"train": f"train.{kind}", **window(days=1, column="at")}
    assert kept_numbers(run(pipeline(tmp_path, data))) == list(range(36, 60))


def test_days_of_dates_without_a_time_in_parquet(tmp_path: Path) -> None:
    rows = [{**row, "at": date(2026, 1, 1) + timedelta(n)} for n, row in enumerate(parcels(40))]
    write_table(tmp_path / "train.parquet", rows)
    data = {"train": "train.parquet", **window(days=20, column="at")}
    assert kept_numbers(run(pipeline(tmp_path, data))) == list(range(20, 40))


@pytest.mark.parametrize("written", [int, float, str, lambda n: n * 10**15])
def test_numbers_that_grow(tmp_path: Path, written: Any) -> None:
    rows = [{**row, "at": written(n)} for n, row in enumerate(parcels(60))]
    validated = check(tmp_path, rows, window(rows=20, column="at"))
    assert kept_numbers(validated) == list(range(40, 60))


def test_neither_order_nor_names_nor_blocks_decide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = dated(600, hours=7)
    for row in rows:
        # Many rows of one day, so that the border cuts through one.
        row["at"] = row["at"][:10]
    data = window(rows=333, column="at")
    found = check(tmp_path, rows, data)
    shuffled = rows.copy()
    random.Random(0).shuffle(shuffled)
    monkeypatch.setattr(base, "BATCH_CHARACTERS", 3000)
    again = check(tmp_path / "shuffled", shuffled, data)

    def texts(validated: Any) -> list[Row]:
        return sorted((row["text"], row["label"]) for row in stored_rows(validated))

    assert texts(again) == texts(found)
    assert again.rows == found.rows
    assert again.stored.summary["outside"] == found.stored.summary["outside"] == 267
    monkeypatch.setattr(first_pass, "BLOCK_BYTES", 10_000)
    config = pipeline(tmp_path, {"train": "train.jsonl", **data})
    monkeypatch.setattr(first_pass, "count_workers", lambda *_: 2)
    pieces = run(config, home="pieces")
    assert pieces.digest == found.digest


def test_a_row_without_a_readable_date_is_set_aside(tmp_path: Path) -> None:
    rows = dated(40)
    broken: dict[int, Any] = {3: None, 7: " ", 11: "soon", 12: True, 15: "2026-02-30", 19: 7}
    for n, value in broken.items():
        rows[n]["at"] = value
    validated = check(tmp_path, rows, window(days=300, column="at"))
    wrong = ["at: expected a date in ISO 8601"]
    missing = ["at: the value is missing"]
    assert reasons(validated) == {
        4: missing, 8: missing, 12: wrong, 13: wrong, 16: wrong, 20: wrong,
    }  # fmt: skip
    found = {rule["name"]: rule["found"] for rule in validated.report["rules"]}
    assert (found["missing"], found["wrong_type"]) == (2, 4)
    (first, *_) = quarantined(validated.stored.path / "quarantine.jsonl")
    assert first["raw"] == {"text": "parcel number 3", "label": "billing", "window": None}


@pytest.mark.parametrize("value", ["nan", "inf", "9" * 400, "x"])
def test_what_is_no_number_is_set_aside(tmp_path: Path, value: str) -> None:
    rows = [{**row, "at": n} for n, row in enumerate(parcels(40))]
    rows[5]["at"] = value
    validated = check(tmp_path, rows, window(rows=100, column="at"))
    assert reasons(validated) == {6: ["at: expected a date in ISO 8601 or a number"]}


def test_dates_and_numbers_together_are_refused(tmp_path: Path) -> None:
    rows = dated(40)
    rows[5]["at"] = 2026
    with pytest.raises(DataError, match="expected dates or numbers in column 'at', found both"):
        check(tmp_path, rows, window(rows=20, column="at"))


def test_every_row_is_accounted_for_once(tmp_path: Path) -> None:
    """Rows outside, rows with a reason of their own, and rows that repeat others."""
    rows = dated(60)
    rows[2]["text"] = ""
    rows[50]["text"] = ""
    rows[58]["text"] = rows[59]["text"]
    rows[58]["label"] = rows[59]["label"]
    rows[10]["text"] = rows[57]["text"]
    validated = check(tmp_path, rows, window(rows=20, column="at"))
    report = validated.report
    assert report["rows"] | {"repaired": 0, "redacted": 0} == {
        "in": 60, "kept": 19, "quarantined": 3, "dropped": 0, "superseded": 0, "empty": 0,
        "outside": 38, "repaired": 0, "redacted": 0,
    }  # fmt: skip
    # An old row takes no new one with it.
    assert 57 in kept_numbers(validated)
    assert set(reasons(validated)) == {3, 51, 60}
    for split in report["splits"]:
        assert split["in"] == split["kept"] + split["quarantined"] + split["outside"]
    page = render(report)
    assert "38\u00a0outside the window" in page
    assert ">Outside the window</th>" in page


def test_rows_of_every_split_are_taken_back(tmp_path: Path) -> None:
    """A repaired training row needs its date, a test row has none."""
    cards = parcels(10, "card")
    cards[4]["text"] = ""
    write_table(tmp_path / "test.jsonl", cards)
    rows = dated(40)
    rows[5]["at"], rows[6]["at"] = "soon", "later"
    config = pipeline(
        tmp_path, {"train": "train.jsonl", "test": "test.jsonl", **window(rows=30, column="at")}
    )
    write_table(tmp_path / "train.jsonl", rows)
    before = run(config)
    records = quarantined(before.stored.path / "quarantine.jsonl")
    for record, repair in zip(
        sorted(records, key=lambda record: record["row"]),
        ({"text": "card number 4"}, {"window": "2026-03-05"}, {"window": "now"}),
        strict=True,
    ):
        record["raw"] |= repair
    fixed = write_table(tmp_path / "fixed.jsonl", records)
    returned = readmission.take_back(config, tmp_path / "mlruns", splits.locate(config.data), fixed)
    assert {place.row for place in returned.accepted} == {5, 6}
    assert ["expected a date" in str(problem) for problem in returned.problems] == [True]
    after = run(config)
    assert (after.rows["test"], after.quarantined) == (10, 1)
    assert 5 in kept_numbers(after)


def test_a_row_that_repeats_another_leaves_as_it_was_read(tmp_path: Path) -> None:
    rows = [*dated(40), {**dated(40)[39], "at": "2026-03-01T00:00:00+02:00"}]
    validated = check(tmp_path, rows, window(days=300, column="at"))
    (record,) = quarantined(validated.stored.path / "quarantine.jsonl")
    assert record["raw"] == {
        "text": "parcel number 39", "label": "billing", "window": "2026-03-01T00:00:00+02:00",
    }  # fmt: skip


def test_other_splits_need_no_column_and_keep_all_rows(tmp_path: Path) -> None:
    write_table(tmp_path / "dev.jsonl", parcels(9, "letter"))
    write_table(tmp_path / "test.jsonl", parcels(7, "card"))
    files = {"validation": "dev.jsonl", "test": "test.jsonl"}
    validated = check(tmp_path, dated(60), {**files, **window(rows=20, column="at")})
    assert validated.rows == {"train": 20, "validation": 9, "test": 7}


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected a column 'when'.*set data\.window\.column"):
        check(tmp_path, dated(40), window(rows=20, column="when"))


def test_the_window_belongs_to_the_key(tmp_path: Path) -> None:
    all_rows = check(tmp_path, dated(60))
    some = check(tmp_path, dated(60), window(rows=20, column="at"))
    again = check(tmp_path, dated(60), window(rows=20, column="at"))
    assert not some.stored.reused
    assert again.stored.reused
    assert len({all_rows.digest, some.digest}) == 2
    assert again.note == some.note
    assert "window" not in all_rows.note


def test_a_window_wider_than_the_data_changes_nothing(tmp_path: Path) -> None:
    all_rows = check(tmp_path, dated(60))
    for wide in ({"rows": 60, "column": "at"}, {"days": 60, "column": "at"}, {"rows": 60}):
        assert check(tmp_path, dated(60), {"window": wide}).digest == all_rows.digest


def test_the_terminal_shows_the_rows_outside(tmp_path: Path) -> None:
    shown = {}
    for name, data in (("all", {}), ("some", window(rows=20, column="at"))):
        stream = StringIO()
        report = check(tmp_path, dated(60), data).report
        Console(width=120, file=stream).print(reports.contract(report, tmp_path))
        shown[name] = stream.getvalue()
    assert "outside the window" in shown["some"]
    assert "outside the window" not in shown["all"]


def test_settings_that_say_nothing_are_refused() -> None:
    record = {"name": "a", "application": "topics"}
    for settings in ({"rows": 1, "days": 1}, {"days": 1}, {"column": "at"}, {"rows": 0}):
        data = {"train": "a.csv", "window": settings}
        with pytest.raises(ValueError, match="window"):
            Pipeline.model_validate({**record, "data": data})


WAYS = {
    "%d.%m.%Y": lambda moment: f"{moment:%d.%m.%Y}",
    "%m/%d/%Y %I:%M %p": lambda moment: f"{moment:%m/%d/%Y %I:%M %p}",
    "%Y年%m月%d日": lambda moment: f"{moment:%Y年%m月%d日}",
    "%Y%m%d": lambda moment: int(f"{moment:%Y%m%d}"),
    "excel": lambda moment: (moment - datetime(1899, 12, 30, tzinfo=UTC)) / timedelta(days=1),
    "unix": lambda moment: int(moment.timestamp()),
    "unix_ms": lambda moment: int(moment.timestamp() * 1000),
}


@pytest.mark.parametrize("written", WAYS)
@pytest.mark.parametrize("size", [{"days": 20}, {"rows": 20}])
def test_dates_as_people_write_them(tmp_path: Path, written: str, size: dict[str, int]) -> None:
    rows = dated(60)
    for row in rows:
        row["at"] = WAYS[written](datetime.fromisoformat(row["at"]))
    settings = window(column="at", format=written, **size)
    assert kept_numbers(check(tmp_path, rows, settings)) == list(range(40, 60))


@pytest.mark.parametrize("written", WAYS)
def test_a_column_in_another_format_is_asked_with_that_format(tmp_path: Path, written: str) -> None:
    rows = dated(60)
    for row in rows:
        row["at"] = WAYS[written](datetime.fromisoformat(row["at"]))
    with pytest.raises(DataError) as caught:
        check(tmp_path, rows, window(column="at", days=20))
    (problem,) = caught.value.problems
    assert problem.where == "column 'at'"
    assert problem.what.startswith("expected dates in ISO 8601, found dates such as ")
    assert problem.advice == f"set data.window.format: {json.dumps(written, ensure_ascii=False)}"


@pytest.mark.parametrize("written", ["%d.%m.%Y", "%m/%d/%Y"])
def test_dates_that_can_be_read_in_two_ways_are_asked(tmp_path: Path, written: str) -> None:
    rows = [{**row, "at": datetime(2026, n % 12 + 1, n % 9 + 1)} for n, row in enumerate(dated(60))]
    for row in rows:
        row["at"] = f"{row['at']:{written}}"
    with pytest.raises(DataError) as caught:
        check(tmp_path, rows, window(column="at", rows=20))
    (problem,) = caught.value.problems
    mark = written[2]
    assert problem.what == (
        "its dates can be read in several ways: "
        f"2026-02-01 as 01{mark}02{mark}2026, 2026-02-01 as 02{mark}01{mark}2026"
    )
    ways = (
        f'data.window.format: "{way}"' for way in (f"%d{mark}%m{mark}%Y", f"%m{mark}%d{mark}%Y")
    )
    assert problem.advice == f"set {' or '.join(ways)}"


def test_a_value_in_another_format_is_quarantined_with_an_example(tmp_path: Path) -> None:
    rows = dated(60)
    for row in rows:
        row["at"] = f"{datetime.fromisoformat(row['at']):%d.%m.%Y}"
    rows[0]["at"] = "2026-01-01"
    settings = window(column="at", rows=20, format="%d.%m.%Y")
    validated = check(tmp_path, rows, settings, {"max_quarantined": 0.1})
    (record,) = quarantined(validated.stored.path / "quarantine.jsonl")
    assert record["reasons"] == ["at: expected a date such as 31.12.2026"]


@pytest.mark.parametrize("value", [1e11, 1e13, 20_000, "x"])
def test_numbers_beyond_this_century_are_no_dates(value: object) -> None:
    assert not math.isfinite(dates.moment_of(value, "unix"))


@pytest.mark.parametrize("written", ["%d.%m.", "day", "%", "iso", ""])
def test_a_format_that_tells_no_date_is_refused(written: str) -> None:
    with pytest.raises(ValidationError, match="expected a format with a year such as"):
        Window(rows=1, column="at", format=written)


def test_a_format_may_have_a_zone(tmp_path: Path) -> None:
    rows = dated(40)
    for n, row in enumerate(rows):
        moment = datetime.fromisoformat(row["at"]) - timedelta(hours=9 * (n % 2))
        row["at"] = f"{moment:%d/%m/%Y %H:%M:%S} {'-0900' if n % 2 else '+0000'}"
    rows[3]["at"] = "soon"
    settings = window(column="at", days=20, format="%d/%m/%Y %H:%M:%S %z")
    validated = check(tmp_path, rows, settings)
    assert kept_numbers(validated) == list(range(20, 40))
    assert reasons(validated) == {4: ["at: expected a date such as 31/12/2026 18:30:00 +0000"]}


def workbook(path: Path, moments: list[object]) -> None:
    book = openpyxl.Workbook()
    for row in (
        ["text", "label", "at"],
        *([f"text {n}", "ab"[n % 2], one] for n, one in enumerate(moments)),
    ):
        book.active.append(row)
    book.save(path)


@pytest.mark.parametrize("settings", [{}, {"format": "%d.%m.%Y"}])
def test_real_dates_beside_texts_are_refused(tmp_path: Path, settings: dict[str, str]) -> None:
    days = [FIRST.replace(tzinfo=None) + timedelta(n) for n in range(40)]
    moments = [day if day.day < 13 else f"{day:%d.%m.%Y}" for day in days]
    workbook(tmp_path / "a.xlsx", [None, "soon", *moments])
    data = {"train": "a.xlsx", **window(column="at", rows=20, **settings)}
    with pytest.raises(DataError) as caught:
        run(pipeline(tmp_path, data))
    problem = caught.value.problems[0]
    assert problem.where == f"{tmp_path / 'a.xlsx'} column 'at'"
    assert problem.what == "row 3 has a date, and row 15 a text"
    workbook(tmp_path / "a.xlsx", ["soon", *days])
    assert run(pipeline(tmp_path, data)).stored.summary["outside"] == 20


@pytest.mark.parametrize("written", ["%m.%Y", "%Y.%m"])
def test_numbers_that_may_be_months_are_asked(tmp_path: Path, written: str) -> None:
    rows = dated(40, days=31)
    for row in rows:
        row["at"] = f"{datetime.fromisoformat(row['at']):{written}}"
    with pytest.raises(DataError) as caught:
        check(tmp_path, rows, window(column="at", rows=20))
    (problem,) = caught.value.problems
    assert problem.what == f"its numbers may be months, such as {dates.example_of(written)}"
    assert problem.advice == f'set data.window.format: "{written}"'
    settings = window(column="at", rows=20, format=written)
    assert kept_numbers(check(tmp_path, rows, settings)) == list(range(20, 40))
