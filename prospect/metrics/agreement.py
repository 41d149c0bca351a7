"""How far raters agree: with each other, and a score with people.

In: numbers of several raters about the same units, NaN where one is missing. Out: weighted kappa,
Krippendorff's alpha, correlations with their intervals, and how often a score prefers what people
prefer. Raters may be people or the runs of a model that judges.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist
from typing import Literal

import numpy as np

from prospect.errors import DataError
from prospect.metrics.bootstrap import LEVEL, Estimate
from prospect.metrics.pool import Floats

Scale = Literal["nominal", "ordinal", "interval"]

_Z = NormalDist().inv_cdf((1 + LEVEL) / 2)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far R raters agree on U units; a value is None where it does not exist.

    Attributes:
        exact: Share of equal ratings, over all pairs of raters and the units both rated.
        mean_abs_difference: Over the same.
        kappa: Quadratically weighted, mean over the pairs of raters in which it exists.
        pearson: Mean over the pairs of raters in which it exists.
        alpha: Krippendorff's, of all raters at once.
        num_raters: With any rating.
        num_units: With at least two ratings.
    """

    exact: float | None
    mean_abs_difference: float | None
    kappa: float | None
    pearson: float | None
    alpha: float | None
    num_raters: int
    num_units: int


def agreement(ratings: Floats, scale: Scale) -> Agreement:
    """All of `Agreement` about ratings (R, U), NaN where a rater gave none.

    Raises:
        DataError: not a matrix, or a rating that is infinite.
    """
    _check(ratings)
    rated = ~np.isnan(ratings)
    differences: list[Floats] = []
    kappas, correlations = list[float | None](), list[float | None]()
    for first, second in combinations(range(len(ratings)), 2):
        both = rated[first] & rated[second]
        left, right = ratings[first, both], ratings[second, both]
        differences.append(np.abs(left - right))
        kappas.append(weighted_kappa(left, right))
        correlations.append(pearson(left, right).value)
    apart = np.concatenate(differences) if differences else np.zeros(0)
    return Agreement(
        exact=float((apart == 0).mean()) if len(apart) else None,
        mean_abs_difference=float(apart.mean()) if len(apart) else None,
        kappa=_mean(kappas),
        pearson=_mean(correlations),
        alpha=krippendorff_alpha(ratings, scale),
        num_raters=int(rated.any(axis=1).sum()),
        num_units=int((rated.sum(axis=0) >= 2).sum()),
    )


def weighted_kappa(left: Floats, right: Floats, power: float = 2.0) -> float | None:
    """Cohen's weighted kappa of two raters (Psychological Bulletin 1968).

    1 - (mean of |x - y| ** power over units) / (the same over all pairings of a rating of one with
    a rating of the other). On categories 1, 2, 3 ... this is the kappa of weights
    ``|i - j| ** power``; it needs no list of categories, so that 2.5 is a rating too.

    Args:
        left, right: Ratings (U,) of the same units.
        power: 2 for quadratic weights, 1 for linear ones.

    Returns:
        At most 1, 0 for chance; None without units, and where both give one and the same rating.
    """
    if not len(left):
        return None
    observed = (np.abs(left - right) ** power).mean()
    expected = (np.abs(left[:, None] - right[None, :]) ** power).mean()
    return float(1 - observed / expected) if expected else None


def krippendorff_alpha(ratings: Floats, scale: Scale) -> float | None:
    """Krippendorff's alpha of any number of raters with gaps.

    Computed from coincidences as in "Computing Krippendorff's Alpha-Reliability" (2011): units
    with a single rating are left out. Distances of values c, k: nominal 0 or 1, interval
    (c - k) ** 2, ordinal the square of the number of ratings from c to k, those of c and k halved.

    Args:
        ratings: (R, U), NaN where a rater gave none.

    Returns:
        At most 1, 0 for chance; None if no unit has two ratings or all ratings are equal.

    Raises:
        DataError: not a matrix, or a rating that is infinite.
    """
    _check(ratings)
    values = np.unique(ratings[~np.isnan(ratings)])
    counts = (ratings[:, :, None] == values).sum(axis=0).astype(np.float64)  # (U, V)
    counts = counts[counts.sum(axis=1) >= 2]
    if not len(counts):
        return None
    pairs = counts[:, :, None] * counts[:, None, :]
    pairs -= counts[:, :, None] * np.eye(len(values))  # nobody is compared with himself
    coincidences = (pairs / (counts.sum(axis=1) - 1)[:, None, None]).sum(axis=0)  # (V, V)
    totals = coincidences.sum(axis=1)
    distances = _DISTANCES[scale](values, totals)
    observed = (coincidences * distances).sum() / totals.sum()
    chance = (np.outer(totals, totals) * distances).sum() / (totals.sum() * (totals.sum() - 1))
    return float(1 - observed / chance) if chance else None


