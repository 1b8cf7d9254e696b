"""Windows with tags, and batches of them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from tasks.applications.base import Codec
from tasks.applications.entities.learning import EntityFacts
from tasks.applications.entities.tokens import IGNORED, EntityTokens, token_tags
from tests.support.questions import tokenizer

TYPES = ("DATE", "PERSON")
FACTS = EntityFacts(inputs=("text",), labels=TYPES, stride=4)
DANA = {"start": 0, "end": 4, "label": "PERSON"}
MARCH = {"start": 8, "end": 15, "label": "DATE"}


def codec(kind: str = "wordpiece", max_length: int = 64) -> Codec:
    """A tokenizer that is its own target."""
    tokens = tokenizer(kind)
    return Codec(tokens, tokens, "token-classification", max_length)


@pytest.mark.parametrize(
    ("starts", "ends", "tags"),
    [
        ([-1, 0, 5, 8, 10, -1], [-1, 4, 7, 9, 15, -1], [IGNORED, 3, 0, 1, 2, IGNORED]),
        # Two tokens of one character, as bytes have it.
        ([0, 0, 5, 8], [4, 4, 7, 15], [3, 4, 0, 1]),
        # Tokens that reach beyond an entity, or hold only a part of it.
        ([0, 3, 7], [3, 7, 15], [3, 4, 1]),
        # A window that begins inside of an entity.
        ([10, 12], [12, 15], [2, 2]),
        ([], [], []),
    ],
)
def test_the_first_token_of_an_entity_begins_it(
    starts: list[int], ends: list[int], tags: list[int]
) -> None:
    assert token_tags(starts, ends, [DANA, MARCH], TYPES) == tags


def test_adjacent_entities_of_a_type_begin_twice() -> None:
    spans = [{"start": at, "end": at + 2, "label": "DATE"} for at in (0, 2, 4)]
    assert token_tags([0, 1, 2, 4], [1, 2, 4, 6], spans, TYPES) == [1, 2, 1, 1]


def test_entities_that_no_tokens_fit_are_counted() -> None:
    rows: dict[str, list[Any]] = {
        "text": ["Parcels wait.", "☃Ann waits.", "thirty days " * 12],
        "entities": [
            [{"start": 0, "end": 7, "label": "PERSON"}],
            # The word has a character that the tokenizer does not know, and is one token.
            [{"start": 1, "end": 4, "label": "PERSON"}],
            [{"start": 12 * at, "end": 12 * at + 6, "label": "DATE"} for at in range(12)],
        ],
    }
    encoded = EntityTokens().encode(rows, codec("wordpiece", 20), FACTS)
    assert encoded.counts is not None
    assert encoded.rows is not None
    assert encoded.counts["entities between tokens"] == 1
    assert encoded.counts["windows"] == len(encoded.rows) > 3
    assert encoded.truncated == 0
    lengths = {name: list(map(len, encoded.columns[name])) for name in ("input_ids", "labels")}
    assert lengths["input_ids"] == lengths["labels"]


def test_batches_are_padded_with_tokens_that_have_no_tag() -> None:
    rows: dict[str, list[Any]] = {
        "text": ["Parcels may be sent back.", "The"],
        "entities": [[{"start": 0, "end": 7, "label": "DATE"}], []],
    }
    encoded = EntityTokens().encode(rows, codec(), FACTS)
    table = pa.table({name: pa.array(values) for name, values in encoded.columns.items()})
    batch = EntityTokens().collate(table.append_column("row", pa.array([4, 7])), codec())
    rows_by_length = batch["input_ids"].shape
    names = ("attention_mask", "labels", "offset_start", "offset_end")
    assert {batch[name].shape for name in names} == {rows_by_length}
    hidden = batch["attention_mask"] == 0
    assert hidden[1].any()
    assert (batch["labels"][hidden] == IGNORED).all()
    assert (batch["offset_start"][hidden] == -1).all()
    assert (batch["row"].tolist(), batch["begin"].tolist()) == ([4, 7], [0, 0])
    assert batch["stop"].tolist() == list(map(len, rows["text"]))
