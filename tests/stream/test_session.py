"""Streaming sees what training rendered, and computes what one full forward computes."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from prospect.model.checkpoint import Checkpoint
from prospect.model.teacher import probabilities
from prospect.samples.clips import cut, recent_turns, state_after
from prospect.stream.config import StreamConfig
from prospect.stream.predict import predict_stream, reference_fed
from prospect.stream.session import Session
from prospect.types import Clip
from tests.clips import random_stream
from tests.models import FEATURE_DIM, tiny_model, with_thresholds

FPS = 2.0


def vectors(clip: Clip, size: int = 1) -> Tensor:
    """Random but fixed frame vectors of a video, (F, P, E)."""
    generator = torch.Generator().manual_seed(len(clip.video_id))
    video = torch.randn(2000, size, FEATURE_DIM, generator=generator)
    return video[clip.start_frame : clip.stop_frame]


def open_session(model: Checkpoint, clip: Clip, config: StreamConfig) -> Session:
    return Session(
        model,
        config,
        clip.task,
        state=clip.state,
        recent=clip.recent,
        key=clip.dialogue_id,
        knowledge=clip.knowledge,
        state_known=clip.state_known,
        start_frame=clip.start_frame,
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [1, 5])
def test_streamed_tokens_and_probabilities_equal_one_rendered_forward(
    tiny_llm: Path, seed: int, size: int
) -> None:
    model = tiny_model(tiny_llm, vectors=size)
    clip = random_stream(seed)
    session = open_session(model, clip, StreamConfig())
    results = session.advance(vectors(clip, size), reference_fed(clip))
    rendered = model.renderer.clip(clip)
    assert session.context.tokens == rendered.ids.tolist()
    expected = probabilities(model.network, rendered, vectors(clip, size))
    found = torch.tensor([[r.speak_prob, r.update_prob] for r in results])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert session.state == state_after(clip.state, clip.events)


@pytest.mark.parametrize("seed", range(3))
def test_cut_clips_equal_a_stream_that_is_restated_at_the_cuts(tiny_llm: Path, seed: int) -> None:
    model = tiny_model(tiny_llm)
    stream = random_stream(seed, num_frames=400)
    clips = cut(stream, model.renderer, 420, seed)
    assert len(clips) > 2
    video = vectors(stream)
    forced = reference_fed(stream)
    session = open_session(model, stream, StreamConfig())
    for clip in clips:
        if clip.decide_from > stream.start_frame:
            told = session.prompt(recent_turns(session.events, FPS))
            session.reopen(told, list(video[clip.start_frame : clip.decide_from]))
        session.next_frame = clip.decide_from  # silent frames between two clips are in neither
        session.advance(
            video[clip.decide_from : clip.stop_frame], forced[clip.decide_from : clip.stop_frame]
        )
        assert session.context.tokens == model.renderer.clip(clip).ids.tolist()


@pytest.mark.parametrize("seed", range(3))
def test_every_context_of_a_refreshing_stream_is_a_clip_as_training_renders_it(
    tiny_llm: Path, seed: int
) -> None:
    model = tiny_model(tiny_llm, context_len=600)
    stream = random_stream(seed, num_frames=400)
    config = StreamConfig(max_chunk=8)
    session = open_session(model, stream, config)
    video, forced = vectors(stream), reference_fed(stream)
    contexts, stops = [], []
    for frame in range(stream.stop_frame):
        before = session.context
        session.advance(video[frame : frame + 1], forced[frame : frame + 1])
        if session.context is not before:
            contexts.append(before.tokens)
            stops.append(frame)
    assert session.refreshes == stops
    assert len(stops) >= 2
    back = round(config.overlap_s * FPS)
    contexts.append(session.context.tokens)
    for start, stop, tokens in zip([0, *stops], [*stops, stream.stop_frame], contexts, strict=True):
        events = tuple(e for e in stream.events if start <= e.frame < stop)
        before_it = [e for e in stream.events if e.frame < start]
        clip = replace(
            stream,
            start_frame=max(0, start - back),
            decide_from=start,
            stop_frame=stop,
            state=state_after(stream.state, before_it),
            recent=recent_turns(before_it, FPS),
            events=events,
        )
        assert tokens == model.renderer.clip(clip).ids.tolist()


@pytest.mark.parametrize("seed", range(4))
def test_looking_ahead_gives_the_frame_by_frame_result(tiny_llm: Path, seed: int) -> None:
    model = with_thresholds(tiny_model(tiny_llm, context_len=700), 1.0, 1.0)
    stream = random_stream(seed, num_frames=300)
    silent = predict_stream(model, stream, vectors, StreamConfig(), "x")
    assert not any(e.transitions or e.speech for e in silent.events)
    # act at about one frame in ten
    model = with_thresholds(model, sorted(silent.speak_prob)[-30], sorted(silent.update_prob)[-30])
    one, many = (
        predict_stream(
            model, stream, vectors, StreamConfig(max_chunk=chunk, max_new_tokens=12), "x"
        )
        for chunk in (1, 32)
    )
    assert one.events == many.events
    assert any(e.transitions for e in one.events)
    assert any(e.speech for e in one.events)
    assert one.refreshes == many.refreshes
    torch.testing.assert_close(
        torch.tensor([one.speak_prob, one.update_prob]),
        torch.tensor([many.speak_prob, many.update_prob]),
        atol=2e-4,  # 1e-4 and the rounding to 4 digits
        rtol=0,
    )
