"""Turn ragged Arrow columns into padded tensors without a loop over rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import numpy as np

from tasks.applications.base import Batch, Codec

if TYPE_CHECKING:
    import pyarrow as pa
    import torch


OFFSETS: Final = ("offset_start", "offset_end")
"""Columns of windows: the first character of each token, and the one after its last."""


def pad(column: pa.ChunkedArray, value: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Lists of integers, padded on the right with ``value``, and their attention mask.

    Both are int64 of shape (rows, longest).
    """
    import torch

    array = column.combine_chunks()
    lengths = np.diff(array.offsets.to_numpy(zero_copy_only=False))
    mask = np.arange(lengths.max(initial=1)) < lengths[:, None]
    padded = np.full(mask.shape, value, dtype=np.int64)
    padded[mask] = array.flatten().to_numpy(zero_copy_only=False)
    return torch.from_numpy(padded), torch.from_numpy(mask.astype(np.int64))


def pad_inputs(table: pa.Table, codec: Codec) -> Batch:
    """Token ids and attention mask, and token types where rows have them."""
    ids, mask = pad(table["input_ids"], codec.pad_id)
    batch = {"input_ids": ids, "attention_mask": mask}
    if "token_type_ids" in table.column_names:
        batch["token_type_ids"], _ = pad(table["token_type_ids"], 0)
    return batch


def pad_windows(table: pa.Table, codec: Codec, places: Iterable[str]) -> Batch:
    """Token ids and offsets of windows, and those of the places that they have.

    Padding counts as outside the text, where offsets are -1.
    """
    import torch

    batch = pad_inputs(table, codec) | {name: pad(table[name], -1)[0] for name in OFFSETS}
    present = (name for name in places if name in table.column_names)
    return batch | {name: torch.tensor(table[name].to_pylist()) for name in present}
