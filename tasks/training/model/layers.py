"""The layers of a model, found by parameter names: depth, freezing, recomputation.

A stack is a sequence of layers, such as an encoder. Its name is the prefix of its parameters'
names: ``bert.encoder`` in ``bert.encoder.layer.3.output.dense.weight``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from torch import nn

from configs.errors import ModelError
from configs.language import _

LAYER = re.compile(r"(?:^|\.)(?:layer|layers|h|block)\.(\d+)\.")
EMBEDDING = re.compile(
    r"embed|(?:^|\.)(?:wte|wpe|shared)\."
    # DeBERTa's normalization of its relative positions.
    r"|(?:^|\.)encoder\.LayerNorm\."
)


def layer_of(name: str) -> tuple[str, int] | None:
    """The stack and the layer, counted from the input, that a parameter belongs to, if any."""
    match = LAYER.search(name)
    return (name[: match.start()], int(match[1])) if match else None


def stacks(names: Iterable[str]) -> dict[str, int]:
    """How many layers each stack has, in the model's order: an encoder before its decoder."""
    lengths: dict[str, int] = {}
    for place in map(layer_of, names):
        if place:
            lengths[place[0]] = max(lengths.get(place[0], 0), place[1] + 1)
    return lengths


def is_embedding(name: str) -> bool:
    """Whether a parameter precedes the first layer of a stack."""
    return layer_of(name) is None and EMBEDDING.search(name) is not None


def fed_stacks(name: str, lengths: dict[str, int]) -> list[str]:
    """The stacks that an embedding feeds: those with the closest name, several if they share it."""
    shared = {stack: _common(name, stack) for stack in lengths}
    return [stack for stack in lengths if shared[stack] == max(shared.values())]


def _common(name: str, stack: str) -> int:
    pairs = zip(name.split("."), stack.split("."), strict=False)
    unequal = (index for index, (one, other) in enumerate(pairs) if one != other)
    return next(unequal, min(name.count("."), stack.count(".")) + 1)


def depth(name: str, lengths: dict[str, int]) -> int:
    """How many layers lie above a parameter, itself included.

    Returns:
        0 for the head and everything else after a stack, 1 for the top layer of a stack of L
        layers, L for its lowest one, and L + 1 for its embeddings; with embeddings that several
        stacks share, L is that of the longest.
    """
    if place := layer_of(name):
        return lengths[place[0]] - place[1]
    if is_embedding(name) and lengths:
        return 1 + max(lengths[stack] for stack in fed_stacks(name, lengths))
    return 0


def freeze(model: nn.Module, count: int) -> None:
    """Exclude the embeddings and the lowest layers from training, in place.

    With an encoder and a decoder these are the encoder's; embeddings that they share are frozen
    for both, and so is an output layer that is tied to them. An adapter is attached afterwards,
    and only to layers that are not frozen. A ``count`` of 0 freezes nothing, not even embeddings.

    Raises:
        ModelError: the stack has fewer layers.
    """
    if not count:
        return
    lengths = stacks(name for name, _ in model.named_parameters())
    stack, length = next(iter(lengths.items()), ("", 0))
    if count > length:
        owner = "encoder" if len(lengths) > 1 else "model"
        raise ModelError.at(
            "training.frozen_layers",
            _(
                "expected at most {length}, the layers of the {owner}; found {count}",
                length=length,
                owner=owner,
                count=count,
            ),
        )
    for name, parameter in model.named_parameters():
        if _is_frozen(name, stack, count, lengths):
            parameter.requires_grad_(False)


def _is_frozen(name: str, stack: str, count: int, lengths: dict[str, int]) -> bool:
    if place := layer_of(name):
        return place[0] == stack and place[1] < count
    return is_embedding(name) and stack in fed_stacks(name, lengths)


def recompute_activations(model: Any) -> None:
    """Make a Transformers model recompute activations in the backward pass.

    Loss and gradients stay the same, dropout included (Chen et al. 2016).

    Raises:
        ModelError: its family does not support that.
    """
    try:
        model.activation_checkpointing_enable(
            activation_checkpointing_kwargs={"use_reentrant": False}
        )
    except ValueError as error:
        raise ModelError.at(
            "training.gradient_checkpointing",
            _(
                "a {model_type} model cannot recompute its activations",
                model_type=model.config.model_type,
            ),
            _("leave it out, or take another model"),
        ) from error
