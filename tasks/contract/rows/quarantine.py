"""The quarantine: rows that break the contract as they were read, with place and every reason.

No other file but the training data has the text of a row.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from configs.files import PARTIAL, fsync
from tasks.contract.rules.findings import Place
from tasks.store import digest

NUMBER: Final = re.compile(r"\d+")
EXTRA: Final = "others"
"""Key of the columns that the pipeline does not use."""
Record = dict[str, Any]


def record(place: Place, reasons: Iterable[tuple[str, str]], raw: Any) -> Record:
    """The record of a row."""
    found = list(reasons)
    names = list(dict.fromkeys(rule for rule, _ in found))
    return {**place._asdict(), "rules": names, "reasons": [why for _, why in found], "raw": raw}


def place(entry: Mapping[str, Any]) -> Place:
    """The place of a record's row."""
    return Place(entry["split"], entry["file"], entry["row"])


def line(entry: Mapping[str, Any]) -> bytes:
    """A record as a line of JSON."""
    text = json.dumps(entry, ensure_ascii=False, default=str)
    return text.encode("utf-8", "surrogatepass") + b"\n"


def read(path: Path) -> Iterator[Record]:
    """Every record of a file; none if there is no file."""
    with suppress(FileNotFoundError), path.open("rb") as stream:
        # As bytes, since text also has line breaks such as U+2028.
        for entry in stream:
            yield json.loads(entry)


@dataclass(frozen=True, slots=True)
class QuarantineSummary:
    """The file that was written, its records, and the place of the first one.

    Attributes:
        reasons: how many records have each reason, whatever its numbers are; named by the first.
    """

    path: Path
    rows: int
    first: Place | None
    reasons: Counter[str]


def write(path: Path, records: Iterable[Record]) -> QuarantineSummary:
    """Replace the quarantine of an earlier run, unless an error ends the records."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + PARTIAL)
    rows, first, reasons = 0, None, Counter[str]()
    names: dict[str, str] = {}
    varied: set[str] = set()
    try:
        with temporary.open("wb") as stream:
            for entry in records:
                stream.write(line(entry))
                rows += 1
                first = first or place(entry)
                for reason in entry["reasons"]:
                    same = names.setdefault(NUMBER.sub("", reason), reason)
                    reasons[same] += 1
                    varied |= {same} if reason != same else set()
        fsync(temporary)
        temporary.replace(path)
        fsync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
    shown = {f"such as: {one}" if one in varied else one: n for one, n in reasons.items()}
    return QuarantineSummary(path, rows, first, Counter(shown))


class Fixes:
    """Rows that a person repaired, by the content of the rows that they replace."""

    def __init__(self, path: Path | None = None) -> None:
        entries = read(path) if path else ()
        self._rows: dict[str, Record] = {entry["original"]: entry["row"] for entry in entries}

    def __bool__(self) -> bool:
        return bool(self._rows)

    @property
    def digest(self) -> str:
        """Digest of all of them; empty without any."""
        return digest(self._rows) if self._rows else ""

    def of(self, raw: Any) -> Record | None:
        """The repaired row, also after several repairs; None if there is none."""
        found: Record | None = None
        seen: set[str] = set()
        while (key := identity(raw)) in self._rows and key not in seen:
            seen.add(key)
            found = raw = self._rows[key]
        return found


def identity(raw: Any) -> str:
    """The digest of a row's content, by which its repair is found."""
    return digest(raw)


def folder(root: Path) -> Path:
    """The folder of quarantines in a workspace."""
    return root / "quarantine"


def file_of(root: Path, name: str) -> Path:
    """The quarantine of a pipeline."""
    return folder(root) / f"{name}.jsonl"


def fixes_of(root: Path, name: str) -> Path:
    """The repaired rows of a pipeline."""
    return folder(root) / f"{name}.fixed.jsonl"
