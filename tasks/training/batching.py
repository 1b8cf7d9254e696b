"""Plan batches: a pure function of lengths, seed and epoch.

A resumed run continues the plan at its step and repeats no batch.
"""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.arrow import MappedTable

Ints = NDArray[np.int64]
POOL = 50
"""Batches that are sorted by length together; the same window as Transformers' length grouping."""


def plan_epoch(lengths: Ints, batch_size: int, seed: int, epoch: int) -> list[Ints]:
    """Plan the batches of one epoch, as row positions: rows of similar length together.

    Every row occurs once. Rows are shuffled, sorted by length within pools of ``POOL`` batches, cut
    into batches, and the batches are shuffled; the last batch of all may have fewer rows.
    """
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(lengths))
    pool = batch_size * max(1, min(POOL, len(lengths) // (batch_size * 4)))
    batches: list[Ints] = []
    for start in range(0, len(order), pool):
        rows = order[start : start + pool]
        rows = rows[np.argsort(-lengths[rows], kind="stable")]
        batches += [rows[at : at + batch_size] for at in range(0, len(rows), batch_size)]
    return [batches[position] for position in generator.permutation(len(batches))]


def plan_steps(batches: list[Ints], accumulation: int) -> list[list[Ints]]:
    """Group batches into optimizer steps; the last step of an epoch may have fewer."""
    return [batches[at : at + accumulation] for at in range(0, len(batches), accumulation)]


def steps_per_epoch(rows: int, batch_size: int, accumulation: int) -> int:
    """Optimizer steps in one epoch."""
    return math.ceil(math.ceil(rows / batch_size) / accumulation)


def by_length(lengths: Ints, batch_size: int) -> list[Ints]:
    """Plan batches for inference: longest first, so that memory peaks at the start."""
    order = np.argsort(-lengths, kind="stable")
    return [order[at : at + batch_size] for at in range(0, len(order), batch_size)]


def padded_tokens(batches: list[Ints], lengths: Ints) -> Ints:
    """Tokens of each batch with padding: rows times the longest row."""
    return np.array([len(rows) * int(lengths[rows].max()) for rows in batches], dtype=np.int64)


def lengths_of(table: MappedTable) -> Ints:
    """Tokens per row of a tokenized split, inputs and labels together."""
    lists = [
        name
        for name in ("input_ids", "labels")
        if name in table.schema.names and pa.types.is_list(table.schema.field(name).type)
    ]
    total: Ints = np.sum([list_lengths(table, name) for name in lists], axis=0, dtype=np.int64)
    return total


def list_lengths(table: MappedTable, name: str) -> Ints:
    """Length of each list of a column."""
    lengths: Ints = pc.list_value_length(table.column(name)).to_numpy().astype(np.int64)
    return lengths
