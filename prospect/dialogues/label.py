"""Timed visits to named steps -> transitions: the state of the task over time.

In: an `Annotation` whose ``step`` actions name their step. Out: a `StateTrack`, legal from
"nothing started". Deterministic; actions of other kinds, and idle gaps, belong to nobody.
"""

from dataclasses import dataclass

from prospect.errors import DataError
from prospect.states.transitions import BASIC, fold, initial_state
from prospect.types import Action, Annotation, Move, StateTrack, TimedTransition, Transition


@dataclass(slots=True)
class _Visit:
    """Time at a step without a break; `undone` if what was done last took it back."""

    start_s: float
    end_s: float
    undone: bool


def label(annotation: Annotation, moves: tuple[Move, ...] = BASIC) -> StateTrack:
    """The transitions of one video.

    A step starts when its first visit begins and is completed when its last visit ends, not when
    the next step begins. With ``reopen`` among ``moves`` it is completed at the end of every
    visit and reopened by the next one. A visit that undoes the step leaves it in progress until a
    later one has done it again. Visits that touch or overlap are one visit. Steps may be in
    progress together; a step never visited stays ``not_started``.

    Args:
        annotation: Its ``step`` actions are the visits ``[start_s, end_s)``.
        moves: The vocabulary of the track.

    Returns:
        Transitions sorted by time (s). At equal times a completion precedes a start, except that
        a visit of no length starts and completes after both.

    Raises:
        DataError: a visit names no step, or one that the task does not list; names the video.
    """
    timed: list[tuple[float, int, Transition]] = []
    for step_id, visits in _visits(annotation).items():
        if "reopen" not in moves:
            visits = [_Visit(visits[0].start_s, visits[-1].end_s, visits[-1].undone)]
        opening: Move | None = "start"
        for visit in visits:
            momentary = 2 if visit.start_s == visit.end_s else 0
            if opening is not None:
                timed.append((visit.start_s, momentary or 1, Transition(step_id, opening)))
            opening = None
            if not visit.undone:
                timed.append((visit.end_s, momentary, Transition(step_id, "complete")))
                opening = "reopen"
    timed.sort(key=lambda item: item[:2])  # stable: an opening stays before its own completion
    fold(initial_state(annotation.task), (transition for _, _, transition in timed))
    return StateTrack(
        annotation.video_id,
        annotation.task,
        tuple(TimedTransition(time_s, transition) for time_s, _, transition in timed),
    )


def _visits(annotation: Annotation) -> dict[str, list[_Visit]]:
    """step_id -> its visits in order, none touching another."""
    listed = {step.id for step in annotation.task.steps}
    spans: dict[str, list[Action]] = {}
    for action in annotation.actions:
        if action.kind != "step":
            continue
        if action.step_id is None or action.step_id not in listed:
            raise DataError(
                f"video {annotation.video_id}: the visit at {action.start_s} s to step "
                f"{action.step_id!r} is to none of the task's; name one of {sorted(listed)}"
            )
        if not action.start_s <= action.end_s:
            raise DataError(
                f"video {annotation.video_id}: the visit to {action.step_id} at {action.start_s} s "
                f"ends at {action.end_s} s; drop it or correct its times"
            )
        spans.setdefault(action.step_id, []).append(action)
    return {step_id: _merged(actions) for step_id, actions in spans.items()}


def _merged(actions: list[Action]) -> list[_Visit]:
    visits: list[_Visit] = []
    for action in sorted(actions, key=lambda one: (one.start_s, one.end_s)):
        if visits and action.start_s <= visits[-1].end_s:
            visits[-1].end_s = max(visits[-1].end_s, action.end_s)
            visits[-1].undone = action.undoes
        else:
            visits.append(_Visit(action.start_s, action.end_s, action.undoes))
    return visits
