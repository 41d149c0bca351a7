"""rho over a training run, and what is permuted."""

import numpy as np
import pytest
from transformers import PreTrainedTokenizerBase

from prospect.errors import ConfigError
from prospect.samples.config import NegativeRate, PermuteSteps, rate_at
from prospect.samples.dataset import ClipDataset, SampleConfig, permute_steps
from prospect.samples.labels import ACT, SILENT, UNLABELLED
from prospect.samples.plan import Draw
from prospect.samples.sequence import Renderer
from tests.samples.test_dataset import STREAM, features, named_state, story


def rates(schedule: float | NegativeRate, moments: list[tuple[int, int]]) -> list[float]:
    return [rate_at(schedule, epoch, step, 10, 90) for epoch, step in moments]


def test_constant() -> None:
    assert rates(0.3, [(0, 0), (7, 99)]) == [0.3, 0.3]
    assert rates(NegativeRate(start=0.2), [(0, 0), (7, 99)]) == [0.2, 0.2]


def test_linear_over_epochs_is_held_through_each() -> None:
    schedule = NegativeRate("linear", start=0.5, stop=0.1, over=2)
    found = rates(schedule, [(0, 0), (0, 9), (1, 10), (2, 20), (5, 50)])
    assert found == pytest.approx([0.5, 0.5, 0.3, 0.1, 0.1])


def test_linear_over_steps_may_rise() -> None:
    schedule = NegativeRate("linear", start=0.0, stop=1.0, over=4, unit="steps")
    found = rates(schedule, [(0, 0), (0, 1), (0, 3), (1, 4), (1, 9)])
    assert found == pytest.approx([0.0, 0.25, 0.75, 1.0, 1.0])


def test_adaptive_follows_the_measured_share() -> None:
    schedule = NegativeRate("adaptive", start=1.0, stop=0.05, ratio=3.0)
    assert rate_at(schedule, 0, 0, acting=10, silent=90) == pytest.approx(3 * 10 / 90)
    assert rate_at(schedule, 0, 0, acting=1, silent=900) == 0.05
    assert rate_at(schedule, 0, 0, acting=50, silent=60) == 1.0
    assert rate_at(schedule, 0, 0, acting=0, silent=0) == 0.05


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"start": 1.5}, r"negative_rate\.start is 1\.5"),
        ({"stop": -0.1}, r"negative_rate\.stop is -0\.1"),
        ({"over": 0}, r"over \(0\)"),
        ({"ratio": 0.0}, r"ratio \(0\.0\)"),
        ({"kind": "adaptive", "start": 0.1, "stop": 0.5}, "stays between stop and start"),
    ],
)
def test_impossible_schedules_are_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        NegativeRate(**values)


@pytest.fixture
def renderer(tokenizer: PreTrainedTokenizerBase) -> Renderer:
    return Renderer(tokenizer, 1)


def test_a_step_draws_the_same_whenever_it_is_drawn(renderer: Renderer) -> None:
    config = SampleConfig(NegativeRate("linear", 1.0, 0.0, 8, "steps"), "none")
    data = ClipDataset([STREAM], renderer, features, config)
    draws = [Draw(step // 4, step, 0) for step in range(8)]
    kept = [data.draw(draw)[0].speak for draw in draws]
    counts = [int((speak == SILENT).sum()) for speak in kept]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[4] > counts[7]
    again = ClipDataset([STREAM], renderer, features, config)
    for draw, speak in reversed(list(zip(draws, kept, strict=True))):  # as after a resume
        assert again.draw(draw)[0].speak.tolist() == speak.tolist()


def test_adaptive_reaches_its_ratio_over_the_clips_it_was_measured_on(renderer: Renderer) -> None:
    data = ClipDataset(
        [STREAM],
        renderer,
        features,
        SampleConfig(NegativeRate("adaptive", 1.0, 0.0, ratio=4.0), "none"),
    )
    plain = renderer.clip(STREAM)
    acting = (plain.speak == ACT) | (plain.update == ACT)
    labelled = (plain.speak != UNLABELLED) | (plain.update != UNLABELLED)
    expected = 4.0 * acting.sum() / (labelled & ~acting).sum()
    assert data.negative_rate(0, 0) == pytest.approx(expected)


@pytest.mark.parametrize("what", ["none", "list", "ids", "both"])
def test_what_is_permuted(what: PermuteSteps) -> None:
    ids = [step.id for step in STREAM.task.steps]
    names = [step.name for step in STREAM.task.steps]
    seen = set()
    for seed in range(20):
        clip = permute_steps(STREAM, np.random.default_rng(seed), what)
        assert story(clip) == story(STREAM)
        assert named_state(clip) == named_state(STREAM)
        found = [(step.id, step.name) for step in clip.task.steps]
        assert list(clip.state) == [step_id for step_id, _ in found]
        keeps_order = [name for _, name in found] == names
        keeps_ids = sorted(found) == sorted(zip(ids, names, strict=True))
        seen.add((keeps_order, keeps_ids, [step_id for step_id, _ in found] == ids))
    expected = {
        "none": {(True, True, True)},
        "list": {(True, True, True), (False, True, False)},
        "ids": {(True, True, True), (True, False, False)},
        "both": {(True, True, True), (False, False, True)},
    }[what]
    assert seen <= expected
    assert seen & (expected - {(True, True, True)}) or what == "none"
