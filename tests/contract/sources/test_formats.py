from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs.errors import DataError
from tasks.contract.sources import formats
from tasks.contract.sources.base import Options, Unreadable
from tests.support.tables import Row, write_table

ROWS: list[Row] = [
    {"text": "plain", "label": "a"},
    {"text": 'a comma, a "quote" and a\ttab', "label": "b"},
    {"text": "two\nlines", "label": "a"},
    {"text": "ünïcödé 漢字 🙂", "label": "b"},
]
NAMES = [
    f"rows.{kind}{zipped}"
    for kind in ("csv", "tsv", "json", "jsonl", "parquet")
    for zipped in ("", ".gz")
]


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def items(path: Path, **options: Any) -> list[tuple[int, Row] | Unreadable]:
    return list(formats.open_file(path, Options(**options)).rows())


def columns(path: Path) -> list[str]:
    return formats.open_file(path).columns()


def rows(path: Path, **options: Any) -> list[Row]:
    """The rows of a file of which each can be read."""
    found = items(path, **options)
    readable = [item for item in found if not isinstance(item, Unreadable)]
    assert [number for number, _ in readable] == list(range(1, len(found) + 1))
    return [row for _, row in readable]


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        items(path, **options)
    return str(caught.value).replace(str(path), "FILE")


@pytest.mark.parametrize("name", NAMES)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    assert rows(write_table(tmp_path / name, ROWS)) == ROWS


@pytest.mark.parametrize("name", NAMES)
def test_every_format_tells_its_columns(tmp_path: Path, name: str) -> None:
    assert columns(write_table(tmp_path / name, ROWS)) == ["text", "label"]


def test_zipped_content_is_found_by_its_bytes_not_its_name(tmp_path: Path) -> None:
    zipped = write(tmp_path, "zipped.csv", gzip.compress(b"text,label\nx,a\n"))
    plain = write(tmp_path, "plain.csv.gz", "text,label\nx,a\n")
    assert rows(zipped) == rows(plain) == [{"text": "x", "label": "a"}]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_byte_order_marks_and_line_endings_do_not_matter(
    tmp_path: Path, ending: str, mark: str
) -> None:
    table = write(tmp_path, "rows.csv", mark + ending.join(["text,label", "x,a", "", "y,b", ""]))
    records = write(
        tmp_path, "rows.jsonl", mark + ending.join(['{"text": "x"}', "", '{"text": "y"}'])
    )
    assert rows(table) == [{"text": "x", "label": "a"}, {"text": "y", "label": "b"}]
    assert rows(records) == [{"text": "x"}, {"text": "y"}]


