from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.training import batching
from tasks.training.batching import Ints
from tests.support.pipelines import Prepared, Start

pytest_plugins = ["tests.support.fixtures"]

LENGTHS = st.lists(st.integers(1, 512), max_size=400).map(
    lambda values: np.array(values, dtype=int)
)
SIZES = st.integers(1, 40)
SEEDS = st.integers(0, 2**32 - 1)
EPOCHS = st.integers(0, 50)


def long_tailed(rows: int) -> Ints:
    return np.random.default_rng(0).lognormal(3, 0.8, rows).astype(np.int64) + 1


def same(one: list[Ints], other: list[Ints]) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))


@given(LENGTHS, SIZES, SEEDS, EPOCHS)
def test_every_row_comes_once(lengths: Ints, size: int, seed: int, epoch: int) -> None:
    plan = batching.plan_epoch(lengths, size, seed, epoch)
    rows = [int(row) for batch in plan for row in batch]
    assert sorted(rows) == list(range(len(lengths)))
    assert all(1 <= len(batch) <= size for batch in plan)


@given(LENGTHS, SIZES, SEEDS, EPOCHS)
def test_plan_depends_on_its_arguments_only(
    lengths: Ints, size: int, seed: int, epoch: int
) -> None:
    first = batching.plan_epoch(lengths, size, seed, epoch)
    np.random.default_rng().random()
    np.random.random()
    assert same(batching.plan_epoch(lengths.copy(), size, seed, epoch), first)


@given(LENGTHS, SIZES, SEEDS, st.integers(1, 8))
def test_steps_per_epoch_counts_the_plan(
    lengths: Ints, size: int, seed: int, accumulation: int
) -> None:
    batches = batching.plan_epoch(lengths, size, seed, 0)
    steps = batching.plan_steps(batches, accumulation)
    assert batching.steps_per_epoch(len(lengths), size, accumulation) == len(steps)
    assert same([batch for step in steps for batch in step], batches)
    assert all(len(step) == accumulation for step in steps[:-1])


def test_epochs_and_seeds_give_other_batches() -> None:
    lengths = long_tailed(500)
    plans = [batching.plan_epoch(lengths, 8, seed, epoch) for seed in (1, 2) for epoch in range(3)]
    members = [{frozenset(batch.tolist()) for batch in plan} for plan in plans]
    for index, one in enumerate(members):
        for other in members[index + 1 :]:
            assert len(one & other) < 5


def test_padding_is_far_below_that_of_random_batches() -> None:
    lengths = long_tailed(5000)
    order = np.random.default_rng(1).permutation(5000)
    shuffled = [order[at : at + 32] for at in range(0, 5000, 32)]
    planned = batching.plan_epoch(lengths, 32, 7, 0)
    wasted = batching.padded_tokens(planned, lengths).sum() - lengths.sum()
    by_chance = batching.padded_tokens(shuffled, lengths).sum() - lengths.sum()
    assert wasted < 0.2 * by_chance


def test_long_and_short_batches_are_mixed() -> None:
    lengths = long_tailed(3200)
    means = np.array([lengths[b].mean() for b in batching.plan_epoch(lengths, 32, 7, 0)])
    first, second = means[:50].mean(), means[50:].mean()
    assert abs(first - second) < 0.5 * means.std()


@given(LENGTHS.filter(len), SIZES)
def test_pass_without_training_takes_every_row_longest_first(lengths: Ints, size: int) -> None:
    plan = batching.by_length(lengths, size)
    rows = np.concatenate(plan)
    assert sorted(rows.tolist()) == list(range(len(lengths)))
    assert np.all(np.diff(lengths[rows]) <= 0)


def test_lengths_are_those_of_the_stored_token_ids(start: Start) -> None:
    split = start().splits["train"]
    stored = split.table.column("input_ids").to_pylist()
    assert split.lengths.tolist() == [len(ids) for ids in stored]
    assert sum(stored[3]) > 0


def test_total_steps_count_every_epoch(start: Start, prepared: Prepared) -> None:
    session = start(epochs=3, batch_size=5, gradient_accumulation_steps=2)
    assert session.total_steps == sum(len(session.plan(epoch)) for epoch in range(3))
    rows = [row for step in session.plan(1) for batch in step for row in batch.tolist()]
    assert sorted(rows) == list(range(prepared.validated.rows["train"]))
