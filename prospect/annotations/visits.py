"""Spans of a video: which of them lie in it, which steps they visit, and which visit holds them.

In: times in seconds, or `Action`s. Out: the same, cut or with their step, or why they are left out.
"""

from collections.abc import Sequence
from dataclasses import replace

from prospect.types import Action, Annotation, Step, Task


def in_video(start_s: float, end_s: float, duration_s: float) -> tuple[float, float] | str:
    """The part of ``[start_s, end_s)`` that lies in a video, or why the span is no good.

    A span that begins in the video and reaches beyond its end is cut there.
    """
    if end_s <= start_s:
        return "ends before it starts" if end_s < start_s else "has no length"
    if start_s < 0 or start_s >= duration_s:
        return "starts outside of the video"
    return start_s, min(end_s, duration_s)


def holder(action: Action, visits: Sequence[Action]) -> int | None:
    """Which of the visits holds most of the action, the first in a tie; None if none holds any."""

    def shared_s(at: int) -> float:
        visit = visits[at]
        return min(action.end_s, visit.end_s) - max(action.start_s, visit.start_s)

    best = max(range(len(visits)), key=shared_s, default=None)
    return best if best is not None and shared_s(best) > 0 else None


def owned(action: Action, visits: Sequence[Action]) -> Action:
    """The action with the step of the visit that holds most of it; unchanged if none does."""
    at = holder(action, visits)
    return action if at is None else replace(action, step_id=visits[at].step_id)


def visited(annotation: Annotation) -> list[str]:
    """The ``step_id`` of each visit in order of time; one that comes again is there again."""
    return [
        action.step_id
        for action in annotation.actions
        if action.kind == "step" and action.step_id is not None
    ]


def with_steps(annotation: Annotation, names: Sequence[str]) -> Annotation:
    """The annotation with the steps ``S1``, ``S2`` ... of these names.

    Args:
        annotation: Its actions that belong to a step have the step's name for a ``step_id``.
        names: Those of its steps in listed order, each once.
    """
    steps = {name: Step(f"S{index}", name) for index, name in enumerate(names, start=1)}
    actions = tuple(
        action if action.step_id is None else replace(action, step_id=steps[action.step_id].id)
        for action in annotation.actions
    )
    return replace(
        annotation, task=Task(annotation.task.goal, tuple(steps.values())), actions=actions
    )
