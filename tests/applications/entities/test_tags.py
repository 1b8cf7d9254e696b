"""Tags and the entities that they mark."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.applications.entities.tags import Scheme, TagError, TokenSpan, entities_of
from tests.support.tags import tags_of

SCHEMES: tuple[Scheme, ...] = ("bio", "bilou", "iob1")


@st.composite
def annotated(draw: st.DrawFn) -> tuple[int, list[TokenSpan]]:
    """A number of tokens, and entities that do not overlap."""
    pieces = st.tuples(st.integers(0, 3), st.integers(1, 4), st.sampled_from("AB"))
    found, at = [], 0
    for gap, length, label in draw(st.lists(pieces, max_size=6)):
        found.append(TokenSpan(at + gap, at + gap + length, label))
        at += gap + length
    return at + draw(st.integers(0, 3)), found


@pytest.mark.parametrize("scheme", SCHEMES)
@given(annotated=annotated())
def test_entities_survive_being_written_as_tags(
    scheme: Scheme, annotated: tuple[int, list[TokenSpan]]
) -> None:
    length, entities = annotated
    tags = tags_of(entities, length, scheme)
    assert len(tags) == length
    assert entities_of(tags, scheme) == entities


@given(annotated=annotated(), scheme=st.sampled_from(["bio", "bilou"]))
def test_a_scheme_is_found_by_its_tags(
    annotated: tuple[int, list[TokenSpan]], scheme: Scheme
) -> None:
    length, entities = annotated
    assert entities_of(tags_of(entities, length, scheme)) == entities


@given(annotated=annotated())
def test_iobes_is_bilou_with_other_letters(annotated: tuple[int, list[TokenSpan]]) -> None:
    length, entities = annotated
    bilou = tags_of(entities, length, "bilou")
    tags = [tag.replace("L-", "E-").replace("U-", "S-") for tag in bilou]
    assert entities_of(tags) == entities


@pytest.mark.parametrize(
    ("scheme", "tags", "entities"),
    [
        ("bio", "B-A I-A B-A O B-B", [(0, 2, "A"), (2, 3, "A"), (4, 5, "B")]),
        ("iob1", "I-A I-A B-A O I-B", [(0, 2, "A"), (2, 3, "A"), (4, 5, "B")]),
        ("iob1", "I-A I-B", [(0, 1, "A"), (1, 2, "B")]),
        ("bilou", "B-A L-A U-A O U-B", [(0, 2, "A"), (2, 3, "A"), (4, 5, "B")]),
        ("bio", "B-LOC-CITY I-LOC-CITY", [(0, 2, "LOC-CITY")]),
        ("auto", "", []),
        ("auto", "O O", []),
    ],
)
def test_tags_are_read(scheme: Scheme, tags: str, entities: list[tuple[int, int, str]]) -> None:
    assert entities_of(tags.split(), scheme) == entities


@pytest.mark.parametrize(
    ("scheme", "tags", "reason"),
    [
        ("bio", "O I-A", "token 2: I does not continue an entity of its type"),
        ("bio", "B-A I-B", "token 2: I does not continue an entity of its type"),
        ("bio", "I-A", "token 1: I does not continue an entity of its type"),
        ("bio", "U-A", "token 1: U is no tag of BIO"),
        ("auto", "I-A U-A", "token 1: I does not continue an entity of its type"),
        ("bilou", "B-A O", "token 2: the entity before it has no last token (L or E)"),
        ("bilou", "B-A B-A L-A", "token 2: the entity before it has no last token (L or E)"),
        ("bilou", "B-A I-A", "token 3: the entity before it has no last token (L or E)"),
        ("bilou", "U-A I-A", "token 2: I does not continue an entity of its type"),
        ("bilou", "B-A L-A L-A", "token 3: L does not continue an entity of its type"),
        ("bilou", "L-A", "token 1: L does not continue an entity of its type"),
        ("auto", "O person", "token 2: expected O, or a prefix and a type as in B-PERSON"),
        ("auto", "B-", "token 1: expected O, or a prefix and a type as in B-PERSON"),
        ("auto", "X-A", "token 1: expected O, or a prefix and a type as in B-PERSON"),
    ],
)
def test_broken_sequences_are_refused_with_their_token(
    scheme: Scheme, tags: str, reason: str
) -> None:
    with pytest.raises(TagError) as raised:
        entities_of(tags.split(), scheme)
    assert str(raised.value) == reason
