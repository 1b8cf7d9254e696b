"""Rows of entities through repair, private data and the rules."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.applications.entities.annotations import Broken
from tasks.applications.entities.rows import EntityRows
from tasks.contract.rows.rewriting import RepairedText
from tasks.contract.rules import characters
from tasks.contract.rules.privacy import KINDS, Recognizer
from tasks.contract.rules.redaction import Redactor

PRIVATE = ("dana@example.org", "+49 30 901820", "4111 1111 1111 1111", "8.8.8.8")
PIECES = st.one_of(
    st.text("ab é\u0301退ร👨", min_size=1, max_size=6).map(str.strip).filter(bool),
    st.sampled_from(["Dana", "3 March", "[EMAIL_1]", *PRIVATE]),
)


@given(pieces=st.lists(st.tuples(PIECES, st.booleans()), min_size=1, max_size=8))
def test_entities_stay_exact_when_private_data_is_replaced(
    pieces: list[tuple[str, bool]],
) -> None:
    text, spans = "", []
    for piece, marked in pieces:
        start = len(text) + bool(text)
        text = f"{text} {piece}" if text else piece
        if marked:
            spans.append({"start": start, "end": len(text), "label": "A"})
    private = Recognizer(KINDS).find(text)
    redacted = Redactor(Recognizer(KINDS), KINDS).redact(text)
    moved = EntityRows().realign(spans, {"text": redacted})
    assert [one["label"] for one in moved] == ["A"] * len(spans)
    for old, new in zip(spans, moved, strict=True):
        before = text[old["start"] : old["end"]]
        after = redacted.text[new["start"] : new["end"]]
        if any(one.start < old["end"] and old["start"] < one.end for one in private):
            assert "_" in after
            assert after == after.strip()
        else:
            assert after == before


def test_an_entity_that_is_private_becomes_its_placeholder() -> None:
    text = "Write to dana@example.org today."
    redacted = Redactor(Recognizer(KINDS), KINDS).redact(text)
    spans = [{"start": 9, "end": 13, "label": "PERSON"}, {"start": 26, "end": 31, "label": "DATE"}]
    moved = EntityRows().realign(spans, {"text": redacted})
    found = [redacted.text[one["start"] : one["end"]] for one in moved]
    assert found == ["[EMAIL_1]", "today"]


def test_entities_follow_mended_characters() -> None:
    text = "Der KÃ¤ufer aus KÃ¶ln zahlt."
    mended = RepairedText(text, characters.repair(text))
    spans = [{"start": 16, "end": 21, "label": "PLACE"}]
    (moved,) = EntityRows().realign(spans, {"text": mended})
    assert mended.text[moved["start"] : moved["end"]] == "Köln"


def test_an_entity_of_half_a_damaged_character_is_broken() -> None:
    text = "aus KÃ¶ln"
    mended = RepairedText(text, characters.repair(text))
    moved = EntityRows().realign([{"start": 4, "end": 6, "label": "PLACE"}], {"text": mended})
    assert isinstance(moved, Broken)


@pytest.mark.parametrize("cell", [Broken((("entity_span", "…"),)), "what cannot be read", None])
def test_what_is_no_list_of_entities_stays_as_it_is(cell: object) -> None:
    mended = RepairedText("a", "bb")
    assert EntityRows().realign(cell, {"text": mended}) is cell


def test_entities_stay_where_no_text_changed() -> None:
    spans = [{"start": 0, "end": 1, "label": "A"}]
    assert EntityRows().realign(spans, {}) is spans


def test_entities_are_stored_from_left_to_right() -> None:
    cells: list[list[dict[str, Any]]] = [
        [{"start": 5, "end": 6, "label": "A"}, {"start": 0, "end": 1, "label": "B"}],
        [],
    ]
    frame = pd.DataFrame({"text": ["a bcd e", "x"], "entities": pd.Series(cells, dtype=object)})
    assert EntityRows().target_keys(frame).to_list() == [("A", "B"), ()]
