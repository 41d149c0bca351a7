"""What people said of dialogues, and whether scores agree with them.

In: the key of a rating form (`prospect.report.rating`) and the files that raters saved. Out: all
ratings as matrices, each system's means, and the agreement of the raters (ProAssist's table 2,
arXiv 2506.05904). `prospect.metrics.alike` compares them with scores.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from prospect.errors import DataError
from prospect.metrics.agreement import agreement, mean_ranks
from prospect.metrics.bootstrap import draw, estimate
from prospect.metrics.pool import Floats, Metric, Stats, ratio, share, table

ASPECTS: Mapping[str, str] = {
    "correctness": "What the assistant says is true, and right for what the person is doing.",
    "helpfulness": "It says what the person needs, when they need it.",
    "alignment": "It fits what is seen and done, and the goal; nothing is made up.",
    "naturalness": "It sounds like a person who talks, without repeating itself.",
}
"""What people rate of a dialogue, `LOWEST` to `HIGHEST` (ProAssist's four), in our words."""
LOWEST, HIGHEST = 1, 4
PREFERENCE = "preference"
"""The ranking of systems, as number of systems + 1 - rank: greater is better, ties share."""
JUDGEMENTS = (*ASPECTS, PREFERENCE)


@dataclass(frozen=True, slots=True)
class KeyItem:
    """One dialogue of a form: where it is from, and the system behind each letter."""

    item: str
    dataset: str
    dialogue_id: str
    video_id: str
    systems: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Key:
    """Who is who in a form; kept away from raters.

    Attributes:
        form: A hash of all that the form shows; it stands in the form and in what raters save.
    """

    schema: Literal["rating-key/1"]
    form: str
    seed: int
    items: tuple[KeyItem, ...]


@dataclass(frozen=True, slots=True)
class ItemRatings:
    """One rater's view of one dialogue: letter -> aspect -> 1 to 4, letter -> rank from 1."""

    item: str
    ratings: Mapping[str, Mapping[str, int]]
    ranks: Mapping[str, int]
    comment: str


@dataclass(frozen=True, slots=True)
class Ratings:
    """What one rater saved; what is not rated is left out."""

    schema: Literal["ratings/1"]
    form: str
    rater: str
    saved: str
    items: tuple[ItemRatings, ...]


Unit = tuple[str, str, str]
"""Data set, dialogue, system: what is rated."""


@dataclass(frozen=True, slots=True)
class Rated:
    """All ratings as matrices (R, U), NaN where there is none.

    Attributes:
        values: One matrix of each of `JUDGEMENTS`.
        counts: Ratings used, missing (not given), and left out by reason.
    """

    raters: tuple[str, ...]
    units: tuple[Unit, ...]
    values: Mapping[str, Floats]
    counts: Mapping[str, int]


def rated(key: Key, files: Sequence[Ratings]) -> Rated:
    """Put the raters' files together.

    Left out and counted: items and letters that the key doesn't know, aspects that nobody asked
    for, ratings outside 1 to 4, rankings that are incomplete or outside 1 to the number of systems.

    Raises:
        DataError: no files, ratings of another form, a rater without a name or with two files, an
            item twice in a file or in the key.
    """
    _check(key, files)
    items = {item.item: item for item in key.items}
    units = tuple(
        (item.dataset, item.dialogue_id, system)
        for item in key.items
        for system in sorted(item.systems.values())
    )
    column = {unit: index for index, unit in enumerate(units)}
    values = {name: np.full((len(files), len(units)), np.nan) for name in JUDGEMENTS}
    counts: Counter[str] = Counter()
    for row, file in enumerate(files):
        for given in file.items:
            item = items.get(given.item)
            if item is None:
                counts["left out: unknown item"] += 1
                continue
            for name, letter, value in _values(item, given, counts):
                unit = (item.dataset, item.dialogue_id, item.systems[letter])
                values[name][row, column[unit]] = value
    cells = np.stack(list(values.values()))
    if all(len(item.systems) == 1 for item in key.items):
        cells = cells[:-1]  # nothing to rank
    missing = int(np.isnan(cells).sum())
    raters = tuple(file.rater for file in files)
    used = {"used": cells.size - missing, "missing": missing}
    return Rated(raters, units, values, used | dict(sorted(counts.items())))


def _check(key: Key, files: Sequence[Ratings]) -> None:
    if not files:
        raise DataError("no ratings; name the files that the raters saved")
    names = [item.item for item in key.items]
    cells = [(one.dataset, one.dialogue_id, it) for one in key.items for it in one.systems.values()]
    if not names or len({*names}) < len(names) or len({*cells}) < len(cells):
        raise DataError(
            f"the key of form {key.form} lists no items, or an item, dialogue or system twice"
        )
    for file in files:
        if file.form != key.form:
            raise DataError(
                f"{file.rater or 'somebody'} rated form {file.form}, the key is of {key.form}; "
                "take the key that was written beside the form"
            )
        if not file.rater.strip():
            raise DataError(f"ratings saved at {file.saved} name no rater; fill in 'rater'")
        for item, times in Counter(given.item for given in file.items).items():
            if times > 1:
                raise DataError(f"{file.rater} rates item {item} twice in one file")
    for rater, times in Counter(file.rater for file in files).items():
        if times > 1:
            raise DataError(f"{rater} has {times} files; give the last one that was saved")


def _values(
    item: KeyItem, given: ItemRatings, counts: Counter[str]
) -> list[tuple[str, str, float]]:
    """(judgement, letter, value) of all that can be used."""
    found: list[tuple[str, str, float]] = []
    for letter, ratings in given.ratings.items():
        for aspect, value in ratings.items():
            if letter not in item.systems:
                counts["left out: unknown letter"] += 1
            elif aspect not in ASPECTS:
                counts["left out: unknown aspect"] += 1
            elif not LOWEST <= value <= HIGHEST:
                counts[f"left out: rating outside {LOWEST} to {HIGHEST}"] += 1
            else:
                found.append((aspect, letter, float(value)))
    number = len(item.systems)
    if not given.ranks or number == 1:
        return found
    if given.ranks.keys() != item.systems.keys():
        counts["left out: incomplete ranking"] += 1
    elif not all(1 <= rank <= number for rank in given.ranks.values()):
        counts["left out: rank outside the number of systems"] += 1
    else:
        # mean ranks: people may give 1, 1, 2 or 1, 1, 3 and mean the same
        ranks = mean_ranks(np.array(list(given.ranks.values()), np.float64))
        preferences = (number + 1 - ranks).tolist()
        found += [(PREFERENCE, *pair) for pair in zip(given.ranks, preferences, strict=True)]
    return found


def quality(key: Key, ratings: Rated) -> dict[str, Any]:
    """system -> judgement -> mean over dialogues of the raters' mean, with its interval over videos
    (`prospect.metrics.bootstrap`); ProAssist's table 2."""
    video = {(item.dataset, item.dialogue_id): item.video_id for item in key.items}
    means = {name: unit_means(values) for name, values in ratings.values.items()}
    found: dict[str, Any] = {}
    for system in sorted({unit[2] for unit in ratings.units}):
        columns = [index for index, unit in enumerate(ratings.units) if unit[2] == system]
        stats = [Stats(_sums(means, column), {}) for column in columns]
        units = [ratings.units[column] for column in columns]
        videos = [f"{dataset}/{video[dataset, name]}" for dataset, name, _ in units]
        drawn = draw(table(stats, videos), _METRICS)
        found[system] = {name: asdict(estimate(one)) for name, one in drawn.items()}
    return found


_METRICS: Mapping[str, Metric] = {
    name: Metric(share(name, f"{name}_rated"), True, doc, None)
    for name, doc in {**ASPECTS, PREFERENCE: "place among the systems"}.items()
}


def _sums(means: Mapping[str, Floats], column: int) -> dict[str, float]:
    sums: dict[str, float] = {}
    for name, values in means.items():
        known = not np.isnan(values[column])
        sums[name], sums[f"{name}_rated"] = (float(values[column]), 1.0) if known else (0.0, 0.0)
    return sums


def unit_means(values: Floats) -> Floats:
    """(R, U) -> (U,): the mean over the raters who rated a unit; NaN where nobody did."""
    number = (~np.isnan(values)).sum(axis=0)
    return ratio(np.nansum(values, axis=0), number.astype(np.float64))


def agreements(ratings: Rated) -> dict[str, Any]:
    """judgement -> how far raters agree; ProAssist's weighted inter-rater agreement is `kappa`."""
    return {name: asdict(agreement(values, "ordinal")) for name, values in ratings.values.items()}
