"""Grouping actions into steps, on cases worked by hand and against the definition."""

from collections import defaultdict
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from prospect.annotations import group
from prospect.annotations.group import grouped, stretches
from prospect.dialogues import label
from prospect.types import Action, Annotation, Step, Task


def act(start_s: float, end_s: float, noun: str, verb: str = "wash") -> Action:
    return Action(start_s, end_s, f"{verb} {noun}", "action", verb=verb, noun=noun)


def annotation(actions: list[Action], task: Task = Task("Cook.", ())) -> Annotation:  # noqa: B008
    return Annotation("v", "d", "train", task, "kitchen", 1000.0, tuple(actions))


CARROT_THEN_PAN = [
    act(0, 20, "carrot"),
    act(21, 23, "tap"),
    act(24, 60, "carrot", "cut"),
    act(61, 90, "pan", "heat"),
    act(90, 120, "pan", "stir"),
    act(125, 160, "carrot", "cut"),
]


def test_stretches_are_about_one_thing_each() -> None:
    cuts = [[one.noun for one in stretch] for stretch in stretches(CARROT_THEN_PAN)]
    assert cuts == [["carrot", "tap", "carrot"], ["pan", "pan"], ["carrot"]]


def test_steps_are_named_after_their_longest_action_and_visited_again() -> None:
    made = grouped(annotation(CARROT_THEN_PAN))
    assert made.task.steps == (Step("S1", "cut carrot"), Step("S2", "stir pan"))
    visits = [(one.start_s, one.end_s, one.step_id) for one in made.actions if one.kind == "step"]
    assert visits == [(0, 60, "S1"), (61, 120, "S2"), (125, 160, "S1")]
    assert [one.step_id for one in made.actions if one.noun == "tap"] == ["S1"]
    assert len(label(made, ("start", "complete", "reopen")).transitions) == 6


def test_a_long_pause_ends_a_stretch() -> None:
    later = 61 + group.MAX_PAUSE_S
    assert len(stretches([act(0, 60, "egg"), act(later, later + 60, "egg")])) == 2
    assert len(stretches([act(0, 60, "egg"), act(later - 2, later + 60, "egg")])) == 1


def test_steps_that_are_named_and_empty_videos_stay() -> None:
    named = annotation(CARROT_THEN_PAN, Task("Cook.", (Step("S1", "Wash."),)))
    assert grouped(named) is named
    assert grouped(annotation([])) == annotation([])


def value(cut: list[list[Action]]) -> float:
    """What `stretches` says it maximises."""
    total = 0.0
    for stretch in cut:
        about: dict[str | None, float] = defaultdict(float)
        for one in stretch:
            about[one.noun] += one.end_s - one.start_s
        total += max(about.values()) - group.CHANGE_COST_S
    return total


def every_cut(actions: list[Action]) -> list[list[list[Action]]]:
    cuts = []
    for mask in range(2 ** (len(actions) - 1)):
        cut = [[actions[0]]]
        for at, one in enumerate(actions[1:]):
            if mask >> at & 1:
                cut.append([one])
            else:
                cut[-1].append(one)
        gaps = [b.start_s - a.end_s for stretch in cut for a, b in pairwise(stretch)]
        if max(gaps, default=0.0) <= group.MAX_PAUSE_S:
            cuts.append(cut)
    return cuts


@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.integers(1, 40), st.sampled_from("abc")),
        min_size=1,
        max_size=9,
    )
)
def test_no_other_cut_is_better(items: list[tuple[int, int, str]]) -> None:
    actions, now = [], 0
    for pause, length, noun in items:
        actions.append(act(now + pause, now + pause + length, noun))
        now += pause + length
    best = max(value(cut) for cut in every_cut(actions))
    assert value(stretches(actions)) == best
