"""Which clips make a step: the same for one process and many, by hand and at random."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prospect.samples.plan import (
    Draw,
    GlobalBatches,
    Source,
    epoch_order,
    epoch_size,
    group,
    share,
)

ALL = (Source("all", tuple(range(10))),)


def test_one_source_is_every_clip_once_in_the_order_of_the_seed_and_epoch() -> None:
    order = epoch_order(ALL, seed=3, epoch=2)
    expected = torch.randperm(10, generator=torch.Generator().manual_seed(5)).tolist()
    assert order == [(index, 0) for index in expected]
    assert order != epoch_order(ALL, seed=3, epoch=3)


def test_weights_are_copies_an_epoch() -> None:
    sources = (Source("a", (0, 1), 2.0), Source("b", (2, 3, 4, 5), 0.5), Source("c", (6, 7), 1.5))
    assert epoch_size(sources) == 4 + 2 + 3
    seen: Counter[int] = Counter()
    for epoch in range(20):
        order = epoch_order(sources, 0, epoch)
        assert len(order) == len(set(order)) == 9
        counts = Counter(index for index, _ in order)
        assert [counts[0], counts[1]] == [2, 2]
        assert sum(counts[index] for index in (2, 3, 4, 5)) == 2
        assert sorted((counts[6], counts[7])) == [1, 2]
        assert all(copy < counts[index] for index, copy in order)
        seen += counts
    # no clip of a fraction is left out for good
    assert all(4 < seen[index] < 16 for index in (2, 3, 4, 5))


def test_a_weight_of_nothing_shows_nothing() -> None:
    assert epoch_order((*ALL, Source("off", (10,), 0.0)), 0, 0) == epoch_order(ALL, 0, 0)


@given(st.integers(1, 9), st.integers(1, 6), st.integers(0, 30))
def test_processes_share_each_step_whatever_their_number(size: int, world: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 100, 10).tolist()
    batch = [Draw(0, 0, index) for index in rng.permutation(10)[:size].tolist()]
    parts = [share(batch, sizes, rank, world) for rank in range(world)]
    dealt = [draw for part in parts for draw in part if draw.counts]
    assert sorted(dealt, key=lambda draw: draw.index) == sorted(batch, key=lambda d: d.index)
    # nobody is without a clip, and the clips that don't count stand alone
    assert all(part for part in parts)
    assert all(len(part) == 1 for part in parts if not part[0].counts)


def test_work_is_shared_evenly() -> None:
    batch = [Draw(0, 0, index) for index in range(4)]
    # longest first, there and back: 40 and 10 against 30 and 20
    found = [share(batch, [10, 20, 30, 40], rank, 2) for rank in (0, 1)]
    assert [[draw.index for draw in part] for part in found] == [[3, 0], [2, 1]]


def test_an_iteration_begins_in_the_epoch_of_the_step() -> None:
    done = 0
    batches = GlobalBatches(ALL, [1] * 10, 4, 0, 0, 1, lambda: done)
    assert len(batches) == 3
    first = list(batches)
    assert [len(batch) for batch in first] == [4, 4, 2]
    assert [draw.step for batch in first for draw in batch] == [0] * 4 + [1] * 4 + [2] * 2
    done = 4  # in the middle of the second epoch
    second = list(batches)
    assert {(draw.epoch, draw.step) for draw in second[0]} == {(1, 3)}
    assert [draw.index for batch in second for draw in batch] == [
        i for i, _ in epoch_order(ALL, 0, 1)
    ]


@pytest.mark.parametrize(
    ("lengths", "batch_size", "tokens", "expected"),
    [
        ([5, 9, 7], 3, None, [[0, 1, 2]]),  # one batch keeps its order
        ([5, 9, 7, 8], 2, None, [[1, 3], [2, 0]]),  # similar lengths together
        ([5, 9, 7, 8], 2, 14, [[1, 0], [3], [2]]),
        ([6, 6, 4, 4, 20], 1, 10, [[4], [0, 2], [1, 3]]),  # 20 has a row of its own
    ],
)
def test_grouping(
    lengths: list[int], batch_size: int, tokens: int | None, expected: list[list[int]]
) -> None:
    assert [part.tolist() for part in group(lengths, batch_size, tokens)] == expected


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30), st.integers(10, 60))
def test_packed_rows_hold_every_clip_once_within_the_budget(
    lengths: list[int], tokens: int
) -> None:
    rows = group(lengths, 1, tokens)
    assert sorted(np.concatenate(rows).tolist()) == list(range(len(lengths)))
    for row in rows:
        assert len(row) == 1 or sum(lengths[at] for at in row) <= tokens
