"""Which rows stay: row checks, duplicates inside a split, the same text in two splits."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Literal

from configs.schema import Pipeline
from configs.values import Severity
from tasks.applications.base import Application, Reasons
from tasks.contract.frames import SPLITS, Raw
from tasks.errors import DataError, Problem

if TYPE_CHECKING:
    import pandas as pd
    from pandera.pandas import DataFrameSchema

Rule = Literal["duplicates", "leakage"]
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


def refuse_numbers(raw: Raw, names: list[str]) -> None:
    """Refuse a text column that holds numbers: the mapping is wrong.

    Raises:
        DataError: for each such column.
    """
    problems = []
    for column in names:
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


def identity(frame: pd.DataFrame, keys: tuple[str, ...]) -> pd.Series[str]:
    """The values of some columns as one text, white space at their ends ignored."""
    columns = [frame[key].map(lambda value: str(value).strip()) for key in keys if key in frame]
    joined = columns[0]
    for column in columns[1:]:
        joined = joined + "\n" + column
    return joined


def duplicates(frame: pd.DataFrame, keys: tuple[str, ...]) -> Reasons:
    """Rows that repeat an earlier row of their split."""
    if frame.empty:
        return {}
    work = frame[["split", "row"]].assign(identity=identity(frame, keys))
    first = work.groupby(["split", "identity"], sort=False)["row"].transform("first")
    inside = work.duplicated(["split", "identity"])
    return {
        int(index): [
            f"duplicate: the same text as row {first[index]} of the {work.split[index]} split"
        ]
        for index in work.index[inside]
    }


def leaks(frame: pd.DataFrame, keys: tuple[str, ...]) -> Reasons:
    """Rows whose text another split keeps."""
    if frame.empty:
        return {}
    rank = frame["split"].map({split: rank for rank, split in enumerate(KEPT_FIRST)})
    best = rank.groupby(identity(frame, keys)).transform("min")
    return {
        int(index): [f"leakage: the same text is in the {KEPT_FIRST[int(best.loc[index])]} split"]
        for index in frame.index[rank > best]
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


def screen(raw: Raw, application: Application, config: Pipeline) -> Any:
    """Run every row rule.

    Returns:
        The frame of the rows that stay, the reasons of those that leave, and counts by rule.
    """
    data, contract = config.data, config.contract
    texts = [column.name for column in application.columns(data) if column.kind == "text"]
    refuse_numbers(raw, [name for name in texts if name in raw.frame])
    reasons = violations(raw.frame, application.contract(config))
    whole = raw.frame.drop(index=list(reasons))
    reasons |= application.findings(whole, config)
    counts = {"form": len(reasons)}
    frame = raw.frame.drop(index=list(reasons))
    searches: list[tuple[Rule, Any]] = [("duplicates", duplicates), ("leakage", leaks)]
    for rule, search in searches:
        repeated = search(frame, application.identity(rule, data))
        found = {index: why for index, why in repeated.items() if index not in reasons}
        counts[rule] = len(found)
        reasons |= apply(getattr(contract, rule), found, rule, frame, raw)
    kept = raw.frame.drop(index=list(reasons))
    return kept, reasons, counts | {split: int((kept["split"] == split).sum()) for split in SPLITS}
