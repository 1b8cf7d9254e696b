"""The dictionary of training entities."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from tasks.applications.entities.baseline import KnownEntities
from tasks.applications.entities.learning import EntityFacts

FACTS = EntityFacts(inputs=("text",), labels=("A", "B"))
TRAINING = [
    ("May Lee met May in May.", [(0, 7, "A"), (12, 15, "A"), (19, 22, "B")]),
    ("In May, in MAY, in may.", [(3, 6, "B"), (11, 14, "B"), (19, 22, "B")]),
    ("Order FH-20931 came.", [(6, 14, "A")]),
]


def spans(found: list[tuple[int, int, str]]) -> list[dict[str, Any]]:
    """Entities as rows have them."""
    return [dict(zip(("start", "end", "label"), one, strict=True)) for one in found]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("may i ask May Lee?", [(0, 3, "B"), (10, 17, "A")]),
        ("FH-20931 and FH - 20931, not FH-20932", [(0, 8, "A"), (13, 23, "A")]),
        ("Maybe", []),
        ("", []),
    ],
)
def test_the_longest_known_entity_wins(text: str, found: list[tuple[int, int, str]]) -> None:
    frames = [
        pd.DataFrame({"text": [words], "entities": [spans(annotated)]})
        for words, annotated in TRAINING
    ]
    known = KnownEntities().fit(frames, FACTS)
    answers = known.predict(pd.DataFrame({"text": [text]}), FACTS)
    assert answers == {"entities": [[one | {"score": 1.0} for one in spans(found)]]}


def test_nothing_is_known_before_training() -> None:
    answers = KnownEntities().predict(pd.DataFrame({"text": ["May"]}), FACTS)
    assert answers == {"entities": [[]]}
