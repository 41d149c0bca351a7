"""A watch in the terminal: the state as a checklist, the dialogue, both probabilities, the delay.

In: `View`, a plain record. Out: what rich prints. Nothing is kept here and nothing is printed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from numpy import percentile
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.layout import Layout
from rich.panel import Panel
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from prospect.model.config import Thresholds
from prospect.types import State, Status, Step, Task

Who = Literal["state", "assistant", "user", "note"]

MARKS: dict[Status, tuple[str, str]] = {
    "not_started": ("○", "dim"),
    "in_progress": ("◐", "bold yellow"),
    "completed": ("●", "green"),
}
"""status -> its sign and style in the checklist."""
VOICES: dict[Who, tuple[str, str]] = {
    "state": ("", "yellow"),
    "assistant": ("", "bold"),
    "user": ("you: ", "cyan"),
    "note": ("not said: ", "red"),
}
"""who -> what precedes the line in the view, and its style."""

LINES, LATENCIES = 200, 100
"""Most lines, and frames, that a view needs to know: more than a terminal shows."""


@dataclass(frozen=True, slots=True)
class Line:
    """Something said or noticed.

    Attributes:
        probability: Of the decision; None for the user.
    """

    time_s: float
    who: Who
    text: str
    probability: float | None = None

    def __str__(self) -> str:
        sure = "" if self.probability is None else f" ({self.probability:.2f})"
        return f"{self.time_s:8.1f} s  {self.who}: {self.text}{sure}"


@dataclass(frozen=True, slots=True)
class View:
    """All that the terminal shows.

    Attributes:
        where: Name of the source.
        duration_s: Of the source, if known.
        lines: The last ones, oldest first.
        time_s: Where the watch stands.
        speak_prob, update_prob: Of the last frame.
        latencies_ms: Of the last frames.
        waiting: Frames that had arrived when the last one was taken, itself included.
    """

    where: str
    duration_s: float | None
    task: Task
    state: State
    thresholds: Thresholds
    lines: tuple[Line, ...] = ()
    time_s: float = 0.0
    speak_prob: float = 0.0
    update_prob: float = 0.0
    latencies_ms: tuple[float, ...] = ()
    waiting: int = 0
    longest_backlog: int = 0
    dropped: int = 0


def draw(view: View) -> RenderableType:
    """A view as rich prints it, over the whole height of its console."""
    checklist = [_step(step, view.state[step.id]) for step in view.task.steps]
    done = sum(status == "completed" for status in view.state.values())
    busy = [n for n, step in enumerate(view.task.steps) if view.state[step.id] == "in_progress"]
    layout = Layout()
    layout.split_column(
        Layout(Panel(_heading(view), title=Text(view.task.goal)), size=3),
        Layout(name="middle", minimum_size=4),
        Layout(Panel(_dials(view)), size=5),
    )
    focus = busy[-1] if busy else min(done, len(checklist) - 1)
    steps = Panel(_Window(checklist, focus), title=f"state: {done} of {len(checklist)} completed")
    said = [_said(line) for line in view.lines]
    dialogue = Panel(_Window(said, len(said) - 1), title="dialogue")
    layout["middle"].split_row(Layout(steps, ratio=2), Layout(dialogue, ratio=3))
    return layout


@dataclass(frozen=True, slots=True)
class _Window:
    """As many lines as there is room for, around the last line of one of the rows."""

    rows: Sequence[Table]
    focus: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = options.height or console.height
        first = max(0, self.focus + 1 - room)  # a row has at least one line: others are not seen
        free = options.update(height=None)
        blocks = [console.render_lines(row, free) for row in self.rows[first : self.focus + room]]
        lines = [line for block in blocks for line in block]
        last = sum(len(block) for block in blocks[: self.focus + 1 - first])
        below = len(lines) - last
        stop = max(last + min(below, room // 3), room)  # some of what follows, all of it at the top
        for line in lines[max(0, stop - room) : stop]:
            yield from line
            yield Segment.line()


def _row(first: Text, second: Text) -> Table:
    """Two columns, so that the second one's further lines stand below it."""
    row = Table.grid(padding=(0, 1))
    row.add_row(first, second)
    return row


def _step(step: Step, status: Status) -> Table:
    sign, style = MARKS[status]
    return _row(Text(f"{sign} {step.id}", style, no_wrap=True), Text(step.name, style))


def _said(line: Line) -> Table:
    prefix, style = VOICES[line.who]
    sure = "" if line.probability is None else f"  {line.probability:.2f}"
    text = Text.assemble((prefix + line.text, style), (sure, "dim"))
    return _row(Text(_minutes(line.time_s), "dim", no_wrap=True), text)


def _minutes(time_s: float) -> str:
    return f"{int(time_s // 60):d}:{time_s % 60:04.1f}"


def _heading(view: View) -> Text:
    end = "" if view.duration_s is None else f" of {_minutes(view.duration_s)}"
    return Text(f"{_minutes(view.time_s)}{end}  {view.where}", no_wrap=True, overflow="ellipsis")


def _dials(view: View) -> RenderableType:
    """Both probabilities, and how far behind it is."""
    latency = "-"
    if view.latencies_ms:
        p50, p95 = percentile(view.latencies_ms, [50, 95])
        latency = f"{p50:.0f} ms, 95 % below {p95:.0f} ms"
    return Group(
        _Bar("update", view.update_prob, view.thresholds.update),
        _Bar("speak ", view.speak_prob, view.thresholds.speak),
        Text(
            f"latency {latency}; {view.waiting} waiting, at most {view.longest_backlog}; "
            f"{view.dropped} dropped",
            no_wrap=True,
            overflow="ellipsis",
        ),
    )


@dataclass(frozen=True, slots=True)
class _Bar:
    """A probability as wide as there is room, with a mark at its threshold."""

    name: str
    prob: float
    threshold: float

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        acts = self.prob > self.threshold
        numbers = f" {self.prob:.2f} {'>' if acts else ' '} {self.threshold:.2f}"
        width = max(1, options.max_width - len(self.name) - len(numbers) - 1)
        filled = round(self.prob * width)
        mark = min(int(self.threshold * width), width - 1)
        cells = "".join("┃" if n == mark else "█" if n < filled else "─" for n in range(width))
        style = "bold green" if acts else "blue"
        yield Text.assemble(f"{self.name} ", (cells, style), numbers, no_wrap=True)
