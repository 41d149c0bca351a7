"""The projector turns towards the words of what is handled, and nothing else moves."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from prospect.errors import ConfigError, DataError
from prospect.model.config import DecisionLoss, ModelConfig, Write
from prospect.model.network import build
from prospect.train.align import align, handled
from prospect.train.config import AlignConfig, TrainConfig
from prospect.train.run import train
from prospect.types import Clip, Event, Transition
from tests.clips import random_stream
from tests.models import FEATURE_DIM, tiny_model

FRAMES = 30
WORK = replace(
    random_stream(1, num_frames=FRAMES),
    events=(
        Event(4, (Transition("S2", "start"),)),
        Event(9, (Transition("S1", "start"),), "Good."),
        Event(14, (Transition("S1", "complete"),)),
        Event(19, (Transition("S2", "complete"),)),
        Event(24, (Transition("S3", "start"),)),
    ),
)


def test_what_is_handled_by_hand() -> None:
    names = {step.id: step.name for step in WORK.task.steps}
    # the step started last, also where that is decided; then the one that still goes on; nothing
    spans = {"S2": [*range(4, 9), *range(15, 20)], "S1": range(9, 15), "S3": range(24, 30)}
    expected = {frame: names[step] for step, frames in spans.items() for frame in frames}
    assert dict(handled(WORK)) == expected
    assert handled(replace(WORK, knowledge=False)) == []


def test_a_narration_is_of_the_frames_before_it() -> None:
    told = replace(
        WORK,
        kind="narration",
        start_frame=2,
        decide_from=2,
        events=(Event(4, speech="cut bread"), Event(7, speech="eat it")),
    )
    expected = [(i, "cut bread") for i in range(3)] + [(i, "eat it") for i in range(3, 6)]
    assert handled(told) == expected


def features(clip: Clip) -> Tensor:
    """(F, 1, E): each step in view has a direction of its own, in noise."""
    generator = torch.Generator().manual_seed(0)
    vectors = 0.3 * torch.randn(FRAMES, 1, FEATURE_DIM, generator=generator)
    for frame, words in handled(clip):
        vectors[frame, 0, [s.name for s in clip.task.steps].index(words)] += 3.0
    return vectors


def test_only_the_projector_moves_and_the_cosine_rises(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm)
    before = {name: weight.clone() for name, weight in model.network.state_dict().items()}
    state = torch.get_rng_state()
    first, last = align(
        model.network, model.renderer, [WORK], features, AlignConfig(steps=40, lr=3e-3), seed=0
    )
    assert abs(first) < 0.4
    assert last > 0.9
    assert torch.equal(torch.get_rng_state(), state)
    for name, weight in model.network.state_dict().items():
        still = not name.startswith("projector.") or name.endswith(("mean", "std", "scale"))
        assert torch.equal(weight, before[name]) == still, name
    assert all(weight.grad is None for weight in model.network.parameters())
    again = tiny_model(tiny_llm)
    config = AlignConfig(steps=40, lr=3e-3)
    assert align(again.network, again.renderer, [WORK], features, config, seed=0) == (first, last)


@pytest.mark.parametrize("write", ["generate", "match"])
def test_contrast_tells_the_steps_apart(tiny_llm: Path, write: Write) -> None:
    torch.manual_seed(0)
    config = ModelConfig(llm=str(tiny_llm), projector="linear", write=write)
    network, renderer = build(config, FEATURE_DIM, torch.float32)
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    contrast = AlignConfig(steps=60, kind="contrast", lr=3e-3)
    first, last = align(network, renderer, [WORK], features, contrast, seed=0)
    assert last > max(first, 0.95)
    moved = {
        name
        for name, weight in network.state_dict().items()
        if not torch.equal(weight, before[name])
    }
    new = {"up.weight", "up.bias", "output_norm.weight", "output_norm.bias"}
    own = {f"pointer.matcher.look.{name}" for name in new} | {"pointer.matcher.sharpness"}
    assert moved == {f"projector.{name}" for name in new} | (own if write == "match" else set())
    assert network.matcher is None or not any(w.requires_grad for w in network.matcher.parameters())
    assert all(weight.grad is None for weight in network.parameters())


def test_clips_that_say_nothing_are_an_error(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm)
    bare = replace(WORK, events=())
    with pytest.raises(DataError, match=r"none of 1 clips has a step under way"):
        align(model.network, model.renderer, [bare], features, AlignConfig(steps=1), seed=0)
    with pytest.raises(ConfigError, match=r"steps \(-1\)"):
        AlignConfig(steps=-1)


def test_one_mean_over_tokens_is_for_token_decisions(tiny_llm: Path, tmp_path: Path) -> None:
    config = TrainConfig(decision_loss=DecisionLoss("plain", pooled=True), dtype="float32")
    model = ModelConfig(llm=str(tiny_llm))
    with pytest.raises(ConfigError, match="choose decision: token, or pooled: false"):
        train([WORK], [WORK], features, FEATURE_DIM, model, config, tmp_path)
