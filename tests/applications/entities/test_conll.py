"""CoNLL-style files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.applications.entities.conll import Conll, sentences
from tasks.contract.sources.base import Unreadable

FOUR_COLUMNS = """-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O

Peter NNP B-NP B-PER
Blackburn NNP I-NP I-PER
"""
TABS = "New York\tB-LOC\r\n!\tO\r\n\r\n\r\n# id 2\r\nhi\tO\r\n#\tO\r\n"


def test_the_first_column_is_the_token_and_the_last_its_tag() -> None:
    found = [(one.tokens, one.tags) for one in sentences(FOUR_COLUMNS.splitlines(keepends=True))]
    assert found == [
        (["EU", "rejects"], ["B-ORG", "O"]),
        (["Peter", "Blackburn"], ["B-PER", "I-PER"]),
    ]


def test_tokens_may_have_spaces_between_tabs_and_comments_are_left_out() -> None:
    found = [(one.tokens, one.tags) for one in sentences(TABS.splitlines(keepends=True))]
    assert found == [(["New York", "!"], ["B-LOC", "O"]), (["hi", "#"], ["O", "O"])]


@pytest.mark.parametrize("line", ["Peter", "Peter NNP", "\tB-PER", "# late comment"])
def test_a_sentence_with_a_line_without_a_tag_cannot_be_read(line: str) -> None:
    broken, fine = sentences(["so O", line, "it O", "", "goes O"])
    expected = "line 2 of the sentence: expected a token and, last, a tag such as B-DATE"
    assert (broken.reason, broken.lines) == (expected, ["so O", line, "it O"])
    assert (fine.tokens, fine.reason) == (["goes"], "")


def test_a_file_without_sentences_has_none() -> None:
    assert list(sentences(["", " ", "-DOCSTART- O", ""])) == []


def test_sentences_are_rows_of_the_application(tmp_path: Path) -> None:
    path = tmp_path / "news.conll"
    path.write_text(f"{FOUR_COLUMNS}\nbroken\n", encoding="utf-8")
    source = Conll(path)
    assert source.columns() == ["text", "entities"]
    one, two, three = source.rows()
    assert one == (1, {"text": ["EU", "rejects"], "entities": ["B-ORG", "O"]})
    assert isinstance(two, tuple)
    assert isinstance(three, Unreadable)
    assert (two[0], three.row, three.raw) == (2, 3, "broken")


def test_a_file_of_another_encoding_is_read(tmp_path: Path) -> None:
    path = tmp_path / "news.conll"
    path.write_text("Zoë B-PER\n", encoding="utf-16")
    assert list(Conll(path).rows()) == [(1, {"text": ["Zoë"], "entities": ["B-PER"]})]


def test_a_sentence_has_the_number_of_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "train.conll"
    path.write_text(f"{FOUR_COLUMNS}\n# a comment\nbroken\n\n\nlast O\n", encoding="utf-8")
    assert Conll(path).lines({1, 2, 3, 4, 9}) == {1: 3, 2: 6, 3: 10, 4: 13}
