from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tasks.training.model import positions
from tasks.training.model.initial_model import InitialModel


@pytest.mark.parametrize(
    ("family", "fields", "longest"),
    [
        ("bert", {"max_position_embeddings": 128}, 128),
        ("gpt2", {"n_positions": 1024}, 1024),
        ("xlnet", {}, None),
        ("bloom", {}, None),
        ("t5", {"n_positions": 512}, None),
        ("deberta-v2", {"max_position_embeddings": 512, "position_biased_input": False}, None),
        ("deberta-v2", {"max_position_embeddings": 512, "position_biased_input": True}, 512),
        ("roberta", {"max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ("roberta", {"max_position_embeddings": 514}, 512),
        ("roberta", {"max_position_embeddings": 129, "pad_token_id": 0}, 128),
        ("camembert", {"max_position_embeddings": 130}, 128),
        ("mpnet", {"max_position_embeddings": 66}, 64),
        ("longformer", {"max_position_embeddings": 4098}, 4096),
        ("opt", {"max_position_embeddings": 2048}, 2048),
        ("modernbert", {"max_position_embeddings": 8192}, 8192),
        ("bart", {"max_position_embeddings": 1024}, 1024),
        ("m2m_100", {"max_position_embeddings": 1024}, 1024),
        ("gptj", {"n_positions": 2048}, 2048),
    ],
)
def test_positions_are_those_that_the_model_can_look_up(
    starter: InitialModel, family: str, fields: dict[str, Any], longest: int | None
) -> None:
    found = positions.of(replace(starter, config={"model_type": family, **fields}))
    assert found == positions.Positions(longest, longest)


def test_a_decoder_has_positions_of_its_own(starter: InitialModel) -> None:
    own = {"max_encoder_position_embeddings": 96, "max_decoder_position_embeddings": 48}
    led = replace(starter, config={"model_type": "led", **own})
    assert positions.of(led) == positions.Positions(96, 48)
    decoder = replace(starter, config={"model_type": "roberta", "max_position_embeddings": 66})
    pair = positions.of(replace(starter, decoder=decoder))
    assert pair == positions.Positions(512, 64)


def test_a_model_from_scratch_gets_as_many_as_it_needs(starter: InitialModel) -> None:
    assert positions.of(replace(starter, path=None)) == positions.Positions(None, None)
