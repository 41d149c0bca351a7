"""The bare backbone watches a video like any checkpoint."""

from pathlib import Path

import torch

from prospect.model.config import LoraConfig, ModelConfig
from prospect.stream.config import StreamConfig
from prospect.stream.predict import predict_stream
from prospect.stream.untrained import untrained
from tests.clips import random_stream
from tests.models import FEATURE_DIM


def test_it_is_the_same_each_time_and_leaves_other_draws_alone(tiny_llm: Path) -> None:
    config = ModelConfig(llm=str(tiny_llm), lora=LoraConfig(rank=4))
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first, again = (untrained(config, FEATURE_DIM, 2.0, torch.float32) for _ in range(2))
    assert torch.equal(torch.rand(2), expected)
    other = untrained(config, FEATURE_DIM, 2.0, torch.float32, seed=1)
    states = [model.network.trainable_state() for model in (first, again, other)]
    assert all(torch.equal(weight, states[1][name]) for name, weight in states[0].items())
    assert not torch.equal(states[0]["projector.up.weight"], states[2]["projector.up.weight"])
    assert (first.thresholds.speak, first.thresholds.split) == (0.5, None)


def test_it_streams(tiny_llm: Path) -> None:
    model = untrained(ModelConfig(llm=str(tiny_llm)), FEATURE_DIM, 2.0, torch.float32)
    clip = random_stream(0, num_frames=12)
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(12, 1, FEATURE_DIM, generator=generator)
    config = StreamConfig(max_new_tokens=2)
    found = predict_stream(model, clip, lambda _: vectors, config, "untrained")
    assert len(found.speak_prob) == 12
    assert found.speak_threshold == 0.5
