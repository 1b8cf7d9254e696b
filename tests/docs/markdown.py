"""Read what the documentation shows: blocks of code, commands, links and headings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TITLE = re.compile(r'title="([^"]+)"')
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
SEPARATORS = {"|", "||", "&&", ";", "&"}
REDIRECTION = re.compile(r"^[<>]+$")
LOOP = re.compile(r"; do\n\s*(.*)\ndone$", re.MULTILINE)
ASSIGNMENT = re.compile(r"^[A-Z_]+=")


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    document: str
    line: int
    language: str
    title: str
    """The name of the file that it shows, if it has one."""
    text: str

    def session(self) -> Iterator[tuple[str, str]]:
        """Each line that is typed, and what is shown below it.

        All lines of a script are typed, and those of a session that have a prompt. A loop is one
        line.
        """
        text = LOOP.sub(r"; do \1; done", self.text.replace("\\\n", " "))
        if self.language == "sh":
            yield from ((line, "") for line in text.splitlines())
        elif self.language == "console":
            for part in text.removeprefix("$ ").split("\n$ "):
                line, _, shown = part.partition("\n")
                yield line, shown

    def lines(self) -> Iterator[str]:
        """The lines that are typed."""
        return (line for line, _ in self.session())

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
        Block(
            document=place(document),
            line=text.count("\n", 0, found.start()) + 1,
            language=found[1],
            title=title[1] if (title := TITLE.search(found[2])) else "",
            text=found[3],
        )
        for found in FENCE.finditer(text)
    ]


def place(document: Path) -> str:
    """Where a document is in the project."""
    return document.relative_to(ROOT).as_posix()


def prose(document: Path) -> str:
    """A document without its fenced blocks."""
    return FENCE.sub("", document.read_text(encoding="utf-8"))


def commands(document: Path) -> Iterator[Command]:
    """Every command in the shell blocks and the inline code of a document."""
    for block in blocks(document):
        for line in block.lines():
            yield from _split(str(block), line)
    for found in INLINE.finditer(prose(document)):
        if found[1].startswith(("onestep ", "make ")):
            yield from _split(place(document), found[1])


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


def called(program: str) -> list[Command]:
    """Every call of one program in the documentation."""
    found = [command for document in DOCUMENTS for command in commands(document)]
    return [c for c in dict.fromkeys(found) if Path(c.words[0]).name == program]


def anchors(document: Path) -> set[str]:
    """What a link may name after ``#``: the headings, written as GitHub does."""
    headings = HEADING.findall(prose(document))
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


def parsed(block: Block) -> dict[str, Any]:
    """The mapping in a block of YAML."""
    found = YAML(typ="safe", pure=True).load(block.text)
    assert isinstance(found, dict), block
    return found


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """A part of a pipeline file laid over a whole one."""
    both = {
        key: merged(below[key], value)
        for key, value in above.items()
        if isinstance(value, dict) and isinstance(below.get(key), dict)
    }
    return {**below, **above, **both}


def write_yaml(path: Path, record: Mapping[str, Any]) -> None:
    """Write a pipeline file."""
    with path.open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(dict(record), stream)
