"""Values that a person types: names of encodings."""

from __future__ import annotations

import pytest

from configs.values import encoding_name


@pytest.mark.parametrize("name", ["utf-8", "cp1252", "GB18030", "Windows-1252", "utf-16"])
def test_an_encoding_of_text_is_accepted(name: str) -> None:
    assert encoding_name(name) == name


@pytest.mark.parametrize("name", ["rot13", "hex", "zlib", "base64", "idna", "klingon", "a\0b"])
def test_a_codec_that_reads_no_files_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected an encoding such as utf-8"):
        encoding_name(name)
