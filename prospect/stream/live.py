"""Watching as it happens: frames on a clock, what waits meanwhile, and how far behind it falls.

In: a session and a source. Out: a `Report` a frame, and `LiveNumbers` of all of them.

    for report in watch(assistant.open(task), open_source("camera:0", assistant.fps)):
        print(report.result)
"""

import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event as Flag
from typing import Literal

import numpy as np

from prospect.clock import first_frame
from prospect.errors import ConfigError, DataError
from prospect.stream.assistant import LiveSession
from prospect.stream.records import FrameResult
from prospect.stream.sources import Frame, Source

Clock = Literal["real", "fast"]
Backlog = Literal["all", "newest"]


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one frame; times are seconds of the loop's clock.

    Attributes:
        result: Of the session.
        arrived_s: When the frame was there to be watched.
        taken_s, done_s: When work on it began and ended.
        waiting: Frames that had arrived unwatched when this one was taken, itself and those it
            passes over included.
        dropped: Frames that were passed over since the last report.
    """

    result: FrameResult
    arrived_s: float
    taken_s: float
    done_s: float
    waiting: int
    dropped: int

    @property
    def latency_ms(self) -> float:
        """From the frame's arrival to the end of its last turn: waiting, encoding and writing."""
        return (self.done_s - self.arrived_s) * 1000

    @property
    def first_token_ms(self) -> float | None:
        """From the frame's arrival to the first token of its sentence; None if it has none."""
        first_ms = self.result.first_token_ms
        return None if first_ms is None else self.latency_ms - (self.result.latency_ms - first_ms)


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of a list of numbers, interpolated linearly."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class LiveNumbers:
    """How a watch kept up.

    Attributes:
        frames, dropped: Watched, and passed over.
        longest_backlog: Most frames that ever waited, the one being taken included.
        latency_ms: From a frame's arrival to the end of its last turn.
        first_token_ms: From a frame's arrival to the first token of its sentence, over the frames
            that have one; None without any.
        work_ms: On a frame, without its waiting.
        real_time_factor: Seconds of work a second of watched video; above 1 it falls behind.
    """

    frames: int
    dropped: int
    longest_backlog: int
    latency_ms: Percentiles
    first_token_ms: Percentiles | None
    work_ms: Percentiles
    real_time_factor: float

    def __str__(self) -> str:
        first = self.first_token_ms
        spoken = f"; to the first token {_shown(first)}" if first else ""
        return (
            f"{self.frames} frames, {self.dropped} dropped, backlog at most "
            f"{self.longest_backlog}; latency {_shown(self.latency_ms)}{spoken}; work "
            f"{_shown(self.work_ms)}; real-time factor {self.real_time_factor:.3f}"
        )


def live_numbers(reports: Sequence[Report], fps: float) -> LiveNumbers:
    """The numbers of a watch.

    Args:
        reports: Of `watch`.
        fps: Of its source.

    Raises:
        DataError: no reports.
    """
    if not reports:
        raise DataError(
            "no frame was watched, so there are no numbers; did the source end at once?"
        )
    work_s = [report.done_s - report.taken_s for report in reports]
    firsts = [ms for report in reports if (ms := report.first_token_ms) is not None]
    return LiveNumbers(
        frames=len(reports),
        dropped=sum(report.dropped for report in reports),
        longest_backlog=max(report.waiting for report in reports),
        latency_ms=percentiles([report.latency_ms for report in reports]),
        first_token_ms=percentiles(firsts) if firsts else None,
        work_ms=percentiles([1000 * s for s in work_s]),
        real_time_factor=sum(work_s) * fps / len(reports),
    )


def percentiles(values: Sequence[float]) -> Percentiles:
    """Of at least one number."""
    return Percentiles(*(float(value) for value in np.percentile(values, [50, 95, 99])))


def _shown(ms: Percentiles) -> str:
    return f"{ms.p50:.0f}/{ms.p95:.0f}/{ms.p99:.0f} ms (p50/p95/p99)"


