"""Spans are cut to their video, and actions find the visit that holds them."""

import pytest

from prospect.annotations.visits import in_video, owned, visited, with_steps
from prospect.types import Action, Annotation, Step, Task

CUT, BOIL = Action(0.0, 10.0, "a", "step", "cut"), Action(8.0, 20.0, "b", "step", "boil")


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ((0.0, 1.0), (0.0, 1.0)),
        ((9.0, 12.0), (9.0, 10.0)),
        ((2.0, 1.0), "ends before it starts"),
        ((2.0, 2.0), "has no length"),
        ((-1.0, 2.0), "starts outside of the video"),
        ((10.0, 12.0), "starts outside of the video"),
    ],
)
def test_in_video(span: tuple[float, float], expected: object) -> None:
    assert in_video(*span, 10.0) == expected


@pytest.mark.parametrize(
    ("start_s", "end_s", "step_id"),
    [(1.0, 2.0, "cut"), (8.0, 10.0, "cut"), (7.0, 13.0, "boil"), (20.0, 21.0, None)],
)
def test_owned(start_s: float, end_s: float, step_id: str | None) -> None:
    action = Action(start_s, end_s, "x", "action")
    assert owned(action, [CUT, BOIL]).step_id == step_id
    assert owned(action, []) == action


def test_with_steps() -> None:
    fine, free = Action(9.0, 9.5, "c", "action", "boil"), Action(9.6, 9.7, "d", "action")
    actions = (CUT, BOIL, fine, free)
    raw = Annotation("v", "d", "train", Task("Cook.", ()), "t", 30.0, actions)
    assert visited(raw) == ["cut", "boil"]
    made = with_steps(raw, ["boil", "cut"])
    assert made.task == Task("Cook.", (Step("S1", "boil"), Step("S2", "cut")))
    assert [action.step_id for action in made.actions] == ["S2", "S1", "S1", None]
