"""Strict metrics of entities: one is correct if its characters and type are those of a true one.

Precision, recall and F1 are those of conlleval (Tjong Kim Sang and Buchholz 2000), as seqeval
computes them; macro averages are over the types that occur as true or predicted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from tasks.applications.base import Predictions
from tasks.applications.entities.learning import NONE
from tasks.applications.entities.serving import Entity, merge
from tasks.applications.scoring import Scorer

if TYPE_CHECKING:
    from matplotlib.figure import Figure


PARTS: Final = ("precision", "recall", "f1")
METRICS: Final = ("f1", "precision", "recall", "macro_f1", "macro_precision", "macro_recall")
Floats = NDArray[np.float64]
Span = tuple[int, int, str]


def ratios(sums: Floats) -> Floats:
    """Precision, recall and F1 from right, predicted and true entities, both of shape (..., 3).

    They are 0 where undefined, as in seqeval.
    """
    right, predicted, true = np.moveaxis(sums.astype(np.float64), -1, 0)
    bottoms = np.stack([predicted, true, (predicted + true) / 2])
    tops = np.broadcast_to(right, bottoms.shape)
    values = np.divide(tops, bottoms, out=np.zeros_like(bottoms), where=bottoms > 0)
    return np.moveaxis(values, 0, -1)


def measure(metric: str, sums: Floats) -> Floats:
    """One of :data:`METRICS`, of shape (samples,).

    The ``sums`` are right, predicted and true entities by type, of shape (samples, types, 3).
    """
    part = PARTS.index(metric.removeprefix("macro_"))
    if not metric.startswith("macro_"):
        micro: Floats = ratios(sums.sum(1))[:, part]
        return micro
    occurs = sums.sum(2) > 0
    totals = (ratios(sums)[..., part] * occurs).sum(1)
    macro: Floats = totals / np.maximum(occurs.sum(1), 1)
    return macro


class EntityScorer(Scorer):
    """Counts right, predicted and true entities of each row by type, in the types' frozen order."""

    def __init__(self, types: Sequence[str]) -> None:
        self.types = list(types)
        self._true: dict[int, set[Span]] = {}
        self._found: dict[int, list[Entity]] = {}

    def update(self, targets: Mapping[str, Any], predictions: Predictions) -> None:
        """Take in rows, or windows of rows if there is a ``row``.

        Args:
            targets: ``entities`` of each entry, each with ``start``, ``end`` and ``label``.
            predictions: ``entities`` of each entry, and its ``row`` where it is a window.
        """
        rows = predictions.get("row", count(len(self._true)))
        entries = zip(rows, targets["entities"], predictions["entities"], strict=False)
        for row, true, found in entries:
            self._true[int(row)] = {(one["start"], one["end"], one["label"]) for one in true}
            self._found.setdefault(int(row), []).extend(Entity(**one) for one in found)
        self.__dict__.pop("_counts", None)

    def rows(self) -> list[tuple[int, set[Span], list[Entity]]]:
        """Position, true and predicted entities of each row."""
        return [(row, true, merge(self._found[row])) for row, true in sorted(self._true.items())]

    @cached_property
    def _counts(self) -> NDArray[np.int64]:
        """Right, predicted and true entities, of shape (rows, types, 3)."""
        rows = self.rows()
        place = {label: at for at, label in enumerate(self.types)}
        counts = np.zeros((len(rows), len(self.types), 3), dtype=np.int64)
        for at, (_, true, found) in enumerate(rows):
            for span in true:
                counts[at, place[span[2]], 2] += 1
            for entity in found:
                counts[at, place[entity.label], 1] += 1
                counts[at, place[entity.label], 0] += entity[:3] in true
        return counts

    def metrics(self) -> dict[str, float]:
        counts = self._counts
        sums = counts.sum(0)[None]
        values = {metric: float(measure(metric, sums)[0]) for metric in METRICS}
        return values | {"rows": float(len(counts))}

    def resampled(self, metric: str, weights: NDArray[np.int64]) -> Floats:
        counts = self._counts
        flat = counts.reshape(len(counts), -1).astype(np.float64)
        sums = (weights @ flat).reshape(-1, *counts.shape[1:])
        return np.where(weights.any(1), measure(metric, sums), np.nan)

    def effective_rows(self, metric: str) -> int:
        found = self._counts.sum(2) > 0
        supports = found.sum(0)[found.any(0)]
        if metric.startswith("macro"):
            return len(supports) * int(supports.min(initial=len(found)))
        return int(found.any(1).sum())

    def correctness(self) -> Floats:
        """Whether the row's entities are all found, and nothing else."""
        right, predicted, true = self._counts.sum(1).T
        same: Floats = ((right == predicted) & (right == true)).astype(np.float64)
        return same

    def details(self, metrics: Mapping[str, float]) -> list[dict[str, Any]]:
        sums = self._counts.sum(0)
        return [
            {"label": label}
            | dict(zip(PARTS, map(float, values), strict=True))
            | {"predicted": int(counts[1]), "support": int(counts[2])}
            for label, values, counts in zip(self.types, ratios(sums), sums, strict=True)
        ]

    def mistakes(self, limit: int) -> list[dict[str, Any]]:
        """Wrong entities, most confident first, then entities that were not found."""
        wrong: list[dict[str, Any]] = []
        missed: list[dict[str, Any]] = []
        for row, true, found in self.rows():
            spans = {entity[:3] for entity in found}
            for entity in found:
                if entity[:3] not in true:
                    wrong.append({"position": row} | entity._asdict() | _kind(entity, true))
            for start, end, label in sorted(true - spans):
                if not any(start < other.end and other.start < end for other in found):
                    place = {"position": row, "start": start, "end": end, "label": label}
                    missed.append(place | {"score": 0.0, "mistake": "not found", "true": label})
        return [*sorted(wrong, key=lambda one: -one["score"]), *missed][:limit]

    def matrix(self) -> dict[str, Any]:
        """True against predicted types of equal characters; the last label is for no entity."""
        labels = [*self.types, NONE]
        place = {label: at for at, label in enumerate(labels)}
        counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
        for _, true, found in self.rows():
            real = {(start, end): label for start, end, label in true}
            guessed = {(entity.start, entity.end): entity.label for entity in found}
            pairs = Counter((real.get(at, NONE), guessed.get(at, NONE)) for at in real | guessed)
            for (one, two), number in pairs.items():
                counts[place[one], place[two]] += number
        return {"labels": labels, "counts": counts.tolist()}

    def figures(self) -> dict[str, Figure]:
        from tasks.applications.shared.classification.scores import figures as draw

        f1 = [row["f1"] for row in self.details({})]
        return {"f1_by_type": draw.f1_bars(f1, self.types)}

    def signatures(self) -> dict[str, str]:
        return {"f1": "micro, strict: exact characters and type, as seqeval"}


def _kind(entity: Entity, true: Iterable[Span]) -> dict[str, str]:
    """What is wrong with an entity, and the type of the true one that it overlaps."""
    met = [span for span in sorted(true) if span[0] < entity.end and entity.start < span[1]]
    if not met:
        return {"mistake": "no entity", "true": NONE}
    same_place = [span for span in met if span[:2] == (entity.start, entity.end)]
    label = (same_place or met)[0][2]
    if same_place:
        return {"mistake": "type", "true": label}
    return {"mistake": "characters" if label == entity.label else "characters and type"} | {
        "true": label
    }