def test_a_quoted_field_keeps_its_line_ending(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.csv", 'text,label\r\n"x\r\ny",a\r\n')
    assert rows(path) == [{"text": "x\r\ny", "label": "a"}]


def test_without_quotes_a_quotation_mark_is_text(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.tsv", 'text\tlabel\n5" pipe\ta\n"open\tb\n')
    assert [row["text"] for row in rows(path, quotes=False)] == ['5" pipe', '"open']


def test_a_field_may_be_longer_than_the_csv_library_allows_by_default(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.csv", f"text,label\n{'x' * 200_000},a\n")
    assert len(rows(path)[0]["text"]) == 200_000


def test_column_names_are_trimmed(tmp_path: Path) -> None:
    assert columns(write(tmp_path, "rows.csv", "text , label\nx,a\n")) == [
        "text",
        "label",
    ]


@pytest.mark.parametrize("read", [items, columns])
def test_a_header_that_names_a_column_twice_is_refused(tmp_path: Path, read: Any) -> None:
    with pytest.raises(DataError, match="the header names text twice"):
        read(write(tmp_path, "rows.csv", "text,label,text\nx,a,y\n"))


def test_a_column_of_parquet_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    table = pa.table([["x"], ["y"], ["a"]], names=["text", "text", "label"])
    pq.write_table(table, tmp_path / "rows.parquet")
    for read in (items, columns):
        with pytest.raises(DataError, match="found twice: text"):
            read(tmp_path / "rows.parquet")


@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_a_blank_before_a_quotation_mark_is_no_part_of_the_field(tmp_path: Path, kind: str) -> None:
    mark = "\t" if kind == "tsv" else ","
    lines = ["id,text,label", '0, "a b", "neg"', '  "1","a, ""b""", "p, o"', '2,"x, ", ""']
    lines += ['3, """Hi"", she said", "pos"', '4, "two\nlines", c', '5, d," ""e"""']
    path = write(tmp_path, f"rows.{kind}", "\n".join(lines).replace(",", mark) + "\n")
    assert rows(path) == [
        {"id": "0", "text": "a b", "label": "neg"},
        {"id": "1", "text": f'a{mark} "b"', "label": f"p{mark} o"},
        {"id": "2", "text": f"x{mark} ", "label": ""},
        {"id": "3", "text": f'"Hi"{mark} she said', "label": "pos"},
        # Blanks of a field without quotation marks are its own, but not beside such a field.
        {"id": "4", "text": "two\nlines", "label": "c"},
        {"id": "5", "text": "d", "label": ' "e"'},
    ]
    plain = write(tmp_path, f"plain.{kind}", f'id{mark}text\n1{mark} a "b"\n')
    assert rows(plain) == [{"id": "1", "text": ' a "b"'}]
    assert items(path, quotes=False)[0] == (1, {"id": "0", "text": ' "a b"', "label": ' "neg"'})


@pytest.mark.parametrize("blank", ["\u00a0", " \u3000", "\t"])
def test_other_white_space_before_a_quotation_mark_is_refused(tmp_path: Path, blank: str) -> None:
    path = write(tmp_path, "rows.csv", f'text,label\nx,{blank}"neg"\n')
    with pytest.raises(DataError, match="white space other than blanks before a quotation mark"):
        rows(path)
    assert rows(write(tmp_path, "rows.csv", f'text,label\nx,"{blank}""neg"""\n')) == [
        {"text": "x", "label": f'{blank}"neg"'}
    ]


@given(
    fields=st.lists(st.text(' ,"\n\tab', max_size=8), min_size=2, max_size=6),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_a_csv_writer_writes_comes_back(
    tmp_path: Path, fields: list[str], quoting: Any
) -> None:
    text = io.StringIO()
    names = [f"c{n}" for n in range(len(fields))]
    csv.writer(text, quoting=quoting).writerows([names, fields])
    path = write(tmp_path, "rows.csv", text.getvalue())
    assert rows(path) == [dict(zip(names, fields, strict=True))]


def test_the_columns_of_json_are_those_of_all_rows(tmp_path: Path) -> None:
    some = [{"text": "x"}, {"label": "a", "text": "y"}, {"id": 1}]
    for name in ("rows.json", "rows.jsonl"):
        assert columns(write_table(tmp_path / name, some)) == ["text", "label", "id"]


def test_a_key_that_an_object_has_twice_is_not_lost(tmp_path: Path) -> None:
    line = '{"text": "x", "text": "y"}'
    nested = '{"text": "x", "entities": [{"start": 1, "start": 2}]}'
    path = write(tmp_path, "rows.jsonl", f"{line}\n{nested}\n{{}}\n")
    reason = "a key is there twice"
    assert items(path) == [Unreadable(1, reason, line), Unreadable(2, reason, nested), (3, {})]
    document = items(write(tmp_path, "rows.json", f"[{line}, {{}}]"))
    assert [one if isinstance(one, tuple) else one.reason for one in document] == [reason, (2, {})]
    assert reason in refused(write(tmp_path, "data.json", '{"data": [{}], "data": []}'))


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "rows.json", "rows.jsonl", "rows.csv.gz"])
@pytest.mark.parametrize("content", ["", "\n \n"])
def test_an_empty_file_is_refused(tmp_path: Path, name: str, content: str) -> None:
    data = gzip.compress(content.encode()) if name.endswith(".gz") else content
    assert refused(write(tmp_path, name, data)) == "FILE: the file is empty"


def test_a_header_alone_has_no_rows(tmp_path: Path) -> None:
    assert items(write(tmp_path, "rows.csv", "text,label\n")) == []


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "rows.json", "rows.jsonl", "rows.csv.gz"])
def test_wide_encodings_are_read(tmp_path: Path, encoding: str, mark: str, name: str) -> None:
    path = write_table(tmp_path / name, ROWS)
    content = gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()
    recoded = f"{mark}{content.decode()}".encode(encoding)
    path.write_bytes(gzip.compress(recoded) if name.endswith(".gz") else recoded)
    assert rows(path) == ROWS


