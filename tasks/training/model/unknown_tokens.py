"""Count the tokens that a tokenizer does not know, and refuse too many of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from configs.errors import ModelError, Problem
from configs.language import _
from configs.schema import Model, Pipeline
from tasks.applications.base import EncodedRows, Facts
from tasks.applications.codec import Codec


class _Letters(dict[int, int]):
    """For ``str.translate``: letters and their marks stay, anything else becomes a space."""

    def __missing__(self, code: int) -> int:
        is_letter = unicodedata.category(chr(code))[0] in "LM"
        self[code] = code if is_letter else ord(" ")
        return self[code]


class UnknownTokens:
    """Counts the tokens of words, and those of them that are unknown to the tokenizer.

    Numbers, signs and emoji are left out: they tell nothing about the language.
    """

    def __init__(self, column: str, tokenizer: Any, texts: Sequence[str]) -> None:
        self.column, self.tokenizer, self.texts = column, tokenizer, texts
        self.id = tokenizer.unk_token_id
        # A tokenizer that knows every byte has its end token in this place.
        if self.id in (tokenizer.eos_token_id, tokenizer.pad_token_id):
            self.id = None
        self.letters = _Letters()
        self.counts = np.zeros(1 + max(tokenizer.get_vocab().values()), dtype=np.int64)
        self.found = 0

    def add(self, encoded: EncodedRows, table: Mapping[str, list[Any]]) -> None:
        """Count the tokens of some rows."""
        rows: Sequence[list[int]] = encoded.columns[self.column]
        ids = np.fromiter(chain.from_iterable(rows), dtype=np.int64)
        self.counts += np.bincount(ids, minlength=len(self.counts))
        places = range(len(rows)) if encoded.rows is None else encoded.rows
        last, unknown = -1, 0
        for ids_of_row, place in zip(rows, places, strict=True):
            if self.id is not None and (count := ids_of_row.count(self.id)):
                if place != last:
                    # Once for all windows of a text.
                    text = " ".join(table[name][place] for name in self.texts)
                    last, unknown = place, self._unknown(self._split(text))
                self.found += min(count, unknown)

    def _split(self, text: str) -> list[str]:
        """The words of a text."""
        return text.translate(self.letters).split()

    def _unknown(self, words: list[str]) -> int:
        """How many tokens of words are unknown."""
        ids = self.tokenizer(words, add_special_tokens=False)["input_ids"] if words else []
        return sum(row.count(self.id) for row in ids)

    @property
    def share(self) -> float:
        """The share of unknown tokens."""
        return self.found / (self.found + self._known()) if self.found else 0.0

    def _known(self) -> int:
        """How many of all tokens are of words and known."""
        special = {*self.tokenizer.all_special_ids}
        vocabulary = self.tokenizer.get_vocab().items()
        words = [id_ for token, id_ in vocabulary if id_ not in special and self._split(token)]
        return int(self.counts[words].sum())


def counters(codec: Codec, facts: Facts, columns: Sequence[str]) -> dict[str, UnknownTokens]:
    """A counter of the texts, and one of the targets that a model writes."""
    targets = [name for name in columns if name not in facts.inputs]
    if codec.head != "seq2seq":
        read = columns if codec.head == "causal" else facts.inputs
        return {"texts": UnknownTokens("input_ids", codec.tokenizer, read)}
    return {
        "texts": UnknownTokens("input_ids", codec.tokenizer, facts.inputs),
        "targets": UnknownTokens("labels", codec.target, targets),
    }


def require_known(unknown: Mapping[str, UnknownTokens], config: Pipeline) -> None:
    """Require that at most ``contract.max_unknown`` of the tokens are unknown.

    Raises:
        ModelError: with the texts, the targets or both.
    """
    limit, problems = config.contract.max_unknown, []
    for name, counter in unknown.items():
        if counter.share > limit:
            where, what = _mend(name, config.model)
            message = _(
                "{share:.0%} of the tokens of the {name} are unknown to the tokenizer, "
                "more than {limit:.0%}",
                share=counter.share,
                name=name,
                limit=limit,
            )
            advice = _("{what}, or raise contract.max_unknown", what=what)
            problems.append(Problem(where, message, advice))
    if problems:
        raise ModelError(problems)


def _mend(name: str, model: Model) -> tuple[str, str]:
    """The setting that decides about unknown tokens of the texts or the targets, and advice."""
    if model.scratch is not None:
        return "model.scratch.vocab_size", _("raise it")
    if name == "targets" and model.decoder is not None:
        return "model.decoder", _("train a tokenizer on them: model.decoder.vocab_size")
    return "model.base", _("take a model for their language and script")
