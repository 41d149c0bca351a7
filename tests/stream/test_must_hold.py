"""What goes wrong in one stream is said clearly, and disturbs no other."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor

from prospect.errors import ConfigError, DataError
from prospect.samples.clips import state_after
from prospect.states.transitions import initial_state
from prospect.stream.assistant import Assistant
from prospect.stream.config import Feed, StreamConfig
from prospect.stream.engine import make_engine
from prospect.stream.fed import predict_streams
from prospect.stream.policies import POLICIES
from prospect.stream.predict import Viewer, predict_stream
from prospect.stream.session import Session
from prospect.stream.snapshot import restore, snapshot
from prospect.toy.draw import draw
from prospect.toy.world import annotations
from prospect.types import Clip, Event, Prediction, Step, Task, Transition
from tests.clips import random_stream
from tests.model.modes import loud_llm, mode_model
from tests.models import save_tiny_checkpoint, tiny_model, with_thresholds
from tests.stream.test_engine import eager, together
from tests.stream.test_modes import few_thresholds
from tests.stream.test_session import vectors

CONFIG = StreamConfig(max_new_tokens=8)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def llm(tiny_llm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return loud_llm(tiny_llm, tmp_path_factory.mktemp("loud_llm"))


@pytest.fixture(scope="module")
def folder(tiny_llm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_checkpoint(tiny_llm, tmp_path_factory.mktemp("assistant") / "checkpoint")


# --- batches


@pytest.mark.parametrize("mode", ["cascade", "token", "match", "token, point"])
def test_every_mode_does_in_a_batch_what_it_does_alone(llm: Path, mode: str) -> None:
    model = few_thresholds(mode_model(llm, mode, context_len=700), 1)
    streams = [random_stream(seed, num_frames=30 + 60 * seed) for seed in range(3)]
    found = together(model, CONFIG, streams, 2)
    assert any(event.transitions for one in found.values() for event in one.events)
    for stream in streams:
        alone = predict_stream(model, stream, vectors, replace(CONFIG, max_chunk=1), "x")
        assert same(found[stream.dialogue_id], alone)


@pytest.mark.parametrize("policy", ["restate", "drop_middle"])
def test_frames_of_several_vectors_do_in_a_batch_what_they_do_alone(
    tiny_llm: Path, policy: str
) -> None:
    def five(clip: Clip) -> Tensor:
        return vectors(clip, 5)

    quiet = with_thresholds(tiny_model(tiny_llm, context_len=900, vectors=5), 1.0, 1.0)
    silent = predict_stream(quiet, random_stream(0, num_frames=100), five, CONFIG, "x")
    model = with_thresholds(quiet, sorted(silent.speak_prob)[-9], sorted(silent.update_prob)[-9])
    config = replace(CONFIG, policy=policy, kept_tokens=128)  # type: ignore[arg-type]
    streams = [random_stream(seed, num_frames=80 + 60 * seed) for seed in range(3)]
    viewer = Viewer(model, five, config, "x", False, make_engine(model, config, 2))
    found = {p.dialogue_id: p for p in predict_streams(viewer, "self", [[s] for s in streams])}
    assert any(one.refreshes for one in found.values())
    for stream in streams:
        alone = predict_stream(model, stream, five, replace(config, max_chunk=1), "x")
        assert same(found[stream.dialogue_id], alone)


def same(one: Prediction, other: Prediction) -> bool:
    return (
        one.events == other.events
        and one.refreshes == other.refreshes
        and bool(np.allclose(one.speak_prob, other.speak_prob, atol=2e-4))
        and bool(np.allclose(one.update_prob, other.update_prob, atol=2e-4))
    )


# --- one bad stream among good ones

BAD: dict[str, Callable[[Tensor], Tensor]] = {
    "narrow": lambda video: video[..., :7],
    "too many vectors": lambda video: video.repeat(1, 2, 1),
    "too few frames": lambda video: video[:-3],
    "no frames": lambda video: video[:0],
}


@pytest.mark.parametrize("fed", ["self", "reference_dialogue", "told", "teacher_forced"])
@pytest.mark.parametrize("kind", BAD)
def test_frames_of_another_size_end_their_own_stream_alone(
    tiny_llm: Path, kind: str, fed: Feed
) -> None:
    model = with_thresholds(tiny_model(tiny_llm), 1.0, 1.0)
    streams = [random_stream(seed, num_frames=20) for seed in range(3)]

    def broken(clip: Clip) -> Tensor:
        video = vectors(clip)
        return BAD[kind](video) if clip.video_id == "v1" else video

    viewer = Viewer(model, broken, CONFIG, "x", False, make_engine(model, CONFIG, 3))
    made: list[Prediction] = []
    with pytest.raises(DataError, match="v1/no_talk-0 has vectors of shape"):
        made.extend(predict_streams(viewer, fed, [[stream] for stream in streams]))
    assert sorted(one.dialogue_id for one in made) == ["v0/no_talk-0", "v2/no_talk-0"]


def test_a_stream_without_frames_is_refused(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm)
    empty = replace(random_stream(0), stop_frame=0, events=())
    with pytest.raises(DataError, match="v0/no_talk-0 has no frames"):
        predict_stream(model, empty, vectors, CONFIG, "x")


def test_a_model_that_never_stops_writes_what_the_reserve_holds(llm: Path) -> None:
    model = mode_model(llm, "point", context_len=1300)
    assert model.network.pointer is not None
    with torch.no_grad():
        model.network.pointer.stop.bias.fill_(-1000.0)  # writes every move there is
    model = with_thresholds(model, 1.0, 1.0)
    engine = make_engine(model, CONFIG, 2)
    tasks = [Task("goal", tuple(Step(f"S{i}", "do") for i in range(n))) for n in (2, 40)]
    short, long = (Session(model, CONFIG, task, engine=engine) for task in tasks)
    room = engine.slots.length - len(long.context.tokens) - 200
    video = vectors(random_stream(0, num_frames=room))
    for session in (short, long):
        session.advance(video)
    jobs = dict(engine.run_all([short.asking, long.asking]))
    assert [len(moves) for moves in jobs.values()] == [4, 4]  # type: ignore[arg-type]


# --- policies


@pytest.mark.parametrize("vectors_per_frame", [1, 5])
def test_drop_middle_keeps_the_last_frame_whatever_follows_it(
    tiny_llm: Path, vectors_per_frame: int
) -> None:
    model = tiny_model(tiny_llm, context_len=700, vectors=vectors_per_frame)
    model = with_thresholds(model, 1.0, 1.0)
    config = replace(CONFIG, policy="drop_middle", kept_tokens=3)
    stream = random_stream(1, num_frames=50)
    session = Session(model, config, stream.task)
    session.advance(vectors(stream, vectors_per_frame))
    session.say("put the red wheel on the small base")
    start, last = len(session.first_prompt.ids), session.context.frame_starts[-1]
    kept = session.context.tokens[:start] + session.context.tokens[last:]
    session.engine.run(POLICIES["drop_middle"](session))
    assert session.context.tokens == kept
    assert len(session.context.frames) == 1
    waiting = session.context.waiting()
    assert len(waiting.ids) == len(
        session.renderer.turn("user", "put the red wheel on the small base")
    )
    session.advance(vectors(stream, vectors_per_frame)[:1])


@pytest.mark.parametrize("policy", POLICIES)
def test_a_prompt_that_does_not_fit_says_so(tiny_llm: Path, policy: str) -> None:
    model = tiny_model(tiny_llm, context_len=120)
    stream = random_stream(0, num_frames=3)
    session = Session(model, replace(CONFIG, policy=policy), stream.task)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="context"):
        session.advance(vectors(stream))


# --- snapshots

_GO_ON = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from prospect.stream.engine import make_engine
from prospect.stream.snapshot import restore
from tests.clips import random_stream
from tests.models import tiny_model, with_thresholds
from tests.stream.test_must_hold import CONFIG
from tests.stream.test_session import vectors
llm, data, speak, update, stop = sys.argv[1:]
model = with_thresholds(tiny_model(Path(llm), context_len=700), float(speak), float(update))
session = restore(Path(data).read_bytes(), model, CONFIG, make_engine(model, CONFIG, 1))
session.advance(vectors(random_stream(1, num_frames=320))[int(stop):])
print(session.events)
"""


