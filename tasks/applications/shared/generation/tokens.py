"""Tokens and batches of a text that is read and a text that is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tasks.applications.base import Batch, Codec, EncodedRows, Tokens
from tasks.applications.codec import token_counts
from tasks.applications.shared.generation.parts import GenerationFacts, PairColumns
from tasks.applications.shared.losses import IGNORED

if TYPE_CHECKING:
    import pyarrow as pa

UNCUT = 1 << 30


@dataclass(frozen=True)
class GenerationTokens(PairColumns, Tokens[GenerationFacts]):
    """Sources and targets."""

    def vocabulary_text(self, rows: Mapping[str, list[Any]]) -> tuple[list[str], list[str]]:
        return rows[self.source], rows[self.target]

    def lengths(self, rows: Mapping[str, list[Any]], codec: Codec) -> tuple[list[int], list[int]]:
        """Tokens of each source and target, special ones included."""
        special = codec.tokenizer.num_special_tokens_to_add()
        sources = [codec.prefix + text for text in rows[self.source]]
        inputs = [count + special for count in token_counts(codec.tokenizer, sources)]
        whole = replace(codec, max_target_length=UNCUT)
        return inputs, [len(ids) for ids in target_ids(whole, rows[self.target])]

    def encode(
        self, rows: Mapping[str, list[Any]], codec: Codec, facts: GenerationFacts
    ) -> EncodedRows:
        """Tokenize sources and targets; a causal model gets both in one sequence."""
        sources = [codec.prefix + text for text in rows[self.source]]
        targets = target_ids(codec, rows[self.target])
        if codec.head == "causal":
            return _one_sequence(codec, sources, targets)
        inputs = codec.tokenizer(
            sources, truncation=True, max_length=codec.max_length, return_attention_mask=False
        )["input_ids"]
        columns: dict[str, Sequence[Any]] = {"input_ids": inputs, "labels": targets}
        return EncodedRows(
            columns, _cut(codec, inputs, targets), counts=_cut_targets(codec, targets)
        )

    def collate(self, table: pa.Table, codec: Codec) -> Batch:
        """Pad sources and targets; labels of shape (rows, longest target), -100 where none."""
        from tasks.applications.shared.padding import pad

        input_ids, attention_mask = pad(table["input_ids"], codec.pad_id)
        labels, _ = pad(table["labels"], IGNORED)
        return {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels}


def target_ids(codec: Codec, texts: list[str]) -> list[list[int]]:
    """Token ids of targets, cut to the longest, with the end token and without a start token.

    Multilingual models and BART keep what their own tokenizer puts around a target.
    """
    length = codec.max_target_length
    if codec.head == "causal":
        found = codec.target(
            texts, add_special_tokens=False, truncation=True, max_length=length - 1
        )
        return [[*ids, codec.target.eos_token_id] for ids in found["input_ids"]]
    if codec.target is codec.tokenizer:
        ids: list[list[int]] = codec.target(text_target=texts, truncation=True, max_length=length)[
            "input_ids"
        ]
        return ids
    # The start token of an encoder's tokenizer is dropped: the decoder starts from it.
    start = int(codec.target("")["input_ids"][0] == codec.target.cls_token_id)
    found = codec.target(texts, truncation=True, max_length=length + start)["input_ids"]
    return [ids[start:] for ids in found]


def _one_sequence(codec: Codec, sources: list[str], targets: list[list[int]]) -> EncodedRows:
    """Source, end token, target, end token; labels say the next token, in the target only."""
    from tasks.applications.shared.generation.serving import prompt_ids

    prompts = prompt_ids(codec.tokenizer, sources, codec.max_length)
    pairs = list(zip(prompts, targets, strict=True))
    inputs = [prompt + target for prompt, target in pairs]
    labels = [[IGNORED] * (len(prompt) - 1) + target + [IGNORED] for prompt, target in pairs]
    columns: dict[str, Sequence[Any]] = {"input_ids": inputs, "labels": labels}
    return EncodedRows(columns, _cut(codec, prompts, targets), counts=_cut_targets(codec, targets))


def _cut(codec: Codec, inputs: list[list[int]], targets: list[list[int]]) -> int:
    """Rows that fill a limit to the last token, which whole texts hardly ever do."""
    return sum(
        len(source) >= codec.max_length or len(target) >= codec.max_target_length
        for source, target in zip(inputs, targets, strict=True)
    )


def _cut_targets(codec: Codec, targets: list[list[int]]) -> dict[str, int]:
    return {"targets cut": sum(len(ids) >= codec.max_target_length for ids in targets)}
