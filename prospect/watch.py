"""Watch one video in the terminal: what is done, what is said, how sure it is and how fast.

    prospect watch --source kitchen.mp4 --task task.json --checkpoint runs/x/training/checkpoint

In: a checkpoint, a source, and a task: ``{"goal": "Make tea", "steps": ["Boil water.", ...]}``.
Out: a view that follows the frames, or plain lines; then the numbers of the watch. Whoever sits at
the terminal may type a line to speak.
"""

import select
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console
from rich.live import Live
from rich.text import Text

from prospect.clock import event_time_s
from prospect.errors import ConfigError, DataError
from prospect.files import parse, read_json, read_records, write_json
from prospect.provenance import about_this_machine
from prospect.report.terminal import LATENCIES, LINES, Line, View, draw
from prospect.shipped import checkpoint_folder
from prospect.stages.shared import DIALOGUES, say
from prospect.states.notation import format_state, format_transitions
from prospect.stream.config import StreamConfig
from prospect.types import Dialogue, State, Step, Task

if TYPE_CHECKING:
    from prospect.stream.assistant import LiveSession
    from prospect.stream.live import Report
    from prospect.stream.sources import Source


def watch(
    checkpoint: Path = Path("demo"),
    source: str | None = None,
    task: Path | None = None,
    data: Path | None = None,
    video: str | None = None,
    clock: Literal["real", "fast"] = "real",
    backlog: Literal["all", "newest"] = "all",
    stream: StreamConfig = StreamConfig(),  # noqa: B008  frozen
    plain: bool = False,
    out: Path | None = None,
    timeout_s: float = 10.0,
    dtype: str = "auto",
) -> None:
    """Watch one video or camera in the terminal.

    Args:
        checkpoint: Folder of a finished model, or the name of one that comes with the package.
        source: Video file, folder of pictures, feature shard, address (http, rtsp), or camera:0;
            None takes the video of `data`.
        task: JSON file with what is done: a goal and its steps.
        data: Data folder that knows the task of `video`, instead of a task file.
        video: Its video_id there.
        clock: real: frames of a recording come at their time; fast: as soon as they are wanted.
        backlog: Of the frames that have arrived, all are watched, or the newest alone.
        stream: How sessions watch.
        plain: Print lines instead of a view; done too where the output is no terminal.
        out: JSON file for the numbers of the watch.
        timeout_s: Longest wait for an address or camera.
        dtype: Of the model's arithmetic.
    """
    doing, path = _task(task, data, video)
    where = source or path
    if where is None:
        raise ConfigError("there is nothing to watch; name a --source")

    from prospect.model.checkpoint import checkpoint_fps
    from prospect.stream.assistant import Assistant
    from prospect.stream.live import live_numbers
    from prospect.stream.live import watch as follow
    from prospect.stream.sources import open_source

    frames = open_source(where, checkpoint_fps(checkpoint_folder(checkpoint)), timeout_s)
    session = Assistant.from_pretrained(checkpoint, stream, dtype).open(doing)
    reports: list[Report] = []
    console = Console(highlight=False)
    show = _plainly if plain or not console.is_terminal else _drawn
    try:
        with closing(follow(session, frames, clock, backlog)) as coming:
            show(console, _begin(doing, session, frames), session, _kept(coming, reports))
    except KeyboardInterrupt:
        say("stopped")
    finally:  # a source that fails after an hour has an hour of numbers
        if reports:
            numbers = live_numbers(reports, frames.fps)
            say(f"{frames.where}: {numbers}")
            if out is not None:
                settings = {"source": frames.where, "clock": clock, "backlog": backlog}
                about = {"checkpoint": str(checkpoint), **settings, **about_this_machine()}
                write_json(out, {**asdict(numbers), "about": about})


@dataclass(frozen=True)
class _TaskFile:
    goal: str
    steps: tuple[str, ...]


def read_task(path: Path) -> Task:
    """The task that a JSON file describes; its steps become S1, S2, ...

    Raises:
        MissingError: no such file.
        DataError: not JSON, another form, or a goal or step without words; says how it is written.
    """
    hint = 'a task is {"goal": "Make tea", "steps": ["Boil water.", "Pour it."]}'
    try:
        found = parse(read_json(path), _TaskFile, str(path))
    except DataError as error:
        raise DataError(f"{error}; {hint}") from error
    if not found.steps or not all(text.strip() for text in (found.goal, *found.steps)):
        raise DataError(f"{path}: no steps, or a goal or step without words; {hint}")
    return Task(
        found.goal, tuple(Step(f"S{n}", name) for n, name in enumerate(found.steps, start=1))
    )


