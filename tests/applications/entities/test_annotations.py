"""Annotated cells: spans, triples, tokens with tags, as lists and as JSON text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.applications.entities.annotations import Broken, canonical, is_read
from tasks.applications.entities.tags import Scheme, TokenSpan
from tests.support.tags import tags_of

TEXT = "Dana paid on 3 March."
SPANS = [
    {"start": 0, "end": 4, "label": "PERSON"},
    {"start": 13, "end": 20, "label": "DATE"},
]
TOKENS = ["Dana", "paid", "on", "3", "March", "."]
TAGS = ["B-PERSON", "O", "O", "B-DATE", "I-DATE", "O"]
JOINED = "Dana paid on 3 March ."


@pytest.mark.parametrize(
    "cell",
    [
        SPANS,
        [one | {"text": "…", "score": 1} for one in SPANS],
        [tuple(one.values()) for one in SPANS],
        [list(one.values()) for one in SPANS],
        json.dumps(SPANS),
        str(SPANS),
        [{**one, "start": float(one["start"])} for one in SPANS],
    ],
)
def test_spans_are_read_in_every_form(cell: object) -> None:
    assert canonical(TEXT, cell) == (TEXT, SPANS)


@pytest.mark.parametrize("text", [TOKENS, tuple(TOKENS), JOINED, str(TOKENS)])
@pytest.mark.parametrize("tags", [TAGS, json.dumps(TAGS), " ".join(TAGS), str(TAGS)])
def test_tokens_with_tags_become_a_text_with_spans(text: object, tags: object) -> None:
    assert canonical(text, tags) == (JOINED, SPANS)


def test_tags_may_be_numbers_of_declared_names() -> None:
    names = ["O", "B-PERSON", "B-DATE", "I-DATE"]
    assert canonical(TOKENS, [1, 0, 0, 2, 3, 0], names=names) == (JOINED, SPANS)


@pytest.mark.parametrize("cell", [[], (), "[]"])
def test_a_row_may_have_no_entity(cell: object) -> None:
    assert canonical(TEXT, cell) == (TEXT, [])


@pytest.mark.parametrize(
    "cell",
    [
        None,
        4,
        {"start": 0},
        [{"start": 0, "end": 4}],
        [{"start": "0", "end": 4, "label": "A"}],
        [{"start": True, "end": 4, "label": "A"}],
        [{"start": 0, "end": 4, "label": " "}],
        [[0, 4]],
        [1, 2],
        "{}",
    ],
)
def test_what_cannot_be_read_can_be_hashed(cell: object) -> None:
    text, found = canonical(TEXT, cell)
    assert text == TEXT
    assert not is_read(found)
    hash(found)


@pytest.mark.parametrize(
    ("spans", "reasons"),
    [
        ([(-1, 4)], ["entity_span: entity 1: it is outside of the text"]),
        ([(0, 22)], ["entity_span: entity 1: it is outside of the text"]),
        ([(4, 0)], ["entity_span: entity 1: it is outside of the text"]),
        ([(4, 4)], ["entity_span: entity 1: it is empty"]),
        ([(4, 5)], ["entity_span: entity 1: it is empty"]),
        ([(4, 9)], ["entity_span: entity 1: it begins or ends with white space"]),
        ([(5, 10)], ["entity_span: entity 1: it begins or ends with white space"]),
        ([(5, 12), (0, 9)], ["entity_overlap: entities 1 and 2 overlap"]),
        ([(0, 4), (0, 4)], ["entity_overlap: entities 1 and 2 overlap"]),
        (
            [(0, 99), (0, 4), (5, 5)],
            [
                "entity_span: entity 1: it is outside of the text",
                "entity_span: entity 3: it is empty",
            ],
        ),
    ],
)
def test_misplaced_spans_are_broken(spans: list[tuple[int, int]], reasons: list[str]) -> None:
    cell = [{"start": start, "end": end, "label": "A"} for start, end in spans]
    _, found = canonical(TEXT, cell)
    assert isinstance(found, Broken)
    assert [": ".join(reason) for reason in found.reasons] == reasons


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        (TAGS[:-1], "5 tags for 6 tokens"),
        (["I-A", *TAGS[1:]], "token 1: I does not continue an entity of its type"),
        (["person"] * 6, "token 1: expected O, or a prefix and a type as in B-PERSON"),
    ],
)
def test_broken_tags_are_broken(tags: list[str], reason: str) -> None:
    assert canonical(TOKENS, tags) == (JOINED, Broken((("entity_tags", reason),)))


@given(
    tokens=st.lists(st.text("aé退👨!", min_size=1, max_size=4), min_size=1, max_size=8),
    scheme=st.sampled_from(["bio", "bilou", "iob1"]),
    data=st.data(),
)
def test_entities_of_tokens_are_exact_parts_of_the_text(
    tokens: list[str], scheme: Scheme, data: st.DataObject
) -> None:
    entities: list[TokenSpan] = []
    at = 0
    while at < len(tokens):
        end = data.draw(st.integers(at + 1, len(tokens)))
        if data.draw(st.booleans()):
            entities.append(TokenSpan(at, end, data.draw(st.sampled_from("AB"))))
        at = end
    text, found = canonical(tokens, tags_of(entities, len(tokens), scheme), scheme)
    assert isinstance(text, str)
    assert isinstance(found, list)
    spans: list[dict[str, Any]] = found
    assert [(text[one["start"] : one["end"]], one["label"]) for one in spans] == [
        (" ".join(tokens[entity.start : entity.end]), entity.label) for entity in entities
    ]
