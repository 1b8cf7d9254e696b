from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs.errors import DataError
from tests.support.tables import (
    Row,
    check,
    parcels,
    pipeline,
    quarantined,
    reasons,
    run,
    split_rows,
    stored_rows,
    write_table,
)

SECRET = "xylophone-7431"
ONE_LABEL = "expected one label: text, a number or a truth value"


def labelled(*labels: Any, rows: int = 40) -> list[Row]:
    """Different texts whose labels take turns."""
    return [{"text": f"parcel number {n}", "label": labels[n % len(labels)]} for n in range(rows)]


def refused(folder: Path, rows: list[Row], data: Any = None, contract: Any = None) -> str:
    with pytest.raises(DataError) as caught:
        check(folder, rows, data, contract)
    return str(caught.value)


def test_rows_and_their_places_are_stored(tmp_path: Path) -> None:
    validated = check(tmp_path, parcels(40))
    assert validated.rows == {"train": 24, "validation": 8, "test": 8}
    assert validated.quarantined == 0
    assert validated.facts.record() == {
        "inputs": ["text"],
        "labelling": "single",
        "labels": ["billing", "delivery"],
        "counts": {"billing": 12, "delivery": 12},
        "rows": 24,
    }
    rows = sorted(stored_rows(validated), key=lambda row: row["row"])
    assert rows == [{"file": 0, "row": n, **row} for n, row in enumerate(parcels(40), 1)]
    assert validated.note == "24 train, 8 validation, 8 test rows; 0 quarantined"


def test_declared_splits_are_kept(tmp_path: Path) -> None:
    write_table(tmp_path / "dev.csv", parcels(4, "letter"))
    write_table(tmp_path / "test.csv", parcels(6, "card"))
    validated = check(tmp_path, parcels(10), {"validation": "dev.csv", "test": "test.csv"})
    assert validated.rows == {"train": 10, "validation": 4, "test": 6}
    assert [row["text"] for row in split_rows(validated, "test")] == [
        f"card number {n}" for n in range(6)
    ]


@pytest.mark.parametrize(
    ("raw", "labels", "expected"),
    [
        (("b", "a"), None, ["a", "b"]),
        ((" b ", "a\n"), None, ["a", "b"]),
        ((10, 9), None, ["9", "10"]),
        (("10", "9", "x"), None, ["9", "10", "x"]),
        ((-1, 1), None, ["-1", "1"]),
        ((1.0, 0.0), None, ["0", "1"]),
        ((0.5, 1.5), None, ["0.5", "1.5"]),
        ((True, False), None, ["false", "true"]),
        (("TRUE", "False"), None, ["false", "true"]),
        (("²", "--5", "1"), None, ["1", "--5", "²"]),
        (("b", "a"), ["b", "a"], ["b", "a"]),
        (("bad", " good"), ["bad", "good"], ["bad", "good"]),
        ((1, 2), ["1", "2"], ["1", "2"]),
        (("1.0", 2.0), [1, 2], ["1", "2"]),
        ((True, "False"), [False, True], ["false", "true"]),
        (("0", "0.0", "0.00", 0, 1), None, ["0", "1"]),
        (("caf\u00e9", "cafe\u0301", "\ufefftea", "te\u200ba"), None, ["caf\u00e9", "tea"]),
        (("new york", " new\u00a0 york", "paris"), None, ["new york", "paris"]),
        ((1, 5), {"1": "bad", "5": "good"}, ["bad", "good"]),
        ((True, False), {True: "good", False: "bad"}, ["good", "bad"]),
        (("x", "y", "z"), {"x": "one", "y": "one", "z": "two"}, ["one", "two"]),
    ],
)
def test_labels_get_names_in_a_frozen_order(
    tmp_path: Path, raw: tuple[Any, ...], labels: Any, expected: list[str]
) -> None:
    validated = check(tmp_path, labelled(*raw), {"labels": labels})
    assert validated.facts.labels == tuple(expected)
    assert validated.quarantined == 0
    assert sum(validated.facts.counts.values()) == validated.rows["train"]


