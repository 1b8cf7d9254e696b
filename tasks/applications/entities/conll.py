"""CoNLL-style files: one token per line, its tag last, and an empty line after each sentence."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final, NamedTuple

from configs.language import english
from tasks.contract.sources.base import Block, Rows, Unreadable
from tasks.contract.sources.text_files import TextFile

ENDINGS: Final = ("conll", "iob", "bio")
TAG: Final = re.compile(r"O|[BIESLU]-\S.*")
DOCUMENT: Final = "-DOCSTART-"


class Sentence(NamedTuple):
    """Some lines of a file.

    Attributes:
        lines: as they stand in the file.
        tags: one for each token.
        reason: why the lines could not be read; empty if they could.
        start: number of the first line in the file.
    """

    lines: list[str]
    tokens: list[str]
    tags: list[str]
    reason: str
    start: int = 0


def sentences(lines: Iterable[str]) -> Iterator[Sentence]:
    """The sentences of a file; lines that begin a document and comments belong to none.

    Columns are divided by tabs, or by spaces in a line without tabs.
    """
    current = Sentence([], [], [], "")
    for number, line in enumerate(map(str.rstrip, lines), 1):
        if line and not _starts_document(line):
            current = _longer(current, line)
            if len(current.lines) == 1:
                current = current._replace(start=number)
        elif current.lines:
            yield current
            current = Sentence([], [], [], "")
    if current.lines:
        yield current


def _longer(sentence: Sentence, line: str) -> Sentence:
    columns = line.split("\t") if "\t" in line else line.split()
    if len(columns) > 1 and columns[0].strip() and TAG.fullmatch(columns[-1].strip()):
        sentence.tokens.append(columns[0].strip())
        sentence.tags.append(columns[-1].strip())
    elif line.startswith("#") and not sentence.lines:
        return sentence
    elif not sentence.reason:
        number = len(sentence.lines) + 1
        reason = english(
            "line {number} of the sentence: expected a token and, last, a tag such as B-DATE",
            number=number,
        )
        sentence = sentence._replace(reason=reason)
    sentence.lines.append(line)
    return sentence


def _starts_document(line: str) -> bool:
    return line.split(maxsplit=1)[0] == DOCUMENT


class Conll(TextFile):
    """A file whose rows are sentences: ``text`` is a list of tokens, ``entities`` their tags."""

    def columns(self) -> list[str]:
        return ["text", "entities"]

    def rows(self, block: Block | None = None) -> Rows:
        """Each sentence; one that has a line without a tag cannot be read."""
        with self.text() as stream:
            for number, sentence in enumerate(sentences(stream), 1):
                if sentence.reason:
                    yield Unreadable(number, sentence.reason, "\n".join(sentence.lines))
                else:
                    yield number, {"text": sentence.tokens, "entities": sentence.tags}

    def lines(self, rows: Collection[int]) -> dict[int, int]:
        with self.text() as stream:
            numbered = enumerate(sentences(stream), 1)
            return {number: sentence.start for number, sentence in numbered if number in rows}
