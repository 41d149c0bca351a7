"""The live loop on a clock of the test's own: nothing here waits for real time."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from threading import Event as Flag

import numpy as np
import pytest
import torch

from prospect.errors import ConfigError, DataError
from prospect.frames.encoders import Encoder
from prospect.model.config import Thresholds
from prospect.stream.assistant import LiveSession
from prospect.stream.config import StreamConfig
from prospect.stream.live import LiveNumbers, Percentiles, Report, live_numbers, watch
from prospect.stream.records import FrameResult
from prospect.stream.session import Session
from prospect.stream.sources import Frame, Source
from tests.clips import random_stream
from tests.models import FEATURE_DIM, tiny_model

FPS = 2.0


class Time:
    """A clock that stands still but for work and sleep."""

    def __init__(self) -> None:
        self.s = 1000.0

    def now(self) -> float:
        return self.s

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.s += seconds


class Worker:
    """A session that needs the same time for every frame."""

    fps = FPS
    thresholds = Thresholds()
    encoder = Encoder("some", 1, 1, "key", lambda frames: torch.zeros(len(frames), 1, 1))

    def __init__(self, time: Time, work_s: float) -> None:
        self.time, self.work_s = time, work_s
        self.seen: list[int] = []
        self.skipped: list[int] = []

    def skip(self, num_frames: int) -> None:
        self.skipped.append(num_frames)

    def look(self, frame: Frame) -> FrameResult:
        self.time.s += self.work_s
        self.seen.append(int(frame[0, 0, 0]))
        return FrameResult(self.seen[-1], 0.1, 0.2, None, 1000 * self.work_s, None)


def picture(number: int) -> Frame:
    return np.full((4, 4, 3), number, np.uint8)


def recording(count: int, known: bool = True) -> Source:
    frames = ((n / FPS, picture(n)) for n in range(count))
    return Source("x.mp4", FPS, False, count if known else None, None, frames)


def times(reports: list[Report]) -> list[tuple[float, float, float]]:
    """When each frame arrived, was taken and was done, since the first one came."""
    return [
        tuple(round(s - 1000, 6) for s in (one.arrived_s, one.taken_s, one.done_s))
        for one in reports
    ]


def test_a_fast_session_waits_for_every_frame() -> None:
    time = Time()
    worker = Worker(time, 0.2)
    reports = list(watch(worker, recording(4), now=time.now, sleep=time.sleep))
    assert times(reports) == [(0, 0, 0.2), (0.5, 0.5, 0.7), (1, 1, 1.2), (1.5, 1.5, 1.7)]
    assert [(one.waiting, one.dropped) for one in reports] == [(1, 0)] * 4
    assert worker.seen == [0, 1, 2, 3]


@pytest.mark.parametrize("known", [True, False])
def test_a_slow_session_falls_behind_and_keeps_all(known: bool) -> None:
    time = Time()
    worker = Worker(time, 0.8)
    reports = list(watch(worker, recording(6, known), now=time.now, sleep=time.sleep))
    assert times(reports) == [
        (0, 0, 0.8),
        (0.5, 0.8, 1.6),
        (1, 1.6, 2.4),
        (1.5, 2.4, 3.2),
        (2, 3.2, 4),
        (2.5, 4, 4.8),
    ]
    # when frame 4 is taken at 3.2 s a seventh would be there, had the recording not ended
    assert [one.waiting for one in reports] == [1, 1, 2, 2, 2 if known else 3, 1]
    assert [one.dropped for one in reports] == [0] * 6
    numbers = live_numbers(reports, FPS)
    assert numbers.real_time_factor == pytest.approx(1.6)
    assert numbers.longest_backlog == (2 if known else 3)
    assert numbers.latency_ms.p50 == pytest.approx(1550)  # between 1.4 and 1.7 s


def test_the_newest_frame_alone_keeps_up() -> None:
    time = Time()
    worker = Worker(time, 0.8)
    reports = list(watch(worker, recording(6), backlog="newest", now=time.now, sleep=time.sleep))
    # at 1.6 s frames 2 and 3 have come
    assert worker.seen == [0, 1, 3, 4, 5]
    assert worker.skipped == [0, 0, 1, 0, 0]
    assert times(reports)[2:] == [(1.5, 1.6, 2.4), (2, 2.4, 3.2), (2.5, 3.2, 4)]
    assert [(one.waiting, one.dropped) for one in reports] == [
        *[(1, 0), (1, 0), (2, 1), (1, 0), (1, 0)]
    ]


def test_a_recording_ends_with_its_last_frame_however_late() -> None:
    time = Time()
    worker = Worker(time, 60.0)
    reports = list(watch(worker, recording(6), backlog="newest", now=time.now, sleep=time.sleep))
    assert worker.seen == [0, 5]
    assert reports[1].dropped == 4
    assert reports[1].waiting == 5


def test_without_a_clock_nobody_waits() -> None:
    time = Time()
    worker = Worker(time, 0.1)
    reports = list(watch(worker, recording(3), "fast", now=time.now, sleep=time.sleep))
    assert times(reports) == [(0, 0, 0.1), (0.1, 0.1, 0.2), (0.2, 0.2, 0.3)]


class Camera:
    """Gives frame 0, and three more while that is being watched."""

    def __init__(self, error: DataError | None = None) -> None:
        self.watched, self.given = Flag(), Flag()
        self.error = error

    def frames(self) -> Iterator[tuple[float, Frame]]:
        yield 0.0, picture(0)
        self.watched.wait(10)
        for n in (1, 2, 3):
            yield n / FPS, picture(n)
        self.given.set()
        if self.error is not None:
            raise self.error

    def source(self) -> Source:
        return Source("camera:0", FPS, True, None, None, self.frames())


class Viewer(Worker):
    """Takes its time with the first frame."""

    def __init__(self, camera: Camera) -> None:
        super().__init__(Time(), 0.0)
        self.camera = camera

    def look(self, frame: Frame) -> FrameResult:
        self.camera.watched.set()
        assert self.camera.given.wait(10)
        return super().look(frame)


def test_what_comes_live_waits_in_order() -> None:
    camera = Camera()
    viewer = Viewer(camera)
    reports = list(watch(viewer, camera.source()))
    assert viewer.seen == [0, 1, 2, 3]
    assert [(one.waiting, one.dropped) for one in reports] == [(1, 0), (3, 0), (2, 0), (1, 0)]
    assert all(one.arrived_s <= one.taken_s <= one.done_s for one in reports)


def test_of_what_comes_live_the_newest_is_taken() -> None:
    camera = Camera()
    viewer = Viewer(camera)
    reports = list(watch(viewer, camera.source(), backlog="newest"))
    assert viewer.seen == [0, 3]
    assert viewer.skipped == [0, 2]
    assert [(one.waiting, one.dropped) for one in reports] == [(1, 0), (3, 2)]


def test_an_error_of_a_live_source_comes_after_its_last_frame() -> None:
    camera = Camera(DataError("camera:0 sent nothing for 10 s"))
    viewer = Viewer(camera)
    with pytest.raises(DataError, match="sent nothing for 10 s"):
        list(watch(viewer, camera.source()))
    assert viewer.seen == [0, 1, 2, 3]


def test_whoever_stops_watching_stops_the_reading() -> None:
    given = []

    def frames() -> Iterator[tuple[float, Frame]]:
        for n in itertools.count():
            given.append(n)
            yield n / FPS, picture(n)

    source = Source("camera:0", FPS, True, None, None, frames())
    watching = watch(Worker(Time(), 0.0), source)
    next(watching)
    watching.close()  # returns when the thread has ended
    count = len(given)
    assert len(given) == count


@pytest.mark.parametrize(
    ("source", "clock", "error", "message"),
    [
        (Source("camera:0", 2, True, None, None, iter(())), "fast", ConfigError, "its own pace"),
        (Source("a.mp4", 4, False, 1, None, iter(())), "real", DataError, "gives 4 frames/s"),
        (Source("a", 2, False, 1, "other", iter(())), "real", DataError, "the encoder other, the"),
    ],
)
def test_what_does_not_fit_is_refused_at_once(
    source: Source, clock: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        watch(Worker(Time(), 0.0), source, clock)


def report(latency_ms: float, work_ms: float, waiting: int, dropped: int) -> Report:
    result = FrameResult(0, 0.0, 0.0, None, work_ms, None)
    return Report(
        result, 1.0, 1 + (latency_ms - work_ms) / 1000, 1 + latency_ms / 1000, waiting, dropped
    )


def test_the_numbers_of_a_watch() -> None:
    reports = [report(10.0 * n, 5.0 * n, n, n % 2) for n in range(1, 101)]
    found = live_numbers(reports, FPS)
    # the k-th of 100 values in order stands at (k - 1) / 99: 95 % lies at 1 + 94.05
    assert found.latency_ms.p50 == pytest.approx(505)
    assert found.latency_ms.p95 == pytest.approx(950.5)
    assert found.latency_ms.p99 == pytest.approx(990.1)
    assert found.work_ms.p50 == pytest.approx(252.5)
    assert (found.frames, found.dropped, found.longest_backlog) == (100, 50, 100)
    assert found.first_token_ms is None
    assert found.real_time_factor == pytest.approx(0.2525 * 2)  # mean work a frame over 0.5 s
    with pytest.raises(DataError, match="no frame was watched"):
        live_numbers([], FPS)


def test_the_first_token_is_counted_from_the_frames_arrival() -> None:
    # waited 300 ms, encoded in 20, then 40 to the first token and 60 more to the last
    result = FrameResult(0, 0.9, 0.0, None, 100.0, 40.0)
    spoken = Report(result, 5.0, 5.3, 5.42, 1, 0)
    assert spoken.latency_ms == pytest.approx(420)
    assert spoken.first_token_ms == pytest.approx(360)
    silent = report(10.0, 5.0, 1, 0)
    assert silent.first_token_ms is None
    found = live_numbers([silent, spoken], FPS)
    assert found.first_token_ms == Percentiles(*[pytest.approx(360)] * 3)


def test_numbers_in_a_line() -> None:
    found = LiveNumbers(
        8, 2, 3, Percentiles(10, 20, 30.4), Percentiles(5, 6, 7), Percentiles(1, 2, 3), 0.0625
    )
    assert str(found) == (
        "8 frames, 2 dropped, backlog at most 3; latency 10/20/30 ms (p50/p95/p99); to the first "
        "token 5/6/7 ms (p50/p95/p99); work 1/2/3 ms (p50/p95/p99); real-time factor 0.062"
    )


def test_a_real_session_tells_frames_and_first_tokens(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm)
    config = StreamConfig(speak_threshold=0.0, update_threshold=1.0, max_new_tokens=4)
    encoder = Encoder("tiny", FEATURE_DIM, 1, "key", lambda frames: torch.zeros(1, 1, FEATURE_DIM))
    session = LiveSession(Session(model, config, random_stream(0).task), encoder, FPS)
    vectors = torch.randn(6, 1, FEATURE_DIM, generator=torch.Generator().manual_seed(0))
    source = Source("v", FPS, False, 6, "key", ((n / FPS, v) for n, v in enumerate(vectors)))
    time = Time()
    reports = []
    for one in watch(session, source, backlog="newest", now=time.now, sleep=time.sleep):
        reports.append(one)
        time.s += 1.0  # whoever watches is slow
    assert [one.result.frame for one in reports] == [0, 2, 4, 5]
    for one in reports:
        assert one.result.event is not None
        assert one.result.first_token_ms is not None
        assert 0 < one.result.first_token_ms < one.result.latency_ms
    with pytest.raises(DataError, match=r"shape \(2, 12\), the model takes \(1, 12\) of tiny"):
        session.look(torch.zeros(2, FEATURE_DIM))
