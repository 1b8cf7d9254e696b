"""Samples for slow rules: the rows with the smallest hashes, which no order of the rows changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from configs.language import english
from tasks.contract.rows.catalogue import Catalogue
from tasks.contract.rows.spool import SpoolReader
from tasks.contract.rules.language_detection import Detector
from tasks.contract.rules.repeats import RANK, Mask, Rows
from tasks.contract.rules.similarity import near_duplicates

BETWEEN: Final = "\n"
Pair = tuple[int, int, float]
"""The row that leaves, the row that stays, and their similarity. The one that stays is in the split
that keeps its rows earlier, then has the smaller hash."""


def smallest(rows: Catalogue, kept: Mask, size: int) -> Rows:
    """Positions of the rows with the smallest hashes, in order."""
    chosen = np.flatnonzero(kept)
    if len(chosen) > size:
        # Rows with the same hash have the same content: any of them will do.
        least = np.argpartition(rows.content[chosen], size)[:size]
        chosen = np.sort(chosen[least])
    return chosen


def in_wrong_language(
    spool: SpoolReader, sample: Rows, languages: Mapping[str, str]
) -> Iterator[tuple[int, str]]:
    """Position and reason of each text that is surely in another language than declared."""
    detectors = {name: Detector(code) for name, code in languages.items()}
    for place, table in spool.take(sample):
        for name, detector in detectors.items():
            if name not in table.column_names:
                continue
            found = detector.wrong(table[name].to_pylist())
            for row, language in enumerate(found):
                if language is not None:
                    words = english(
                        "the text is {language}, declared is {declared}",
                        language=language,
                        declared=languages[name],
                    )
                    yield int(sample[place + row]), f"{name}: {words}"


def texts_of(spool: SpoolReader, sample: Rows, columns: tuple[str, ...]) -> list[str]:
    """The texts of some rows, those of one row joined."""
    texts: list[str] = []
    for _, table in spool.take(sample):
        present = [name for name in columns if name in table.column_names]
        rows = zip(*(table[name].to_pylist() for name in present), strict=True)
        found = [BETWEEN.join(map(str, row)) for row in rows]
        texts += found or [""] * table.num_rows
    return texts


def similar_pairs(
    texts: list[str],
    equal: list[str],
    sample: Rows,
    rows: Catalogue,
    threshold: float,
    seed: int,
) -> tuple[int, list[Pair]]:
    """Nearly equal rows: how many texts were compared, and the pairs.

    Their texts reach the threshold of similarity, and what must be ``equal`` is. The ``sample`` has
    the positions of the rows of the texts.
    """
    found = near_duplicates(texts, threshold, seed=seed)
    ranks = RANK[rows.split[sample]]
    pairs = []
    for one, other, similarity in found.pairs:
        if equal[one] != equal[other]:
            continue
        stays, leaves = sorted((one, other), key=lambda i: (ranks[i], rows.content[sample[i]], i))
        pairs.append((int(sample[leaves]), int(sample[stays]), similarity))
    return found.looked_at, pairs
