"""Label vocabularies: from the raw values of a column to names frozen into a model."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from configs.errors import DataError, Problem
from configs.language import english
from configs.schema import Data
from configs.training import Loss
from configs.values import ABSENT, label_key
from tasks.applications.facts import Census, Facts

if TYPE_CHECKING:
    import pandas as pd


MOST_LABELS = 1000
LONGEST_SHOWN = 40
SEPARATORS = "|,;"
DECIMAL = re.compile(r"[+-]?([0-9]{1,20}(\.[0-9]{0,20})?|\.[0-9]{1,20})([eE][+-]?[0-9]{1,3})?")
MARKS = {"'": "'", '"': '"', "`": "`", "\u2018": "\u2019", "\u201c": "\u201d", "\u00ab": "\u00bb"}
"""Quotation marks that open, and those that close."""
VARIATIONS = "".join(map(chr, range(0xFE00, 0xFE10)))
"""Variation selectors, by which a sign is drawn in colour or not."""
INTEGER = re.compile(r"-?[0-9]{1,20}")


@dataclass(frozen=True, kw_only=True)
class ClassificationFacts(Facts):
    """What a classifier freezes.

    Attributes:
        labels: in their frozen order.
        counts: training rows with each label.
        scale: of ordinal labels, the number that stands for each.
        threshold: of multiple labels, the probability from which a label is predicted.
    """

    labelling: Literal["single", "multiple", "ordinal"]
    labels: tuple[str, ...]
    counts: Mapping[str, int]
    rows: int
    scale: tuple[float, ...] | None = None
    threshold: float | None = None

    @property
    def frequencies(self) -> list[int]:
        """Training rows with each label, in the order of the labels."""
        return [self.counts[label] for label in self.labels]

    @property
    def numbers(self) -> tuple[float, ...]:
        """The scale; empty where labels have no order."""
        return self.scale or ()


def declared(data: Data) -> tuple[str, ...] | None:
    """The label names that the config lists, in its order."""
    if isinstance(data.labels, dict):
        return tuple(dict.fromkeys(data.labels.values()))
    return data.labels


def vocabulary(counts: Mapping[str, int], data: Data, target: str = "label") -> list[str]:
    """The labels in their frozen order, from the training rows with each, or as they are declared.

    Raises:
        DataError: one class only, so many that the column cannot hold labels, or labels that can
            be read in two ways.
    """
    present, rows = set(counts), sum(counts.values())
    where = english("column {target!r}", target=data.columns.get(target, target))
    if len(present) < 2:
        found = english("found none")
        if present:
            found = english("found only {label}", label=shown(next(iter(present))))
        message = english("expected at least two labels in the training rows, {note}", note=found)
        raise DataError.at(where, message, english("a classifier needs examples of each class"))
    if len(present) > MOST_LABELS or len(present) > rows / 2 > MOST_LABELS / 20:
        message = english(
            "expected labels, found {present} distinct values in {rows} rows",
            present=len(present),
            rows=rows,
        )
        raise DataError.at(
            where,
            message,
            english("name the label column with data.columns.{target}", target=target),
        )
    names = declared(data)
    if names is not None:
        return list(names)
    require_one_reading(counts, where)
    _require_separate(present, where, data)
    return sorted(present, key=natural)


def require_one_reading(counts: Mapping[str, int], where: str) -> None:
    """Refuse undeclared labels that can be read in two ways.

    Raises:
        DataError: with all of them.
    """
    problems = [*_alike(counts, where), *_absent(counts, where), *_quoted(counts, where)]
    if problems:
        raise DataError(problems)


def _absent(counts: Mapping[str, int], where: str) -> Iterator[Problem]:
    """Labels that are what programs write for a missing value."""
    for label in sorted(ABSENT & counts.keys()):
        yield Problem(
            where,
            english(
                "{label} ({counts}) may be a label, or mean that there is none",
                label=shown(label),
                counts=_rows(counts[label]),
            ),
            english(
                "for a label, list every label in data.labels; otherwise leave these cells empty"
            ),
        )


def _quoted(counts: Mapping[str, int], where: str) -> Iterator[Problem]:
    """Labels all of which are in quotation marks."""
    if all(len(label) > 2 and MARKS.get(label[0]) == label[-1] for label in counts):
        first = shown(min(counts))
        yield Problem(
            where,
            english("{first} may be a label with its quotation marks or without", first=first),
            english(
                "for labels without, map every value in data.labels, as in {{{first}: name}}; for "
                "labels with them, list every label in data.labels",
                first=first,
            ),
        )


def _alike(counts: Mapping[str, int], where: str) -> Iterator[Problem]:
    """Labels that may be one label in two ways of writing."""
    looks: dict[str, list[str]] = defaultdict(list)
    for label in sorted(counts):
        looks[_look(label)].append(label)
    yield from (
        Problem(
            where,
            english(
                "{alike} may be one label or several",
                alike=" and ".join(f"{shown(one)} ({_rows(counts[one])})" for one in alike),
            ),
            english(
                "for one, map every value in data.labels, as in "
                "{{{alike}: {alike2}}}; for several, list every label in "
                "data.labels",
                alike=shown(alike[0]),
                alike2=shown(alike[-1]),
            ),
        )
        for alike in looks.values()
        if len(alike) > 1
    )


def _rows(count: int) -> str:
    return english("1 row") if count == 1 else english("{rows:d} rows", rows=count)


def _look(label: str) -> str:
    """What a label has in common with one that differs by case, width, marks or as a number."""
    text = {"true": "1", "false": "0"}.get(label, label)
    text = "".join(str(unicodedata.decimal(sign, sign)) for sign in text)
    if DECIMAL.fullmatch(text):
        return str(Decimal(text).normalize())
    marks = "".join([*MARKS, *MARKS.values()])
    folded = unicodedata.normalize("NFKC", text.strip(marks)).casefold()
    return "".join(c for c in folded if unicodedata.category(c) != "Cf" and c not in VARIATIONS)


def _require_separate(labels: Collection[str], where: str, data: Data) -> None:
    """Refuse undeclared labels that consist of others with a separator between them."""
    for separator in SEPARATORS:
        joined = sorted(label for label in labels if separator in label)
        parts = {part.strip() for label in labels for part in label.split(separator)} - {""}
        if not joined or len(parts) > len(labels) or _are_decimals(parts, separator, data):
            continue
        message = english(
            "{joined} may be one label, or several with {separator!r} between them",
            joined=shown(joined[0]),
            separator=separator,
        )
        words = f"data.label_separator: {separator!r}"
        if data.labelling != "multiple":
            words = english("data.labelling: multiple and {words}", words=words)
        advice = english(
            "for several, set {words}; for one, list every label in data.labels", words=words
        )
        raise DataError.at(where, message, advice)


def _are_decimals(parts: Collection[str], separator: str, data: Data) -> bool:
    """Whether labels are numbers with a decimal comma."""
    single = data.labelling != "multiple" and separator == ","
    return single and all(map(DECIMAL.fullmatch, parts))


def problems(census: Census, labels: Sequence[str], minimum: int) -> Iterator[str]:
    """Labels with too few training rows, and labels of other splits that training lacks."""
    counts = census.labels("train")
    for label in labels:
        if counts[label] < minimum:
            found = english(
                "expected at least {minimum} training rows, found {counts}",
                minimum=minimum,
                counts=counts[label],
            )
            yield english("label {label}: {note}", label=shown(label), note=found)
    for split in ("validation", "test"):
        for label, rows in sorted(census.labels(split).items()):
            if label not in labels:
                where = english(
                    "{rows:d} {split} rows, first at {label}",
                    rows=rows,
                    split=split,
                    label=census.place(split, label),
                )
                yield english(
                    "label {label} never occurs in training ({note})",
                    label=shown(str(label)),
                    note=where,
                )


def difference(theirs: Sequence[str], ours: Sequence[str]) -> str:
    """How the labels of two models differ."""
    lacks = ", ".join(sorted(set(ours) - set(theirs))[:5])
    more = ", ".join(sorted(set(theirs) - set(ours))[:5])
    if lacks and more:
        return english(
            "other labels: it lacks {lacks} and has besides {more}", lacks=lacks, more=more
        )
    if more:
        return english("other labels: it has besides {more}", more=more)
    return english("other labels: it lacks {lacks}", lacks=lacks)


def positions(values: pd.Series[Any], labels: Sequence[str]) -> list[int]:
    """Each value as its position in the vocabulary."""
    position = {label: index for index, label in enumerate(labels)}
    found: list[int] = values.map(position).to_list()
    return found


def class_weights(
    facts: ClassificationFacts, loss: Loss, balanced: Callable[[int], float]
) -> list[float] | None:
    """The declared weight of each label, in their order; None without weights.

    ``balanced`` takes the training rows with a label.
    """
    if loss.class_weights == "none":
        return None
    if loss.class_weights == "balanced":
        return [balanced(count) for count in facts.frequencies]
    weights = {label_key(name): weight for name, weight in loss.class_weights.items()}
    return [weights.get(label_key(label), 1.0) for label in facts.labels]


def natural(label: str) -> tuple[int, int, str]:
    """The order of labels: numbers by their value, then texts."""
    return (0, int(label), label) if INTEGER.fullmatch(label) else (1, 0, label)


def shown(label: str) -> str:
    """A label for a message; long values may be text of a row and are not shown."""
    if len(label) <= LONGEST_SHOWN:
        return repr(label)
    return english("a value of {count} characters", count=len(label))
