"""Windows against ProAssist's clips, and its adjustment of times against its files."""

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prospect.dialogues.llm.parse import Fault, read_turns
from prospect.dialogues.llm.timing import adjusted
from prospect.dialogues.llm.windows import until, windows
from prospect.types import Turn
from tests.dialogues.llm import real

TEA = """\
[2.0s-9.0s] boil water
 - [2.0s] fill kettle
 - [5.0s-9.0s] switch on
[10.0s-12.0s] take cup
[10.0s-30.0s] brew
 - [25.0s] stir
[31.0s-33.0s] drink
Summary: The user makes tea."""


def _record(data_dir: Path, name: str) -> dict[str, object]:
    path = data_dir / "proassist-samples" / "generated_dialogs" / f"{name}.json"
    if not path.exists():
        pytest.skip(f"no file {path}")
    found: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))[0]
    return found


@pytest.mark.parametrize(
    ("name", "num_lines"), [("epickitchens", 10), ("egoexolearn", 10), ("assembly101", 7)]
)
def test_windows_open_where_proassist_opens_its_clips(
    data_dir: Path, name: str, num_lines: int
) -> None:
    parsed = _record(data_dir, name)["parsed_video_anns"]
    assert isinstance(parsed, dict)
    clips = parsed["clips"]
    end_s = clips[-1][1] + 60
    cut = windows(parsed["all_step_descriptions"], clips[0][0], end_s, num_lines, math.inf)
    # it leaves the rest of less than ten lines without any dialogue; here it is a window
    assert len(cut) == len(clips) + (name != "assembly101")
    for window, (start_s, _, text) in zip(cut, clips, strict=False):
        assert window.from_s == pytest.approx(start_s, abs=0.051)
        if name != "assembly101":  # those show the whole description in every clip
            assert window.text.strip() == text.strip()


def test_a_window_shows_its_lines_their_step_and_the_steps_around() -> None:
    first, second, third = windows(TEA, 1.0, 40.0, 3, 100.0)
    assert (first.from_s, first.to_s, first.first_s) == (1.0, 10.0, 2.0)
    assert (second.from_s, second.to_s, second.first_s) == (10.0, 31.0, 10.0)
    assert (third.from_s, third.to_s, third.first_s) == (31.0, 40.0, 31.0)
    lines = TEA.split("\n")
    assert first.text.split("\n") == [*lines[:5], lines[6]]  # not what happens within "brew"
    assert second.text.split("\n") == [lines[0], *lines[3:7]]
    assert third.text.split("\n") == [lines[0], lines[3], lines[4], lines[6]]


def test_a_fine_line_brings_its_step_from_afar() -> None:
    steps = "\n".join(f"[{n}.0s-{n}.5s] step {n}" for n in range(1, 9))
    text = f"[0.0s-99.0s] long one\n - [50.0s] at last\n{steps}"
    *_, last = windows(text, 0.0, 99.0, 9, 100.0)
    assert last.from_s == 50.0
    lines = text.split("\n")
    assert last.text.split("\n") == [*lines[:2], *lines[-5:]]


def test_a_late_line_opens_a_window() -> None:
    assert [window.from_s for window in windows(TEA, 0.0, 40.0, 99, 9.0)] == [0.0, 10.0, 25.0]


def test_a_window_holds_all_lines_of_one_moment() -> None:
    text = "\n".join(["[3.0s] a"] * 5 + ["[4.0s] b"])
    assert [window.from_s for window in windows(text, 0.0, 9.0, 2, 9.0)] == [0.0, 4.0]


@pytest.mark.parametrize("text", ["", "nothing timed"])
def test_no_lines_are_one_empty_window(text: str) -> None:
    (window,) = windows(text, 1.0, 9.0, 3, 9.0)
    assert (window.from_s, window.to_s, window.first_s, window.text) == (1.0, 9.0, 1.0, "")


def test_until_tells_nothing_of_later() -> None:
    assert until(TEA, 5.0).split("\n") == TEA.split("\n")[:3]
    assert until(TEA, 1.9) == ""
    assert len(until("\n".join(["[1.0s] a"] * 90), 2.0).split("\n")) == 40


@given(
    st.lists(st.tuples(st.integers(0, 300), st.booleans()), max_size=40),
    st.integers(1, 6),
    st.integers(0, 100),
    st.integers(0, 50),
)
def test_windows_follow_each_other(
    lines: list[tuple[int, bool]], num_lines: int, window_s: int, start_s: int
) -> None:
    text = "\n".join(f"{' - ' if fine else ''}[{at}.0s] line {n}" for n, (at, fine) in
                     enumerate(lines))  # fmt: skip
    cut = windows(text, float(start_s), 250.0, num_lines, float(window_s))
    assert cut[0].from_s == start_s
    assert cut[-1].to_s == 250.0
    assert all(left.to_s == right.from_s for left, right in pairwise(cut))
    assert all(window.from_s < window.to_s for window in cut)
    shown = set().union(*(window.text.split("\n") for window in cut)) - {""}
    assert shown == (set(text.split("\n")) - {""})


def test_times_of_epic_kitchens_are_proassists(data_dir: Path) -> None:
    """Five rounds as replied, remarks left out -> the times of the finished dialogue."""
    log = data_dir / "proassist-samples" / "generation_logs" / "epickitchens.log"
    record = _record(data_dir, "epickitchens")
    told: tuple[Turn, ...] = ()
    for text in real.replies(log, "after"):
        turns = read_turns(text.partition("I made the following changes")[0], labelled=True)
        assert not isinstance(turns, Fault)
        told = adjusted((*told, *turns))
    conversations = record["conversations"]
    assert isinstance(conversations, list)
    finished = conversations[0]["conversation"]
    assert [(turn.role, turn.time_s, turn.text) for turn in told] == [
        (turn["role"], turn["time"], turn["content"]) for turn in finished
    ]


def _timed(*turns: tuple[str, float]) -> list[Turn]:
    return [Turn("user" if role == "u" else "assistant", at, "x") for role, at in turns]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([("u", 5.0), ("a", 5.1), ("a", 7.0)], [5.0, 5.1, 7.0]),
        ([("a", 27.9), ("a", 25.0), ("u", 26.2), ("a", 26.2)], [27.9, 28.9, 29.9, 29.9]),
        ([("a", 9.0), ("u", 8.0), ("a", 8.1)], [9.0, 10.0, 10.1]),  # an answer keeps its distance
        ([("u", 9.0), ("a", 8.0)], [9.0, 10.0]),
        ([("u", 9.0), ("u", 9.0)], [9.0, 10.0]),
        ([], []),
    ],
)
def test_adjusted_by_hand(before: list[tuple[str, float]], after: list[float]) -> None:
    assert [turn.time_s for turn in adjusted(_timed(*before))] == after


@given(st.lists(st.tuples(st.sampled_from("ua"), st.integers(0, 40).map(lambda n: n / 8))))
def test_adjusted_times_never_fall_and_stay(spoken: list[tuple[str, float]]) -> None:
    turns = adjusted(_timed(*spoken))
    for left, right in pairwise(turns):
        equal = (left.role, right.role) == ("user", "assistant")
        assert left.time_s < right.time_s or (equal and left.time_s == right.time_s)
    assert adjusted(turns) == turns
