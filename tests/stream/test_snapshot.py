"""A session that was saved goes on in another engine as if nothing had happened."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from prospect.errors import ConfigError, DataError
from prospect.frames.encoders import load_encoder
from prospect.frames.features import stored
from prospect.model.checkpoint import load_checkpoint, save_checkpoint, store_thresholds
from prospect.model.config import LoraConfig, Thresholds
from prospect.stream.config import Policy, StreamConfig
from prospect.stream.engine import make_engine
from prospect.stream.session import Session
from prospect.stream.snapshot import most_bytes, packed, restore, snapshot, unpacked
from prospect.stream.unconstrained import counted
from prospect.toy.draw import draw
from prospect.toy.world import annotations
from tests.clips import random_stream
from tests.models import FEATURE_DIM, save_tiny_checkpoint, tiny_model, with_thresholds
from tests.stream.test_engine import eager
from tests.stream.test_session import vectors

CONFIG = StreamConfig(max_new_tokens=8, max_summary_tokens=8, kept_tokens=128)


@pytest.mark.parametrize("policy", ["restate", "summarize", "drop_all"])
@pytest.mark.parametrize("stop", [0, 1, 77, 240])
def test_a_restored_session_does_the_same(tiny_llm: Path, policy: Policy, stop: int) -> None:
    model = eager(tiny_llm)
    config = replace(CONFIG, policy=policy)
    stream = random_stream(1, num_frames=320)
    video = vectors(stream)
    whole = Session(model, config, stream.task)
    whole.advance(video)
    assert whole.refreshes
    cut = Session(model, config, stream.task)
    if stop:
        cut.advance(video[:stop])
        if cut.events and cut.events[-1].frame < stop - 1:
            cut.say("and now?")
    data = snapshot(cut)
    cut.advance(video[stop:])
    again = restore(data, model, config, make_engine(model, config, 1))
    assert again.next_frame == stop
    again.advance(video[stop:])
    assert again.events == cut.events
    assert again.state == cut.state
    assert again.refreshes == cut.refreshes
    assert again.context.tokens == cut.context.tokens


def test_what_can_not_be_restored_says_so(tiny_llm: Path) -> None:
    model = with_thresholds(tiny_model(tiny_llm, context_len=700), 1.0, 1.0)
    stream = random_stream(1, num_frames=700)
    config = replace(CONFIG, policy="drop_middle")
    session = Session(model, config, stream.task)
    data = snapshot(session)
    session.advance(vectors(stream))
    with pytest.raises(ConfigError, match="positions recompute"):
        snapshot(session)
    other = replace(model, config=replace(model.config, lora=LoraConfig(rank=9)))
    with pytest.raises(DataError, match="another"):
        restore(data, other, config, make_engine(model, config, 1))
    with pytest.raises(DataError, match="no snapshot"):
        restore(b"nothing", model, config, make_engine(model, config, 1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("shape", [(0, 1, 4), (1, 1, 4), (7, 3, 5)])
def test_compressed_vectors_are_the_same(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    vectors = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    name = str(dtype).removeprefix("torch.")
    found = unpacked(packed(vectors), shape, name)
    assert found.dtype == dtype
    assert torch.equal(found, vectors)
    with pytest.raises(DataError, match="have"):
        unpacked(packed(vectors), (shape[0] + 1, *shape[1:]), name)
    with pytest.raises(DataError, match="damaged"):
        unpacked(b"x" + packed(vectors), shape, name)
    other = "float32" if dtype != torch.float32 else "float16"
    if shape[0]:
        with pytest.raises(DataError, match="it is damaged"):
            unpacked(packed(vectors), shape, other)


def test_vectors_that_change_slowly_take_less() -> None:
    generator = torch.Generator().manual_seed(0)
    looks = torch.randn(5, 1, 200, generator=generator).relu()
    video = (looks.repeat_interleave(20, 0)).half()  # as a person who stands still for a while
    assert len(packed(video)) < video.nbytes / 5
    assert len(packed(torch.randn(100, 1, 200, generator=generator).half())) < 100 * 200 * 2


def test_a_full_context_of_efficientnet_is_below_5_mb() -> None:
    encoder = load_encoder("efficientnet-lite0")
    video = draw(annotations("train", 1, 0)[0], 2.0)
    frames = torch.from_numpy(np.stack([next(video) for _ in range(128)]))
    vectors = stored(encoder.encode(frames))
    assert len(packed(vectors)) * (4096 / 128) < 5e6


def test_the_most_frames_of_a_real_context_are_below_5_mb_at_siglips_width() -> None:
    noise = torch.randn(128, 1, 1152, generator=torch.Generator().manual_seed(0))
    assert len(packed(stored(noise))) * (2950 / 128) < 5e6  # docs/stream.md, Snapshots


def test_the_size_of_a_full_context_is_known_ahead(tiny_llm: Path) -> None:
    model = with_thresholds(tiny_model(tiny_llm, context_len=1000), 1.0, 1.0)
    session = Session(model, CONFIG, random_stream(1).task)
    assert most_bytes(session.engine) == 1000 * FEATURE_DIM * 2
    session.advance(vectors(random_stream(1, num_frames=600)).half())
    assert len(packed(torch.stack(session.context.frames))) < most_bytes(session.engine)


def test_other_weights_are_refused_and_other_thresholds_are_not(
    tiny_llm: Path, tmp_path: Path
) -> None:
    folder = save_tiny_checkpoint(tiny_llm, tmp_path / "one")
    model = load_checkpoint(folder, torch.float32)
    session = Session(model, CONFIG, random_stream(0).task)
    session.advance(torch.randn(5, 1, 1280))
    data = snapshot(session)
    store_thresholds(folder, Thresholds(0.9, 0.9))
    again = load_checkpoint(folder, torch.float32)
    assert restore(data, again, CONFIG, make_engine(again, CONFIG, 1)).next_frame == 5
    with torch.no_grad():
        next(again.network.projector.parameters()).add_(0.01)
    save_checkpoint(again, tmp_path / "other")
    other = load_checkpoint(tmp_path / "other", torch.float32)
    assert other.config == model.config
    engine = make_engine(other, CONFIG, 1)
    with pytest.raises(DataError, match="other weights"):
        restore(data, other, CONFIG, engine)
    assert engine.take() == 0


def test_what_was_written_freely_stays_counted(tiny_llm: Path) -> None:
    model = with_thresholds(tiny_model(tiny_llm), 1.0, 0.0)
    config = replace(CONFIG, unconstrained=True)
    stream = random_stream(0, num_frames=6)
    session = Session(model, config, stream.task)
    session.advance(vectors(stream)[:4])
    again = restore(snapshot(session), model, config, make_engine(model, config, 1))
    assert again.written == session.written
    assert counted(again.written)["written_moves"] >= 4