@pytest.mark.parametrize(
    ("raw", "labels", "expected"),
    [
        ((0, 1), {0: "good", 1: "bad"}, ["good", "bad"]),
        ((False, True), {False: "good", True: "bad"}, ["good", "bad"]),
        ((5, 1), {"1": "bad", "5": "good"}, ["good", "bad"]),
        ((1, 2), ["2", "1"], ["1", "2"]),
    ],
)
def test_each_row_gets_the_name_of_its_own_label(
    tmp_path: Path, raw: tuple[Any, Any], labels: Any, expected: list[str]
) -> None:
    rows = stored_rows(check(tmp_path, labelled(*raw), {"labels": labels}))
    assert [row["label"] for row in sorted(rows, key=lambda r: r["row"])][:2] == expected


@pytest.mark.parametrize("labels", [["delivery", "billing"], {"delivery": "d", "billing": "b"}])
def test_an_undeclared_label_is_set_aside(tmp_path: Path, labels: Any) -> None:
    rows = [*parcels(40), {"text": "something else", "label": "delivry"}]
    validated = check(tmp_path, rows, {"labels": labels})
    assert reasons(validated) == {41: ["label: the label is not declared"]}


@pytest.mark.parametrize(
    ("raw", "labels", "found", "readings"),
    [
        (
            ("0", "1"),
            [True, False],
            "found '0', '1', and data.labels has 'true', 'false'",
            "{0: 'true', 1: 'false'} or {0: 'false', 1: 'true'}",
        ),
        (
            (0.0, 1.0),
            ["bad", "good"],
            "found '0', '1', and data.labels has 'bad', 'good'",
            "{0: 'bad', 1: 'good'} or {0: 'good', 1: 'bad'}",
        ),
        (
            (False, True),
            ["yes", "no"],
            "found 'false', 'true', and data.labels has 'yes', 'no'",
            "{false: 'yes', true: 'no'} or {false: 'no', true: 'yes'}",
        ),
        (
            (1, 0),
            {True: "spam", False: "ham"},
            "found '0', '1', and data.labels has 'true', 'false'",
            "{0: 'spam', 1: 'ham'} or {0: 'ham', 1: 'spam'}",
        ),
    ],
)
def test_numbers_in_place_of_names_are_asked_for(
    tmp_path: Path, raw: tuple[Any, ...], labels: Any, found: str, readings: str
) -> None:
    message = refused(tmp_path, labelled(*raw), {"labels": labels})
    assert f"train.jsonl column 'label': {found}" in message
    assert f"say which is which: data.labels: {readings}" in message


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (("Spam", "spam", "ham"), "'Spam' (8 rows) and 'spam' (8 rows) may be one label"),
        (("1.5", "1.50", "2"), "'1.5' (8 rows) and '1.50' (8 rows) may be one label"),
        (("1", "01", "2"), "'01' (8 rows) and '1' (8 rows) may be one label"),
        ((True, 1, 0), "'1' (8 rows) and 'true' (8 rows) may be one label"),
        (("1e0", "1", "2"), "'1' (8 rows) and '1e0' (8 rows) may be one label"),
        (("\u0661", "1", "2"), "'1' (8 rows) and '\u0661' (8 rows) may be one label"),
        (("'neg'", "neg", "pos"), "\"'neg'\" (8 rows) and 'neg' (8 rows) may be one label"),
        (("'neg'", "'pos'"), "\"'neg'\" may be a label with its quotation marks or without"),
        (
            ("\u00abneg\u00bb", "\u00abpos\u00bb"),
            "may be a label with its quotation marks or without",
        ),
        (("neg", "pos", "nan"), "'nan' (8 rows) may be a label, or mean that there is none"),
        (("neg", "pos", "NULL"), "'NULL' (8 rows) may be a label, or mean that there is none"),
        (("late", "wrong", "late|wrong"), "'late|wrong' may be one label, or several with '|'"),
        (("late", "wrong", "late, wrong"), "'late, wrong' may be one label, or several with ','"),
    ],
)
def test_labels_that_may_be_one_or_several_are_asked_for(
    tmp_path: Path, raw: tuple[Any, ...], what: str
) -> None:
    assert what in refused(tmp_path, labelled(*raw))
    kept = check(tmp_path / "kept", labelled(*raw), {"labels": list(map(str, raw))})
    assert len(kept.facts.labels) == len(raw)


