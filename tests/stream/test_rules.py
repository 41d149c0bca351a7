"""Rules of deciding in a session: the same frames whether it looks ahead or not."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from prospect.firing import DecisionRule
from prospect.metrics.decisions import moments
from prospect.stream.config import StreamConfig
from prospect.stream.predict import predict_stream
from tests.clips import random_stream
from tests.models import tiny_model
from tests.stream.test_session import vectors

RULES = (
    DecisionRule(0.5, min_gap_s=3.0),
    DecisionRule(0.5, rearm=0.9),
    DecisionRule(0.05, "rise"),
    DecisionRule(0.5, "rate", per_minute=10.0),
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.kind}-{rule.min_gap_s:g}")
def test_any_rule_decides_the_same_frame_by_frame_and_ahead(
    tiny_llm: Path, rule: DecisionRule
) -> None:
    model = tiny_model(tiny_llm, context_len=700)
    stream = random_stream(1, num_frames=100)
    config = StreamConfig(speak_rule=rule, update_rule=rule, max_new_tokens=3)
    ahead = predict_stream(model, stream, vectors, config, "x")
    single = predict_stream(model, stream, vectors, replace(config, max_chunk=1), "x")
    assert ahead.events == single.events
    for decision in ("speak", "update"):
        frames = moments(ahead.events, decision)
        assert all(b - a >= rule.min_gap_s * stream.fps for a, b in pairwise(frames))
