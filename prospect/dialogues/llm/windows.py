"""A timed description -> windows of a few lines each, with the steps around them.

In: the text of `prospect.annotations.describe`, whose lines open with ``[12.3s-20.0s]`` or
``[12.3s]``; those of finer actions are indented by `` - ``. Out: `Window`s that follow each other
without a gap from the start of the task to the end of the video.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

STEPS_BEFORE = 5
STEPS_AFTER = 4
"""Steps shown around a window: those of ProAssist's clips of EPIC-KITCHENS and EgoExoLearn."""

SEEN_LINES = 40

_TIMED = re.compile(r"( *- )?\[([0-9]+(?:\.[0-9]+)?)s")
_BREAK = re.compile(r"\n(?=(?: *- )?\[[0-9]|Summary: )")


@dataclass(frozen=True, slots=True)
class Window:
    """A span ``[from_s, to_s)`` of a video that is talked over in one go; the last is closed.

    Attributes:
        first_s: When its first line begins; ``from_s`` if it has none.
        text: Its own lines, and the steps before and after.
    """

    from_s: float
    to_s: float
    first_s: float
    text: str


@dataclass(frozen=True, slots=True)
class _Line:
    """Attributes: ``step`` is where the step it belongs to stands; its own place if it is one."""

    time_s: float
    step: int | None
    text: str


def windows(
    description: str, start_s: float, duration_s: float, num_lines: int, window_s: float
) -> tuple[Window, ...]:
    """Cut a description so that each window has about ``num_lines`` lines of its own.

    A new window opens at the first line that begins later than the line before it and either
    finds ``num_lines`` in the window or begins more than ``window_s`` after its start. Lines
    outside ``[start_s, duration_s]`` count as at its ends. Lines without a time are left out:
    they tell the end of the task. A description without lines is one empty window.

    ProAssist opens its clips at the same lines where steps have no finer ones, but leaves a last
    rest of fewer lines without any dialogue; and it cuts coarse steps whole, so that one clip of
    Goal-Step has 200 lines, of which its model's reply skips most ("... (rest of the dialog)").
    """
    lines = _lines(description, start_s, duration_s)
    opened = [start_s]
    count = 0
    previous_s = start_s
    for time_s in sorted(line.time_s for line in lines):
        full = count >= num_lines or time_s - opened[-1] > window_s
        if count and full and previous_s < time_s < duration_s:
            opened.append(time_s)
            count = 0
        count += 1
        previous_s = time_s
    cut: list[Window] = []
    for at, from_s in enumerate(opened):
        last = at + 1 == len(opened)
        to_s = duration_s if last else opened[at + 1]
        own = [
            place
            for place, line in enumerate(lines)
            if from_s <= line.time_s and (last or line.time_s < to_s)
        ]
        first_s = min((lines[place].time_s for place in own), default=from_s)
        cut.append(Window(from_s, to_s, first_s, _text(lines, own, from_s, to_s)))
    return tuple(cut)


def until(description: str, time_s: float) -> str:
    """The last `SEEN_LINES` lines that have begun by ``time_s``."""
    lines = _lines(description, 0.0, float("inf"))
    return "\n".join([line.text for line in lines if line.time_s <= time_s][-SEEN_LINES:])


def _lines(description: str, start_s: float, duration_s: float) -> list[_Line]:
    lines: list[_Line] = []
    step: int | None = None
    # what is said can hold line breaks of its own
    for text in _BREAK.split(description):
        text = text.replace("\n", " ")
        match = _TIMED.match(text)
        if match is None:
            continue
        if match[1] is None:
            step = len(lines)
        lines.append(_Line(min(max(float(match[2]), start_s), duration_s), step, text))
    return lines


def _text(lines: Sequence[_Line], own: Sequence[int], from_s: float, to_s: float) -> str:
    """The lines at ``own``, the steps they belong to, and the steps around, in their order."""
    steps = [place for place, line in enumerate(lines) if line.step == place]
    before = [place for place in steps if lines[place].time_s < from_s][-STEPS_BEFORE:]
    after = [place for place in steps if lines[place].time_s >= to_s][:STEPS_AFTER]
    parents = [step for place in own if (step := lines[place].step) is not None]
    return "\n".join(lines[place].text for place in sorted({*own, *parents, *before, *after}))
