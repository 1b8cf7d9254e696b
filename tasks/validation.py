"""Stage 1, data validation: labelled files in, rows that keep the contract out.

A row that breaks it goes to the quarantine with its file, row number and reasons.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.schema import Pipeline
from tasks import arrow
from tasks.applications import base as applications
from tasks.applications.base import Application, Facts, Reasons
from tasks.contract import frames, rules, splitting
from tasks.contract.frames import SPLITS, Raw, Sources
from tasks.errors import ConfigError, DataError, Problem
from tasks.store import Stored, read_json, write_atomic, write_json
from tasks.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

VERSION = 2
BATCH = 10_000
NUMBER = re.compile(r"\d+")
MOST_REASONS = 5


@dataclass(frozen=True, slots=True)
class Validated:
    """The result of the stage.

    Attributes:
        stored: the output folder: an Arrow file a split, ``facts.json``, ``quarantine.jsonl``.
        facts: what the model freezes, such as labels and their counts.
        rows: rows kept by split.
        quarantined: rows set aside.
    """

    stored: Stored
    facts: Facts
    rows: dict[str, int]
    quarantined: int

    @property
    def digest(self) -> str:
        """Digest of the rows and of what they taught, whatever their files are called."""
        return self.stored.content("facts.json", *(f"{split}.arrow" for split in SPLITS))

    @property
    def note(self) -> str:
        """One line for people."""
        kept = ", ".join(f"{self.rows[split]:,} {split}" for split in SPLITS)
        return f"{kept} rows; {self.quarantined:,} quarantined"


def validate(config: Pipeline, workspace: Workspace, sources: Sources) -> Validated:
    """Check the rows against the contract.

    Raises:
        DataError: the files cannot be read, or the data as a whole breaks the contract.
        ConfigError: a setting does not go with what the data taught.
    """
    application = applications.get(config.application)
    inputs = {
        "version": VERSION,
        "application": [application.name, application.version],
        "sources": sources.digest,
        "data": config.data.model_dump(mode="json", exclude={"train", "validation", "test"}),
        "fractions": [
            s for s in (config.data.validation, config.data.test) if isinstance(s, float)
        ],
        "contract": config.contract.model_dump(mode="json", exclude={"max_truncated"}),
        "language": config.language.model_dump(mode="json"),
        "unanswerable": config.answering.unanswerable,
        "seed": config.training.seed,
    }

    def build(folder: Path) -> dict[str, Any]:
        return _build(folder, config, application, sources, workspace)

    stored = workspace.store.produce("validation", inputs, build, fresh=workspace.fresh)
    rows = {split: stored.summary["counts"][split] for split in SPLITS}
    facts = read_json(stored.path / "facts.json")
    if misfits := list(application.misfits(config, facts)):
        raise ConfigError([Problem(where, what) for where, what in misfits])
    return Validated(stored, facts, rows, stored.summary["quarantined"])


def _build(
    folder: Path,
    config: Pipeline,
    application: Application,
    sources: Sources,
    workspace: Workspace,
) -> dict[str, Any]:
    raw = frames.read(config.data, application, sources)
    application.normalize(raw.frame, config.data, raw.names)
    kept, reasons, counts = rules.screen(raw, application, config)
    quarantine = _quarantine(raw, reasons)
    quarantine_file = workspace.root / "quarantine" / f"{config.name}.jsonl"
    write_atomic(quarantine_file, quarantine)
    (folder / "quarantine.jsonl").write_bytes(quarantine)
    total = len(raw.frame) + len(raw.unreadable)
    left_out = len(reasons) + len(raw.unreadable)
    _refuse_too_many(left_out, total, config, quarantine_file)
    kept, facts = _finish_splits(kept, config, application, raw)
    for split in SPLITS:
        _write_split(folder / f"{split}.arrow", kept[kept["split"] == split], application, facts)
    write_json(folder / "facts.json", facts)
    sizes = {split: int((kept["split"] == split).sum()) for split in SPLITS}
    assert sum(sizes.values()) + left_out == total, "a row was lost"
    summary = {"rows": total, "quarantined": left_out, "counts": counts | sizes}
    summary["files"] = [Path(name).name for name in raw.files]
    write_json(folder / "report.json", summary)
    return summary


def _quarantine(raw: Raw, reasons: Reasons) -> bytes:
    records = list(raw.unreadable)
    for index in sorted(reasons):
        row = raw.frame.loc[index].to_dict()
        place = {"split": row.pop("split"), "file": raw.files[row.pop("file")]}
        records.append(place | {"row": row.pop("row"), "reasons": reasons[index], "raw": row})
    lines = (json.dumps(record, ensure_ascii=False, default=str) for record in records)
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")


def _refuse_too_many(left_out: int, total: int, config: Pipeline, quarantine: Path) -> None:
    if total == 0:
        raise DataError(Problem("data.train", "expected rows, found only a header"))
    limit = config.contract.max_quarantined
    if left_out <= limit * total:
        return
    counts: dict[str, int] = {}
    # Bytes, since text also splits at U+2028 and its like.
    records = [json.loads(line) for line in quarantine.read_bytes().splitlines()]
    for record in records:
        for reason in record["reasons"]:
            kind = NUMBER.sub("N", reason)
            counts[kind] = counts.get(kind, 0) + 1
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    named = "; ".join(f"{n} x {reason}" for reason, n in ranked[:MOST_REASONS])
    if len(ranked) > MOST_REASONS:
        named += f"; and {len(ranked) - MOST_REASONS} more kinds"
    message = f"{left_out} of {total} rows break the contract, more than {limit:.1%} ({named})"
    advice = f"see {quarantine}, repair the rows, or raise contract.max_quarantined"
    raise DataError(Problem(f"{records[0]['file']} row {records[0]['row']}", message, advice))


def _finish_splits(
    kept: pd.DataFrame, config: Pipeline, application: Application, raw: Raw
) -> tuple[pd.DataFrame, Facts]:
    where = raw.files[0]
    facts = application.learn(kept[kept["split"] == "train"], config.data)
    strata = application.strata(kept)
    kept = kept.assign(split=splitting.split(kept, config.data, strata, config.training.seed))
    named = kept.assign(file=kept["file"].map(dict(enumerate(raw.files))))
    parts = {split: named[named["split"] == split] for split in SPLITS}
    problems = [f"no row is left for the {split} split" for split in SPLITS if parts[split].empty]
    problems += application.problems(parts, facts, config.contract.min_rows_per_class)
    if problems:
        raise DataError([Problem(where, problem) for problem in problems])
    return kept, facts | application.tally(parts["train"], facts)


def _write_split(path: Path, frame: pd.DataFrame, application: Application, facts: Facts) -> None:
    import pyarrow as pa

    places = {"file": frame["file"].to_list(), "row": frame["row"].to_list()}
    table = pa.table(places | application.finish(frame, facts))
    arrow.write(path, table.to_batches(max_chunksize=BATCH), table.schema)
