"""The scripted dialogue: never against the state, in time, the same every time."""

import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prospect.annotations import read_dataset
from prospect.clock import place
from prospect.dialogues import WRITERS, label, scripted, write_dialogues
from prospect.dialogues.progress import standing
from prospect.errors import ConfigError
from prospect.states.transitions import fold, initial_state
from prospect.types import Action, Annotation, Dialogue, Step, Task, Turn, UserType

TYPES: tuple[UserType, ...] = ("no_talk", "talk_some", "talk_more")
LABEL = re.compile(
    r"(initiative|responsive)\|"
    r"(instruction|correction|info_sharing|feedback|other)"
    r"(,(instruction|correction|info_sharing|feedback|other))*"
)


def annotation(
    actions: list[Action], duration_s: float = 120.0, steps: int = 3, video_id: str = "v"
) -> Annotation:
    # "part7end" is not in "part71end": what a sentence names is one step and no other
    names = tuple(Step(f"S{n}", f"Attach part{n}end.") for n in range(1, steps + 1))
    ordered = tuple(sorted(actions, key=lambda action: (action.start_s, action.end_s)))
    return Annotation(video_id, "d", "val", Task("Build it.", names), "b", duration_s, ordered)


def visit(start_s: float, end_s: float, step_id: str) -> Action:
    return Action(start_s, end_s, "attach", "step", step_id)


def write(given: Annotation, user_type: UserType = "no_talk", seed: int = 0) -> Dialogue:
    dialogue = scripted.write(given, user_type, seed)
    assert isinstance(dialogue, Dialogue)
    return dialogue


def named(text: str) -> set[str]:
    return {f"S{number}" for number in re.findall(r"part(\d+)end", text)}


def check(given: Annotation, dialogue: Dialogue) -> None:
    """Everything that must hold of any scripted dialogue."""
    track = label(given)
    times = [turn.time_s for turn in dialogue.turns]
    assert times == sorted(times)
    assert all(given.start_s <= time_s <= given.duration_s for time_s in times)
    for before, turn in zip((None, *dialogue.turns), dialogue.turns, strict=False):
        if turn.role == "user":
            assert (turn.labels, turn.summary) == ("", None)
            continue
        assert LABEL.fullmatch(turn.labels), turn
        assert turn.summary is not None
        assert turn.summary.startswith("The time elapsed since the start of the task is ")
        answer = before is not None and before.role == "user"
        assert answer == turn.labels.startswith("responsive")
        if not answer and before is not None:
            assert turn.time_s - before.time_s >= scripted.MIN_GAP_S - 1e-9
        check_truth(given, turn)
    events = place(dialogue.turns, track.transitions, 2.0, 0)
    assert sum(event.speech is not None for event in events) == sum(
        turn.role == "assistant" for turn in dialogue.turns
    )
    assert fold(initial_state(given.task), (t for event in events for t in event.transitions))


def check_truth(given: Annotation, turn: Turn) -> None:
    """What is said of a step is its status at that time, transitions of that time included."""
    moves = [i.transition for i in label(given).transitions if i.time_s <= turn.time_s]
    state = fold(initial_state(given.task), moves)
    if "instruction" in turn.labels:
        praise, _, request = turn.text.rpartition("you attached")
        requested = named(request) if not praise else named(turn.text.partition(". ")[2])
        waiting = [step_id for step_id, status in state.items() if status == "not_started"]
        assert requested == {waiting[0]}, turn
    if "feedback" in turn.labels and "ttached" in turn.text:
        first = turn.text.split("part")[1].split("end")[0]
        assert state[f"S{first}"] == "completed"
    if "task is complete" in turn.text or "All done" in turn.text or "last step." in turn.text:
        assert "not_started" not in state.values()