def test_another_encoding_is_refused_wherever_it_shows(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.csv", b"text,label\n" + b"x,a\n" * 10_000 + b"caf\xe9,a\n")
    found = "FILE:10002: expected UTF-8, found byte 0xe9, a single one or few"
    advice = "correct it, or set data.encoding: cp1252 if the file is in that"
    assert refused(path) == f"{found} ({advice})"
    assert rows(path, encoding="cp1252")[-1] == {"text": "café", "label": "a"}


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "gb18030", "cp932"])
def test_a_file_of_utf8_is_not_read_in_the_encoding_of_others(
    tmp_path: Path, encoding: str
) -> None:
    path = write(tmp_path, "rows.csv", "text,label\ngut,Rückgabe\n".encode())
    found = f"FILE: expected {encoding} by data.encoding, found only UTF-8"
    assert refused(path, encoding=encoding).startswith(found)
    assert rows(path) == [{"text": "gut", "label": "Rückgabe"}]


def test_text_that_is_accidentally_utf8_is_read_as_declared(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.csv", "text,label\n联通,a\n".encode("gb18030"))
    assert rows(path, encoding="gb18030") == [{"text": "联通", "label": "a"}]


def test_lines_of_two_encodings_are_refused(tmp_path: Path) -> None:
    lines = "schön,Rückgabe\n" * 9
    content = b"text,label\n" + lines.encode("cp1252") + lines.encode()
    message = refused(write(tmp_path, "rows.csv", content))
    found = "FILE:2: expected UTF-8, found byte 0xf6: some lines are UTF-8, others may be cp1252"
    assert message == f"{found} (correct these lines, so that all are UTF-8)"


def test_binary_data_is_refused(tmp_path: Path) -> None:
    assert "binary data" in refused(write(tmp_path, "rows.csv", b"\x89PNG\r\n\0\0\0"))


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_cut_off_gzip_data_is_refused(tmp_path: Path, name: str) -> None:
    path = write_table(tmp_path / f"{name}.gz", ROWS * 1000)
    path.write_bytes(path.read_bytes()[:-20])
    assert "FILE: " in refused(path)


def test_damaged_gzip_data_is_refused(tmp_path: Path) -> None:
    lines = "".join(f'{{"text": "number {n}"}}\n' for n in range(5000))
    content = bytearray(gzip.compress(lines.encode()))
    content[20:40] = b"\xff" * 20
    path = write(tmp_path, "rows.jsonl.gz", bytes(content))
    assert refused(path) == "FILE: the gzip data is damaged or cut off"


@pytest.mark.parametrize("content", [b"PAR1", b"text,label\nx,a\n", b""])
def test_a_file_that_is_only_called_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path, "rows.parquet", content)
    assert refused(path) == "FILE: not a Parquet file, or cut off"


def test_damaged_parquet_data_is_refused(tmp_path: Path) -> None:
    table = pa.table({"text": [f"number {n}" for n in range(1000)]})
    pq.write_table(table, tmp_path / "rows.parquet", compression="zstd")
    content = bytearray((tmp_path / "rows.parquet").read_bytes())
    content[60:200] = bytes(140)
    path = write(tmp_path, "rows.parquet", bytes(content))
    assert refused(path) == "FILE: the Parquet data is damaged or cut off"


def test_parquet_text_in_another_encoding_is_refused(tmp_path: Path) -> None:
    text = pa.array([b"good", b"caf\xe9"]).view(pa.string())
    pq.write_table(pa.table({"text": text}), tmp_path / "rows.parquet")
    assert "expected UTF-8 text" in refused(tmp_path / "rows.parquet")


def test_an_unterminated_quote_is_refused_at_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.csv", 'text,label\n"two\nlines",a\nx,a\n"open,b\ny,a\n')
    assert refused(path).startswith("FILE:5: not valid CSV: unexpected end of data (close the")


def test_text_after_a_closing_quote_is_refused_at_its_line(tmp_path: Path) -> None:
    assert refused(write(tmp_path, "rows.csv", 'text,label\n"x"y,a\n')).startswith("FILE:2: ")


def test_a_wrong_number_of_fields_is_one_unreadable_row(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.csv", "text,label\nx,a\n\ny,b,c\nz\nw,a\n")
    assert items(path) == [
        (1, {"text": "x", "label": "a"}),
        Unreadable(2, "expected 2 fields, found 3", "y,b,c"),
        Unreadable(3, "expected 2 fields, found 1", "z"),
        (4, {"text": "w", "label": "a"}),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": ', "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("9" * 5000, "not valid JSON"),
        ("[1, 2]", "expected a JSON object"),
        ("null", "expected a JSON object"),
        ('{"text": "\\ud800"}', "half of a surrogate pair"),
    ],
)
def test_a_wrong_json_line_is_one_unreadable_row(tmp_path: Path, line: str, reason: str) -> None:
    path = write(tmp_path, "rows.jsonl", f'{{"text": "x"}}\r\n\r\n{line}\r\n{{"text": "y"}}\r\n')
    assert items(path) == [(1, {"text": "x"}), Unreadable(2, reason, line), (3, {"text": "y"})]