def test_bytes_are_text(tmp_path: Path) -> None:
    rows = labelled(b"neg", b"pos", rows=40)
    rows[7] |= {"label": b"\xff"}
    table = pa.table(
        {
            "text": [row["text"].encode() for row in rows],
            "label": pa.array([row["label"] for row in rows], pa.binary()),
        }
    )
    pq.write_table(table, tmp_path / "train.parquet")
    validated = run(pipeline(tmp_path, {"train": "train.parquet"}))
    assert validated.facts.labels == ("neg", "pos")
    assert reasons(validated) == {8: [f"label: {ONE_LABEL}"]}


def test_a_printed_list_is_no_label(tmp_path: Path) -> None:
    rows = [*labelled("[other]", "b"), {"text": "one more", "label": "['b']"}]
    assert reasons(check(tmp_path, rows)) == {41: [f"label: {ONE_LABEL}"]}


def test_numbers_that_are_names_are_not_positions(tmp_path: Path) -> None:
    rows = [*labelled(1, 2), {"text": "something else", "label": 0}]
    validated = check(tmp_path, rows, {"labels": ["1", "2"]})
    assert reasons(validated) == {41: ["label: the label is not declared"]}


def test_labels_that_are_private_are_not_taken_for_one(tmp_path: Path) -> None:
    rows = labelled("jane@example.com", "bob@example.com", "other", rows=60)
    try:
        labels = check(tmp_path, rows).facts.labels
    except DataError as error:
        assert error.problems  # noqa: PT017
        return
    assert len(labels) == 3
    assert not any("@" in label for label in labels)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_label_that_training_never_shows_is_refused(tmp_path: Path, split: str) -> None:
    rows = [*parcels(2, "card"), {"text": "lost", "label": "returns"}]
    write_table(tmp_path / "other.csv", rows)
    message = refused(tmp_path, parcels(40), {split: "other.csv"})
    where = f"(1 {split} rows, first at {tmp_path / 'other.csv'} row 3)"
    assert f"label 'returns' never occurs in training {where}" in message


def test_a_declared_label_without_rows_is_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, parcels(40), {"labels": ["delivery", "billing", "returns"]})
    assert "label 'returns': expected at least 1 training rows, found 0" in message


def test_every_class_with_too_few_rows_is_told(tmp_path: Path) -> None:
    message = refused(tmp_path, parcels(40), contract={"min_rows_per_class": 13})
    assert "label 'billing': expected at least 13 training rows, found 12" in message
    assert "label 'delivery': expected at least 13 training rows, found 12" in message


def test_one_class_is_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, labelled("delivery"))
    assert "expected at least two labels in the training rows, found only 'delivery'" in message


def test_a_text_column_taken_for_labels_is_refused(tmp_path: Path) -> None:
    rows = [{"text": f"{n} {SECRET}", "label": f"{SECRET} {n}"} for n in range(400)]
    message = refused(tmp_path, rows)
    assert "expected labels, found 400 distinct values in 400 rows" in message
    assert "data.columns.label" in message
    assert SECRET not in message


def test_numbers_as_text_are_refused(tmp_path: Path) -> None:
    rows = [{"text": str(n), "label": "ab"[n % 2]} for n in range(40)]
    message = refused(tmp_path, rows)
    assert "expected text in column 'text', found only numbers" in message


def test_a_file_with_a_header_only_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\n", encoding="utf-8")
    with pytest.raises(DataError, match="expected rows, found only a header"):
        run(pipeline(tmp_path, {"train": "train.csv"}))


def test_a_split_without_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("text,label\n", encoding="utf-8")
    message = refused(tmp_path, parcels(40), {"test": "test.csv"})
    assert "no row is left for the test split" in message


