"""Whether the contract accepts the data, once every row is checked and the quarantine written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from configs.contract import Contract
from configs.errors import DataError, Problem
from configs.language import english
from configs.schema import Pipeline
from tasks.applications.base import Application, Facts
from tasks.contract.passes.cross_row_checks import CrossRowResult
from tasks.contract.rows.quarantine import QuarantineSummary
from tasks.contract.rules import cells
from tasks.contract.sources.splits import SPLITS

MOST_REASONS: Final = 5
"""Kinds of reasons that a message names."""


def accept(
    config: Pipeline,
    application: Application,
    checked: CrossRowResult,
    quarantine: QuarantineSummary,
) -> Facts:
    """Learn the facts of the rows that stay.

    Raises:
        DataError: the contract refuses the data, nothing can be learned from them, or the splits
            cannot be made or lack rows.
    """
    if problems := list(_refusals(config, checked, quarantine)):
        raise DataError(problems)
    census = checked.census(checked.first.layout.texts(config, application))
    # Before the splits: a column that holds no labels cannot be split by label either.
    facts: Facts = application.learning.learn(census, config.data)
    if checked.problems:
        raise DataError(checked.problems)
    empty = [split for split in SPLITS if not census.rows(split)]
    problems = [
        Problem(_file(checked, split), english("no row is left for the {split} split", split=split))
        for split in empty
    ]
    minimum = rare_minimum(config.contract)
    found = application.rules.dataset_problems(census, facts, minimum)
    problems += [Problem(_file(checked, "train"), problem) for problem in found]
    if problems:
        raise DataError(problems)
    return facts


def rare_minimum(contract: Contract) -> int:
    """The fewest training rows of a label that a run is not refused for."""
    return contract.min_rows_per_class if contract.rules.rare_label == "refuse" else 1


def _file(checked: CrossRowResult, split: str) -> str:
    """The first file of a split; one that is made of training rows has theirs."""
    files = {part.task.part.split: part.task.part.file for part in reversed(checked.first.parts)}
    return files.get(split, files["train"])


def _refusals(
    config: Pipeline, checked: CrossRowResult, quarantine: QuarantineSummary
) -> Iterator[Problem]:
    if checked.rows_read()["train"]:
        yield from _broken_rules(config, checked)
        yield from _too_many(config, checked, quarantine)
    else:
        where = checked.first.layout.files[0] if checked.first.total else "data.train"
        yield Problem(where, english("expected rows, found only a header"))


def _broken_rules(config: Pipeline, checked: CrossRowResult) -> Iterator[Problem]:
    """Rules that allow no row to break them."""
    for rule, count in checked.findings.found.items():
        if cells.severity(rule, config.contract) == "refuse":
            place, reason, _ = checked.findings.examples[rule][0]
            section = "privacy" if rule.startswith("privacy.") else "rules"
            setting = f"contract.{section}.{rule.removeprefix('privacy.')}"
            rows = english("1 row breaks")
            if count > 1:
                rows = english("{count:d} rows break", count=count)
            message = english(
                "{words} the rule `{rule}`, and {setting} is `refuse`",
                words=rows,
                rule=rule,
                setting=setting,
            )
            yield Problem(str(place), message, reason)


def _too_many(
    config: Pipeline, checked: CrossRowResult, quarantine: QuarantineSummary
) -> Iterator[Problem]:
    limit = config.contract.max_quarantined
    left_out = len(checked.dropped) + len(checked.superseded) + checked.first.empty
    total = checked.first.total - left_out
    if quarantine.rows <= limit * total or quarantine.first is None:
        return
    ranked = sorted(quarantine.reasons.items(), key=lambda item: (-item[1], item[0]))
    named = "; ".join(
        english("{n:d} x {reason}", n=n, reason=reason) for reason, n in ranked[:MOST_REASONS]
    )
    if len(ranked) > MOST_REASONS:
        more = english("and {count:d} more kinds", count=len(ranked) - MOST_REASONS)
        named += f"; {more}"
    message = english(
        "{rows:d} of {total:d} rows break the contract, more than {limit:.1%} ({words})",
        rows=quarantine.rows,
        total=total,
        limit=limit,
        words=named,
    )
    conflicts = quarantine.rows - checked.conflicting() <= limit * total
    yield Problem(str(quarantine.first), message, _advice(config, quarantine, conflicts))


def _advice(config: Pipeline, quarantine: QuarantineSummary, conflicts: bool) -> str:
    """What to do; ``conflicts`` if only several targets of one input exceed the limit."""
    path = quarantine.path
    if not conflicts:
        return english("see {path}, repair the rows, or raise contract.max_quarantined", path=path)
    several = english("set contract.rules.label_conflict: quarantine and raise max_quarantined")
    if config.data.id_column is None:
        return english(
            "see {path}; if a later export corrects labels, declare data.id_column, and the last "
            "row with an id and its text is used; if people disagree, {several}",
            path=path,
            several=several,
        )
    return english(
        "see {path}; rows with different ids disagree: correct them, or {several}",
        path=path,
        several=several,
    )