def test_an_escaped_surrogate_pair_is_a_character(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.jsonl", json.dumps({"text": "🙂"}))
    assert rows(path) == [{"text": "🙂"}]


def test_columns_come_from_the_first_json_line_that_parses(tmp_path: Path) -> None:
    assert columns(write(tmp_path, "rows.jsonl", 'x\n{"text": 1}\n')) == ["text"]


def test_json_lines_without_one_object_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected one JSON object a line, found none"):
        columns(write(tmp_path, "rows.jsonl", "x\n[1]\n"))


SQUAD = {
    "version": "v2.0",
    "data": [
        {
            "title": "Shop",
            "paragraphs": [
                {
                    "context": "It is in Oslo 🙂.",
                    "qas": [
                        {
                            "id": "a",
                            "question": "Where?",
                            "answers": [{"text": "Oslo", "answer_start": 9}],
                        },
                        {"id": "b", "question": "Who?", "answers": [], "is_impossible": True},
                    ],
                }
            ],
        }
    ],
}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_squads_own_layout_is_one_row_a_question(
    tmp_path: Path, indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(SQUAD, indent=indent, ensure_ascii=ascii_only)
    path = write(tmp_path, "dev.json", text)
    found = rows(path)
    assert [row["question"] for row in found] == ["Where?", "Who?"]
    assert found[0]["context"] == "It is in Oslo 🙂."
    assert [row["answers"]["answer_start"] for row in found] == [[9], []]
    assert columns(path) == ["id", "title", "context", "question", "answers"]


def test_a_json_file_may_name_its_rows_data(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.json", "\ufeff" + json.dumps({"version": 1, "data": ROWS}))
    assert rows(path) == ROWS
    assert columns(path) == ["text", "label"]


def test_what_is_no_object_in_a_json_list_is_one_unreadable_row(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.json", '[{"text": "x"}, 3, {"text": "\\ud800"}, {"text": "y"}]')
    assert items(path) == [
        (1, {"text": "x"}),
        Unreadable(2, "expected a JSON object", "3"),
        Unreadable(3, "half of a surrogate pair", '{"text": "\\ud800"}'),
        (4, {"text": "y"}),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"text": "x"},\n{"text": }]', "FILE:2: not valid JSON: Expecting value"),
        ("[" * 100_000, "FILE: not valid JSON"),
        ('{"text": "x"}\n{"text": "y"}', "FILE:2: not valid JSON: Extra data (a file with one"),
        ('{"text": "x"}', "FILE: expected a list of JSON objects, an object with one as `data`"),
        ("3", "FILE: expected a list of JSON objects, an object with one as `data`"),
        (
            '{"data": [{"paragraphs": 3}]}',
            "FILE: not SQuAD's layout: data[0].paragraphs: expected a list",
        ),
    ],
)
@pytest.mark.parametrize("read", [items, columns])
def test_a_json_file_of_another_form_is_refused(
    tmp_path: Path, text: str, message: str, read: Any
) -> None:
    path = write(tmp_path, "rows.json", text)
    with pytest.raises(DataError) as caught:
        read(path)
    assert str(caught.value).replace(str(path), "FILE").startswith(message)


def test_a_json_list_without_one_object_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a list of JSON objects, found none"):
        columns(write(tmp_path, "rows.json", "[1, 2]"))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(NAMES), content=st.binary(max_size=200))
def test_no_bytes_crash_a_reader(tmp_path: Path, name: str, content: bytes) -> None:
    path = write(tmp_path, name, content)
    try:
        items(path)
    except DataError as error:
        assert str(path) in str(error)  # noqa: PT017


@pytest.mark.parametrize("name", ["rows.txt", "rows.xls", "rows", "csv"])
def test_an_unknown_format_is_refused(name: str) -> None:
    with pytest.raises(
        DataError, match=r"expected CSV, TSV, JSON, JSONL, Parquet or XLSX, each also \.gz"
    ):
        formats.format_of(Path(name))


@pytest.mark.parametrize(
    ("name", "kind"), [("A.CSV", "csv"), ("a.ndjson.GZ", "ndjson"), ("a.b.tsv", "tsv")]
)
def test_the_format_is_in_the_name_in_any_case(name: str, kind: str) -> None:
    assert formats.format_of(Path(name)) == kind
