"""The specification of the model to fine-tune: where its parts are, and its lengths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.model import Scratch
from tasks.applications.base import Head
from tasks.applications.codec import Codec


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """The model to fine-tune: what a worker needs to load its tokenizers and to build it.

    Attributes:
        base: folder of the pretrained model, or None for one from scratch.
        decoder: folder of the decoder of a pair, or None.
        tokenizer: folder of the tokenizer of the inputs.
        target: folder of the tokenizer of the targets, or None if it is the same.
        vectors: file with initial embeddings, or None.
        token_types: whether the model takes token types, which tell two texts apart.
        languages: source and target language.
    """

    head: Head
    base: str | None
    decoder: str | None
    tokenizer: str
    target: str | None
    scratch: Scratch | None
    vectors: str | None
    max_length: int
    max_target_length: int
    token_types: bool
    prefix: str
    languages: tuple[str, str]

    def codec(self) -> Codec:
        """Load the tokenizers.

        Raises:
            ModelError: a folder has no usable tokenizer.
        """
        from tasks.training.model import tokenizers

        exact = self.head not in {"seq2seq", "causal"}
        tokenizer = tokenizers.load(
            Path(self.tokenizer),
            exact=exact,
            ends=self.head == "causal",
            languages=self.languages,
        )
        target = tokenizer
        if self.target is not None:
            target = tokenizers.load(Path(self.target), exact=False)
        return Codec(
            tokenizer,
            target,
            self.head,
            self.max_length,
            self.max_target_length,
            self.token_types,
            self.prefix,
        )

    def settings(self) -> dict[str, Any]:
        """The settings that the registered model needs."""
        names = ("head", "max_length", "max_target_length", "token_types", "prefix")
        return {name: getattr(self, name) for name in names}
