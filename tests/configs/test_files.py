from __future__ import annotations

from pathlib import Path

from configs.files import write_atomic


def test_a_reader_sees_the_old_content_while_it_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "record"
    write_atomic(path, b"old")
    with path.open("rb") as reader:
        write_atomic(path, b"new, and longer")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new, and longer"
