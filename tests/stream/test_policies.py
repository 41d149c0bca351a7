"""After a refresh the model sees what the policy says, and memory stays flat."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from prospect.errors import ConfigError
from prospect.samples.sequence import SUMMARY_REQUEST, Prompt
from prospect.stream.config import Policy, Positions, StreamConfig
from prospect.stream.context import Context
from prospect.stream.engine import Ask, make_engine
from prospect.stream.policies import rotated
from prospect.stream.session import Session
from prospect.types import Event, Transition
from tests.clips import random_stream
from tests.models import tiny_model, with_thresholds
from tests.stream.test_session import vectors

CONTEXT_LEN = 700
CONFIG = StreamConfig(max_new_tokens=8, max_summary_tokens=8, kept_tokens=128)


def watched(
    llm: Path, policy: Policy, positions: Positions = "kept", num_frames: int = 900
) -> Session:
    """A session that has only looked, but for a transition and a sentence early on."""
    model = with_thresholds(tiny_model(llm, context_len=CONTEXT_LEN), 1.0, 1.0)
    stream = random_stream(1, num_frames=num_frames)
    session = Session(model, replace(CONFIG, policy=policy, positions=positions), stream.task)
    session.advance(vectors(stream)[:10])
    session.tell(Event(9, (Transition("S1", "start"),), "Well begun."))
    session.advance(vectors(stream)[10:num_frames])
    return session


def cached(session: Session) -> list[tuple[Tensor, Tensor]]:
    """Keys and values of every layer, of all tokens that were read."""
    context, slots = session.context, session.engine.slots
    length = context.num_read
    return [
        (keys[context.slot, :, :length], values[context.slot, :, :length])
        for keys, values in zip(slots.keys, slots.values, strict=True)
    ]


def computed_anew(session: Session) -> list[tuple[Tensor, Tensor]]:
    """The same of one pass over the same tokens at the same positions."""
    old = session.context
    context = Context(0, Prompt(old.tokens[: old.num_read], []))
    context.frames, context.frame_starts = old.frames, old.frame_starts
    context.gap_at, context.gap = old.gap_at, old.gap
    engine = make_engine(session.model, session.config, 1)
    engine.forward([Ask(context, [])])
    return [
        (keys[0, :, : old.num_read], values[0, :, : old.num_read])
        for keys, values in zip(engine.slots.keys, engine.slots.values, strict=True)
    ]


@pytest.mark.parametrize(
    ("policy", "positions"),
    [
        ("restate", "kept"),
        ("summarize", "kept"),
        ("drop_all", "kept"),
        ("drop_middle", "recompute"),
    ],
)
def test_the_cache_equals_a_fresh_prefill(
    tiny_llm: Path, policy: Policy, positions: Positions
) -> None:
    session = watched(tiny_llm, policy, positions)
    assert len(session.refreshes) >= 2
    for found, fresh in zip(cached(session), computed_anew(session), strict=True):
        for mine, anew in zip(found, fresh, strict=True):
            torch.testing.assert_close(mine, anew, atol=1e-4, rtol=1e-4)


def test_what_each_new_context_begins_with(tiny_llm: Path) -> None:
    restated = watched(tiny_llm, "restate")
    text = restated.renderer.decode(restated.context.tokens)
    assert "S1 in_progress" in text.replace("=", " ").replace(":", " ") or "S1" in text
    assert "Well begun." in text
    opened = restated.prompt(())
    assert len(restated.context.frames) >= len(restated.overlap)
    dropped = watched(tiny_llm, "drop_all")
    first = dropped.first_prompt.ids
    assert dropped.context.tokens[: len(first)] == first
    assert "Well begun." not in dropped.renderer.decode(dropped.context.tokens)
    told = watched(tiny_llm, "summarize")
    text = told.renderer.decode(told.context.tokens)
    assert "Progress:" in text
    assert SUMMARY_REQUEST not in text  # asked in the context before
    assert "Well begun." not in text
    assert opened.ids != first


@pytest.mark.parametrize("positions", ["kept", "rerotated", "legacy"])
def test_what_drop_middle_keeps_is_not_touched(tiny_llm: Path, positions: Positions) -> None:
    whole = watched(tiny_llm, "none", num_frames=300)
    length = whole.context.num_read
    session = watched(tiny_llm, "drop_middle", positions, num_frames=300)
    assert session.refreshes == []
    session.config = replace(session.config, kept_tokens=100)
    session.context.rewind(length)
    tokens = list(session.context.tokens)
    session._limit = length
    session.engine.run(session._make_room())
    start = len(session.first_prompt.ids)
    gone = length - session.context.num_read
    assert session.context.tokens == tokens[:start] + tokens[start + gone :]
    assert 100 - 1 <= len(session.context.tokens) - start <= 100
    for layer, ((keys, values), (old_keys, old_values)) in enumerate(
        zip(cached(session), cached(whole), strict=True)
    ):
        stay = [*range(start), *range(start + gone, length)]
        torch.testing.assert_close(values, old_values[:, stay])
        if positions != "rerotated":
            torch.testing.assert_close(keys, old_keys[:, stay])
        if layer == 0 and positions != "legacy":
            # they depend on the token and its position alone
            fresh = computed_anew(session)[0]
            torch.testing.assert_close(keys, fresh[0], atol=1e-4, rtol=1e-4)
    next_position = {"kept": length, "rerotated": length - gone, "legacy": length - gone}
    session.context.add([100])
    assert session.context.waiting().positions == [next_position[positions]]


def test_kept_positions_stay_within_what_was_learned(tiny_llm: Path) -> None:
    model = with_thresholds(tiny_model(tiny_llm, context_len=CONTEXT_LEN), 1.0, 1.0)
    model.network.llm.config.max_position_embeddings = 2 * CONTEXT_LEN
    stream = random_stream(1, num_frames=1900)
    config = replace(CONFIG, policy="drop_middle", positions="kept")
    session = Session(model, config, stream.task)
    gaps = []
    for start in range(0, 1900, 50):
        session.advance(vectors(stream)[start : start + 50])
        gaps.append(session.context.gap)
        assert session.context.gap + CONTEXT_LEN <= 2 * CONTEXT_LEN
        # of the first layer, whose keys depend on the token and its position alone
        torch.testing.assert_close(
            cached(session)[0][0], computed_anew(session)[0][0], atol=1e-4, rtol=1e-4
        )
    closed = sum(after < before for before, after in itertools.pairwise(gaps))
    assert closed >= 1
    assert max(gaps) > 0


def test_turning_keys_back_and_forth_changes_nothing(tiny_llm: Path) -> None:
    network = tiny_model(tiny_llm).network
    keys = torch.randn(2, 7, 16, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        there = rotated(network, 0, keys, -500)
        torch.testing.assert_close(rotated(network, 0, there, 500), keys, atol=1e-5, rtol=1e-5)
        assert (there - keys).abs().max() > 0.1


@pytest.mark.parametrize("policy", ["restate", "summarize", "drop_middle", "drop_all"])
def test_memory_is_flat(tiny_llm: Path, policy: Policy) -> None:
    session = watched(tiny_llm, policy, num_frames=1)
    size = session.engine.slots.num_bytes
    stream = random_stream(1, num_frames=1900)
    video = vectors(stream)
    longest = 0
    for start in range(1, 1900, 100):
        session.advance(video[start : start + 100])
        longest = max(longest, len(session.context.tokens))
        assert len(session.context.frames) < CONTEXT_LEN
    assert len(session.refreshes) >= 3
    assert longest < CONTEXT_LEN
    assert session.engine.slots.num_bytes == size


def test_no_policy_is_an_error_that_names_one(tiny_llm: Path) -> None:
    with pytest.raises(ConfigError, match="choose policy restate"):
        watched(tiny_llm, "none")
