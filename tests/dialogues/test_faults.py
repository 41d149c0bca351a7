"""Planted faults are found, real and scripted dialogues pass."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prospect.annotations import read_dataset
from prospect.dialogues import label, scripted, write_dialogues
from prospect.dialogues.faults import contradictions, text_problems
from prospect.embeddings import Vectors
from prospect.toy.world import annotations as toy_annotations
from prospect.types import (
    Action,
    Annotation,
    Dialogue,
    StateTrack,
    Step,
    Task,
    TimedTransition,
    Transition,
    Turn,
    UserType,
)

TYPES: tuple[UserType, ...] = ("no_talk", "talk_some", "talk_more")
COMPLETED = "an instruction for a completed step"


def said(text: str, labels: str = "initiative|instruction", time_s: float = 1.0) -> Turn:
    return Turn("assistant", time_s, text, labels)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "a turn without words"),
        (" ... ", "a turn without words"),
        ("so " * 81, "a turn of more than 80 words"),
        ("Assistant: Take the cup.", "a speaker left in the text"),
        ("**User**: Is it hot?", "a speaker left in the text"),
        ("[97.2s] Take the cup.", "a time left in the text"),
        ("You took it at 97.2s, well done.", "a time left in the text"),
        ("[12.0s-14.5s] Take the cup.", "a time left in the text"),
        ("Take the cup. [initiative|instruction]", "a label left in the text"),
        ("Take the cup. (instruction, feedback)", "a label left in the text"),
        ("Take the cup. [question]", "a label left in the text"),
        ("Take the {cup}.", "brackets or markup left in the text"),
        ("*smiles* Take the cup.", "brackets or markup left in the text"),
        ("* Take the cup.", "brackets or markup left in the text"),
        ("Note that I merged two sentences.", "a remark on the dialogue"),
        ("Note: I've also removed what was said twice.", "a remark on the dialogue"),
        ("Here is the refined conversation with labels:", "a remark on the dialogue"),
        ("As an AI, I can't see that.", "a remark on the dialogue"),
    ],
)
def test_slips_of_a_writer_are_found(text: str, reason: str) -> None:
    problems = text_problems([said("Hello there."), said(text)])
    assert (1, reason) in [(problem.turn, problem.reason) for problem in problems]


@pytest.mark.parametrize(
    "text",
    [
        "Note that the glue is hot (about 180 degrees).",
        "I've removed the battery cover, what now?",
        "Wait 30 seconds, then turn the other side (the shiny one) up.",
        "Close the dialog box on the printer and press OK.",
        "Screw it 1.5 times: left, then right.",
    ],
)
def test_plain_speech_is_no_slip(text: str) -> None:
    assert text_problems([said(text)]) == []


def test_a_dialogue_of_one_user() -> None:
    problems = text_problems([Turn("user", 1.0, "Hello?")])
    assert [(one.turn, one.reason) for one in problems] == [(None, "nothing said by an assistant")]
    assert [one.reason for one in text_problems([])] == ["nothing said by an assistant"]


def test_the_same_instruction_over_and_over() -> None:
    loop = [said("Flip the bread again."), said("Now knead the dough.")] * 5
    assert [problem.turn for problem in text_problems(loop)] == [8, 9]
    answers = [said("Next, knead the dough.", "responsive|instruction")] * 6
    praise = [said("Good, keep going now.", "initiative|feedback")] * 6
    apart = [turn for n in range(9) for turn in (said("Flip the bread."), *_others(n))]
    assert text_problems(answers) + text_problems(praise) + text_problems(apart) == []


def _others(number: int) -> list[Turn]:
    return [said(f"Take bowl {number} of {n} now.") for n in range(10)]


def test_speech_in_real_logs_passes_and_remarks_do_not(data_dir: Path) -> None:
    folder = data_dir / "proassist-samples" / "generation_logs"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}")
    speech = remarks = found = 0
    for path in sorted(folder.glob("*.log")):
        text = path.read_text(encoding="utf-8")
        for reply in re.findall(r"^after refine (.*?)(?=^before refine|\Z)", text, re.M | re.S):
            for line in filter(None, map(str.strip, reply.split("\n"))):
                spoken = re.match(r"\[[\d.]+s\] (?:Assistant|User): (.*?)(?: \[[^\]]*\])?$", line)
                if spoken:
                    assert text_problems([said(spoken[1])]) == []
                    speech += 1
                else:
                    remarks += 1
                    found += bool(text_problems([said(line)]))
    assert speech > 0
    assert found >= 0.95 * remarks


STEPS = ("The student attaches the wheel.", "Attach the wheel to the axle.", "Put the lid on.")
TASK = Task("Build it.", tuple(Step(f"S{n}", name) for n, name in enumerate(STEPS, start=1)))


def track(*completed: tuple[float, str]) -> StateTrack:
    moves = [
        TimedTransition(time_s, Transition(step_id, move))  # type: ignore[arg-type]
        for time_s, step_id in completed
        for move in ("start", "complete")
    ]
    return StateTrack("v", TASK, tuple(moves))


def dialogue(*turns: Turn) -> Dialogue:
    return Dialogue("v/x-0", "v", "d", "val", "no_talk", "w", TASK, "b", 90.0, turns)


def found(text: str, states: StateTrack, labels: str = "initiative|instruction") -> list[str]:
    problems = contradictions(dialogue(said(text, labels, 10.0)), states)
    assert all((one.turn, one.reason) == (0, COMPLETED) for one in problems)
    return [one.detail for one in problems]


def test_an_instruction_for_a_completed_step_is_found() -> None:
    done = track((10.0, "S1"))
    assert found("Now attach your wheel, please.", done) == ["attach wheel"]
    assert found("Now attach your wheel.", track((10.1, "S1"))) == []
    assert found("Now attach your wheel.", done, "responsive|info_sharing") == []
    assert contradictions(dialogue(Turn("user", 10.0, "Attach the wheel?")), done) == []


def test_the_longest_name_is_what_is_asked_for() -> None:
    assert found("Attach the wheel to the axle.", track((5.0, "S1"))) == []
    assert found("Attach the wheel to the axle.", track((5.0, "S2"))) == ["attach wheel to axle"]
    asked = "Attach the wheel to the axle, then attach the wheel."
    assert found(asked, track((5.0, "S1"))) == ["attach wheel"]


def test_reports_ask_for_nothing() -> None:
    done = track((5.0, "S1"), (6.0, "S3"))
    for text in (
        "Good, you put the lid on. Next, attach the wheel to the axle.",
        "You've already put the lid on.",
        "Once you attach the wheel, wait.",
        "Please don't attach the wheel again.",
        "Well done, you attached the wheel.",
    ):
        assert found(text, done) == []
    assert found("Good, you put the lid on. Now put the lid on.", done) == ["put lid on"]


def test_of_two_steps_with_one_name_the_open_one_is_meant() -> None:
    twice = Task("Build it.", (Step("S1", "Attach the wheel."), Step("S2", "Attach the wheel.")))
    first = StateTrack("v", twice, track((5.0, "S1")).transitions)
    both = StateTrack("v", twice, track((5.0, "S1"), (6.0, "S2")).transitions)
    assert found("Attach the wheel.", first) == []
    assert found("Attach the wheel.", both) == ["attach wheel"]


def test_other_words_are_matched_by_meaning() -> None:
    axes = {"wheel": 0, "lid": 1, "tyre": 0, "cover": 1}

    def embed(texts: Sequence[str]) -> Vectors:
        rows = np.zeros((len(texts), 3), np.float32)
        for row, text in zip(rows, texts, strict=True):
            row[next((axis for word, axis in axes.items() if word in text), 2)] = 1.0
        return rows

    spoken = dialogue(said("You fixed the cover. Now fit the tyre. Is it fine?", time_s=10.0))
    done = track((5.0, "S1"), (5.5, "S2"), (6.0, "S3"))
    assert contradictions(spoken, done) == []
    assert [one.detail for one in contradictions(spoken, done, embed)] == ["Now fit the tyre."]
    assert contradictions(spoken, done, embed, min_similarity=1.1) == []
    assert contradictions(spoken, track((6.0, "S3")), embed) == []


def check(annotations: Sequence[Annotation], seed: int) -> int:
    written, _ = write_dialogues(annotations, scripted.write, TYPES, seed)
    tracks = {one.video_id: label(one) for one in annotations}
    for one in written:
        assert contradictions(one, tracks[one.video_id]) == []
        assert text_problems(one.turns) == []
    return len(written)


def test_scripted_dialogues_have_no_faults() -> None:
    for seed in range(3):
        assert check(read_dataset("holoassist", Path("bundled")).annotations, seed) > 0
        assert check(toy_annotations("unseen_tasks", 20, seed), seed) > 0


NAMES = ("Put the lid on.", "Attach the wheel.", "Attach the wheel to the axle.", "Cut it.",
         "Take the bowl and put the lid on.", "The student sets the lid down.")  # fmt: skip
SPAN = st.tuples(st.floats(0, 90), st.floats(0, 30), st.integers(1, len(NAMES)))


@settings(max_examples=60, deadline=None)
@given(st.lists(SPAN, max_size=12), st.sampled_from(TYPES), st.permutations(NAMES))
def test_no_scripted_dialogue_contradicts_its_states(
    spans: list[tuple[float, float, int]], user_type: UserType, names: list[str]
) -> None:
    task = Task("Build it.", tuple(Step(f"S{n}", name) for n, name in enumerate(names, start=1)))
    visits = sorted(
        (
            Action(start_s, start_s + length_s, "x", "step", f"S{n}")
            for start_s, length_s, n in spans
        ),
        key=lambda action: (action.start_s, action.end_s),
    )
    made = Annotation("v", "d", "val", task, "b", 130.0, tuple(visits))
    written = scripted.write(made, user_type, 0)
    assert isinstance(written, Dialogue)
    assert contradictions(written, label(made)) == []


def test_a_planted_contradiction_is_found_in_any_scripted_dialogue() -> None:
    for one in toy_annotations("train", 10, 3):
        states = label(one)
        written = scripted.write(one, "no_talk", 0)
        assert isinstance(written, Dialogue)
        last = max(item.time_s for item in states.transitions)
        open_ids = {"S1"} - {i.transition.step_id for i in states.transitions}
        if open_ids:
            continue
        wrong = said(f"Next, {one.task.steps[0].name}", time_s=last + 1)
        planted = Dialogue(
            "p", one.video_id, "d", "val", "no_talk", "w", one.task, "b", last + 2,
            (*(turn for turn in written.turns if turn.time_s <= last), wrong),
        )  # fmt: skip
        (problem,) = contradictions(planted, states)
        assert (problem.turn, problem.reason) == (len(planted.turns) - 1, COMPLETED)
