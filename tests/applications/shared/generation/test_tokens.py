"""Tokens of texts that are read and texts that are written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tasks.applications.shared.generation.tokens import target_ids
from tasks.applications.translation.application import APPLICATION
from tests.support import writers
from tests.support.writers import FACTS, SOURCES, TARGETS, known_codec


def test_a_causal_model_learns_the_target_only() -> None:
    known = known_codec("gpt2")
    batch = writers.batch(known, [0, 4])
    end = known.tokenizer.eos_token_id
    for ids, labels, target in zip(
        batch["input_ids"], batch["labels"], [TARGETS[0], TARGETS[4]], strict=True
    ):
        wanted = labels[labels != -100].tolist()
        assert wanted == [*known.target(target, add_special_tokens=False)["input_ids"], end]
        first = int((labels != -100).nonzero()[0])
        assert ids[first] == end
        assert ids[first + 1 : first + 1 + len(wanted)].tolist() == wanted


@pytest.mark.parametrize("family", [*writers.FAMILIES, "mbart50"])
def test_what_is_too_long_is_cut_and_counted(family: str) -> None:
    short = replace(known_codec(family), max_length=12, max_target_length=6)
    encoded = APPLICATION.tokens.encode({"source": SOURCES, "target": TARGETS}, short, FACTS)
    whole = replace(short, max_length=999, max_target_length=999)
    uncut = APPLICATION.tokens.encode({"source": SOURCES, "target": TARGETS}, whole, FACTS)
    inputs, targets = APPLICATION.tokens.lengths(
        {"source": SOURCES, "target": TARGETS}, known_codec(family)
    )
    assert uncut.truncated == 0
    assert encoded.truncated == sum(a >= 12 or b >= 6 for a, b in zip(inputs, targets, strict=True))
    written = target_ids(short, TARGETS)
    assert max(map(len, written)) == 6
    end = short.target.eos_token_id
    assert all(end in ids[-2:] for ids in written)
    assert [len(ids) for ids in target_ids(whole, TARGETS)] == targets
    if family != "gpt2":
        assert [len(ids) for ids in uncut.columns["input_ids"]] == inputs
        assert max(map(len, encoded.columns["input_ids"])) == 12


@pytest.mark.parametrize("family", ["mbart", "mbart50"])
def test_multilingual_tokenizers_mark_source_and_target(family: str) -> None:
    known = known_codec(family)
    english, chinese = known.tokenizer.convert_tokens_to_ids(["en_XX", "zh_CN"])
    batch = writers.batch(known, [0, 1])
    ends = slice(0, 1) if family == "mbart50" else slice(-1, None)
    for ids, labels in zip(batch["input_ids"], batch["labels"], strict=True):
        assert ids[ids != known.pad_id].tolist()[ends] == [english]
        assert labels[labels != -100].tolist()[ends] == [chinese]
