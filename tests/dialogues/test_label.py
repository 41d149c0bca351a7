"""Visits to steps become legal transitions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prospect.dialogues import label
from prospect.errors import DataError
from prospect.states.notation import format_transition
from prospect.states.transitions import MOVES, fold, initial_state
from prospect.types import Action, Annotation, Move, Step, Task

ALL: tuple[Move, ...] = tuple(MOVES)


def annotation(*visits: tuple[float, float, str | None], steps: int = 3) -> Annotation:
    task = Task("Do it.", tuple(Step(f"S{n}", f"Do part {n}.") for n in range(1, steps + 1)))
    actions = tuple(Action(start, end, "do", "step", step_id) for start, end, step_id in visits)
    return Annotation("v", "d", "train", task, "do", 100.0, actions)


def track(given: Annotation, moves: tuple[Move, ...] = ("start", "complete")) -> list[str]:
    timed = label(given, moves).transitions
    return [f"{item.time_s:g} {format_transition(item.transition)}" for item in timed]


def test_complete_when_the_last_visit_ends() -> None:
    visits = annotation((5, 10, "S2"), (20, 30, "S1"), (40, 50, "S2"))
    assert track(visits) == ["5 S2->start", "20 S1->start", "30 S1->complete", "50 S2->complete"]
    assert track(visits, ALL) == [
        "5 S2->start", "10 S2->complete", "20 S1->start", "30 S1->complete", "40 S2->reopen",
        "50 S2->complete",
    ]  # fmt: skip


def test_touching_steps_complete_before_they_start() -> None:
    assert track(annotation((5, 10, "S2"), (10, 20, "S1"))) == [
        "5 S2->start", "10 S2->complete", "10 S1->start", "20 S1->complete",
    ]  # fmt: skip


def test_touching_visits_to_one_step_are_one() -> None:
    visits = annotation((5, 10, "S1"), (10, 20, "S1"), (12, 15, "S1"))
    assert track(visits, ALL) == ["5 S1->start", "20 S1->complete"]


def test_a_visit_of_no_length_starts_and_completes() -> None:
    visits = annotation((5, 10, "S1"), (10, 10, "S2"), (10, 12, "S3"))
    assert track(visits) == [
        "5 S1->start", "10 S1->complete", "10 S3->start", "10 S2->start", "10 S2->complete",
        "12 S3->complete",
    ]  # fmt: skip


def test_what_is_undone_is_in_progress_until_it_is_done_again() -> None:
    attached, again = Action(5, 10, "attach", "step", "S1"), Action(40, 50, "attach", "step", "S1")
    detached = Action(20, 25, "detach", "step", "S1", undoes=True)
    at_once = Action(25, 28, "attach", "step", "S1")

    def made(*actions: Action) -> Annotation:
        return Annotation("v", "d", "train", annotation().task, "do", 100.0, actions)

    first = ["5 S1->start", "10 S1->complete", "20 S1->reopen"]
    assert track(made(attached, detached, again), ALL) == [*first, "50 S1->complete"]
    assert track(made(attached, detached, at_once), ALL) == [*first, "28 S1->complete"]
    assert track(made(attached, detached), ALL) == first
    assert track(made(attached, detached)) == ["5 S1->start"]
    assert track(made(attached, detached, again)) == ["5 S1->start", "50 S1->complete"]


def test_other_actions_make_no_transition() -> None:
    fine = Action(1.0, 2.0, "grab", "action", "S1")
    pause = Action(2.0, 9.0, "wait", "pause", "S1")
    given = annotation()
    assert (
        label(Annotation("v", "d", "train", given.task, "do", 9.0, (fine, pause))).transitions == ()
    )


@pytest.mark.parametrize(
    ("visit", "message"),
    [
        ((1.0, 2.0, None), "video v: the visit at 1.0 s to step None is to none"),
        ((1.0, 2.0, "S9"), "step 'S9' is to none of the task's"),
        ((2.0, 1.0, "S1"), "video v: the visit to S1 at 2.0 s ends at 1.0 s"),
    ],
)
def test_impossible_visits(visit: tuple[float, float, str | None], message: str) -> None:
    with pytest.raises(DataError, match=message):
        label(annotation(visit))


VISITS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 6), st.sampled_from(["S1", "S2", "S3"])),
    max_size=12,
)


@given(VISITS, st.booleans())
def test_every_track_is_legal_and_says_which_step_is_on(
    raw: list[tuple[int, int, str]], reopen: bool
) -> None:
    given = annotation(*((start, start + length, step) for start, length, step in raw))
    timed = label(given, ALL if reopen else ("start", "complete")).transitions
    assert [item.time_s for item in timed] == sorted(item.time_s for item in timed)
    final = fold(initial_state(given.task), (item.transition for item in timed))
    visited = {step for _, _, step in raw}
    assert final == {
        f"S{n}": "completed" if f"S{n}" in visited else "not_started" for n in (1, 2, 3)
    }
    for half in range(1, 54, 2):  # between the integers, where nothing changes
        time_s = half / 2
        state = fold(initial_state(given.task), (i.transition for i in timed if i.time_s < time_s))
        for step in visited:
            spans = [(start, start + length) for start, length, name in raw if name == step]
            if not reopen:
                spans = [(min(span[0] for span in spans), max(span[1] for span in spans))]
            on = any(start < time_s < end for start, end in spans)
            assert (state[step] == "in_progress") == on
