"""Which clips make an optimizer step: drawn by (seed, epoch), for any number of processes.

In: clips, sources with their weights, a global batch. Out: for every optimizer step, what this
process contributes. The clips of a step are the same for one process and for many.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Sampler


@dataclass(frozen=True, slots=True)
class Draw:
    """One clip of one epoch.

    Attributes:
        epoch, step: From 0; the optimizer step it is a part of counts over all epochs.
        index: Of the clip.
        copy: Which of the clip's repeats in this epoch; each is permuted and sub-sampled anew.
        counts: False for a clip that only keeps a process without clips of its own in step.
    """

    epoch: int
    step: int
    index: int
    copy: int = 0
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Source:
    """Clips that are mixed in with one weight.

    Attributes:
        name: In the log.
        clips: Their indices.
        weight: Copies of each clip an epoch; of 1.5, half of the clips come twice.
    """

    name: str
    clips: tuple[int, ...]
    weight: float = 1.0


def epoch_size(sources: Sequence[Source]) -> int:
    """Clips an epoch, repeats counted: the same in every epoch."""
    return sum(sum(_copies(source)) for source in sources)


def epoch_order(sources: Sequence[Source], seed: int, epoch: int) -> list[tuple[int, int]]:
    """(clip, copy) of everything an epoch shows, shuffled.

    A fraction of a weight takes that share of the source's clips, others each epoch.
    """
    found: list[tuple[int, int]] = []
    for number, source in enumerate(sources):
        whole, extra = _copies(source)[0] // max(len(source.clips), 1), _copies(source)[1]
        found += [(index, copy) for copy in range(whole) for index in source.clips]
        chosen = np.random.default_rng((seed, epoch, number)).permutation(len(source.clips))[:extra]
        found += [(source.clips[at], whole) for at in sorted(chosen)]
    generator = torch.Generator().manual_seed(seed + epoch)
    return [found[at] for at in torch.randperm(len(found), generator=generator).tolist()]


def _copies(source: Source) -> tuple[int, int]:
    """Whole repeats of all clips, and how many clips come once more."""
    whole = int(source.weight)
    return whole * len(source.clips), round((source.weight - whole) * len(source.clips))


class GlobalBatches(Sampler[list[Draw]]):
    """What one process contributes to every optimizer step of an epoch.

    Args:
        sources: Every clip that is learned belongs to one.
        sizes: About how long each clip is, to share the work out evenly.
        global_batch: Clips an optimizer step, over all processes; fewer in an epoch's last.
        seed: Of the order.
        rank, world: This process, of how many.
        step: How many optimizer steps are done; tells the epoch when an iteration begins.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        sizes: Sequence[int],
        global_batch: int,
        seed: int,
        rank: int,
        world: int,
        step: Callable[[], int],
    ) -> None:
        self._sources = sources
        self._sizes = sizes
        self._global_batch = global_batch
        self._seed = seed
        self._rank, self._world = rank, world
        self._step = step

    def __len__(self) -> int:
        """Optimizer steps an epoch."""
        return -(-epoch_size(self._sources) // self._global_batch)

    def __iter__(self) -> Iterator[list[Draw]]:
        epoch = self._step() // len(self)
        order = epoch_order(self._sources, self._seed, epoch)
        for number, start in enumerate(range(0, len(order), self._global_batch)):
            step = epoch * len(self) + number
            batch = [
                Draw(epoch, step, index, copy)
                for index, copy in order[start : start + self._global_batch]
            ]
            yield share(batch, self._sizes, self._rank, self._world)


def share(batch: Sequence[Draw], sizes: Sequence[int], rank: int, world: int) -> list[Draw]:
    """One process's clips of a global batch; together the processes have each clip once.

    The longest are dealt out first, there and back, so that all have about as much to do. A process
    that gets none repeats a clip that doesn't count, since every process has to take the step.
    """
    if world == 1:
        return list(batch)
    ranked = sorted(range(len(batch)), key=lambda at: (-sizes[batch[at].index], at))
    mine = [
        batch[at]
        for place, at in enumerate(ranked)
        if rank == (place % world if place // world % 2 == 0 else world - 1 - place % world)
    ]
    first = batch[0]
    return mine or [Draw(first.epoch, first.step, first.index, first.copy, counts=False)]


def group(
    lengths: Sequence[int], batch_size: int, tokens_per_batch: int | None
) -> list[NDArray[np.int64]]:
    """Which clips of a step go through the model together.

    Args:
        lengths: Tokens of each clip.
        batch_size: Clips a padded batch; those of similar length together.
        tokens_per_batch: Clips are packed in rows of at most so many tokens instead; a longer clip
            has a row of its own.

    Returns:
        Indices of each forward pass; every clip is in one.
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    if tokens_per_batch is not None:
        return _rows(lengths, order, tokens_per_batch)
    if len(order) <= batch_size:
        return [np.arange(len(order))]
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def _rows(
    lengths: Sequence[int], order: NDArray[np.int64], tokens_per_batch: int
) -> list[NDArray[np.int64]]:
    """First fit, longest first: at most 22 % more rows than the best packing (Johnson 1973)."""
    rows: list[list[int]] = []
    free: list[int] = []
    for index in order.tolist():
        fits = [row for row, left in enumerate(free) if lengths[index] <= left]
        if fits:
            rows[fits[0]].append(index)
            free[fits[0]] -= lengths[index]
        else:
            rows.append([index])
            free.append(tokens_per_batch - lengths[index])
    return [np.array(row) for row in rows]