BROKEN: list[Row] = [
    {"text": f"{SECRET} number 0", "label": None},
    {"text": None, "label": SECRET},
    {"text": "parcel number 0", "label": "billing"},
]


def test_the_quarantine_says_what_where_and_why(tmp_path: Path) -> None:
    path = write_table(tmp_path / "train.jsonl", [*parcels(40), *BROKEN])
    with path.open("a", encoding="utf-8") as stream:
        stream.write(f'{{"text": "{SECRET}\n')
    validated = run(pipeline(tmp_path, {"train": "train.jsonl"}))
    records = quarantined(validated.stored.path / "quarantine.jsonl")
    assert records == quarantined(tmp_path / "mlruns" / "quarantine" / "parcels.jsonl")
    place = {"split": "train", "file": str(path)}
    copy = f"duplicate: the same text as {path} row 43 in the train split, with another target"
    assert records == [
        place
        | {
            "row": row,
            "rules": [rule],
            "reasons": [reason],
            "raw": raw,
        }
        for row, rule, reason, raw in (
            (41, "missing", "label: the value is missing", BROKEN[0]),
            (42, "missing", "text: the value is missing", BROKEN[1]),
            (44, "unreadable", "not valid JSON", f'{{"text": "{SECRET}'),
            (1, "duplicates", copy, parcels(40)[0]),
        )
    ]
    assert validated.quarantined == 4
    report = json.loads((validated.stored.path / "report.json").read_text(encoding="utf-8"))
    assert report["rows"] == {
        "in": 44,
        "kept": 40,
        "quarantined": 4,
        "dropped": 0,
        "superseded": 0,
        "empty": 0,
        "outside": 0,
        "repaired": 0,
        "redacted": 0,
    }
    found = {rule["name"]: (rule["found"], rule["looked_at"]) for rule in report["rules"]}
    assert (found["missing"], found["unreadable"]) == ((2, 43), (1, 44))
    assert found["duplicates"] == (1, 41)
    assert SECRET not in json.dumps(report)


@pytest.mark.parametrize("name", ["train.csv", "train.jsonl", "train.parquet", "train.csv.gz"])
def test_the_quarantine_keeps_the_columns_that_nobody_reads(tmp_path: Path, name: str) -> None:
    rows = [{"id": f"no. {n}", **row} for n, row in enumerate([*parcels(40), BROKEN[1]], 1)]
    rows.append({**rows[7], "id": "no. 42"})
    write_table(tmp_path / name, rows)
    validated = run(pipeline(tmp_path, {"train": name}))
    records = quarantined(validated.stored.path / "quarantine.jsonl")
    assert [record["row"] for record in records] == [41, 42]
    for record in records:
        assert record["others"] == {"id": f"no. {record['row']}"}
        assert "id" not in record["raw"]


def test_the_report_of_a_refused_run_says_why(tmp_path: Path) -> None:
    message = refused(tmp_path, [*parcels(40), *BROKEN], contract={"max_quarantined": 0.0})
    path = tmp_path / "mlruns" / "reports" / "parcels.json"
    report = json.loads(path.read_text(encoding="utf-8"))
    assert report["verdict"] == "refused"
    assert "\n".join(report["refusals"]) in message
    assert report["rows"]["quarantined"] == 3
    assert SECRET not in path.with_suffix(".html").read_text(encoding="utf-8")


def test_a_reused_output_brings_its_quarantine_back(tmp_path: Path) -> None:
    path = tmp_path / "mlruns" / "quarantine" / "parcels.jsonl"
    check(tmp_path, [*parcels(40), *BROKEN])
    first = path.read_bytes()
    check(tmp_path, parcels(40))
    assert path.read_bytes() == b""
    assert check(tmp_path, [*parcels(40), *BROKEN]).stored.reused
    assert path.read_bytes() == first


