"""Rank texts, such as passages of documents, by BM25 (Robertson and Zaragoza 2009)."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import DataError, Problem
from configs.language import _
from tasks.text import encodings
from tasks.text.encodings import Encoding, UnknownEncodingError
from tasks.text.languages import UNSPACED, UNSPACED_CHARACTER

ENDINGS = (".txt", ".md", ".jsonl")
TOKEN = re.compile(rf"[{UNSPACED}]+|[^\W{UNSPACED}]+")
BLANK = re.compile(r"\n[^\S\n]*\n\s*")
TEXT_FIELDS = ("text", "context")


def tokens(text: str) -> list[str]:
    """Words in lower case, and pairs of characters in scripts without spaces."""
    found: list[str] = []
    for run in TOKEN.findall(text.casefold()):
        found += _pairs(run) if UNSPACED_CHARACTER.match(run) else [run]
    return found


def _pairs(run: str) -> list[str]:
    return [run[at : at + 2] for at in range(len(run) - 1)] or [run]


class Ranking:
    """Ranks a fixed list of texts by their relevance to questions."""

    def __init__(self, texts: Sequence[str]) -> None:
        import bm25s

        self.size = len(texts)
        corpus = [tokens(text) for text in texts]
        self._index: Any = None
        # Without any word the library divides by zero.
        if any(corpus):
            self._index = bm25s.BM25(method="lucene")
            self._index.index(corpus, show_progress=False)

    def scores(self, question: str) -> NDArray[np.float64]:
        """The BM25 score of each text, of shape (texts,); 0 without a common word."""
        words = tokens(question)
        if self._index is None or not words:
            return np.zeros(self.size)
        return np.asarray(self._index.get_scores(words), dtype=np.float64)

    def best(self, question: str, k: int) -> list[int]:
        """Positions of the ``k`` best texts that share a word with the question, best first."""
        scores = self.scores(question)
        order = np.argsort(-scores, kind="stable")[:k]
        return [int(position) for position in order if scores[position] > 0]


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage of a document: its file below the folder, number from 1, and text."""

    source: str
    number: int
    text: str

    @property
    def reference(self) -> str:
        """File and number, such as ``returns.md#3``."""
        return f"{self.source}#{self.number}"


class Passages:
    """The passages of all documents."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.passages = list(passages)
        self._ranking = Ranking([passage.text for passage in self.passages])

    @classmethod
    def read(cls, folder: Path) -> Passages:
        """Read every .txt, .md and .jsonl file below a folder.

        Blank lines separate passages, and a heading belongs to the next passage; of JSONL, the
        ``text`` of each line is a passage. A text that several files have is kept once.

        Raises:
            DataError: there is no such folder, no text in it, or a file that cannot be read.
        """
        if not folder.is_dir():
            raise DataError.at(folder, _("no such folder"), _("expected a folder of texts"))
        found: dict[str, Passage] = {}
        problems: list[Problem] = []
        for path in _documents(folder):
            source = path.relative_to(folder).as_posix()
            try:
                for number, text in enumerate(_texts(path), 1):
                    found.setdefault(text, Passage(source, number, text))
            except DataError as error:
                problems += error.problems
        if problems:
            raise DataError(problems)
        if not found:
            message = _("found no text in {endings} files", endings=", ".join(ENDINGS))
            raise DataError.at(folder, message, _("name the folder with your documents"))
        return cls(list(found.values()))

    def best(self, question: str, k: int) -> list[Passage]:
        """The ``k`` best passages for a question; fewer if fewer share a word with it."""
        return [self.passages[position] for position in self._ranking.best(question, k)]


def _documents(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    shown = (p for p in found if not any(n.startswith(".") for n in p.relative_to(folder).parts))
    return sorted(path for path in shown if path.is_file())


def _texts(path: Path) -> Iterator[str]:
    try:
        content = _decoded(path.read_bytes())
    except UnicodeDecodeError as error:
        message = _("expected UTF-8, found byte 0x{byte:02x}", byte=error.object[error.start])
        raise DataError.at(path, message, _("convert it to UTF-8")) from None
    except OSError as error:
        raise DataError.at(path, _("cannot be read: {strerror}", strerror=error.strerror)) from None
    return _lines(path, content) if path.suffix.lower() == ".jsonl" else _blocks(content)


def _decoded(content: bytes) -> str:
    """A document in the encoding that its bytes show; in UTF-8 if that is not clear."""
    head = content[: encodings.HEAD]
    found = encodings.marked(head) or (encodings.wide(head) if b"\0" in head else None)
    try:
        found = found or encodings.detect(io.BytesIO(content))
    except UnknownEncodingError:
        found = Encoding("utf-8")
    return io.TextIOWrapper(io.BytesIO(content[found.mark :]), encoding=found.name).read()


def _blocks(content: str) -> Iterator[str]:
    headings = ""
    for block in BLANK.split(content):
        text = headings + block.strip()
        if all(line.startswith("#") for line in block.strip().splitlines()):
            headings = f"{text}\n\n" if text else ""
            continue
        headings = ""
        yield text
    if headings:
        yield headings.strip()


def _lines(path: Path, content: str) -> Iterator[str]:
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise DataError.at(f"{path}:{number}", _("not valid JSON")) from None
        values = [row.get(name) for name in TEXT_FIELDS] if isinstance(row, dict) else []
        text = next((value for value in values if isinstance(value, str) and value.strip()), None)
        if text is None:
            message = _("expected a JSON object with a `text`")
            raise DataError.at(f"{path}:{number}", message)
        yield text
