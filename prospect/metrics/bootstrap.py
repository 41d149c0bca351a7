"""How sure a score is: the bootstrap over videos.

In: a `Table` of per-video totals. Out: each metric's value and what it would have been on a
thousand other draws of as many videos (Efron 1979); percentiles of those are the interval. Two
systems on the same videos are drawn together, so that their difference has its own interval,
which a hard video that is hard for both does not widen.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from prospect.errors import DataError
from prospect.metrics.pool import Floats, Metric, Table

NUM_DRAWS = 1000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score and the ends of its interval; None where it does not exist.

    Attributes:
        n: Number of videos in the group.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """A metric's value, NaN if it does not exist, and its value on every draw (B,)."""

    value: float
    draws: Floats
    n: int


def draw_weights(num_videos: int, seed: int) -> Floats:
    """How often each of ``num_videos`` videos is drawn, (B, V); rows add up to V."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(num_videos, np.full(num_videos, 1 / num_videos), size=NUM_DRAWS)
    return drawn.astype(np.float64)


def draw(table: Table, metrics: Mapping[str, Metric], seed: int = 0) -> dict[str, Drawn]:
    """Every metric of a group with its draws; the same videos and seed give the same draws."""
    num_videos = len(table.videos)
    plain, resampled = table.plain(), table.pool(draw_weights(num_videos, seed))
    return {
        name: Drawn(float(metric.function(plain)[0]), metric.function(resampled), num_videos)
        for name, metric in metrics.items()
    }


def macro(groups: list[Drawn]) -> Drawn:
    """Mean over the groups (data sets) in which the metric exists, each drawn by itself."""
    found = [group for group in groups if not np.isnan(group.value)]
    if not found:
        return Drawn(np.nan, np.full(NUM_DRAWS, np.nan), 0)
    draws = np.mean([group.draws for group in found], axis=0)
    num_videos = sum(group.n for group in found)
    return Drawn(float(np.mean([group.value for group in found])), draws, num_videos)


def estimate(drawn: Drawn) -> Estimate:
    """Value and 95 % percentile interval; one video alone has none."""
    known = drawn.draws[~np.isnan(drawn.draws)]
    value = None if np.isnan(drawn.value) else drawn.value
    if value is None or drawn.n < 2 or not len(known):
        return Estimate(value, None, None, drawn.n)
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high), drawn.n)


def difference(left: Drawn, right: Drawn) -> Estimate:
    """left - right of two systems drawn with the same videos and seed."""
    return estimate(Drawn(left.value - right.value, left.draws - right.draws, left.n))


def paired_difference(left: Table, right: Table, metric: Metric, seed: int = 0) -> Estimate:
    """The difference of one metric between two systems on the same videos.

    Raises:
        DataError: the tables hold different videos.
    """
    if left.videos != right.videos:
        only = sorted(set(left.videos) ^ set(right.videos))
        raise DataError(f"systems were run on different videos, e.g. {', '.join(only[:3])}")
    first, second = (draw(side, {"metric": metric}, seed)["metric"] for side in (left, right))
    return difference(first, second)