def test_another_process_goes_on_with_the_same_events(tiny_llm: Path, tmp_path: Path) -> None:
    model, stop = eager(tiny_llm), 150
    stream = random_stream(1, num_frames=320)
    session = Session(model, CONFIG, stream.task)
    session.advance(vectors(stream)[:stop])
    (tmp_path / "session").write_bytes(snapshot(session))
    session.advance(vectors(stream)[stop:])
    assert session.refreshes
    limits = [str(model.thresholds.speak), str(model.thresholds.update)]
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            _GO_ON,
            str(tiny_llm),
            str(tmp_path / "session"),
            *limits,
            str(stop),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == str(session.events)


def test_other_settings_apply_from_a_restored_session_on(tiny_llm: Path) -> None:
    model = with_thresholds(tiny_model(tiny_llm), 1.0, 1.0)
    stream = random_stream(0, num_frames=20)
    session = Session(model, CONFIG, stream.task)
    session.advance(vectors(stream)[:10])
    config = replace(CONFIG, speak_threshold=0.0)
    again = restore(snapshot(session), model, config, make_engine(model, config, 1))
    results = again.advance(vectors(stream)[10:])
    assert all(result.event is not None and result.event.speech for result in results)


def test_bytes_that_are_no_session_of_this_size_are_refused(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm)
    with pytest.raises(DataError, match="no snapshot of a session, but hold x"):
        restore(save({"x": torch.zeros(2)}), model, CONFIG, make_engine(model, CONFIG, 1))
    stream = random_stream(0, num_frames=200)
    session = Session(with_thresholds(model, 1.0, 1.0), CONFIG, stream.task)
    session.advance(vectors(stream))
    short = replace(CONFIG, context_len=300)
    engine = make_engine(model, short, 1)
    with pytest.raises(DataError, match="a slot 300; raise context_len"):
        restore(snapshot(session), model, short, engine)
    assert engine.take() == 0


