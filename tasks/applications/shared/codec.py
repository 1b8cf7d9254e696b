"""How text becomes tokens: the tokenizers of a model, and the longest input that they may make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tasks.applications.base import Head


@dataclass(frozen=True, slots=True)
class Codec:
    """Tokenizers and lengths.

    Attributes:
        tokenizer: of the input; fast, with a padding token.
        target: of what the model writes; the same object unless a decoder has its own.
        head: what the model does with the tokens.
        max_length: longest input in tokens.
        max_target_length: longest target in tokens.
        token_types: whether the model tells the first text of a pair from the second.
        prefix: text put before every input.
    """

    tokenizer: Any
    target: Any
    head: Head
    max_length: int
    max_target_length: int = 0
    token_types: bool = False
    prefix: str = ""

    @property
    def pad_id(self) -> int:
        """What inputs are padded with."""
        return int(self.tokenizer.pad_token_id)
