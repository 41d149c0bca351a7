"""Streams beside their references: what is fed is the reference's, what is recorded the model's."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from prospect.metrics.decisions import moments
from prospect.metrics.score import score
from prospect.model.checkpoint import Checkpoint
from prospect.model.config import Thresholds
from prospect.model.teacher import probabilities
from prospect.samples.clips import cut, state_after
from prospect.samples.sequence import NONE
from prospect.stream import fed
from prospect.stream.config import StreamConfig
from prospect.stream.engine import make_engine
from prospect.stream.fed import predict_streams
from prospect.stream.predict import Viewer
from prospect.stream.session import Session
from prospect.stream.told import text_numbers
from prospect.types import Clip, Event, Prediction, Transition
from tests.clips import random_stream
from tests.models import tiny_model, with_thresholds
from tests.stream.test_session import vectors

CONFIG = StreamConfig(max_new_tokens=4)


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[Session]:
    """The sessions that runs open."""
    opened: list[Session] = []
    really_open = fed.open_session

    def note(viewer: Viewer, stream: Clip) -> Session:
        opened.append(really_open(viewer, stream))
        return opened[-1]

    monkeypatch.setattr(fed, "open_session", note)
    return opened


def eager(model: Checkpoint, stream: Clip) -> Checkpoint:
    """Fires at about one frame in ten."""
    rendered = model.renderer.clip(stream)
    probs = probabilities(model.network, rendered, vectors(stream)).numpy()
    speak, update = np.quantile(probs, 0.9, axis=0).tolist()
    return with_thresholds(model, speak, update)


def run(model: Checkpoint, stream: Clip, mode: fed.Feed) -> Prediction:
    (made,) = predict_streams(viewer(model), mode, [[stream]])
    return made


def viewer(model: Checkpoint) -> Viewer:
    return Viewer(model, vectors, CONFIG, "x", False, make_engine(model, CONFIG, 1))


def test_a_reference_dialogue_is_seen_as_training_renders_it(
    tiny_llm: Path, sessions: list[Session]
) -> None:
    stream = random_stream(1, num_frames=70)
    model = eager(tiny_model(tiny_llm), stream)
    made = run(model, stream, "reference_dialogue")
    rendered = model.renderer.clip(stream)
    assert sessions[0].context.tokens == rendered.ids.tolist()
    expected = probabilities(model.network, rendered, vectors(stream))
    assert np.allclose([made.speak_prob, made.update_prob], expected.T, atol=2e-4)
    assert made.fed == "reference_dialogue"
    # it acts just where a probability is over the threshold, whatever the reference does there
    fires = [
        frame for frame, prob in enumerate(made.speak_prob) if prob > model.thresholds.speak + 1e-3
    ]
    assert set(fires) <= set(moments(made.events, "speak"))
    assert len(moments(made.events, "update")) > 3
    assert [e.user for e in made.events if e.user] == [e.user for e in stream.events if e.user]
    assert made.details["latency_ms_p50"]


def test_what_it_would_write_is_what_it_is_asked_for(tiny_llm: Path) -> None:
    stream = random_stream(1, num_frames=36)
    model = with_thresholds(tiny_model(tiny_llm), 1.0, 0.0)
    made = run(model, stream, "reference_dialogue")
    told = run(model, stream, "told")
    anywhere = {event.frame: event.transitions for event in made.events}
    assert len(told.events) >= 2
    for event in told.events:
        assert event.transitions == anywhere[event.frame]


def test_a_reference_state_is_beside_its_own_words(tiny_llm: Path, sessions: list[Session]) -> None:
    stream = random_stream(3, num_frames=70)
    model = eager(tiny_model(tiny_llm), stream)
    made = run(model, stream, "reference_state")
    assert sessions[0].state == state_after(stream.state, stream.events)
    assert made.fed == "reference_state"
    spoken = {e.frame: e.speech for e in made.events if e.speech is not None}
    assert len(spoken) >= 3
    # its context is that of the reference with its own words in place of the reference's
    fed_with = tuple(
        replace(event, speech=spoken.get(event.frame))
        for event in _every_frame(stream)
        if replace(event, speech=spoken.get(event.frame)) != Event(event.frame)
    )
    mixed = replace(stream, events=fed_with)
    assert sessions[0].context.tokens == model.renderer.clip(mixed).ids.tolist()
    groups = score([replace(made, system="x"), _self_fed(model, stream)])["systems"]
    assert "x [reference_state]" in groups


def _every_frame(stream: Clip) -> list[Event]:
    known = {event.frame: event for event in stream.events}
    return [
        known.get(frame, Event(frame)) for frame in range(stream.start_frame, stream.stop_frame)
    ]


def _self_fed(model: Checkpoint, stream: Clip) -> Prediction:
    return run(model, stream, "self")


def test_a_model_without_a_state_only_speaks(tiny_llm: Path) -> None:
    stream = replace(random_stream(1), state_known=False)
    events = tuple(replace(event, transitions=()) for event in stream.events)
    model = with_thresholds(tiny_model(tiny_llm), 0.0, 0.0)
    made = run(model, replace(stream, events=events, stop_frame=8), "reference_dialogue")
    assert moments(made.events, "update") == []
    assert moments(made.events, "speak") == list(range(8))


@pytest.mark.parametrize("mode", ["told", "teacher_forced"])
def test_numbers_of_the_references_texts_equal_a_plain_loop(tiny_llm: Path, mode: fed.Feed) -> None:
    model = tiny_model(tiny_llm, context_len=500)
    stream = random_stream(0, num_frames=120)
    clips = cut(stream, model.renderer, 320, 0)
    assert len(clips) > 1
    (made,) = predict_streams(viewer(model), mode, [clips])
    nll = tokens = right = turns = 0.0
    for clip in clips:
        rendered = model.renderer.clip(clip)
        ids = torch.from_numpy(rendered.ids)[None]
        with torch.inference_mode():
            hidden = model.network(ids, vectors(clip))
            scores = model.network.next_token_logits(hidden)[0].log_softmax(-1)
        at = 0
        for event in clip.events:
            at = int(rendered.frame_ends[event.frame - clip.start_frame]) + 1
            for part, target in model.renderer.event(event):
                role = {1: "assistant", 2: "state"}.get(target)
                first = len(model.renderer.header(role)) if role else len(part)  # type: ignore[arg-type]
                for place in range(at + first, at + len(part)):
                    assert rendered.targets[place] != NONE
                    nll -= scores[place - 1, ids[0, place]].item()
                    right += int(scores[place - 1].argmax()) == int(ids[0, place])
                    tokens += 1
                at += len(part)
            turns += bool(event.transitions or event.speech is not None)
    details = made.details
    assert details["lm_nll"] == pytest.approx(nll, rel=1e-4)
    assert (details["lm_tokens"], details["lm_right"], details["lm_turns"]) == (
        tokens,
        right,
        turns,
    )
    assert made.fed == "reference_dialogue"
    assert len(made.speak_prob) == 120
    values = score([made])["systems"]["x [reference_dialogue]"]["groups"]["pooled"]
    assert values["lm_perplexity"]["value"] == pytest.approx(np.exp(nll / tokens), rel=1e-4)
    if mode == "told":
        due = [event.frame for event in stream.events if event.transitions]
        assert [event.frame for event in made.events] == due
        assert made.details["update_tokens"]


def test_fluency_by_hand(tiny_llm: Path) -> None:
    """Two turns: one whose third decision is wrong, one that is right to its last token."""
    model = tiny_model(tiny_llm)
    base = random_stream(0, num_frames=4)
    events = (
        Event(1, (Transition("S1", "start"),)),
        Event(3, speech="put the wheel on"),
    )
    clip = replace(base, events=events)
    rendered = model.renderer.clip(clip)
    fires = np.zeros((4, 2), bool)
    fires[1, 1] = True  # update at frame 1, as it should be; [speak, update] of 4 frames
    fires[3, 0] = True
    right = np.ones(len(rendered.ids), bool)
    losses = np.full(len(rendered.ids), 0.5)
    state_len = len(model.renderer.state_turn(events[0].transitions))
    state_len -= len(model.renderer.header("state"))
    speech_len = len(model.renderer.text("put the wheel on")) + 1
    found = text_numbers(model.renderer, clip, rendered, losses, right, fires)
    assert found == {
        "lm_nll": 0.5 * (state_len + speech_len),
        "lm_tokens": state_len + speech_len,
        "lm_right": state_len + speech_len,
        "lm_fluency": 2.0,
        "lm_turns": 2.0,
    }
    # a false alarm at frame 0 and a wrong last token: frame 0's update is right before the one,
    # everything but the end before the other
    fires[0, 0] = True
    right[rendered.frame_ends[3] + len(model.renderer.turn("assistant", "put the wheel on"))] = (
        False
    )
    found = text_numbers(model.renderer, clip, rendered, losses, right, fires)
    first = 1 / (2 + 2 + state_len)
    second = (4 + speech_len - 1) / (4 + speech_len)
    assert found["lm_fluency"] == pytest.approx(first + second)
    assert found["lm_right"] == state_len + speech_len - 1
    assert model.thresholds == Thresholds()
