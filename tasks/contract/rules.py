"""Which rows stay: row checks, duplicates inside a split, the same text in two splits."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from configs.schema import Contract, Severity
from tasks.applications.base import Application
from tasks.contract.frames import SPLITS, Raw
from tasks.errors import DataError, Problem

if TYPE_CHECKING:
    import pandas as pd
    from pandera.pandas import DataFrameSchema

Reasons = dict[int, list[str]]
CHECK_WORDS = {"not_nullable": "the value is missing", "column_in_dataframe": "no such column"}
KEPT_FIRST = ("test", "validation", "train")


def violations(frame: pd.DataFrame, schema: DataFrameSchema) -> Reasons:
    """Run a pandera schema and return the reasons by row index, without any cell's content."""
    from pandera.errors import SchemaErrors

    reasons: Reasons = defaultdict(list)
    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases
        for index, column, check in zip(
            cases["index"], cases["column"], cases["check"], strict=True
        ):
            reason = f"{column}: {CHECK_WORDS.get(str(check), str(check))}"
            if reason not in reasons[int(index)]:
                reasons[int(index)].append(reason)
    return dict(reasons)


def refuse_numbers(raw: Raw, application: Application) -> None:
    """Refuse a text column that holds numbers: the mapping is wrong.

    Raises:
        DataError: for each such column.
    """
    problems = []
    for column in (c.name for c in application.columns if c.kind == "text"):
        sample = raw.frame[column].dropna().head(1000)
        if len(sample) and sample.map(_is_number).all():
            message = f"expected text in column {column!r}, found only numbers"
            advice = f"name the column with the text in data.columns.{column}"
            problems.append(Problem(raw.files[0], message, advice))
    if problems:
        raise DataError(problems)


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except OverflowError:
        return True
    except (TypeError, ValueError):
        return False
    return True


def repeats(frame: pd.DataFrame, keys: list[str]) -> tuple[Reasons, Reasons]:
    """Find repeated texts.

    Returns:
        Rows that repeat an earlier row of their split, and rows whose text another split keeps.
    """
    identity = frame[keys].apply(lambda column: column.str.strip()).agg("\n".join, axis=1)
    if frame.empty:
        return {}, {}
    work = frame[["split", "file", "row"]].assign(identity=identity)
    first = work.groupby(["split", "identity"], sort=False)["row"].transform("first")
    inside = work.duplicated(["split", "identity"])
    duplicates = {
        int(index): [
            f"duplicate: the same text as row {first[index]} of the {work.split[index]} split"
        ]
        for index in work.index[inside]
    }
    return duplicates, _leaks(work)


def _leaks(work: pd.DataFrame) -> Reasons:
    rank = work["split"].map({split: rank for rank, split in enumerate(KEPT_FIRST)})
    best = rank.groupby(work["identity"]).transform("min")
    return {
        int(index): [f"leakage: the same text is in the {KEPT_FIRST[int(best.loc[index])]} split"]
        for index in work.index[rank > best]
    }


def apply(severity: Severity, found: Reasons, rule: str, frame: pd.DataFrame, raw: Raw) -> Reasons:
    """Decide by severity which of the found rows leave.

    Raises:
        DataError: the severity is ``refuse`` and a row was found.
    """
    if severity == "refuse" and found:
        first = frame.loc[min(found), ["file", "row"]].to_dict()
        where = f"{raw.files[first['file']]} row {first['row']}"
        message = f"{len(found)} rows break the rule `{rule}`, and contract.{rule} is `refuse`"
        raise DataError(Problem(where, message, found[min(found)][0]))
    return found if severity == "quarantine" else {}


def screen(raw: Raw, application: Application, contract: Contract, schema: DataFrameSchema) -> Any:
    """Run every row rule.

    Returns:
        The frame of the rows that stay, the reasons of those that leave, and counts by rule.
    """
    refuse_numbers(raw, application)
    reasons = violations(raw.frame, schema)
    counts = {"form": len(reasons)}
    frame = raw.frame.drop(index=list(reasons))
    keys = [column.name for column in application.columns if column.kind == "text"]
    duplicates, leaks = repeats(frame, keys)
    for rule, repeated in (("duplicates", duplicates), ("leakage", leaks)):
        found = {index: why for index, why in repeated.items() if index not in reasons}
        counts[rule] = len(found)
        reasons |= apply(getattr(contract, rule), found, rule, frame, raw)
    kept = raw.frame.drop(index=list(reasons))
    return kept, reasons, counts | {split: int((kept["split"] == split).sum()) for split in SPLITS}
