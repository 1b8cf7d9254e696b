"""Every family of Transformers' tables: it is fine-tuned and served, or refused by its name.

By default all families that the documents list and some of the others are tried; all of them with
``EVERY_FAMILY=1``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.models.auto import modeling_auto

from configs.errors import ModelError
from tasks.applications.base import Head
from tasks.training.model import families
from tasks.training.model.families import FAMILIES, FP32_ONLY, HEAD_NAMES, UNFIT
from tests.support import tiny_families
from tests.support.tiny_families import Trial

EVERY = bool(os.environ.get("EVERY_FAMILY"))
BUILT_OTHERWISE = {
    *("bailing_hybrid", "jamba", "lfm3", "qwen3_5_moe_text", "qwen3_5_text"),  # more layers
    *("qwen3_next", "qwen4_exp_text", "recurrent_gemma"),
    *("falcon_h1", "nemotron_h"),  # their configurations cannot be read again
    *("axk1", "codegen", "gptj", "lilt", "mimo_v2_flash"),  # sizes that depend on each other
    "canine",  # reads characters, without a fast tokenizer
    "encoder-decoder",  # made of two models
}
"""Families that the sizes of these tests do not make."""


def listed() -> Iterator[tuple[str, Head]]:
    """The families of the documents, with each of their heads."""
    for family, abilities in FAMILIES.items():
        yield from ((family, head) for head in HEAD_NAMES if head in abilities)


def others() -> list[tuple[str, Head]]:
    """All other families, with the first head that Transformers has for them."""
    found: dict[str, Head] = {}
    for head, table in HEAD_NAMES.items():
        for family in getattr(modeling_auto, table):
            found.setdefault(family, head)
    names = sorted(set(found) - set(FAMILIES) - BUILT_OTHERWISE)
    chosen = names if EVERY else names[::12]
    return [(family, found[family]) for family in chosen]


def values(answer: Any) -> list[Any]:
    """The numbers and texts of an answer."""
    if isinstance(answer, dict):
        return [value for part in answer.values() for value in values(part)]
    if isinstance(answer, list | tuple):
        return [value for part in answer for value in values(part)]
    return [pytest.approx(answer, abs=1e-3) if isinstance(answer, float) else answer]


@pytest.mark.parametrize(("family", "head"), [*listed(), *others()])
def test_a_family_learns_and_answers(family: str, head: Head, tmp_path: Path) -> None:
    if family in BUILT_OTHERWISE:
        pytest.skip("not made by sizes alone")
    model = tiny_families.tiny(family, head)
    if model is None:
        assert family not in FAMILIES
        pytest.skip("these sizes make no model")
    tiny_families.save(model, head, tmp_path)
    if family in UNFIT:
        with pytest.raises(ModelError, match="cannot be fine-tuned here"):
            Trial(tmp_path, head)
        return
    trial = Trial(tmp_path, head)
    low = torch.float32 if family in FP32_ONLY else torch.bfloat16
    assert trial.step(low) > 0
    trial.save()
    together = trial.answers(0, 1, 2)
    assert values(trial.answers(0)) == values(together[:1])
    assert values(trial.answers(2, 1)) == values([together[2], together[1]])
    assert len(trial.answers(0, 1, 2, dtype=low)) == 3


@pytest.mark.parametrize("family", sorted(UNFIT))
def test_an_unfit_family_is_refused_by_its_name(family: str) -> None:
    refusal = families.refusal(family, "topics")
    assert refusal.startswith(f"a {family} model cannot be fine-tuned here: {UNFIT[family]}; ")


@pytest.mark.parametrize("family", ["gpt2", "t5"])
def test_padding_that_only_the_tokenizer_names_does_not_change_scores(
    family: str, tmp_path: Path
) -> None:
    """Classifiers of these families look for the last token that is not padding."""
    model = tiny_families.tiny(family, "sequence-classification")
    model.config.pad_token_id = 5
    tiny_families.save(model, "sequence-classification", tmp_path)
    trial = Trial(tmp_path, "sequence-classification")
    trial.save()
    assert values(trial.answers(0, 1)) == values(trial.answers(0) + trial.answers(1))


def test_padding_that_shifts_positions_must_be_that_of_the_model(tmp_path: Path) -> None:
    model = tiny_families.tiny("roberta", "sequence-classification")
    model.config.pad_token_id = 5
    tiny_families.save(model, "sequence-classification", tmp_path)
    message = "the tokenizer pads with token 1, config.json with 5"
    with pytest.raises(ModelError, match=message):
        Trial(tmp_path, "sequence-classification")
