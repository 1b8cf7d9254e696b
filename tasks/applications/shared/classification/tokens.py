"""Tokenization of one text, or of a pair of texts in one sequence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tasks.applications.base import Batch, Codec, EncodedRows, Tokens
from tasks.applications.shared.classification.labels import ClassificationFacts

if TYPE_CHECKING:
    import pyarrow as pa

PAIR = "text_pair"


class ClassificationTokens(Tokens[ClassificationFacts]):
    """One text, or a pair of texts in one sequence."""

    inputs = ("text", PAIR)

    def vocabulary_text(self, rows: Mapping[str, list[Any]]) -> tuple[list[str], list[str]]:
        """The texts; a pair is one text, as it is to the model."""
        if PAIR not in rows:
            return rows["text"], []
        return [f"{a} {b}" for a, b in zip(rows["text"], rows[PAIR], strict=True)], []

    def encode(
        self, rows: Mapping[str, list[Any]], codec: Codec, facts: ClassificationFacts
    ) -> EncodedRows:
        """Tokenize and cut on the right, of a pair the longer text; count cut rows."""
        texts = [codec.prefix + text for text in rows["text"]] if codec.prefix else rows["text"]
        pairs = rows[PAIR] if PAIR in facts.inputs else None
        tokens = codec.tokenizer(
            texts,
            pairs,
            truncation=True,
            max_length=codec.max_length,
            return_attention_mask=False,
        )
        truncated = sum(bool(encoding.overflowing) for encoding in tokens.encodings)
        columns = {"input_ids": tokens["input_ids"]}
        if pairs is not None and codec.token_types:
            columns["token_type_ids"] = [encoding.type_ids for encoding in tokens.encodings]
        labels = rows["labels"] if "labels" in rows else rows["label"]
        return EncodedRows(columns | {"labels": labels}, truncated)

    def collate(self, table: pa.Table, codec: Codec) -> Batch:
        """Pad the token ids; labels of shape (rows,), or (rows, labels) where there are several."""
        import pyarrow as pa
        import torch

        from tasks.applications.shared.padding import pad, pad_inputs

        batch = pad_inputs(table, codec)
        if pa.types.is_list(table["labels"].type):
            batch["labels"], _ = pad(table["labels"], 0)
        else:
            batch["labels"] = torch.from_numpy(table["labels"].to_numpy().astype("int64"))
        return batch
