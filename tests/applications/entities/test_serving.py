"""Entities are exact characters of their text: through any tokenizer, windows and random models."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.applications.entities.serving import (
    OUTSIDE,
    Entity,
    Windows,
    cut_windows,
    find_entities,
    merge,
    own,
)
from tasks.applications.entities.tokens import IGNORED, token_tags
from tests.support.questions import KINDS, TEXTS, tokenizer

TYPES = ("DATE", "ORDER", "PERSON")
WILD = st.one_of(
    st.text(max_size=12),
    st.sampled_from([*TEXTS, "[SEP]", "[PAD]", "</s>", "<s>", " ", "\n", "\u0301", "\u200d"]),
    st.text("ab é\u0301退ร👨\u200d👩\ud7ff\U0010ffff", max_size=12),
)
TEXT = st.lists(WILD, min_size=1, max_size=4).map("".join)


def blocks(starts: Sequence[int], ends: Sequence[int]) -> list[tuple[int, int]]:
    """Characters that whole tokens cover; tokens that share a character are one block."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(zip(starts, ends, strict=True)):
        if start == OUTSIDE:
            continue
        if found and start < found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def some_spans(places: list[tuple[int, int]], longest: int, seed: int) -> list[dict[str, Any]]:
    """Entities of whole blocks that do not overlap; some stand side by side."""
    generator, spans, at = random.Random(seed), [], 0
    while at < len(places):
        length = generator.randint(1, longest)
        last = min(at + length, len(places)) - 1
        if generator.random() < 0.6:
            label = generator.choice(TYPES)
            spans.append({"start": places[at][0], "end": places[last][1], "label": label})
        at = last + 1
    return spans


def padded(values: list[list[int]], fill: int) -> torch.Tensor:
    """Lists as one tensor."""
    tensors = [torch.tensor(one) for one in values]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=fill)


def read(windows: Windows, logits: torch.Tensor) -> list[Entity]:
    """The entities of the one text of some windows."""
    starts, ends = padded(windows.starts, OUTSIDE), padded(windows.ends, OUTSIDE)
    found = find_entities(logits, starts, ends, TYPES)
    parts = zip(found, windows.begins, windows.stops, strict=True)
    return merge(one for part in parts for one in own(*part))


def perfect(windows: Windows, spans: list[dict[str, Any]]) -> torch.Tensor:
    """The logits of a model that knows the tag of each token."""
    sides = zip(windows.starts, windows.ends, strict=True)
    tags = padded([token_tags(*side, spans, TYPES) for side in sides], IGNORED).clamp_min(0)
    return 10.0 * torch.nn.functional.one_hot(tags, 1 + 2 * len(TYPES))


@pytest.mark.parametrize("kind", KINDS)
@given(text=TEXT, seed=st.integers(0, 99))
def test_what_a_perfect_model_finds_is_what_was_annotated(kind: str, text: str, seed: int) -> None:
    whole = cut_windows(tokenizer(kind), [text], 1000, 0)
    spans = some_spans(blocks(whole.starts[0], whole.ends[0]), 4, seed)
    expected = [(one["start"], one["end"], one["label"]) for one in spans]
    assert [one[:3] for one in read(whole, perfect(whole, spans))] == expected


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 99), order=st.permutations(TEXTS), length=st.integers(44, 90))
def test_windows_hide_no_entity(kind: str, seed: int, order: list[str], length: int) -> None:
    text = " ".join(order)
    whole = cut_windows(tokenizer(kind), [text], 10_000, 0)
    spans = some_spans(blocks(whole.starts[0], whole.ends[0]), 1, seed)
    windows = cut_windows(tokenizer(kind), [text], length, 40)
    assert len(windows.rows) > 1
    assert max(map(len, windows.input_ids)) <= length
    expected = [(one["start"], one["end"], one["label"]) for one in spans]
    assert [one[:3] for one in read(windows, perfect(windows, spans))] == expected


@pytest.mark.parametrize("kind", KINDS)
@given(text=TEXT, length=st.integers(6, 40), stride=st.integers(0, 40), seed=st.integers(0, 99))
def test_whatever_a_model_says_its_entities_are_parts_of_the_text(
    kind: str, text: str, length: int, stride: int, seed: int
) -> None:
    windows = cut_windows(tokenizer(kind), [text], length, stride)
    generator = torch.Generator().manual_seed(seed)
    shape = (len(windows.rows), max(map(len, windows.input_ids)), 1 + 2 * len(TYPES))
    found = read(windows, 3 * torch.randn(shape, generator=generator))
    for one in found:
        part = text[one.start : one.end]
        assert part == part.strip() != ""
        assert 0 <= one.start < one.end <= len(text)
        assert 0 < one.score <= 1
        assert one.label in TYPES
    assert all(one.end <= two.start for one, two in pairwise(found))


@pytest.mark.parametrize("kind", KINDS)
def test_each_character_belongs_to_one_window(kind: str) -> None:
    texts = [" ".join(TEXTS), "", TEXTS[0]]
    windows = cut_windows(tokenizer(kind), texts, 30, 10)
    for row, text in enumerate(texts):
        parts = [
            part
            for part in zip(windows.rows, windows.begins, windows.stops, strict=True)
            if part[0] == row
        ]
        assert (parts[0][1], parts[-1][2]) == (0, len(text))
        assert all(one[2] == two[1] for one, two in pairwise(parts))


def test_tags_are_the_best_path_that_bio_allows() -> None:
    starts, ends = torch.tensor([[-1, 0, 2, 4, -1]]), torch.tensor([[-1, 1, 3, 5, -1]])
    logits = torch.full((1, 5, 7), -9.0)
    # Alone, each token would be I-ORDER, which cannot follow B-DATE or stand first.
    logits[0, 1:4, 4] = 2.0
    logits[0, 1, 1] = 1.5
    logits[0, 1, 3] = 1.0
    (found,) = find_entities(logits, starts, ends, TYPES)
    assert [one[:3] for one in found] == [(0, 5, "ORDER")]


def test_tokens_outside_of_the_text_break_no_entity() -> None:
    starts, ends = torch.tensor([[-1, 0, -1, 4, -1]]), torch.tensor([[-1, 3, -1, 8, -1]])
    logits = torch.zeros(1, 5, 7)
    logits[0, 1, 5] = logits[0, 3, 6] = 5.0
    # What is said about special tokens and white space does not count.
    logits[0, [0, 2, 4], 1] = 9.0
    (found,) = find_entities(logits, starts, ends, TYPES)
    assert [one[:3] for one in found] == [(0, 8, "PERSON")]


def test_of_two_that_overlap_the_surer_one_stays() -> None:
    one, two, three = Entity(0, 5, "A", 0.5), Entity(3, 8, "B", 0.9), Entity(8, 9, "A", 0.2)
    assert merge([three, two, one]) == [two, three]
    assert merge([one, Entity(2, 4, "B", 0.4)]) == [one]
