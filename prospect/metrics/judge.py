"""What a judging model said -> scores: its replies read, pooled over videos, runs compared.

In: the replies of several runs about each stream. Out: mean scores with their intervals, the
agreement of the runs, and how many replies were dropped, and why.

The scores are ProAssist's four, 1 to 5 (arXiv 2506.05904 and its code ``llm_eval.py``); people and
models also give 2.5 or 3.2, which count as they are.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from prospect.clock import event_time_s
from prospect.metrics.agreement import agreement
from prospect.metrics.bootstrap import draw, estimate, paired_difference
from prospect.metrics.pool import Floats, Metric, Stats, Table, share, table
from prospect.types import Event, Prediction, Turn

ASPECTS: Mapping[str, str] = {
    "correctness": "what the assistant says fits the task and what has been done so far",
    "promptness": "it speaks when it is needed, neither too early nor too late",
    "efficiency": "nothing useful is left out, nothing is repeated or besides the point",
    "overall": "how good a help it is all in all",
}
"""name -> what is judged."""
LOWEST, HIGHEST = 1.0, 5.0

METRICS: Mapping[str, Metric] = {
    name: Metric(share(name, "judged"), True, f"judged 1 to 5: {what}", HIGHEST)
    for name, what in ASPECTS.items()
}

_NAMES = "|".join(ASPECTS)
_SCORE = re.compile(
    rf"[\s\d.)(|>#•{{*-]*[\"'`]?(?P<aspect>{_NAMES})[\"'`*]?(?: (?:score|rating|quality))?"
    r"(?: ?\(1 ?(?:-|\u2013|to) ?5\))?[\"'`]? ?[:=|\u2013-] ?"
    r"[\"'`(\[]?(?P<value>\d+(?:\.\d+)?)(?: ?/ ?5(?:\.0)?| out of 5)?[\"'`)\]]?"
    r"(?=$|\.$|\. |[,;}\]:]| ?[|(}]| [-\u2013\u2014] (?!\d))",
    re.IGNORECASE,
)
_JOINED = re.compile(rf"([,;{{]) ?(?=[\"']?(?:{_NAMES})[\"']? ?[:=])", re.IGNORECASE)

Scores = Mapping[str, float]
"""A value of every one of `ASPECTS`."""


@dataclass(frozen=True, slots=True)
class Unread:
    """Why a reply gives no scores; equal reasons have equal words."""

    reason: str


@dataclass(frozen=True, slots=True)
class Judged:
    """The replies of all runs about one stream, in the order of the runs."""

    prediction: Prediction
    runs: tuple[Scores | Unread, ...]


def read_scores(text: str) -> Scores | Unread:
    """The four scores of a reply, each at the start of a line or of an item of one.

    What models make of ``correctness: 3`` is read as meant: bold, bullets, numbers, table rows,
    JSON, "Correctness score (1-5) = 3/5", a reason before or after, the scores said twice, thoughts
    that end in ``</think>``. Nothing is guessed: a range (3-4), another scale (7/10) or a word
    (three) is no score, and a reply in which one is missing, contradicted or outside 1 to 5 is
    `Unread`.
    """
    found: dict[str, float] = {}
    for line in _items(text.rpartition("</think>")[2]):
        match = _SCORE.match(line)
        if match is None:
            continue
        aspect, value = match["aspect"].lower(), float(match["value"])
        if not LOWEST <= value <= HIGHEST:
            return Unread("a score outside 1 to 5")
        if found.setdefault(aspect, value) != value:
            return Unread("two different scores for one aspect")
    if found.keys() != ASPECTS.keys():
        return Unread("a score is missing" if found else "no scores")
    return {name: found[name] for name in ASPECTS}


def _items(text: str) -> list[str]:
    """Lines without bold; what follows a comma or brace and names an aspect is a line too."""
    plain = text.replace("**", "").replace("__", "")
    return [" ".join(line.split()) for line in _JOINED.sub(r"\1\n", plain).split("\n")]


def dialogue_turns(prediction: Prediction, events: Sequence[Event]) -> tuple[Turn, ...]:
    """A stream's dialogue as it is read: the user of the references, the assistant of ``events``.

    Times are those at which a decision is known (`prospect.clock.event_time_s`); on one frame the
    assistant comes first.
    """
    turns = [
        Turn("assistant", event_time_s(event.frame, prediction.fps), event.speech)
        for event in events
        if event.speech is not None
    ]
    turns += [
        Turn("user", event_time_s(event.frame, prediction.fps), event.user)
        for event in prediction.references
        if event.user is not None
    ]
    return tuple(sorted(turns, key=lambda turn: (turn.time_s, turn.role)))


def stream_scores(judged: Judged) -> Scores | None:
    """The mean of each aspect over the runs that can be read; None if none can."""
    read = [run for run in judged.runs if not isinstance(run, Unread)]
    if not read:
        return None
    return {name: float(np.mean([run[name] for run in read])) for name in ASPECTS}


def summarize(systems: Mapping[str, Sequence[Judged]], main: str) -> dict[str, Any]:
    """Judged streams of one or more systems -> a JSON value in the form of ``scores.json``.

    A stream counts by the mean over its readable runs; one without any is left out and counted.
    Intervals are over videos; differences are of the streams that both systems have scores for.

    Args:
        systems: Streams by system; all systems on the same streams in the same order.
        main: The system that the others are compared with.

    Returns:
        ``systems`` -> name -> ``groups`` (as `prospect.metrics.score.score`), ``streams`` (the
        scores of each), ``agreement`` of the runs by aspect, ``replies`` (read, and dropped by
        reason); and ``differences`` to the main system.
    """
    return {
        "systems": {
            name: {
                "groups": _groups(found),
                "streams": [_stream(item) for item in found],
                "agreement": _agreement(found),
                "replies": _replies(found),
            }
            for name, found in systems.items()
        },
        "differences": {
            f"{main} - {other}": _differences(systems[main], systems[other])
            for other in systems
            if other != main
        },
    }


def _stats(judged: Judged) -> Stats:
    scores = stream_scores(judged)
    if scores is None:
        return Stats({**dict.fromkeys(ASPECTS, 0.0), "judged": 0.0}, {})
    return Stats({**scores, "judged": 1.0}, {})


def _table(items: Sequence[Judged]) -> Table:
    videos = [f"{item.prediction.dataset}/{item.prediction.video_id}" for item in items]
    return table([_stats(item) for item in items], videos)


def _groups(found: Sequence[Judged]) -> dict[str, dict[str, Any]]:
    members: dict[str, list[Judged]] = {"pooled": list(found)}
    for item in found:
        members.setdefault(f"dataset:{item.prediction.dataset}", []).append(item)
    return {
        group: {name: asdict(estimate(one)) for name, one in draw(_table(items), METRICS).items()}
        for group, items in members.items()
    }


def _differences(ours: Sequence[Judged], theirs: Sequence[Judged]) -> dict[str, Any]:
    both = [
        pair
        for pair in zip(ours, theirs, strict=True)
        if all(stream_scores(item) is not None for item in pair)
    ]
    if not both:
        return dict.fromkeys(METRICS)
    left, right = (_table(side) for side in zip(*both, strict=True))
    return {
        name: asdict(paired_difference(left, right, metric)) for name, metric in METRICS.items()
    }


def _stream(judged: Judged) -> dict[str, Any]:
    scores = stream_scores(judged)
    return {
        "dataset": judged.prediction.dataset,
        "dialogue_id": judged.prediction.dialogue_id,
        "video_id": judged.prediction.video_id,
        "scores": dict.fromkeys(ASPECTS) if scores is None else dict(scores),
        "runs": [run.reason if isinstance(run, Unread) else dict(run) for run in judged.runs],
    }


def _agreement(found: Sequence[Judged]) -> dict[str, Any]:
    return {name: asdict(agreement(runs_matrix(found, name), "interval")) for name in ASPECTS}


def runs_matrix(found: Sequence[Judged], aspect: str) -> Floats:
    """One aspect of all runs about all streams, (R, U); NaN where a reply could not be read."""
    return np.array(
        [
            [np.nan if isinstance(run, Unread) else run[aspect] for run in item.runs]
            for item in found
        ],
        np.float64,
    ).T


def _replies(found: Sequence[Judged]) -> dict[str, Any]:
    runs = [run for item in found for run in item.runs]
    dropped = Counter(run.reason for run in runs if isinstance(run, Unread))
    silent = sum(all(isinstance(run, Unread) for run in item.runs) for item in found)
    return {
        "read": len(runs) - dropped.total(),
        "dropped": dict(sorted(dropped.items())),
        "streams_without_scores": silent,
    }
