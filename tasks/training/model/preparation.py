"""Prepare the model to fine-tune: train its tokenizers, choose its lengths, specify it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from configs.errors import ModelError
from configs.language import _
from configs.schema import Model, Pipeline
from tasks.applications.base import Application
from tasks.applications.codec import Codec
from tasks.arrow import MappedTable
from tasks.training.model import families, positions, tokenizers, vectors
from tasks.training.model.initial_model import InitialModel
from tasks.training.model.spec import ModelSpec

FIELDS: Final = {"max_length", "max_target_length", "prefix", "decoder", "scratch"}
"""Fields of the ``model`` section that determine the tokens."""
TOKENIZER, TARGET, VECTORS = "tokenizer", "target", "vectors.safetensors"
COVERED = 0.995
LEAST, LEAST_TARGET, MOST, UNLIMITED = 128, 32, 512, 1 << 16
SAMPLE = 5_000
BATCH = 2_000


def specify(
    config: Pipeline, base: InitialModel, folder: Path, lengths: dict[str, int]
) -> ModelSpec:
    """Specify the model to fine-tune, with the lengths that :func:`choose_lengths` found."""
    model, language = config.model, config.language
    head = families.choose_head(base.family, config.application, pair=base.decoder is not None)
    assert head is not None
    return ModelSpec(
        head=head,
        base=str(base.path) if base.path else None,
        decoder=str(base.decoder.path) if base.decoder else None,
        tokenizer=str(base.path or folder / TOKENIZER),
        target=_target(model, base, folder),
        scratch=model.scratch,
        vectors=str(folder / VECTORS) if base.vectors else None,
        max_length=lengths["input"],
        max_target_length=lengths["target"],
        token_types=head != "seq2seq" and int(base.config.get("type_vocab_size") or 0) > 1,
        prefix=model.prefix,
        languages=(language.source, language.output),
    )


def _target(model: Model, base: InitialModel, folder: Path) -> str | None:
    if model.decoder is None or base.decoder is None:
        return None
    return str(folder / TARGET) if model.decoder.vocab_size else str(base.decoder.path)


def train_tokenizers(
    folder: Path, config: Pipeline, base: InitialModel, application: Application, rows: MappedTable
) -> dict[str, Any]:
    """Train the declared tokenizers on the training rows.

    Returns how many words the vocabulary has, and how many of them have word vectors.

    Raises:
        ModelError: the vectors cannot be read, or the vocabulary is too small.
    """
    model = config.model
    if model.decoder is not None and model.decoder.vocab_size:
        texts = _Texts(application, rows, targets_only=True)
        size = model.decoder.vocab_size
        where = "model.decoder.vocab_size"
        tokenizers.train(texts, "unigram", size, folder / TARGET, writes=True, where=where)
    if model.scratch is None:
        return {}
    writes = model.scratch.architecture != "encoder"
    both = _Texts(application, rows)
    tokenizer = tokenizers.train(
        both, model.scratch.tokenizer, model.scratch.vocab_size, folder / TOKENIZER, writes=writes
    )
    return _cover(folder, base, tokenizer) if base.vectors else {}


@dataclass(frozen=True, slots=True)
class _Texts:
    """The texts of rows, read from disk by each iteration: inputs and targets, or targets only."""

    application: Application
    rows: MappedTable
    targets_only: bool = False

    def __iter__(self) -> Iterator[str]:
        for _start, table in self.rows.chunks(BATCH):
            inputs, targets = self.application.tokens.vocabulary_text(table.to_pydict())
            yield from () if self.targets_only else inputs
            yield from targets


def _cover(folder: Path, base: InitialModel, tokenizer: Any) -> dict[str, Any]:
    """Write the embeddings from the word vectors, and count them."""
    from safetensors.numpy import save_file

    assert base.vectors is not None
    found, covered = vectors.matrix(base.vectors, tokenizer.get_vocab())
    save_file({"vectors": found, "covered": covered}, folder / VECTORS)
    return {"words": len(covered), "with_vectors": int(covered.sum())}


def choose_lengths(
    folder: Path, config: Pipeline, base: InitialModel, application: Application, rows: MappedTable
) -> tuple[Codec, dict[str, int]]:
    """Tokenizers with the longest input and target by the distribution of the training rows.

    The lengths come with them; ``room`` is for the longest text that the model can write.

    Raises:
        ModelError: a declared length exceeds the positions of the model.
    """
    declared = config.model
    first = specify(config, base, folder, {"input": 0, "target": 0})
    codec = first.codec()
    model_positions = positions.of(base)
    limit = _limit(model_positions.input, codec)
    sample = np.linspace(0, len(rows) - 1, min(len(rows), SAMPLE)).astype(np.int64)
    inputs, targets = application.tokens.lengths(rows.take(sample).to_pydict(), codec)
    length = _chosen("max_length", declared.max_length, inputs, LEAST, limit)
    if not targets:
        lengths = {"input": length, "target": 0, "room": 0}
    else:
        most = model_positions.target or UNLIMITED
        if codec.head == "causal":
            length, most = _share(declared, length, limit)
        wanted = getattr(declared, "max_target_length", "auto")
        target = _chosen("max_target_length", wanted, targets, LEAST_TARGET, most)
        lengths = {"input": length, "target": target, "room": most}
        if declared.scratch is not None:
            lengths["room"] = target if codec.head == "causal" else max(length, target)
    codec = replace(codec, max_length=lengths["input"], max_target_length=lengths["target"])
    return codec, lengths


def _share(declared: Model, length: int, limit: int) -> tuple[int, int]:
    """Tokens of the input, and those left for the target, in the positions of a causal model."""
    if declared.max_length == "auto":
        length = min(length, limit // 2)
    if length >= limit:
        message = _(
            "{length} tokens of input leave no room for a target in the {limit} tokens "
            "that the model takes",
            length=length,
            limit=limit,
        )
        advice = _("declare a smaller model.max_length")
        raise ModelError.at("model.max_length", message, advice)
    return length, limit - length


def require_room(config: Pipeline, lengths: dict[str, int]) -> None:
    """Refuse to write texts that are longer than the model has positions for.

    Raises:
        ModelError: ``generation.max_new_tokens`` is above the ``room`` of the lengths.
    """
    wanted = getattr(getattr(config, "generation", None), "max_new_tokens", None)
    if wanted is None or wanted <= lengths["room"]:
        return
    message = _(
        "expected at most {room} tokens, for which the model has positions, found {wanted}",
        room=lengths["room"],
        wanted=wanted,
    )
    advice = _("lower it, or model.max_length")
    if config.model.scratch is not None:
        advice = _("lower it, or raise model.max_target_length")
    where = "generation.max_new_tokens"
    raise ModelError.at(where, message, advice)


def _limit(most: int | None, codec: Codec) -> int:
    """The maximum length; relative positions have none, whatever the tokenizer states."""
    return UNLIMITED if most is None else min(most, int(codec.tokenizer.model_max_length))


def _chosen(name: str, declared: Any, lengths: list[int], least: int, limit: int) -> int:
    """The declared length, or the multiple of 8 that covers nearly all rows."""
    if declared == "auto":
        covering = math.ceil(float(np.quantile(lengths, COVERED, method="higher")) / 8) * 8
        return min(max(covering, least), limit, MOST)
    if declared > limit:
        message = _(
            "expected at most the {limit} tokens that the model takes, found {declared}",
            limit=limit,
            declared=declared,
        )
        raise ModelError.at(f"model.{name}", message)
    return int(declared)
