"""Hold the tokenizer of a pretrained model against its architecture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from configs.errors import ModelError, Problem
from configs.language import _
from tasks.store import read_json
from tasks.training.model import positions, tokenizers

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LEAST: Final = 10
"""Fewest tokens that tell whether two vocabularies number them alike."""


def problems(folder: Path, model: PreTrainedModel) -> Iterator[Problem]:
    """Special tokens that are not the model's, and ids beyond its embeddings."""
    try:
        tokenizer = tokenizers.load(folder, exact=False)
    except ModelError as error:
        yield from error.problems
        return
    for check in (_padding, _end, _embeddings):
        yield from (Problem(str(folder), *found) for found in check(tokenizer, model))
    yield from _vocabularies(folder, tokenizer)


def _padding(
    tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel
) -> Iterator[tuple[str, str]]:
    padding = getattr(model.config, "pad_token_id", None)
    if tokenizer.pad_token_id != padding and positions.count_from_padding(model):
        message = _(
            "the tokenizer pads with token {pad_token_id}, config.json with {padding}",
            pad_token_id=tokenizer.pad_token_id,
            padding=padding,
        )
        yield message, _("take the tokenizer of the weights")


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


def _vocabularies(folder: Path, tokenizer: Any) -> Iterator[Problem]:
    """A vocabulary file whose numbers are not those of the tokenizer that is loaded."""
    known = tokenizer.get_vocab()
    for name in ("vocab.txt", "vocab.json"):
        numbers = _numbers(folder / name)
        shared = numbers.keys() & known.keys()
        others = sum(numbers[token] != known[token] for token in shared)
        if len(shared) >= LEAST and 2 * others > len(shared):
            message = _(
                "{others:,} of {shared:,} tokens have other numbers than in the loaded tokenizer",
                others=others,
                shared=len(shared),
            )
            advice = _("take all files of the tokenizer from the model of the weights")
            yield Problem(str(folder / name), message, advice)


def _numbers(path: Path) -> dict[str, int]:
    """The number of each token in a vocabulary file; empty if there is none."""
    if not path.is_file():
        return {}
    if path.suffix == ".txt":
        tokens = path.read_text(encoding="utf-8", errors="replace").split("\n")
        return {token.rstrip("\r"): number for number, token in enumerate(tokens) if token}
    try:
        found = read_json(path)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
