"""The quarantine: refused rows as they were read, with their place and every reason.

It is the only place where the text of a row is written besides the training data itself.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

from configs.files import PARTIAL, fsync
from tasks.contract.rules.findings import Place
from tasks.store import digest

NUMBER: Final = re.compile(r"\d+")
Record = dict[str, Any]


def record(place: Place, reasons: Iterable[tuple[str, str]], raw: Any) -> Record:
    """One refused row."""
    found = list(reasons)
    names = list(dict.fromkeys(rule for rule, _ in found))
    return {**place._asdict(), "rules": names, "reasons": [why for _, why in found], "raw": raw}


def place(entry: Mapping[str, Any]) -> Place:
    """Where the row of a record is."""
    return Place(entry["split"], entry["file"], entry["row"])


def line(entry: Mapping[str, Any]) -> bytes:
    """A record as a line of JSON."""
    text = json.dumps(entry, ensure_ascii=False, default=str)
    return text.encode("utf-8", "surrogatepass") + b"\n"


def read(path: Path) -> Iterator[Record]:
    """Every record of a file; none if there is no file."""
    with suppress(FileNotFoundError), path.open("rb") as stream:
        # Bytes, since text also splits at U+2028 and its like.
        for entry in stream:
            yield json.loads(entry)


class Writer:
    """Writes a quarantine of any size, and publishes it by a rename."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.rows = 0
        self.kinds: Counter[str] = Counter()
        self.first: Record | None = None
        self._temporary = path.with_name(path.name + PARTIAL)
        self._stream: IO[bytes] = self._temporary.open("wb")

    def add(self, entry: Record) -> None:
        """Append a record."""
        self._stream.write(line(entry))
        self.rows += 1
        self.first = self.first or entry
        self.kinds.update(NUMBER.sub("N", reason) for reason in entry["reasons"])

    def publish(self) -> None:
        """Replace the quarantine of an earlier run."""
        self._stream.close()
        fsync(self._temporary)
        self._temporary.replace(self.path)
        fsync(self.path.parent)

    def discard(self) -> None:
        """Remove what was written, if it was not published."""
        self._stream.close()
        self._temporary.unlink(missing_ok=True)


class Fixes:
    """Rows that a person has repaired, by the content of the rows that they stand for."""

    def __init__(self, path: Path | None = None) -> None:
        entries = read(path) if path else ()
        self._rows: dict[str, Record] = {entry["original"]: entry["row"] for entry in entries}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._rows)

    @property
    def digest(self) -> str:
        """Digest of all of them; empty without any."""
        return digest(self._rows) if self._rows else ""

    def of(self, raw: Any) -> Record | None:
        """What a row was repaired to, and that again if it was not enough."""
        found: Record | None = None
        seen: set[str] = set()
        while (key := identity(raw)) in self._rows and key not in seen:
            seen.add(key)
            found = raw = self._rows[key]
        return found


def identity(raw: Any) -> str:
    """The digest of a row's content, by which its repair is found again."""
    return digest(raw)


def folder(root: Path) -> Path:
    """Where the quarantines of a workspace are."""
    return root / "quarantine"


def file_of(root: Path, name: str) -> Path:
    """The quarantine of a pipeline."""
    return folder(root) / f"{name}.jsonl"


def fixes_of(root: Path, name: str) -> Path:
    """The repaired rows of a pipeline."""
    return folder(root) / f"{name}.fixed.jsonl"
