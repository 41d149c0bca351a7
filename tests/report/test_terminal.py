"""The terminal's view as text: everything in its place, at any length."""

import io
from dataclasses import replace

from rich.console import Console

from prospect.model.config import Thresholds
from prospect.report.terminal import Line, View, draw
from prospect.types import Step, Task

TASK = Task(
    "Make [bold]tea[/x]",  # no markup
    (Step("S1", "Boil water."), Step("S2", "Put in the leaves."), Step("S3", "Wait.")),
)
VIEW = View(
    "kitchen.mp4",
    90.0,
    TASK,
    {"S1": "completed", "S2": "in_progress", "S3": "not_started"},
    Thresholds(0.8, 0.5),
    (
        Line(3.5, "state", "S1->start", 0.97),
        Line(62.0, "assistant", "Now put in the leaves, two spoons of them.", 0.91),
        Line(63.0, "user", "which leaves?"),
        Line(64.0, "note", "the user's turn has 900 tokens"),
    ),
    63.5,
    0.25,
    0.75,
    (10.0, 20.0, 30.0),
    2,
    5,
    3,
)


def shown(view: View, width: int = 100, height: int = 24) -> list[str]:
    """The lines that a terminal would show."""
    console = Console(record=True, width=width, height=height, file=io.StringIO())
    console.print(draw(view))
    return console.export_text().rstrip("\n").split("\n")


def test_everything_is_shown() -> None:
    lines = shown(VIEW)
    assert len(lines) == 24
    assert {len(line) for line in lines} == {100}
    text = "\n".join(lines)
    for part in (
        "Make [bold]tea[/x]",
        "1:03.5 of 1:30.0  kitchen.mp4",
        "state: 1 of 3 completed",
        "● S1 Boil water.",
        "◐ S2 Put in the leaves.",
        "○ S3 Wait.",
        "0:03.5 S1->start  0.97",
        "1:02.0 Now put in the leaves, two spoons of them.  0.91",
        "1:03.0 you: which leaves?",
        "1:04.0 not said: the user's turn has 900 tokens",
        "latency 20 ms, 95 % below 29 ms; 2 waiting, at most 5; 3 dropped",
    ):
        assert part in text


def test_bars_are_as_long_as_the_probability_with_a_mark_at_the_threshold() -> None:
    update, speak = (line for line in shown(VIEW) if "┃" in line)
    # 100 columns, 4 of the frame, 6 of the name, a space, 12 of the numbers: 77 are left
    assert update == "│ update " + "█" * 38 + "┃" + "█" * 19 + "─" * 19 + " 0.75 > 0.50 │"
    assert speak == "│ speak  " + "█" * 19 + "─" * 42 + "┃" + "─" * 15 + " 0.25   0.80 │"


def test_certainty_and_its_opposite() -> None:
    update, speak = (
        line
        for line in shown(
            replace(VIEW, update_prob=1.0, speak_prob=0.0, thresholds=Thresholds(1, 0))
        )
        if "┃" in line
    )
    assert update == "│ update ┃" + "█" * 76 + " 1.00 > 0.00 │"
    assert speak == "│ speak  " + "─" * 76 + "┃ 0.00   1.00 │"


def test_the_last_lines_stay_in_view() -> None:
    said = tuple(Line(float(n), "assistant", f"sentence {n}", 0.9) for n in range(40))
    text = "\n".join(shown(replace(VIEW, lines=said)))
    assert "sentence 39" in text
    assert "sentence 26" in text  # 14 lines are free
    assert "sentence 25" not in text
    long = (*said, Line(41.0, "assistant", "many words " * 40, 0.5))
    text = "\n".join(shown(replace(VIEW, lines=long)))
    assert "sentence 39" in text
    assert "0.50" in text


def test_of_many_steps_those_around_the_present_one_are_shown() -> None:
    steps = tuple(Step(f"S{n}", f"do number {n}") for n in range(1, 41))
    state = {f"S{n}": "completed" if n < 20 else "not_started" for n in range(1, 41)}
    view = replace(VIEW, task=Task("much", steps), state=state | {"S20": "in_progress"})
    text = "\n".join(shown(view))
    assert "do number 20 " in text
    assert "do number 24 " in text
    assert "do number 11 " in text
    assert "do number 10 " not in text
    first = "\n".join(shown(replace(view, state=dict.fromkeys(state, "not_started"))))
    assert "do number 1 " in first
    assert "do number 14 " in first
    last = "\n".join(shown(replace(view, state=dict.fromkeys(state, "completed"))))
    assert "do number 40 " in last
    assert "do number 27 " in last


def test_before_the_first_frame_and_without_steps() -> None:
    empty = View("camera:0", None, Task("anything", ()), {}, Thresholds())
    text = "\n".join(shown(empty, width=40, height=16))
    assert "0:00.0  camera:0" in text
    assert "latency -; 0 waiting" in text


def test_a_line_as_plain_text() -> None:
    assert str(Line(12.5, "state", "S1->start", 0.934)) == "    12.5 s  state: S1->start (0.93)"
    assert str(Line(613.0, "user", "why?")) == "   613.0 s  user: why?"