def test_nothing_else_is_left_in_the_quarantine(tmp_path: Path) -> None:
    check(tmp_path, [*parcels(40), *BROKEN])
    refused(tmp_path, [*parcels(40), *BROKEN[:2]], contract={"max_quarantined": 0.0})
    with pytest.raises(DataError):
        check(tmp_path, [*parcels(40)], {"validation": "missing.csv"})
    names = [found.name for found in (tmp_path / "mlruns" / "quarantine").rglob("*")]
    assert names == ["parcels.jsonl"]


def test_a_row_redacted_and_then_set_aside_is_in_the_quarantine_as_it_was(tmp_path: Path) -> None:
    mail = {"text": "write to jane@example.com", "label": "billing"}
    validated = check(tmp_path, [*parcels(40), mail, mail, {"text": "a@b.co", "label": None}])
    texts = [row["text"] for row in stored_rows(validated)]
    assert texts.count("write to [EMAIL_1]") == 1
    assert not any("@" in text for text in texts)
    records = quarantined(validated.stored.path / "quarantine.jsonl")
    assert [(record["row"], record["raw"]) for record in records] == [
        (43, {"text": "a@b.co", "label": None}),
        (42, mail),
    ]


def test_copies_are_dropped_and_the_limit_is_judged_without_them(tmp_path: Path) -> None:
    rows = [*parcels(48), *parcels(48), *BROKEN[:2]]
    contract = {"max_quarantined": 0.04, "rules": {"duplicates": "drop"}}
    validated = check(tmp_path, rows, contract=contract)
    assert sum(validated.rows.values()) == 48
    assert validated.note.endswith("2 quarantined, 48 dropped as copies")
    counts = validated.report["rows"]
    assert (counts["in"], counts["kept"], counts["quarantined"], counts["dropped"]) == (
        98,
        48,
        2,
        48,
    )
    for split in validated.report["splits"]:
        assert split["in"] == split["kept"] + split["quarantined"] + split["dropped"]
    assert list(reasons(validated)) == [97, 98]
    page = (tmp_path / "mlruns" / "reports" / "parcels.html").read_text(encoding="utf-8")
    assert "48\u00a0dropped as copies" in page
    message = refused(tmp_path, rows, contract=contract | {"max_quarantined": 0.039})
    assert "2 of 50 rows break the contract, more than 3.9%" in message


EMPTY = ";;;\r\n ; ;;\r\n;;\r\n"
"""Rows without a value; the last one has a field too few."""


def test_rows_without_any_value_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [f"{row['text']};{n};;{row['label']}\r\n" for n, row in enumerate(parcels(40))]
    rows[5:5] = [EMPTY]
    rows[9:9] = [";7;;\r\n"]
    lines = ["text;number;remark;label\r\n", *rows, EMPTY]
    (tmp_path / "train.csv").write_text("".join(lines), encoding="utf-8", newline="")
    contract = {"max_quarantined": 1 / 41}
    validated = run(pipeline(tmp_path, {"train": "train.csv"}, contract))
    assert "1 quarantined, 6 empty rows left out" in validated.note
    # A row with any value is judged, and no number is shifted.
    assert list(reasons(validated)) == [12]
    kept = {row["text"]: row["row"] for row in stored_rows(validated)}
    assert (kept["parcel number 4"], kept["parcel number 5"]) == (5, 9)
    counts = validated.report["rows"]
    assert (counts["in"], counts["kept"], counts["empty"]) == (47, 40, 6)
    for split in validated.report["splits"]:
        assert split["in"] == split["kept"] + split["quarantined"] + split["empty"]
    page = (tmp_path / "mlruns" / "reports" / "parcels.html").read_text(encoding="utf-8")
    assert "6\u00a0left out as empty" in page