# --- the front door


def test_text_in_place_of_a_task_or_a_state_of_other_steps(folder: Path) -> None:
    assistant = Assistant.from_pretrained(folder, CONFIG, "float32")
    with pytest.raises(DataError, match="the task is 'make coffee'; give a"):
        assistant.open("make coffee")  # type: ignore[arg-type]
    task = annotations("train", 1, 0)[0].task
    state = initial_state(task)
    for wrong in ({}, {"other": "completed"}, dict(reversed(state.items()))):
        with pytest.raises(DataError, match="it needs one status for each of S1, S2"):
            assistant.open(task, wrong)  # type: ignore[arg-type]
    first = state_after(state, ())
    assert assistant.open(task, {**first, "S1": "completed"}).state["S1"] == "completed"


def test_images_of_another_shape_are_refused_and_leave_the_others_alone(folder: Path) -> None:
    config = replace(CONFIG, speak_threshold=0.3, update_threshold=0.3, num_slots=2)
    assistant = Assistant.from_pretrained(folder, config, "float32")
    annotation = annotations("train", 1, 0)[0]
    good, other = (assistant.open(annotation.task) for _ in range(2))
    images = list(islice(draw(annotation, 2.0), 6))
    wide = np.zeros((384, 512, 3), np.uint8)
    bad: list[NDArray[Any]] = [
        wide,
        wide[..., 0],
        wide[:0, :0],
        wide[:, :384, :2],
        np.zeros((384, 384, 3), np.float32),
    ]
    expected = [event for image in images[:5] for event in good.step(image)]
    assert expected
    good.close()
    again = assistant.open(annotation.task)
    found = []
    for image, broken in zip(images[:5], bad, strict=True):
        events, error = assistant.step([(again, image), (other, broken)])
        assert isinstance(error, DataError | ConfigError)
        assert isinstance(events, list)
        found += events
    timeless = [replace(e, latency_ms=0.0) for e in expected]
    assert [type(e) for e in found] == [type(e) for e in timeless]
    assert [e.time_s for e in found] == [e.time_s for e in timeless]
    assert other.look(images[0]).frame == 0


