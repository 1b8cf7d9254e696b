"""A file read block by block has the rows that it has when it is read from its beginning."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from configs.errors import DataError
from tasks.contract.sources import formats
from tasks.contract.sources.base import Block, FileSource, Options, Row, Unreadable

Items = list[tuple[int, Row] | Unreadable]
PIECES = ["a", "é🙂", '"', '""', "\n", "\r\n", "\r", " ", "\u2028", "\x0c", ",", "\t"]
BOM = "\ufeff"
CUT = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


def written(path: Path, content: str) -> Path:
    path.write_bytes(content.encode())
    return path


def opened(path: Path, *, quotes: bool = True) -> FileSource:
    return formats.open_file(path, Options(quotes))


def cut(path: Path, size: int, *, quotes: bool = True) -> list[Block]:
    return list(opened(path, quotes=quotes).blocks(size))


def together(path: Path, found: Sequence[Block], *, quotes: bool = True) -> Items:
    """The rows of all blocks, numbered as in the file."""
    items: Items = []
    for block in found:
        before = len(items)
        for item in opened(path, quotes=quotes).rows(block):
            if isinstance(item, Unreadable):
                items.append(Unreadable(item.row + before, item.reason, item.raw))
            else:
                items.append((item[0] + before, item[1]))
    return items


def outcome(path: Path, found: Sequence[Block] | None, *, quotes: bool = True) -> Items | str:
    """The rows of a file, or of its blocks; ``refused`` if it is not of its format."""
    try:
        if found is None:
            return list(opened(path, quotes=quotes).rows())
        return together(path, found, quotes=quotes)
    except DataError:
        return "refused"


def same(path: Path, size: int, *, quotes: bool = True) -> list[Block]:
    """Assert that blocks are the file; return them."""
    found = cut(path, size, quotes=quotes)
    if found:
        assert outcome(path, found, quotes=quotes) == outcome(path, None, quotes=quotes)
        borders = [(block.start, block.stop) for block in found]
        starts = [start for start, _ in borders[1:]] + [path.stat().st_size]
        assert [stop for _, stop in borders] == starts
    return found


def table(rows: Sequence[Sequence[str]], delimiter: str, ending: str, *, quoted: bool) -> str:
    stream = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=ending, quoting=quoting)
    writer.writerows([("text", "label"), *rows])
    return stream.getvalue()


FIELD = st.lists(st.sampled_from(PIECES), max_size=5).map("".join)
ROWS = st.lists(st.tuples(FIELD, FIELD), min_size=3, max_size=25)


@CUT
@given(
    rows=ROWS,
    kind=st.sampled_from(["csv", "tsv"]),
    ending=st.sampled_from(["\n", "\r\n"]),
    quoted=st.booleans(),
    mark=st.sampled_from(["", BOM]),
    size=st.integers(4, 60),
)
def test_blocks_of_well_formed_rows_are_the_file(
    tmp_path: Path,
    rows: list[tuple[str, str]],
    kind: str,
    ending: str,
    quoted: bool,
    mark: str,
    size: int,
) -> None:
    content = table(rows, "\t" if kind == "tsv" else ",", ending, quoted=quoted)
    path = written(tmp_path / f"rows.{kind}", mark + content)
    same(path, size)
    if quoted:
        found = [item for item in outcome(path, None) if isinstance(item, tuple)]
        assert [tuple(row.values()) for _, row in found] == rows


@CUT
@given(
    body=st.lists(st.sampled_from(PIECES), min_size=5, max_size=80).map("".join),
    kind=st.sampled_from(["csv", "tsv"]),
    ending=st.sampled_from(["\n", "\r\n"]),
    quotes=st.booleans(),
    mark=st.sampled_from(["", BOM]),
    size=st.integers(4, 60),
)
@example('a,b\n"a\n', "csv", "\n", True, "", 4)
@example('a "b",c\n' * 4, "csv", "\n", False, "", 4)
def test_blocks_of_any_lines_are_the_file(
    tmp_path: Path, body: str, kind: str, ending: str, quotes: bool, mark: str, size: int
) -> None:
    header = "text\tlabel" if kind == "tsv" else "text,label"
    path = written(tmp_path / f"rows.{kind}", mark + header + ending + body)
    same(path, size, quotes=quotes)


LINE = st.one_of(
    st.dictionaries(st.sampled_from(["text", "label"]), st.text(max_size=8)).map(json.dumps),
    st.dictionaries(st.just("text"), FIELD).map(lambda row: json.dumps(row, ensure_ascii=False)),
    st.sampled_from(["", " ", "3", '{"text": ', '{"text": "\\ud800"}', "\u2028", '"']),
)


@CUT
@given(
    lines=st.lists(LINE, min_size=3, max_size=25),
    ending=st.sampled_from(["\n", "\r\n", "\r"]),
    mark=st.sampled_from(["", BOM]),
    size=st.integers(4, 60),
    last=st.booleans(),
)
def test_blocks_of_json_lines_are_the_file(
    tmp_path: Path, lines: list[str], ending: str, mark: str, size: int, last: bool
) -> None:
    content = ending.join(lines) + ending * last
    path = written(tmp_path / "rows.jsonl", f'{mark}{{"text": "first"}}{ending}{content}')
    same(path, size)


MANY = 40
PLAIN = [(f"text {n}", "ab"[n % 2]) for n in range(MANY)]
BROKEN = [(f'"text" {n}\nof, two lines', "ab"[n % 2]) for n in range(MANY)]


@pytest.mark.parametrize("rows", [PLAIN, BROKEN], ids=["plain", "line breaks and quotes"])
@pytest.mark.parametrize("mark", ["", BOM], ids=["no mark", "mark"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_a_large_file_is_cut(
    tmp_path: Path, rows: list[tuple[str, str]], mark: str, ending: str
) -> None:
    path = written(tmp_path / "rows.csv", mark + table(rows, ",", ending, quoted=False))
    found = same(path, 100)
    assert len(found) > 3
    assert {block.header for block in found} == {("text", "label")}
    # Each begins with a row of its own.
    assert all(next(opened(path).rows(block)) for block in found)


def test_large_json_lines_are_cut(tmp_path: Path) -> None:
    lines = [json.dumps({"text": text, "label": label}) for text, label in BROKEN]
    assert len(same(written(tmp_path / "rows.jsonl", "\n".join(lines)), 100)) > 5


def test_a_row_may_be_longer_than_a_block(tmp_path: Path) -> None:
    long = ('"' + "one line\n" * 40, "a")
    path = written(tmp_path / "rows.csv", table([*PLAIN, long, *PLAIN], ",", "\n", quoted=False))
    found = same(path, 100)
    assert max(block.stop - block.start for block in found) > 360


def test_after_a_stray_quotation_mark_all_is_one_block(tmp_path: Path) -> None:
    content = table(PLAIN, ",", "\n", quoted=False)
    path = written(tmp_path / "rows.csv", content + 'so called "quotes",a\n' + content[11:])
    found = same(path, 100)
    assert len(found) > 2
    last = found[-1]
    assert last.stop - last.start > len(content) - 100
    assert '"quotes"' in path.read_bytes()[last.start : last.stop].decode()


def test_without_quotes_every_line_break_ends_a_row(tmp_path: Path) -> None:
    content = "text,label\n" + 'a "stray mark,a\n' * MANY
    path = written(tmp_path / "rows.csv", content)
    assert len(same(path, 100, quotes=False)) > 5


def test_an_open_quotation_mark_is_refused_in_blocks_too(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.csv", table(PLAIN, ",", "\n", quoted=True) + '"open,a\n')
    found = cut(path, 100)
    assert len(found) > 2
    assert outcome(path, found) == outcome(path, None) == "refused"


def test_bytes_of_another_encoding_are_refused_in_blocks_too(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    content = (BOM + table(PLAIN * 1000, ",", "\n", quoted=False)).encode()
    path.write_bytes(content + b"caf\xe9,a\n")
    found = cut(path, 100_000)
    assert len(found) > 2
    assert outcome(path, found) == outcome(path, None) == "refused"


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_a_small_file_is_not_cut(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name, table(PLAIN, ",", "\n", quoted=False))
    assert cut(path, path.stat().st_size // 2 + 1) == []


@pytest.mark.parametrize("name", ["rows.csv.gz", "rows.csv", "rows.json", "rows.parquet"])
def test_what_has_no_lines_is_not_cut(tmp_path: Path, name: str) -> None:
    import gzip

    path = tmp_path / name
    path.write_bytes(gzip.compress(table(PLAIN, ",", "\n", quoted=False).encode()))
    assert cut(path, 10) == []
