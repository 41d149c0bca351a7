"""Chunks that are looked at ahead and taken back decide as frame by frame does."""

import random

from hypothesis import given
from hypothesis import strategies as st

from prospect.firing import DecisionRule, step
from prospect.stream.decide import Deciders, deciders, silence

RULES = [
    DecisionRule(0.7),
    DecisionRule(0.6, min_gap_s=2.0),
    DecisionRule(0.6, rearm=0.5),
    DecisionRule(0.3, "rise", min_gap_s=1.0),
    DecisionRule(0.6, "rate", per_minute=12.0),
]
Probs = list[tuple[float, float]]
PROBS = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=50)


def one_by_one(
    probs: Probs, now: Deciders, budget: int
) -> tuple[list[tuple[int, bool, bool]], Deciders]:
    """(frame, speaks, updates) where either fires; at most ``budget`` updates are legal."""
    found = []
    for frame, (speak, update) in enumerate(probs):
        speaker, speaks = step(now.speak, speak)
        updater, updates = step(now.update, update, budget > 0)
        now, budget = Deciders(speaker, updater), budget - updates
        if speaks or updates:
            found.append((frame, speaks, updates))
    return found, now


def in_chunks(
    probs: Probs, now: Deciders, budget: int, rng: random.Random
) -> tuple[list[tuple[int, bool, bool]], Deciders]:
    """As a session does: look at some frames, keep those up to the first that fires."""
    found, done = [], 0
    while done < len(probs):
        ahead = probs[done : done + rng.randint(1, 9)]
        passed, now = silence(now, [p[0] for p in ahead], [p[1] for p in ahead], budget > 0)
        done += passed
        if passed == len(ahead):
            continue
        speak, update = ahead[passed]
        updater, updates = step(now.update, update, budget > 0)
        speaker, speaks = step(now.speak, speak)
        now, budget = Deciders(speaker, updater), budget - updates
        found.append((done, speaks, updates))
        done += 1
    return found, now


@given(PROBS, st.sampled_from(RULES), st.sampled_from(RULES), st.integers(0, 3), st.integers())
def test_chunks_of_any_length_give_the_frame_by_frame_result(
    probs: Probs, speak: DecisionRule, update: DecisionRule, budget: int, seed: int
) -> None:
    fresh = deciders(speak, update, 2.0)
    assert in_chunks(probs, fresh, budget, random.Random(seed)) == one_by_one(probs, fresh, budget)


def test_frames_after_the_one_that_fires_are_not_seen() -> None:
    now = deciders(DecisionRule(0.5, "rise"), DecisionRule(0.5, min_gap_s=5.0), 2.0)
    passed, after = silence(now, [0.1, 0.2, 0.9, 0.3], [0.4, 0.1, 0.1, 0.9], may_update=True)
    assert passed == 2
    assert after.speak.previous == 0.2
    passed, after = silence(now, [0.1], [0.9], may_update=False)
    assert (passed, after.update.armed) == (1, True)
