"""Do scores say what people say? Correlations, and whether both choose the same system.

In: people's ratings, and the content of files that `prospect score` and `prospect judge` wrote.
Out: for every score and judgement, Pearson's and Spearman's correlation (ProAssist's table 3, arXiv
2506.05904) and the match rate of the best choice (table 4: there the systems are one model at
several speaking thresholds).

    prospect agree ratings-*.json --key form.key.json --scores scores.json judged.json --out a.json
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ValidationError

from prospect.errors import DataError
from prospect.metrics import judge
from prospect.metrics.agreement import match_rate, pearson, spearman
from prospect.metrics.people import JUDGEMENTS, Rated, unit_means
from prospect.metrics.registry import METRICS

Level = Literal["dialogue", "dataset"]
Cell = tuple[str, str]
"""What systems are compared on (a dialogue or a data set), and the system."""
Scored = Mapping[Level, Mapping[str, Mapping[Cell, float]]]
"""level -> metric -> the value of every cell that has one."""

_OF_DATASET = "dataset:"


class _Estimate(BaseModel):
    value: float | None


class _Stream(BaseModel):
    dataset: str
    dialogue_id: str
    scores: dict[str, float | None]


class _System(BaseModel):
    groups: dict[str, dict[str, _Estimate]]
    streams: list[_Stream] = []


class _File(BaseModel):
    systems: dict[str, _System]


def read_scores(content: Any, where: str, systems: Sequence[str]) -> Scored:
    """The values of ``systems`` in a file of scores: of each data set, and of each dialogue in
    files that list ``streams``.

    Raises:
        DataError: not such a file, or one of the systems is not in it; names ``where``.
    """
    try:
        file = _File.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise DataError(
            f"{where}: field {field!r}: {first['msg']}; give what `prospect score` or `prospect "
            "judge` wrote"
        ) from error
    if missing := sorted({*systems} - file.systems.keys()):
        raise DataError(
            f"{where} has no scores of {', '.join(missing)}, which people rated; score the "
            "predictions that the form was made of"
        )
    found: dict[Level, dict[str, dict[Cell, float]]] = {
        "dialogue": defaultdict(dict),
        "dataset": defaultdict(dict),
    }
    seen: set[Cell] = set()
    for system in systems:
        for group, metrics in file.systems[system].groups.items():
            if group.startswith(_OF_DATASET):
                for name, estimate in metrics.items():
                    if estimate.value is not None:
                        cell = group.removeprefix(_OF_DATASET), system
                        found["dataset"][name][cell] = estimate.value
        for stream in file.systems[system].streams:
            _check_whole(where, seen, stream, system)
            for name, value in stream.scores.items():
                if value is not None:
                    cell = _dialogue(stream.dataset, stream.dialogue_id), system
                    found["dialogue"][name][cell] = value
    return found


def _check_whole(where: str, seen: set[Cell], stream: _Stream, system: str) -> None:
    """People rate a dialogue as a whole, so it must be one stream."""
    cell = _dialogue(stream.dataset, stream.dialogue_id), system
    if cell in seen:
        raise DataError(
            f"{where}: {stream.dialogue_id} of {stream.dataset} is several streams of {system}; "
            "only dialogues in one piece can be compared with people"
        )
    seen.add(cell)


def joined(files: Mapping[str, Scored]) -> Scored:
    """Several files as one.

    Raises:
        DataError: two files hold the same score.
    """
    found: dict[Level, dict[str, Mapping[Cell, float]]] = {"dialogue": {}, "dataset": {}}
    source: dict[tuple[Level, str], str] = {}
    for where, scored in files.items():
        for level, metrics in scored.items():
            for name, values in metrics.items():
                if (level, name) in source:
                    raise DataError(f"{source[level, name]} and {where} both hold {name}; give one")
                found[level][name], source[level, name] = values, where
    return found


def compared(ratings: Rated, scores: Scored) -> dict[str, Any]:
    """``correlation`` and ``match_rate``: level -> metric -> judgement -> estimates.

    A cell without a score or without ratings is left out. A score of which neither more nor less
    is better (a rate ratio) has correlations, but no best system, so no match rate.
    """
    people = {name: _people(ratings, name) for name in JUDGEMENTS}
    return {
        "correlation": {
            level: {
                metric: {name: _correlation(cells, people[name][level]) for name in JUDGEMENTS}
                for metric, cells in metrics.items()
            }
            for level, metrics in scores.items()
        },
        "match_rate": {
            level: {
                metric: {
                    name: _match(cells, people[name][level], direction(metric))
                    for name in JUDGEMENTS
                }
                for metric, cells in metrics.items()
                if direction(metric)
            }
            for level, metrics in scores.items()
        },
    }


def direction(metric: str) -> int:
    """1 if more is better, -1 if less is, 0 if neither or unknown."""
    known = METRICS.get(metric) or judge.METRICS.get(metric)
    if known is None or known.higher_is_better is None:
        return 0
    return 1 if known.higher_is_better else -1


def _dialogue(dataset: str, dialogue_id: str) -> str:
    return f"{dataset}/{dialogue_id}"


def _people(ratings: Rated, judgement: str) -> Mapping[Level, Mapping[Cell, float]]:
    """The raters' mean of each dialogue and system; their mean over a data set's dialogues."""
    dialogues: dict[Cell, float] = {}
    datasets: dict[Cell, list[float]] = defaultdict(list)
    means = unit_means(ratings.values[judgement]).tolist()
    for (dataset, dialogue_id, system), mean in zip(ratings.units, means, strict=True):
        if not np.isnan(mean):
            dialogues[_dialogue(dataset, dialogue_id), system] = mean
            datasets[dataset, system].append(mean)
    means_of = {cell: float(np.mean(values)) for cell, values in datasets.items()}
    return {"dialogue": dialogues, "dataset": means_of}


def _correlation(scores: Mapping[Cell, float], people: Mapping[Cell, float]) -> dict[str, Any]:
    both = sorted(scores.keys() & people.keys())
    left = np.array([scores[cell] for cell in both], np.float64)
    right = np.array([people[cell] for cell in both], np.float64)
    return {"pearson": asdict(pearson(left, right)), "spearman": asdict(spearman(left, right))}


def _match(scores: Mapping[Cell, float], people: Mapping[Cell, float], sign: int) -> dict[str, Any]:
    groups = sorted({group for group, _ in people})
    systems = sorted({system for _, system in people})
    left, right = (
        np.array([[side.get((group, one), np.nan) for one in systems] for group in groups])
        for side in (scores, people)
    )
    shape = len(groups), len(systems)
    return asdict(match_rate(sign * left.reshape(shape), right.reshape(shape)))
