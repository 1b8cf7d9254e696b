"""Hold the tokenizer of a pretrained model against its architecture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.errors import ModelError, Problem
from configs.language import _
from tasks.training.model import positions, tokenizers

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def problems(folder: Path, model: PreTrainedModel) -> Iterator[Problem]:
    """Special tokens that are not the model's, and ids beyond its embeddings."""
    try:
        tokenizer = tokenizers.load(folder, exact=False)
    except ModelError as error:
        yield from error.problems
        return
    for check in (_padding, _end, _embeddings):
        yield from (Problem(str(folder), *found) for found in check(tokenizer, model))


def _padding(
    tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel
) -> Iterator[tuple[str, str]]:
    padding = getattr(model.config, "pad_token_id", None)
    if tokenizer.pad_token_id != padding and _counts_from_padding(model):
        message = _(
            "the tokenizer pads with token {pad_token_id}, config.json with {padding}",
            pad_token_id=tokenizer.pad_token_id,
            padding=padding,
        )
        yield message, _("take the tokenizer of the weights")


def _counts_from_padding(model: PreTrainedModel) -> bool:
    """Whether the positions of a text follow from the padding id."""
    return any(
        name.rpartition(".")[2] in positions.TABLES
        and getattr(module, "padding_idx", None) is not None
        for name, module in model.named_modules()
    )


def _end(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> Iterator[tuple[str, str]]:
    """Whether a classifier that takes the state of the token that ends a text is given it."""
    classifier = type(model).__name__.endswith("ForSequenceClassification")
    end = getattr(model.config, "eos_token_id", None)
    if not (classifier and model.config.is_encoder_decoder) or end in tokenizer("a")["input_ids"]:
        return
    message = _(
        "a {family} classifier reads the token that ends a text ({end}), which the tokenizer "
        "does not add",
        family=model.config.model_type,
        end=end,
    )
    yield message, _("take the tokenizer of the weights, or add the token in its post_processor")


def _embeddings(
    tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel
) -> Iterator[tuple[str, str]]:
    try:
        embeddings: Any = model.get_input_embeddings()
    except NotImplementedError:
        return
    rows = int(embeddings.weight.shape[0])
    # No text has the mask, for which some models, such as BART for summaries, have no embedding.
    tokens = 1 + max({*tokenizer.get_vocab().values()} - {tokenizer.mask_token_id})
    if tokens > rows:
        message = _(
            "the tokenizer has {tokens:,} tokens, the model embeddings for {rows:,}",
            tokens=tokens,
            rows=rows,
        )
        advice = _("call model.resize_token_embeddings(len(tokenizer)), then save both")
        yield message, _("{advice}, or take the tokenizer of the weights", advice=advice)
