"""The rules by name, and the checks of single cells and rows, run by pandera."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from configs.contract import Contract, Privacy, Rules
from configs.language import english
from configs.schema import Pipeline
from tasks.applications.base import Application, Reasons
from tasks.contract.rules import characters

if TYPE_CHECKING:
    from pandera.pandas import Check, DataFrameSchema

UNREADABLE: Final = "unreadable"
"""Rule that a line breaks which cannot be parsed; such lines are always set aside."""
REPAIRED: Final = "repaired"
"""Rule that a row breaks whose characters were repaired; the row stays."""
OWN_WORDS: Final = {
    UNREADABLE: english("A line cannot be parsed."),
    REPAIRED: english("Damaged characters of a row were mended, as `contract.repair` asks."),
}
WORDS: Final = {
    "not_nullable": ("missing", english("the value is missing")),
}
SPLIT_RULES: Final = (
    *("duplicates", "label_conflict", "leakage", "group_leakage"),
    *("near_duplicates", "near_leakage", "rare_label"),
)
ROW_RULES: Final = (
    *("missing", "wrong_type", "unknown_label", "private_label", "length"),
    *("mojibake", "replacement", "control", "html"),
)


def own_rules(rules: type[Rules]) -> list[str]:
    """Rules that only some applications have."""
    return [name for name in rules.model_fields if name not in Rules.model_fields]


def documentation(rule: str, rules: type[Rules]) -> str:
    """The documentation of a rule in the config."""
    if rule in OWN_WORDS:
        return OWN_WORDS[rule]
    section = Privacy if rule.startswith("privacy.") else rules
    field = section.model_fields.get(rule.removeprefix("privacy."))
    return " ".join((field.description or "").split()) if field else ""


def group(rule: str) -> str:
    """The part of the report that a rule belongs to."""
    if rule in SPLIT_RULES:
        return "splits"
    known = rule in OWN_WORDS or rule.startswith("privacy.") or rule in Rules.model_fields
    return "form" if known else "application"


def form_schema(texts: Iterable[str], contract: Contract) -> DataFrameSchema:
    """Checks of the characters of every text column."""
    from pandera.pandas import Column, DataFrameSchema

    least, most = contract.min_characters, contract.max_characters
    bounds = english("expected {least:,} to {most:,} characters", least=least, most=most)
    checks = [
        _arrow_check("missing", english("the text has nothing to see"), characters.missing),
        _arrow_check("length", bounds, lambda texts: characters.length(texts, least, most)),
        _arrow_check(
            "mojibake", english("UTF-8 was read in another encoding"), characters.mojibake
        ),
        _arrow_check("replacement", english("a replacement character"), characters.replacement),
        _arrow_check("control", english("control characters"), characters.control),
        _arrow_check("html", english("remains of HTML"), characters.html),
    ]
    return DataFrameSchema({name: Column(None, checks, nullable=True) for name in texts})


def _arrow_check(
    rule: str, words: str, broken: Callable[[characters.Texts], characters.Flags]
) -> Check:
    from pandera.pandas import Check

    def check(values: pd.Series[Any]) -> pd.Series[bool]:
        return pd.Series(~broken(values.array.__arrow_array__()), index=values.index)

    return Check(check, name=f"{rule}: {words}")


def violations(frame: pd.DataFrame, schema: DataFrameSchema) -> Reasons:
    """Rows that break a schema with checks named ``rule: words``; never the content of a cell."""
    from pandera.errors import SchemaErrors

    reasons: Reasons = defaultdict(list)
    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases
        places = zip(cases["index"], cases["column"], cases["check"], strict=True)
        for index, column, check in places:
            rule, words = _named(str(check))
            reason = (rule, f"{column}: {words}")
            if reason not in reasons[int(index)]:
                reasons[int(index)].append(reason)
    return dict(reasons)


def _named(check: str) -> tuple[str, str]:
    if check in WORDS:
        return WORDS[check]
    rule, _, words = check.partition(": ")
    return rule, words


def severity(rule: str, contract: Contract) -> str:
    """What a rule does to a row that breaks it."""
    if rule in OWN_WORDS:
        return "quarantine" if rule == UNREADABLE else "repair"
    kind = rule.removeprefix("privacy.")
    section = contract.rules if kind == rule else contract.privacy
    return str(getattr(section, kind))


def merge(*all_reasons: Reasons) -> Reasons:
    """Reasons of several checks, by row."""
    merged: Reasons = defaultdict(list)
    for reasons in all_reasons:
        for index, found in reasons.items():
            merged[index] += found
    return dict(merged)


def checked(application: Application, config: Pipeline) -> list[str]:
    """The rules for single rows."""
    about_labels = {
        "unknown_label": bool(config.data.labels),
        "private_label": _labelled(application, config),
    }
    general = [rule for rule in ROW_RULES if about_labels.get(rule, True)]
    repaired = [REPAIRED] if config.contract.repair else []
    return [
        *general,
        *own_rules(type(config.contract.rules)),
        *repaired,
        *(f"privacy.{kind}" for kind in private_kinds(config.contract)),
    ]


def _labelled(application: Application, config: Pipeline) -> bool:
    columns = application.rows.columns(config.data)
    return any(column.name in ("label", "labels") for column in columns)


def private_kinds(contract: Contract) -> tuple[str, ...]:
    """Kinds of private data to look for; national ids only with declared countries."""
    privacy = contract.privacy
    kinds = (*privacy.treated("redact"), *privacy.treated("refuse"))
    return tuple(kind for kind in kinds if kind != "national_id" or privacy.countries)


def is_blank(value: object) -> bool:
    """Whether a value is a text without anything to see."""
    return isinstance(value, str) and not value.strip()


def is_number(value: object) -> bool:
    """Whether a value is a number, or the text of one."""
    try:
        float(value)  # type: ignore[arg-type]
    except OverflowError:
        return True
    except (TypeError, ValueError):
        return False
    return True