def _task(file: Path | None, data: Path | None, video: str | None) -> tuple[Task, str | None]:
    """What is done, and where its video stands if a data folder knows."""
    if (file is None) == (data is None) or (data is None) != (video is None):
        raise ConfigError("say what is done: either --task FILE, or --data FOLDER --video ID")
    if file is not None:
        return read_task(file), None
    assert data is not None  # exactly one of the two is given
    known = {one.video_id: one for one in read_records(data / DIALOGUES, Dialogue)}
    if video not in known:
        raise ConfigError(
            f"{data / DIALOGUES} has no video {video!r}; it has {', '.join(sorted(known)[:5])}"
            f"{', ...' if len(known) > 5 else ''}"
        )
    path = known[video].video_file
    return known[video].task, None if path is None else str(data / path)


def _begin(task: Task, session: "LiveSession", source: "Source") -> View:
    total = source.num_frames
    duration_s = None if total is None else total / source.fps
    return View(source.where, duration_s, task, session.state, session.thresholds)


def _kept(coming: Iterable["Report"], reports: list["Report"]) -> Generator["Report"]:
    for report in coming:
        reports.append(report)
        yield report


def _plainly(
    console: Console, view: View, session: "LiveSession", reports: Iterable["Report"]
) -> None:
    """Print what is said and noticed, as it happens."""
    for _, new in _followed(view, session, reports):
        for line in new:
            console.print(Text(str(line)), soft_wrap=True)
    console.print(Text(format_state(session.state)), soft_wrap=True)


def _drawn(
    console: Console, view: View, session: "LiveSession", reports: Iterable["Report"]
) -> None:
    """Redraw the view with every frame; the last one stays."""
    shown = view
    try:
        with Live(draw(shown), console=console, screen=True, auto_refresh=False) as live:
            for shown, _ in _followed(view, session, reports):
                live.update(draw(shown), refresh=True)
    finally:
        console.print(draw(shown))


def _followed(
    view: View, session: "LiveSession", reports: Iterable["Report"]
) -> Generator[tuple[View, list[Line]]]:
    """The view after every frame, and the lines that are new; what is typed is told the session."""
    for report in reports:
        time_s = event_time_s(report.result.frame, session.fps)
        new = [*_lines(report, time_s), *_typed(session.say, time_s)]
        view = _after(view, report, time_s, session.state, new)
        yield view, new


def _lines(report: "Report", time_s: float) -> list[Line]:
    """What the assistant decided at a frame."""
    result = report.result
    if result.event is None:
        return []
    moves, speech = result.event.transitions, result.event.speech
    found = []
    if moves:
        found.append(Line(time_s, "state", format_transitions(moves), result.update_prob))
    if speech is not None:
        found.append(Line(time_s, "assistant", speech, result.speak_prob))
    return found


def _typed(tell: Callable[[str], None], time_s: float) -> list[Line]:
    """A line that was typed since the last frame, once it is said; or why it can't be."""
    if not sys.stdin.isatty() or not select.select([sys.stdin], [], [], 0)[0]:
        return []
    text = sys.stdin.readline().strip()
    if not text:
        return []
    try:
        tell(text)
    except DataError as error:
        return [Line(time_s, "note", str(error))]
    return [Line(time_s, "user", text)]


def _after(view: View, report: "Report", time_s: float, state: State, new: Sequence[Line]) -> View:
    """The view once a frame has been watched.

    Args:
        view: Before it.
        report: Of the frame.
        time_s: End of the frame.
        state: Of the session now.
        new: What was said and noticed.
    """
    return replace(
        view,
        state=state,
        lines=(*view.lines, *new)[-LINES:],
        time_s=time_s,
        speak_prob=report.result.speak_prob,
        update_prob=report.result.update_prob,
        latencies_ms=(*view.latencies_ms, report.latency_ms)[-LATENCIES:],
        waiting=report.waiting,
        longest_backlog=max(view.longest_backlog, report.waiting),
        dropped=view.dropped + report.dropped,
    )