def test_a_dialogue_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripted, "FEEDBACK_RATE", 1.0)
    monkeypatch.setattr(scripted, "NEXT_RATE", 1.0)
    monkeypatch.setattr(scripted, "ACKNOWLEDGE_RATE", 1.0)
    wrong = Action(50.0, 53.0, "x", "action", mistake="picked up the bolt instead of the nut")
    right, pause = Action(56.0, 69.0, "x", "action"), Action(70.0, 90.0, "wait", "pause")
    visits = [visit(10, 20, "S2"), visit(25, 40, "S1"), visit(95, 110.04, "S3")]
    given = annotation([*visits, wrong, right, pause])
    turns = write(given).turns
    assert [turn.role for turn in turns[:2]] == ["user", "assistant"]
    assert 1.0 <= turns[0].time_s <= 3.0
    assert turns[1].time_s == pytest.approx(turns[0].time_s + 0.5)
    assert named(turns[1].text) == {"S1"}  # listed first, though S2 is done first
    at = {turn.time_s: turn for turn in turns[2:]}
    (nudge,) = [time_s for time_s in at if time_s not in (10, 20, 25, 40, 51.5, 95, 110.04)]
    assert 76 <= nudge <= 78.1  # 6 to 8 s into the pause
    assert named(at[nudge].text) == {"S3"}
    assert named(at[20].text) == {"S2", "S1"}
    assert at[20].labels == "initiative|instruction,feedback"
    assert "you attached part1end." in at[40].text
    assert named(at[40].text) == {"S1", "S3"}
    assert at[51.5].labels == "initiative|correction"
    assert "you picked up the bolt instead of the nut" in at[51.5].text
    assert at[110.04].labels == "initiative|feedback,other"  # the closing, at the transition's time
    assert at[110.04].summary == (
        "The time elapsed since the start of the task is 110.0 seconds. The user wants to build "
        "it. Completed: attach part1end; attach part2end; attach part3end. No other step is left. "
        f'Pointed out one mistake: "{at[51.5].text}"'
    )
    check(given, write(given))


def test_idle_time_without_annotated_pause_is_a_pause() -> None:
    given = annotation([visit(4, 10, "S1"), visit(60, 70, "S2")], 71.0)
    nudges = [t for t in write(given).turns if 22 <= t.time_s <= 24.1]
    assert [turn.labels for turn in nudges] == ["initiative|instruction"]
    assert named(nudges[0].text) == {"S2"}


def test_a_pause_within_a_step_gets_encouragement() -> None:
    given = annotation([visit(4, 60, "S1"), Action(20, 40, "wait", "pause")], 71.0)
    nudges = [t for t in write(given).turns if 26 <= t.time_s <= 28.1]
    assert [turn.labels for turn in nudges] == ["initiative|feedback"]
    assert named(nudges[0].text) == {"S1"}


def test_short_mistakes_are_corrected_before_they_end_and_repeated_ones_once() -> None:
    wrong = [Action(t, t + 0.02, "x", "action", mistake="Wrong place.") for t in (50.03, 55.0)]
    turns = write(annotation([visit(10, 90, "S1"), *wrong])).turns
    corrections = [turn for turn in turns if "correction" in turn.labels]
    assert len(corrections) == 1
    assert 50.03 <= corrections[0].time_s <= 50.05


def test_users_ask_as_often_as_their_type() -> None:
    visits = [visit(40 * n, 40 * n + 30, f"S{n}") for n in range(1, 15)]
    given = annotation(visits, 620.0, 15)
    asked = {
        user_type: [turn.time_s for turn in write(given, user_type).turns if turn.role == "user"]
        for user_type in TYPES
    }
    assert len(asked["no_talk"]) == 1
    assert 8 <= len(asked["talk_some"]) - 1 <= 11
    assert 16 <= len(asked["talk_more"]) - 1 <= 21
    for user_type in TYPES:
        turns = write(given, user_type).turns
        for index, turn in enumerate(turns[2:], start=2):
            if turn.role == "user":
                answer = turns[index + 1]
                others = [t.time_s for t in turns if t is not turn and t is not answer]
                assert answer.time_s == pytest.approx(turn.time_s + 0.5)
                assert min(abs(other - turn.time_s) for other in others) > 2 - 1e-9
                assert min(abs(other - answer.time_s) for other in others) > 2 - 1e-9


def test_answers_come_from_the_state() -> None:
    given = annotation([visit(5, 300, "S2"), visit(400, 590, "S1")], 600.0)
    seen = set()
    for seed in range(12):
        for asked, answer in zip(
            *[iter(exchanges(write(given, "talk_more", seed)))] * 2, strict=True
        ):
            now = standing(label(given), answer.time_s)
            if "left?" in asked.text or "nearly" in asked.text:
                number = {0: "This is", 1: "One step", 2: "2 steps", 3: "3 steps"}
                expected = number[len(now.not_started)]
                assert answer.text.startswith(expected), (asked, answer)
                seen.add("left")
            if asked.text.startswith("Did we finish"):
                step_id = named(asked.text).pop()
                finished = f"attach part{step_id[1:]}end" in now.completed
                assert answer.text.startswith("Yes") == finished
                seen.add(f"done {finished}")
            if answer.labels == "responsive|feedback":
                assert named(answer.text) == named(now.in_progress[0])
                seen.add("right")
    assert seen == {"left", "done True", "done False", "right"}


