"""Runs of equal state and of right and wrong state, and which videos to show.

In: `Prediction`s. Out: runs of frames ``[start, stop)`` on the stream's clock. What a state is at a
frame, and whether it is right, `prospect.metrics.state` says.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Generic, TypeVar

from prospect.metrics.state import timeline, wrong_steps
from prospect.types import Event, Prediction, State, Status

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Run(Generic[T]):
    """Frames ``[start, stop)`` over which a value stays the same."""

    start: int
    stop: int
    value: T


def state_runs(prediction: Prediction, events: Iterable[Event]) -> list[Run[State]]:
    """The state over all frames of the stream, after the decisions of each frame."""
    return _runs(timeline(prediction, events), prediction.stop_frame)


def status_runs(runs: Sequence[Run[State]], step_id: str) -> list[Run[Status]]:
    """One step's status over the frames of `state_runs`."""
    return _runs(((run.start, run.value[step_id]) for run in runs), runs[-1].stop)


def agreement_runs(prediction: Prediction) -> list[Run[bool]]:
    """Whether the whole predicted state equals the reference, over all frames."""
    right = (wrong_steps(prediction).sum(0) == 0).tolist()
    return _runs(enumerate(right, prediction.start_frame), prediction.stop_frame)


def joint_goal_accuracy(prediction: Prediction) -> float | None:
    """Share of this video's frames at which the whole state is right.

    None for a video without steps or without frames.
    """
    if not prediction.state or prediction.start_frame >= prediction.stop_frame:
        return None
    return float((wrong_steps(prediction).sum(0) == 0).mean())


def choose(predictions: Sequence[Prediction], count: int) -> tuple[tuple[Prediction, ...], int]:
    """At most ``count`` videos from worst to best, and the place of the median among them.

    Ranked by joint goal accuracy; the lower median where the number is even. The others are
    spread evenly over the ranks on either side, the worst and the best among them. Videos without
    steps are shown only if none has any, in the order given.

    Returns:
        The chosen predictions and the index of the median; ``((), 0)`` for none.
    """
    scored = [(joint_goal_accuracy(prediction), prediction) for prediction in predictions]
    ranked = sorted(
        ((score, prediction) for score, prediction in scored if score is not None),
        key=lambda pair: (pair[0], pair[1].dialogue_id),
    )
    if not ranked:
        return tuple(predictions[:count]), 0
    last = len(ranked) - 1
    median = last // 2
    if len(ranked) <= count:
        ranks = list(range(len(ranked)))
    else:
        below = (count - 1) // 2
        above = count - 1 - below
        ranks = [
            *(median * i // below for i in range(below)),
            median,
            *(last - (last - median) * i // above for i in reversed(range(above))),
        ]
    return tuple(ranked[rank][1] for rank in ranks), ranks.index(median)


def _runs(changes: Iterable[tuple[int, T]], stop: int) -> list[Run[T]]:
    """At least one (frame, value from there on), in order, as runs up to ``stop``.

    The last value given for a frame counts, and neighbours of equal value are one run.
    """
    values = dict(changes).items()
    kept = [next(equal) for _, equal in groupby(values, key=lambda change: change[1])]
    stops = [*(frame for frame, _ in kept[1:]), stop]
    return [Run(start, end, value) for (start, value), end in zip(kept, stops, strict=True)]