def test_mirrored_pictures_are_pictures(folder: Path) -> None:
    assistant = Assistant.from_pretrained(folder, CONFIG, "float32")
    annotation = annotations("train", 1, 0)[0]
    image = next(draw(annotation, 2.0))
    flipped = image[:, ::-1, ::-1]  # as cameras and OpenCV give them
    views, copies = (assistant.open(annotation.task) for _ in range(2))
    assert views.look(flipped).speak_prob == copies.look(flipped.copy()).speak_prob


def test_sessions_of_another_assistant_are_refused(folder: Path) -> None:
    one, other = (Assistant.from_pretrained(folder, CONFIG, "float32") for _ in range(2))
    annotation = annotations("train", 1, 0)[0]
    session = one.open(annotation.task)
    with pytest.raises(DataError, match="opened by another assistant"):
        other.step([(session, next(draw(annotation, 2.0)))])


def test_a_live_frame_is_what_stored_features_hold(folder: Path) -> None:
    """So a snapshot is small, and a stream live what it is recorded."""
    assistant = Assistant.from_pretrained(folder, CONFIG, "float32")
    annotation = annotations("train", 1, 0)[0]
    live, recorded, given = (assistant.open(annotation.task) for _ in range(3))
    image = next(draw(annotation, 2.0))
    vector = live.encoder.encode(torch.from_numpy(image[None]))[0]
    rounded = vector.bfloat16().half()
    assert not rounded.float().equal(vector)
    seen = live.look(image).speak_prob
    assert seen == recorded.look(rounded).speak_prob == given.look(vector).speak_prob
    assert len(live.snapshot()) == len(given.snapshot()) < 2 * 1280 * 2 + 8000


# --- known to fail: prospect.stream.session


def test_a_closed_session_watches_nothing(tiny_llm: Path) -> None:
    """It would write into the slot of whoever came after it."""
    model = with_thresholds(tiny_model(tiny_llm), 1.0, 1.0)
    engine = make_engine(model, CONFIG, 1)
    video = vectors(random_stream(0, num_frames=60))
    task = random_stream(0).task

    def watched(disturbed: bool) -> float:
        old = Session(model, CONFIG, task, engine=engine)
        old.advance(video[:5])
        old.close()
        new = Session(model, CONFIG, task, engine=engine)
        new.advance(video[:20])
        if disturbed:
            with pytest.raises(DataError, match="closed"):
                old.advance(video[40:55])
        prob = new.advance(video[20:21])[0].speak_prob
        new.close()
        return prob

    assert watched(disturbed=True) == watched(disturbed=False)


def test_an_unreadable_state_turn_is_no_event(tiny_llm: Path) -> None:
    model = with_thresholds(tiny_model(tiny_llm), 1.0, 0.0)
    stream = replace(random_stream(0, num_frames=5), events=())
    made = predict_stream(model, stream, vectors, replace(CONFIG, unconstrained=True), "x")
    assert all(event.transitions or event.speech is not None for event in made.events)


def test_vectors_of_another_shape_leave_a_session_as_it_was(tiny_llm: Path) -> None:
    model = with_thresholds(tiny_model(tiny_llm), 1.0, 1.0)
    stream = random_stream(0, num_frames=6)
    session, other = (Session(model, CONFIG, stream.task) for _ in range(2))
    for one in (session, other):
        one.advance(vectors(stream)[:5])
    with pytest.raises(DataError):
        session.advance(torch.zeros(2, 1, 7))
    assert session.advance(vectors(stream)[5:])[0].speak_prob == pytest.approx(
        other.advance(vectors(stream)[5:])[0].speak_prob
    )


def test_unknown_transitions_are_refused_before_anything_is_told(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm)
    stream = random_stream(0, num_frames=6)
    session = Session(model, CONFIG, stream.task)
    session.advance(vectors(stream), [None] * 6)
    tokens = list(session.context.tokens)
    with pytest.raises(DataError, match="needs in_progress"):
        session.tell(Event(5, (Transition("S1", "complete"),)))
    assert session.context.tokens == tokens
