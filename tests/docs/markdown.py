"""Read what the documentation shows: blocks of code, commands, links and headings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENTS = [
    ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/operations.md")
]
SHELL = ("sh", "console")
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
SEPARATORS = {"|", "||", "&&", ";", "&"}
REDIRECTION = re.compile(r"^[<>]+$")
ASSIGNMENT = re.compile(r"^[A-Z_]+=")


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    document: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


@dataclass(frozen=True)
class Command:
    """One command with its arguments, and where it is shown."""

    where: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.where}: {' '.join(self.words)}"


def blocks(document: Path) -> list[Block]:
    """The fenced blocks of a document."""
    text = document.read_text(encoding="utf-8")
    return [
        Block(document.name, text.count("\n", 0, found.start()) + 1, found[1], found[2])
        for found in FENCE.finditer(text)
    ]


def prose(document: Path) -> str:
    """A document without its fenced blocks."""
    return FENCE.sub("", document.read_text(encoding="utf-8"))


def commands(document: Path) -> Iterator[Command]:
    """Every command in the shell blocks and the inline code of a document."""
    for block in blocks(document):
        if block.language in SHELL:
            for line in _lines(block):
                yield from _split(str(block), line)
    for found in INLINE.finditer(prose(document)):
        if found[1].startswith(("onestep ", "make ")):
            yield from _split(document.name, found[1])


def _lines(block: Block) -> Iterator[str]:
    """The lines that are typed: all of a script, those with a prompt of a session."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if block.language == "sh":
            yield line
        elif line.startswith("$ "):
            yield line.removeprefix("$ ")


def _split(where: str, line: str) -> Iterator[Command]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    skip = False
    for word in lexer:
        if skip or REDIRECTION.match(word):
            skip = not skip
        elif word in SEPARATORS:
            yield Command(where, tuple(words))
            words = []
        elif words or not ASSIGNMENT.match(word):
            words.append(word)
    if words:
        yield Command(where, tuple(words))


def called(name: str) -> list[Command]:
    """Every call of one program in the documentation."""
    found = [command for document in DOCUMENTS for command in commands(document)]
    return [c for c in dict.fromkeys(found) if Path(c.words[0]).name == name]


def anchors(document: Path) -> set[str]:
    """What a link may name after ``#``: the headings, written as GitHub does."""
    headings = HEADING.findall(prose(document))
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}