def exchanges(dialogue: Dialogue) -> list[Turn]:
    turns = dialogue.turns
    asked = [i for i, turn in enumerate(turns) if turn.role == "user" and i > 0]
    return [turns[i + j] for i in asked for j in (0, 1)]


def test_same_seed_same_words_other_seed_other_words() -> None:
    given = annotation([visit(10 * n, 10 * n + 8, f"S{n}") for n in range(1, 12)], 200, 12)
    assert write(given, "talk_more", 3) == write(given, "talk_more", 3)
    assert write(given, "talk_more", 3).turns != write(given, "talk_more", 4).turns
    assert write(given).turns != write(replace(given, video_id="w")).turns
    assert write(given, "talk_some", 3).dialogue_id == "v/talk_some-3"


def test_speech_is_no_copy_of_the_transitions() -> None:
    dialogues, _ = write_dialogues(bundled(), scripted.write, TYPES, 0)
    tracks = {one.video_id: label(one) for one in bundled()}
    at_both = speech = transitions = 0
    for dialogue in dialogues:
        moved = {item.time_s for item in tracks[dialogue.video_id].transitions}
        spoken = {turn.time_s for turn in dialogue.turns if turn.role == "assistant"}
        at_both += len(moved & spoken)
        speech += len(spoken)
        transitions += len(moved)
    assert at_both / speech < 0.7
    assert at_both / transitions < 0.7


def bundled() -> tuple[Annotation, ...]:
    return read_dataset("holoassist", Path("bundled")).annotations


def test_nothing_to_say_and_nobody_like_that() -> None:
    assert scripted.write(annotation([], 1.0), "no_talk", 0) == "nothing said by an assistant"
    with pytest.raises(ConfigError, match="no scripted user 'human'; there are no_talk, talk_some"):
        scripted.write(annotation([]), "human", 0)
    assert set(scripted.QUESTION_EVERY_S) == set(get_args(UserType)) - {"human"}


def test_the_stage_counts_what_it_leaves_out() -> None:
    given = [annotation([visit(5, 9, "S1")]), annotation([], 1.0)]
    dialogues, account = write_dialogues(given, WRITERS["scripted"], TYPES, 0)
    assert [one.dialogue_id for one in dialogues] == [f"v/{user_type}-0" for user_type in TYPES]
    assert str(account) == "kept 3 of 6; dropped 3 (3 nothing said by an assistant)"
    assert write_dialogues([], WRITERS["scripted"], TYPES, 0)[0] == []


SPAN = st.tuples(st.floats(0, 90), st.floats(0, 40), st.integers(1, 5), st.integers(0, 3))


@settings(max_examples=60, deadline=None)
@given(st.lists(SPAN, max_size=14), st.sampled_from(TYPES), st.floats(3.6, 130), st.floats(0, 5))
def test_no_annotation_makes_it_contradict_itself(
    spans: list[tuple[float, float, int, int]],
    user_type: UserType,
    duration_s: float,
    start_s: float,
) -> None:
    actions = []
    for begin_s, length_s, number, kind in spans:
        end_s = min(begin_s + length_s, duration_s)
        if begin_s > end_s:
            continue
        if kind < 2:
            actions.append(visit(begin_s, end_s, f"S{number}"))
        elif kind == 2:
            actions.append(Action(begin_s, end_s, "x", "action", mistake=f"Wrong place {number}."))
        else:
            actions.append(Action(begin_s, end_s, "wait", "pause"))
    made = replace(annotation(actions, duration_s, 6), start_s=start_s)
    dialogue = scripted.write(made, user_type, 1)
    if isinstance(dialogue, Dialogue):
        check(made, dialogue)


def test_all_real_videos(annotations_dir: Path) -> None:
    root = annotations_dir / "holoassist"
    if not root.is_dir():
        pytest.skip(f"no folder {root}")
    annotations = read_dataset("holoassist", root).annotations
    dialogues, account = write_dialogues(annotations, scripted.write, TYPES, 0)
    assert account.kept == 3 * len(annotations)
    by_id = {one.video_id: one for one in annotations}
    words = []
    for dialogue in dialogues:
        given = by_id[dialogue.video_id]
        events = place(dialogue.turns, label(given).transitions, 2.0, 0)
        assert events[-1].frame < given.duration_s * 2
        fold(initial_state(given.task), (t for event in events for t in event.transitions))
        words += [len(turn.text.split()) for turn in dialogue.turns if turn.role == "assistant"]
    assert sum(words) / len(words) < 12
    assert sum(number <= 14 for number in words) / len(words) > 0.75
