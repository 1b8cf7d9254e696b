"""Where a command writes what a program or a file takes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.errors import DataError
from flows.cli.models import predict
from flows.cli.options import write_data_to


def test_a_file_has_all_pieces(tmp_path: Path) -> None:
    write_data_to(tmp_path / "out.csv", iter(["text\n", "süß\n", b"\x00"]))
    assert (tmp_path / "out.csv").read_bytes() == "text\nsüß\n\x00".encode()
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize("before", [0, 2])
def test_a_file_stays_as_it_was_after_an_error(tmp_path: Path, before: int) -> None:
    def pieces() -> Iterator[str]:
        yield from ["new"] * before
        raise ValueError

    (tmp_path / "out.csv").write_text("old", encoding="utf-8")
    with pytest.raises(ValueError):  # noqa: PT011
        write_data_to(tmp_path / "out.csv", pieces())
    assert (tmp_path / "out.csv").read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere/out\.csv: No such file"):
        write_data_to(tmp_path / "nowhere" / "out.csv", ["x"])


def test_a_workbook_is_not_written_to_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with pytest.raises(DataError, match=r"not for a terminal.*--output FILE\.xlsx"):
        predict("tickets", output="xlsx")
