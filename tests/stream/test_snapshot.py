"""A session that was saved goes on in another engine as if nothing had happened."""

from dataclasses import replace
from pathlib import Path

import pytest

from prospect.errors import ConfigError, DataError
from prospect.model.config import LoraConfig
from prospect.stream.config import Policy, StreamConfig
from prospect.stream.engine import make_engine
from prospect.stream.session import Session
from prospect.stream.snapshot import restore, snapshot
from tests.clips import random_stream
from tests.models import tiny_model, with_thresholds
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
