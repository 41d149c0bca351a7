"""Rules by hand, against a slow reading of their definition, and stepping against whole streams."""

import math
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prospect.errors import ConfigError
from prospect.firing import RATE_STEP, DecisionRule, fire, new, step

FPS = 2.0
PROBS = st.lists(
    st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.2, 0.25, 0.5, 0.75, 1.0])), max_size=60
)


@st.composite
def rules(draw: st.DrawFn) -> DecisionRule:
    kind = draw(st.sampled_from(["level", "rise", "rate"]))
    return DecisionRule(
        threshold=draw(st.sampled_from([0.25, 0.5, 0.75])),
        kind=kind,
        min_gap_s=draw(st.sampled_from([0.0, 0.5, 1.2, 4.0])),
        rearm=draw(st.sampled_from([None, 0.0, 0.5, 1.0])),
        per_minute=draw(st.sampled_from([1.0, 10.0])) if kind == "rate" else None,
    )


def frames(probs: list[float], rule: DecisionRule) -> list[int]:
    return np.flatnonzero(fire(np.array(probs), rule, FPS)).tolist()


def stepped(probs: list[float], rule: DecisionRule, fps: float = FPS) -> list[int]:
    decider, found = new(rule, fps), []
    for frame, prob in enumerate(probs):
        decider, fires = step(decider, prob)
        if fires:
            found.append(frame)
    return found


@given(PROBS, rules(), st.sampled_from([1.0, 2.0, 29.97]))
def test_a_whole_stream_is_all_of_its_steps(
    probs: list[float], rule: DecisionRule, fps: float
) -> None:
    fired = fire(np.array(probs, np.float64), rule, fps)
    assert fired.shape == (len(probs),)
    assert np.flatnonzero(fired).tolist() == stepped(probs, rule, fps)


@given(PROBS, rules())
def test_every_firing_follows_from_the_past_as_the_rule_is_defined(
    probs: list[float], rule: DecisionRule
) -> None:
    """Read off the definition, each frame over the whole past."""
    signals = [0.0, *(b - a for a, b in pairwise(probs))] if rule.kind == "rise" else probs
    bars: list[float] = []
    fired: list[int] = []
    level = math.log(rule.threshold / (1 - rule.threshold))
    for frame, signal in enumerate(signals[: len(probs)]):
        bars.append(1 / (1 + math.exp(-level)) if rule.kind == "rate" else rule.threshold)
        past = range(fired[-1] + 1, frame) if fired else range(0)
        rested = not fired or (frame - fired[-1]) / FPS >= rule.min_gap_s
        fell = not fired or rule.rearm is None
        fell = fell or any(signals[i] <= (rule.rearm or 0) * bars[i] for i in past)
        if fires := rested and fell and signal > bars[-1]:
            fired.append(frame)
        if rule.per_minute is not None:
            level = max(level + RATE_STEP * (fires - rule.per_minute / 60 / FPS), -7)
    assert stepped(probs, rule) == fired


def test_level_gap_and_hysteresis_by_hand() -> None:
    probs = [0.6, 0.9, 0.5, 0.55, 0.2, 0.6, 0.6, 0.1, 0.8]
    assert frames(probs, DecisionRule(0.5)) == [0, 1, 3, 5, 6, 8]  # .5 does not exceed .5
    # 1.5 s are 3 frames
    assert frames(probs, DecisionRule(0.5, min_gap_s=1.5)) == [0, 3, 6]
    # once a run
    assert frames(probs, DecisionRule(0.5, rearm=1.0)) == [0, 3, 5, 8]
    # back to .25 first
    assert frames(probs, DecisionRule(0.5, rearm=0.5)) == [0, 5, 8]
    assert frames(probs, DecisionRule(0.5, min_gap_s=3.5, rearm=0.5)) == [0, 8]
    assert frames([], DecisionRule()) == []


def test_a_rise_is_against_the_frame_before_and_the_first_frame_has_none() -> None:
    rule = DecisionRule(0.3, "rise")
    assert frames([0.9, 0.9, 0.5, 0.85, 0.9], rule) == [3]
    assert frames([1.0], rule) == []
    assert frames([0.0, 1.0], DecisionRule(1.0, "rise")) == []  # it has to exceed 1


def test_what_is_not_allowed_is_not_fired_and_leaves_the_rule_armed() -> None:
    decider = new(DecisionRule(0.5, min_gap_s=60, rearm=0.0), FPS)
    decider, fires = step(decider, 0.9, allowed=False)
    assert not fires
    _, fires = step(decider, 0.9)
    assert fires


def test_an_expected_rate_is_met_by_probabilities_of_any_scale() -> None:
    """Chosen by rank alone: the same peaks on three scales."""
    rng = np.random.default_rng(0)
    minutes = 60
    x = rng.normal(size=int(minutes * 60 * FPS))
    for probs in (x / 20 + 0.5, 1 / (1 + np.exp(-3 * x)), 1 / (1 + np.exp(3 - x))):
        rule = DecisionRule(kind="rate", per_minute=4.0)
        fired = fire(probs.clip(0, 1), rule, FPS)
        assert fired.sum() == pytest.approx(4 * minutes, rel=0.06)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=400), st.sampled_from([2.0, 12.0]))
def test_a_rate_is_never_exceeded_by_more_than_the_level_can_travel(
    probs: list[float], per_minute: float
) -> None:
    fired = fire(np.array(probs), DecisionRule(kind="rate", per_minute=per_minute), FPS)
    # from -7 to 37 log-odds, where the level is 1 in floating point
    assert fired.sum() <= len(probs) * per_minute / 60 / FPS + 44 / RATE_STEP + 1


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"threshold": 1.2}, "threshold is 1.2; it must be in [0, 1]"),
        ({"min_gap_s": -1.0}, "min_gap_s is -1.0"),
        ({"rearm": 2.0}, "rearm is 2.0"),
        ({"kind": "rate"}, "give both or neither"),
        ({"per_minute": 3.0}, "give both or neither"),
        ({"kind": "rate", "per_minute": 3.0, "threshold": 1.0}, "needs it in (0, 1)"),
        ({"kind": "rate", "per_minute": 0.0}, "per_minute is 0.0"),
        ({"kind": "rate", "per_minute": 6.0, "min_gap_s": 10.0}, "decisions 10 s apart"),
    ],
)
def test_impossible_rules_are_refused(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        DecisionRule(**settings)  # type: ignore[arg-type]
