"""What scores are computed from: numbers that add up over streams and videos.

In: `Stats`, what one prediction contributes. Out: a `Pool`, their totals over a group of videos,
each video weighted. A metric is a function of a pool, so that its value, its bootstrap interval
and the difference of two systems all come from the same few lines: the value from one row of
weights that are all 1, an interval from a thousand rows that count how often each video was drawn.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Stats:
    """What one prediction contributes.

    Attributes:
        sums: Counts and totals by name; every prediction of a file has the same names.
        values: Single numbers by name, where a score needs them ranked (delays, probabilities).
        texts: (predicted, reference) texts of the right pairs.
    """

    sums: Mapping[str, float]
    values: Mapping[str, Floats]
    texts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Pool:
    """Totals over V videos under B weightings.

    Attributes:
        weights: (B, V), how often each video counts.
        sums: name -> (B,) weighted totals.
        values: name -> (numbers (n,), the video each comes from (n,)).
        texts: All right pairs, each once, whatever the weights.
        text_videos: The video each pair comes from, (number of texts,).
    """

    weights: Floats
    sums: Mapping[str, Floats]
    values: Mapping[str, tuple[Floats, Ints]]
    texts: tuple[tuple[str, str], ...]
    text_videos: Ints

    def __getitem__(self, name: str) -> Floats:
        return self.sums[name]


@dataclass(frozen=True, slots=True)
class Metric:
    """A score.

    Attributes:
        function: Pool -> (B,); NaN where the score does not exist.
        higher_is_better: None where neither is: see ``best``.
        doc: One line of definition.
        best: What the oracle gets; None if that depends on the data.
    """

    function: Callable[[Pool], Floats]
    higher_is_better: bool | None
    doc: str
    best: float | None = 1.0


@dataclass(frozen=True, slots=True)
class Table:
    """Stats of a group summed by video: a matrix (V, K) and its columns' names."""

    videos: tuple[str, ...]
    names: tuple[str, ...]
    matrix: Floats
    values: Mapping[str, tuple[Floats, Ints]]
    texts: tuple[tuple[str, str], ...]
    text_videos: Ints

    def pool(self, weights: Floats) -> Pool:
        """Totals under ``weights`` (B, V)."""
        totals = weights @ self.matrix
        sums = dict(zip(self.names, totals.T, strict=True))
        return Pool(weights, sums, self.values, self.texts, self.text_videos)

    def plain(self) -> Pool:
        """Totals with every video counted once: B = 1."""
        return self.pool(np.ones((1, len(self.videos))))


def table(stats: Sequence[Stats], videos: Sequence[str]) -> Table:
    """Sum the stats of each video.

    Args:
        stats: At least one, all with the same names.
        videos: The video of each; streams of one video (its user types) belong together.
    """
    distinct = tuple(dict.fromkeys(videos))
    index = {video: row for row, video in enumerate(distinct)}
    rows = np.array([index[video] for video in videos])
    names = tuple(stats[0].sums)
    per_stream = np.array([[item.sums[name] for name in names] for item in stats], np.float64)
    matrix = np.zeros((len(distinct), len(names)))
    np.add.at(matrix, rows, per_stream)
    values = {
        name: (
            np.concatenate([item.values[name] for item in stats]),
            np.repeat(rows, [len(item.values[name]) for item in stats]),
        )
        for name in stats[0].values
    }
    texts = tuple(text for item in stats for text in item.texts)
    text_videos = np.repeat(rows, [len(item.texts) for item in stats])
    return Table(distinct, names, matrix, values, texts, text_videos)


def ratio(part: Floats, whole: Floats) -> Floats:
    """part / whole; NaN (which leaves `score` as null) where the whole is 0."""
    result: Floats = np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole != 0)
    return result


def share(part: str, *wholes: str) -> Callable[[Pool], Floats]:
    """A metric function: the total of ``part`` over the sum of the totals of ``wholes``."""
    return lambda pool: ratio(pool[part], np.sum([pool[name] for name in wholes], axis=0))


def counts_f1(hits: str, predicted: str, reference: str) -> Callable[[Pool], Floats]:
    """F1 as 2 * hits / (predicted + reference): 0 for silence, NaN where nothing was to be done."""
    return lambda pool: ratio(2 * pool[hits], pool[predicted] + pool[reference])


def prf(prefix: str, hits: str, predicted: str, reference: str, what: str) -> dict[str, Metric]:
    """``<prefix>_precision``, ``_recall`` and ``_f1`` of counts; ``what`` ends their docs.

    A prefix may hold ``{}`` for the place of the word: ``transition_{}_5s``.
    """
    name = prefix if "{}" in prefix else prefix + "_{}"
    return {
        name.format("precision"): Metric(share(hits, predicted), True, f"right of all {what}"),
        name.format("recall"): Metric(share(hits, reference), True, f"found of all {what}"),
        name.format("f1"): Metric(
            counts_f1(hits, predicted, reference), True, f"harmonic mean of P and R of {what}"
        ),
    }


def weighted_median(values: Floats, videos: Ints, weights: Floats) -> Floats:
    """Median of values (n,), each counting ``weights[b, video]`` times: (B,); NaN of nothing."""
    if not len(values):
        return np.full(len(weights), np.nan)
    distinct, position = np.unique(values, return_inverse=True)
    per_video = np.zeros((weights.shape[1], len(distinct)))
    np.add.at(per_video, (videos, position), 1.0)
    below = np.cumsum(weights @ per_video, axis=1)  # (B, U): values <= distinct[u]
    total = below[:, -1]
    lower = (below < (total / 2)[:, None]).sum(1)
    upper = (below <= (total / 2)[:, None]).sum(1)
    last = len(distinct) - 1
    median = (distinct[np.minimum(lower, last)] + distinct[np.minimum(upper, last)]) / 2
    return np.where(total > 0, median, np.nan)
