"""How text becomes tokens: the tokenizers of a model, and the longest input that they may make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Head = Literal[
    "sequence-classification", "token-classification", "question-answering", "seq2seq", "causal"
]


@dataclass(frozen=True, slots=True)
class Codec:
    """Tokenizers and lengths.

    Attributes:
        tokenizer: of the input; fast, with a padding token.
        target: of what the model writes; the same object unless a decoder has its own.
        head: what the model does with the tokens.
        max_target_length: longest target in tokens; 0 for a model that writes none.
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
        """The token id that inputs are padded with."""
        return int(self.tokenizer.pad_token_id)


def token_counts(tokenizer: Any, texts: list[str]) -> list[int]:
    """Tokens of each text, special tokens not counted."""
    encoded = tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False)
    return [len(ids) for ids in encoded["input_ids"]]
