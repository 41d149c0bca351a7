"""Who makes which prediction doesn't matter, and no reference reaches a run that feeds itself."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from prospect.files import read_records
from prospect.metrics.score import score
from prospect.samples.clips import without_answers
from prospect.states.transitions import apply, legal_moves
from prospect.stream.config import StreamConfig
from prospect.stream.engine import make_engine
from prospect.stream.predict import (
    Share,
    Viewer,
    live_details,
    open_session,
    predict,
    predict_stream,
)
from prospect.types import Clip, ClipKind, Event, Prediction
from tests.clips import random_stream
from tests.models import tiny_model, with_thresholds
from tests.stream.test_session import vectors

STREAMS = [[random_stream(seed, num_frames=30)] for seed in range(5)]


class Killed(Exception):
    """In place of a signal."""


class Maker:
    """Notes whom it is asked for; dies after some of them."""

    def __init__(self, lives: int = 99) -> None:
        self.lives = lives
        self.made: list[str] = []

    def __call__(self, streams: Sequence[Sequence[Clip]]) -> Iterator[Prediction]:
        for parts in reversed(streams):  # any order will do
            if len(self.made) == self.lives:
                raise Killed
            self.made.append(parts[0].video_id)
            yield without_answers(parts[0], "x")


def found(out: Path) -> list[str]:
    return [made.video_id for made in read_records(out, Prediction)]


def test_shares_are_put_together_by_whoever_is_last(tmp_path: Path) -> None:
    out = tmp_path / "p.jsonl"
    for index, left in ((2, 4), (0, 2), (1, 0)):
        maker = Maker()
        assert predict(maker, STREAMS, out, key="k", share=Share(index, 3)) == left
        assert sorted(maker.made) == [f"v{seed}" for seed in range(index, 5, 3)]
        assert out.exists() == (left == 0)
    assert found(out) == ["v0", "v1", "v2", "v3", "v4"]
    assert list(tmp_path.iterdir()) == [out]


def test_a_killed_run_goes_on_in_other_shares_and_a_whole_one_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "p.jsonl"
    with pytest.raises(Killed):
        predict(first := Maker(lives=2), STREAMS, out, key="k")
    assert first.made == ["v4", "v3"]
    (partial,) = tmp_path.iterdir()
    with partial.open("a") as file:
        file.write('{"dialogue_id": "v2/no_ta')  # and in the middle of the third
    again = Maker()
    assert predict(again, STREAMS, out, key="k", share=Share(0, 2)) == 1
    assert again.made == ["v2", "v0"]
    assert predict(again, STREAMS, out, key="k", share=Share(1, 2)) == 0
    assert again.made == ["v2", "v0", "v1"]
    assert found(out) == ["v0", "v1", "v2", "v3", "v4"]
    before = out.read_bytes()
    assert predict(again, STREAMS, out, key="k") == 0
    assert (out.read_bytes(), len(again.made)) == (before, 3)


def test_work_of_other_settings_is_not_continued(tmp_path: Path) -> None:
    out = tmp_path / "p.jsonl"
    with pytest.raises(Killed):
        predict(Maker(lives=2), STREAMS, out, key="k")
    other = Maker()
    predict(other, STREAMS, out, key="other", seen_tasks=frozenset({"random"}))
    assert len(other.made) == 5
    made = read_records(out, Prediction)
    assert all(one.details["key"] == "other" and one.seen_task for one in made)
    changed = Maker()
    assert predict(changed, STREAMS[:2], out, key="other") == 0
    assert len(changed.made) == 2  # other streams, so another file


def with_noise(clip: Clip, seed: int) -> Clip:
    """The same words of the user; references of everything else at random places."""
    rng = random.Random(seed)
    state = dict(clip.state)
    said = {event.frame: event.user for event in clip.events if event.user is not None}
    events = []
    for frame in range(clip.start_frame, clip.stop_frame):
        event = Event(frame, user=said.get(frame), summary="noise")
        if rng.random() < 0.3 and (moves := legal_moves(state)):
            move = rng.choice(moves)
            state = apply(state, move)
            event = replace(event, transitions=(move,))
        if rng.random() < 0.3:
            event = replace(event, speech=f"noise {frame}", labels="noise")
        events.append(event)
    return replace(clip, events=tuple(events), summary="noise")


@pytest.mark.parametrize("chunk", [1, 16])
def test_no_reference_reaches_a_self_fed_run(tiny_llm: Path, chunk: int) -> None:
    model = tiny_model(tiny_llm, context_len=450)
    stream = random_stream(2, num_frames=100)
    assert any(event.user for event in stream.events)
    silent = predict_stream(with_thresholds(model, 1.0, 1.0), stream, vectors, StreamConfig(), "x")
    model = with_thresholds(model, sorted(silent.speak_prob)[-8], sorted(silent.update_prob)[-8])
    config = StreamConfig(max_chunk=chunk, max_new_tokens=4)
    plain = predict_stream(model, stream, vectors, config, "x")
    noisy = predict_stream(model, with_noise(stream, 0), vectors, config, "x")
    assert plain.references != noisy.references
    assert any(event.transitions for event in plain.events)
    assert any(event.speech for event in plain.events)
    for name in ("events", "speak_prob", "update_prob", "refreshes", "state"):
        assert getattr(plain, name) == getattr(noisy, name), name
    assert plain.refreshes
    counted = plain.details["update_tokens"]
    assert counted == noisy.details["update_tokens"]
    moves = [event.transitions for event in plain.events if event.transitions]
    assert counted == sum(len(model.renderer.state_turn(one)) for one in moves)
    assert plain.details["latency_ms_p50"] <= plain.details["latency_ms_p99"]  # type: ignore[operator]
    assert "first_token_ms_p95" in plain.details
    assert plain.details["max_chunk"] == chunk


def test_live_numbers_by_hand() -> None:
    assert live_details([10.0, 20.0, 30.0], [], 0.06, 2.0) == {
        "frames_per_s": 50.0,
        "real_time_factor": 0.04,
        "latency_ms_p50": 20.0,
        "latency_ms_p95": 29.0,
        "latency_ms_p99": 29.8,
    }


def test_without_constraint_what_is_illegal_is_counted_and_not_applied(tiny_llm: Path) -> None:
    model = with_thresholds(tiny_model(tiny_llm), 1.0, 0.0)
    stream = replace(random_stream(2), stop_frame=3, events=())
    config = StreamConfig(unconstrained=True)
    made = predict_stream(model, stream, vectors, config, "x")
    # a random model writes no transition at all, and is asked at every frame
    assert made.details["written_moves"] == made.details["unreadable_moves"]
    assert made.details["written_moves"] == 3
    assert not any(event.transitions for event in made.events)
    values = score([made])["systems"]["x"]["groups"]["pooled"]
    assert values["unusable_move_rate"]["value"] == 1.0


@pytest.mark.parametrize("kind", ["dialogue", "state", "narration"])
@pytest.mark.parametrize("progress", [None, "The first step is done."])
def test_a_stream_is_told_what_its_clip_is_told(
    tiny_llm: Path, kind: ClipKind, progress: str | None
) -> None:
    model = tiny_model(tiny_llm)
    stream = replace(random_stream(2), kind=kind, progress=progress)
    config = StreamConfig()
    viewer = Viewer(model, vectors, config, "x", False, make_engine(model, config, 1))
    assert open_session(viewer, stream).context.tokens == model.renderer.clip_prompt(stream)