def _ordinal(values: Floats, totals: Floats) -> Floats:
    ends = np.cumsum(totals) - totals / 2
    result: Floats = (ends[:, None] - ends[None, :]) ** 2
    return result


_DISTANCES: Mapping[Scale, Callable[[Floats, Floats], Floats]] = {
    "nominal": lambda values, totals: (values[:, None] != values[None, :]).astype(np.float64),
    "interval": lambda values, totals: (values[:, None] - values[None, :]) ** 2,
    "ordinal": _ordinal,
}


def pearson(left: Floats, right: Floats) -> Estimate:
    """Pearson's correlation of (U,) with (U,), with Fisher's interval: atanh(r) +- z / sqrt(U - 3).

    Returns:
        Value None for fewer than 2 units or a side without spread; ends None for fewer than 4.
    """
    return _correlation(left, right, 0.0)


def spearman(left: Floats, right: Floats) -> Estimate:
    """Spearman's: Pearson's of the ranks, equal values sharing their mean rank.

    The interval is Bonett and Wright's (Psychometrika 2000): Fisher's with the standard error
    sqrt((1 + r ** 2 / 2) / (U - 3)).
    """
    return _correlation(mean_ranks(left), mean_ranks(right), 0.5)


def mean_ranks(values: Floats) -> Floats:
    """Ranks of (U,) from 1, the smallest first; equal values share their mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return ranks


def _correlation(left: Floats, right: Floats, grows: float) -> Estimate:
    number = len(left)
    if number < 2 or np.ptp(left) == 0 or np.ptp(right) == 0:
        return Estimate(None, None, None, number)
    x, y = left - left.mean(), right - right.mean()
    r = float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1, 1))
    if number < 4:
        return Estimate(r, None, None, number)
    if abs(r) == 1:
        return Estimate(r, r, r, number)
    reach = _Z * np.sqrt((1 + grows * r**2) / (number - 3))
    low, high = np.tanh(np.arctanh(r) + np.array([-reach, reach]))
    return Estimate(r, float(low), float(high), number)


def match_rate(scores: Floats, people: Floats) -> Estimate:
    """How often a score chooses what people like best.

    Where several systems share the best score, one of them is chosen by lot; the choice is right
    if people like none better.

    Args:
        scores: (G, S): of each system in each group (a dialogue, a data set); greater is better.
        people: The same of people's ratings. A group in which a number is missing (NaN) on either
            side, or all systems are equal to people, says nothing and is left out.

    Returns:
        The share of right choices, its interval by Wilson's formula (1927), the number of groups.

    Raises:
        DataError: matrices of different shape.
    """
    if scores.shape != people.shape or scores.ndim != 2:
        raise DataError(f"scores {scores.shape} and people {people.shape}: one (G, S) of both")
    told = (people != people[:, :1]).any(axis=1) & ~np.isnan(scores + people).any(axis=1)
    if not told.any():
        return Estimate(None, None, None, 0)
    chosen = scores[told] == scores[told].max(axis=1, keepdims=True)
    liked = people[told] == people[told].max(axis=1, keepdims=True)
    right = (chosen & liked).sum(axis=1) / chosen.sum(axis=1)
    number = len(right)
    share = float(right.mean())
    if number < 2:
        return Estimate(share, None, None, number)
    z2 = _Z**2 / number
    middle = (share + z2 / 2) / (1 + z2)
    reach = np.sqrt(z2 * (share * (1 - share) + z2 / 4)) / (1 + z2)
    return Estimate(share, float(middle - reach), float(middle + reach), number)


def _check(ratings: Floats) -> None:
    if ratings.ndim != 2 or np.isinf(ratings).any():
        raise DataError(f"ratings of shape {ratings.shape}: a finite (raters, units) is needed")


def _mean(values: list[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return float(np.mean(found)) if found else None