def test_blank_rows_of_a_workbook_are_left_out(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    table = [[row["text"], None, row["label"]] for row in parcels(40)]
    for row in (["text", "number", "label"], *table, [" ", None, "\t"], [None, 7, None]):
        book.active.append(row)
    book.save(tmp_path / "train.xlsx")
    validated = run(pipeline(tmp_path, {"train": "train.xlsx"}))
    assert "1 quarantined, 1 empty row left out" in validated.note
    assert list(reasons(validated)) == [42]


def exports(folder: Path) -> dict[str, Any]:
    """Two exports of the same tickets, of which the later one corrects three labels."""
    old = [{**row, "ticket": n} for n, row in enumerate(parcels(40))]
    new = [{**row, "label": "billing"} if row["ticket"] in (2, 4, 6) else row for row in old]
    write_table(folder / "week_46.jsonl", old)
    write_table(folder / "week_47.jsonl", new)
    return {"train": ["week_*.jsonl"]}


@pytest.mark.parametrize("duplicates", ["drop", "quarantine", "warn"])
def test_a_later_export_corrects_labels(tmp_path: Path, duplicates: str) -> None:
    data = exports(tmp_path) | {"id_column": "ticket"}
    contract = {"max_quarantined": 0.0, "rules": {"duplicates": duplicates}}
    validated = run(pipeline(tmp_path, data, contract))
    assert validated.note.endswith("0 quarantined, 40 superseded by a later row")
    kept = {row["text"]: row["label"] for row in stored_rows(validated)}
    assert [kept[f"parcel number {n}"] for n in (0, 2, 4, 6)] == ["delivery", *["billing"] * 3]
    counts = validated.report["rows"]
    assert (counts["in"], counts["kept"], counts["superseded"]) == (80, 40, 40)
    for split in validated.report["splits"]:
        assert split["in"] == split["kept"] + split["superseded"]
    page = (tmp_path / "mlruns" / "reports" / "parcels.html").read_text(encoding="utf-8")
    assert "40\u00a0superseded by a later row" in page


def test_nothing_is_superseded_if_no_row_may_repeat(tmp_path: Path) -> None:
    data = exports(tmp_path) | {"id_column": "ticket"}
    with pytest.raises(DataError, match="40 rows break the rule `duplicates`"):
        run(pipeline(tmp_path, data, {"rules": {"duplicates": "refuse"}}))


@pytest.mark.parametrize(
    ("column", "advice"),
    [
        (None, "if a later export corrects labels, declare data.id_column"),
        ("ticket", "parcels.jsonl; rows with different ids disagree"),
    ],
)
def test_several_labels_of_a_text_get_the_advice_that_fits(
    tmp_path: Path, column: str | None, advice: str
) -> None:
    data = exports(tmp_path)
    if column:
        data |= {"id_column": column}
        # No export has the ids of another.
        other = tmp_path / "week_47.jsonl"
        other.write_text(other.read_text("utf-8").replace('"ticket": ', '"ticket": 47'), "utf-8")
    with pytest.raises(DataError) as caught:
        run(pipeline(tmp_path, data, {"max_quarantined": 0.01, "rules": {"duplicates": "drop"}}))
    assert "3 of 43 rows break the contract" in str(caught.value)
    assert advice in str(caught.value)
    assert "repair the rows" not in str(caught.value)


@pytest.mark.parametrize("strange", ["\u2028", "\x85", "\x0b", "\r", "🙂"])
def test_too_many_quarantined_rows_are_refused_and_the_file_is_there(
    tmp_path: Path, strange: str
) -> None:
    broken = [{**row, "text": row["text"] and row["text"] + strange} for row in BROKEN[:2]]
    message = refused(tmp_path, [*parcels(40), *broken], contract={"max_quarantined": 0.04})
    records = quarantined(tmp_path / "mlruns" / "quarantine" / "parcels.jsonl")
    assert message.startswith(f"{tmp_path / 'train.jsonl'} row 41: 2 of 42 rows break the contract")
    assert (
        "more than 4.0% (1 x label: the value is missing; 1 x text: the value is missing)"
        in message
    )
    assert "quarantine/parcels.jsonl, repair the rows, or raise contract.max_quarantined" in message
    assert [(record["row"], record["raw"]) for record in records] == [
        (41, broken[0]),
        (42, broken[1]),
    ]
    assert SECRET not in message


def test_a_share_of_exactly_the_limit_is_kept(tmp_path: Path) -> None:
    rows = [*parcels(48), *BROKEN[:2]]
    assert check(tmp_path, rows, contract={"max_quarantined": 0.04}).quarantined == 2


SPOILED = {
    "csv": f'text,label\n{SECRET},a\n"{SECRET},b\n',
    "jsonl": f'{{"text": "{SECRET}", "label": "a"}}\n{{"text": "{SECRET}\n',
    "tsv": f"text\tlabel\n{SECRET}\ta\tb\n",
}


@pytest.mark.parametrize("kind", SPOILED)
@pytest.mark.parametrize("duplicates", ["refuse", "quarantine"])
def test_no_message_shows_the_text_of_a_row(tmp_path: Path, kind: str, duplicates: str) -> None:
    (tmp_path / f"train.{kind}").write_text(SPOILED[kind], encoding="utf-8")
    contract = {"max_quarantined": 0.0, "rules": {"duplicates": duplicates}}
    with pytest.raises(DataError) as caught:
        run(pipeline(tmp_path, {"train": f"train.{kind}"}, contract))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("rule", ["duplicates", "leakage"])
def test_a_refused_rule_shows_no_text(tmp_path: Path, rule: str) -> None:
    same = {"text": SECRET, "label": "billing"}
    write_table(tmp_path / "test.csv", [same, *parcels(4, "card")])
    rows = [*parcels(8), same, same]
    message = refused(tmp_path, rows, {"test": "test.csv"}, {"rules": {rule: "refuse"}})
    row = 10 if rule == "duplicates" else 9
    words = f"1 row breaks the rule `{rule}`, and contract.rules.{rule} is `refuse`"
    assert message.startswith(f"{tmp_path / 'train.jsonl'} row {row}: {words}")
    assert SECRET not in message


def test_a_second_run_is_reused(tmp_path: Path) -> None:
    first, second = check(tmp_path, parcels(40)), check(tmp_path, parcels(40))
    assert (first.stored.reused, second.stored.reused) == (False, True)
    assert (first.stored.digest, first.facts) == (second.stored.digest, second.facts)
    assert (first.rows, first.quarantined) == (second.rows, second.quarantined)


def test_a_renamed_file_is_the_same_data(tmp_path: Path) -> None:
    first = check(tmp_path, parcels(40))
    (tmp_path / "train.jsonl").rename(tmp_path / "renamed.jsonl")
    second = run(pipeline(tmp_path, {"train": "renamed.jsonl"}))
    assert second.stored.reused
    assert second.stored.digest == first.stored.digest


@pytest.mark.parametrize(
    ("data", "contract", "sections"),
    [
        ({"validation": 0.3}, {}, {}),
        ({"labels": ["delivery", "billing"]}, {}, {}),
        ({}, {"rules": {"duplicates": "warn"}}, {}),
        ({}, {}, {"seed": 7}),
        ({}, {}, {"application": "sentiment"}),
    ],
    ids=["fraction", "labels", "contract", "seed", "application"],
)
def test_another_setting_is_another_output(
    tmp_path: Path, data: Any, contract: Any, sections: Any
) -> None:
    check(tmp_path, parcels(40))
    assert not check(tmp_path, parcels(40), data, contract, **sections).stored.reused


@pytest.mark.parametrize(
    ("contract", "sections"),
    [({"max_truncated": 0.1}, {}), ({}, {"name": "other"}), ({}, {"training": {"epochs": 9}})],
    ids=["tokenization", "name", "training"],
)
def test_a_setting_of_another_stage_changes_nothing(
    tmp_path: Path, contract: Any, sections: Any
) -> None:
    check(tmp_path, parcels(40))
    assert check(tmp_path, parcels(40), {}, contract, **sections).stored.reused


def test_changed_content_is_another_output(tmp_path: Path) -> None:
    first = check(tmp_path, parcels(40))
    changed = [*parcels(39), {"text": "changed", "label": "billing"}]
    second = check(tmp_path, changed)
    assert not second.stored.reused
    assert second.stored.digest != first.stored.digest


def test_a_fresh_run_computes_the_same_again(tmp_path: Path) -> None:
    first = check(tmp_path, [*parcels(40), *BROKEN])
    again = run(pipeline(tmp_path, {"train": "train.jsonl"}), fresh=True)
    assert not again.stored.reused
    assert again.stored.digest == first.stored.digest


def test_the_same_rows_elsewhere_are_stored_as_the_same_bytes(tmp_path: Path) -> None:
    one = check(tmp_path / "one", [*parcels(40), *BROKEN])
    other = check(tmp_path / "other", [*parcels(40), *BROKEN])
    for name in ("train.arrow", "validation.arrow", "test.arrow", "facts.json"):
        assert one.stored.content(name) == other.stored.content(name)


def test_groups_stay_whole(tmp_path: Path) -> None:
    rows = [{**row, "customer": f"c{n // 4}"} for n, row in enumerate(parcels(120))]
    validated = check(tmp_path, rows, {"group_column": "customer"})
    homes: dict[str, set[str]] = {}
    for split in validated.rows:
        for row in split_rows(validated, split):
            homes.setdefault(rows[row["row"] - 1]["customer"], set()).add(split)
    assert len(homes) == 30
    assert {len(splits) for splits in homes.values()} == {1}


ANY_TEXT = st.text(max_size=12) | st.sampled_from(["same", " same", "\0", "\u2028", "\x1c", "1"])
CELL = (
    st.none()
    | ANY_TEXT
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.lists(ANY_TEXT, max_size=2)
)
LABEL = st.sampled_from(["a", "b", "1", "0", "²"]) | CELL
ROWS = st.lists(st.fixed_dictionaries({}, optional={"text": CELL, "label": LABEL}), max_size=30)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    odd=ROWS,
    even=st.sampled_from([30, 30, 3, 0]),
    labels=st.sampled_from([["a", "b"], None, {"a": "x", "b": "y", "0": "x"}]),
    severity=st.sampled_from(["refuse", "quarantine", "warn"]),
)
def test_whatever_the_rows_each_is_kept_or_quarantined(
    tmp_path_factory: pytest.TempPathFactory, odd: list[Row], even: int, labels: Any, severity: str
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    rows = [*labelled("a", "b", rows=even), *odd]
    numbers = Counter(range(1, len(rows) + 1))
    contract = {"rules": {"duplicates": severity, "leakage": severity}}
    try:
        validated = check(folder, rows, {"labels": labels}, contract)
    except DataError as error:
        assert error.problems  # noqa: PT017
        return
    kept = Counter(row["row"] for row in stored_rows(validated))
    left_out = Counter(r["row"] for r in quarantined(validated.stored.path / "quarantine.jsonl"))
    assert kept + left_out == numbers
    assert sum(validated.rows.values()) == kept.total()
    assert validated.quarantined == left_out.total()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    odd=st.lists(st.tuples(ANY_TEXT, ANY_TEXT), max_size=20), kind=st.sampled_from(["csv", "tsv"])
)
def test_whatever_the_fields_each_row_is_kept_quarantined_or_empty(
    tmp_path_factory: pytest.TempPathFactory, odd: list[tuple[str, str]], kind: str
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    rows = [*labelled("a", "b"), *({"text": text, "label": label} for text, label in odd)]
    write_table(folder / f"train.{kind}", rows)
    try:
        validated = run(pipeline(folder, {"train": f"train.{kind}", "labels": ["a", "b"]}))
    except DataError as error:
        assert error.problems  # noqa: PT017
        return
    empty = validated.stored.summary["empty"]
    assert sum(validated.rows.values()) + validated.quarantined + empty == len(rows)


def test_many_reasons_are_told_by_kind(tmp_path: Path) -> None:
    rows = [{"source": "a" * (30 + n), "target": "\u6211", "id": n} for n in range(40)]
    with pytest.raises(DataError) as caught:
        check(
            tmp_path,
            rows,
            contract={"max_quarantined": 0.0},
            application="translation",
            language={"target": "zh"},
        )
    assert "40 x such as: source and target have 30 and 1 characters, more than 10 to 1" in str(
        caught.value
    )
    assert len(str(caught.value)) < 500