def watch(
    session: LiveSession,
    source: Source,
    clock: Clock = "real",
    backlog: Backlog = "all",
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Generator[Report]:
    """Watch a source to its end; between two reports the caller may let the user `say` something.

    Args:
        session: Newly opened.
        source: At the session's rate.
        clock: ``real`` gives frame n of a recording at ``n / fps`` seconds; what comes live sets
            its own clock. ``fast`` gives a recording's frames as soon as they are wanted.
        backlog: Of the frames that have arrived, ``all`` are watched in order, at any delay (live
            pictures wait in memory, 0.4 MB each); or the ``newest`` alone: the rest is dropped and
            counted, and the session told that time has passed.
        now, sleep: The clock, in seconds.

    Returns:
        A report for each frame watched; errors of the source come after its last frame. Closing
        it ends the reading of a live source with its next frame or timeout.

    Raises:
        ConfigError: ``fast`` for what comes live.
        DataError: source and session differ in rate or encoder.
    """
    if source.live and clock == "fast":
        raise ConfigError(f"{source.where} comes live, at its own pace; choose the clock real")
    if source.fps != session.fps:
        raise DataError(
            f"{source.where} gives {source.fps:g} frames/s, the model takes {session.fps:g}; open "
            "it at the model's rate"
        )
    if source.encoder_key not in (None, session.encoder.key):
        raise DataError(
            f"{source.where} holds features of the encoder {source.encoder_key}, the model takes "
            f"{session.encoder.key} ({session.encoder.name}); encode its video again"
        )
    if source.live:
        arrivals = _coming(source, backlog, now)
    elif clock == "real":
        arrivals = _paced(source, backlog, now, sleep)
    else:
        arrivals = (_Arrival(frame, now(), 1, 0) for _, frame in source.frames)
    return _reports(session, arrivals, now)


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A frame to be watched next; fields as in `Report`."""

    frame: Frame
    arrived_s: float
    waiting: int
    dropped: int


def _reports(
    session: LiveSession, arrivals: Generator[_Arrival], now: Callable[[], float]
) -> Generator[Report]:
    with closing(arrivals):
        for one in arrivals:
            taken_s = now()
            session.skip(one.dropped)
            result = session.look(one.frame)
            yield Report(result, one.arrived_s, taken_s, now(), one.waiting, one.dropped)


def _paced(
    source: Source, backlog: Backlog, now: Callable[[], float], sleep: Callable[[float], None]
) -> Generator[_Arrival]:
    """A recording as if it were live. Its frames wait where they are stored, not in memory."""
    began_s = now()
    dropped = 0
    following = next(source.frames, None)
    while following is not None:
        (time_s, frame), following = following, next(source.frames, None)
        if (early_s := began_s + time_s - now()) > 0:
            sleep(early_s)
        late_s = now() - began_s
        if backlog == "newest" and following is not None and following[0] <= late_s:
            dropped += 1
            continue
        behind = _number(late_s, source) - _number(time_s, source)
        if source.num_frames is not None:
            behind = min(behind, source.num_frames - 1 - _number(time_s, source))
        waiting = 1 + dropped + (behind if following is not None else 0)
        yield _Arrival(frame, began_s + time_s, waiting, dropped)
        dropped = 0


def _number(time_s: float, source: Source) -> int:
    return first_frame(time_s, source.fps)


def _coming(source: Source, backlog: Backlog, now: Callable[[], float]) -> Generator[_Arrival]:
    """What a thread reads from a live source, so that its frames are stamped as they come."""
    arrived: SimpleQueue[tuple[float, Frame] | None] = SimpleQueue()
    waiting: list[tuple[float, Frame]] = []
    stop = Flag()

    def read() -> None:
        try:
            for _, frame in source.frames:
                arrived.put((now(), frame))
                if stop.is_set():
                    return
        finally:
            arrived.put(None)

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        try:
            over = False
            while waiting or not over:
                while not over and (not waiting or not arrived.empty()):
                    one = arrived.get()
                    over = one is None
                    waiting += [one] if one is not None else []
                if waiting:
                    dropped = len(waiting) - 1 if backlog == "newest" else 0
                    arrived_s, frame = waiting[dropped]
                    yield _Arrival(frame, arrived_s, len(waiting), dropped)
                    del waiting[: dropped + 1]
        finally:
            stop.set()
        reading.result()
