"""The threshold that a video sets itself, against one frame after another."""

import math
import statistics
from dataclasses import replace

import numpy as np

from prospect.metrics.adaptive import ABOVE, LEAST_DEVIATION, METRICS, rises, stats
from prospect.metrics.pool import table
from tests.metrics.worlds import event, stream


def plain_rises(probs: list[float], num_silent: int) -> list[bool]:
    odds = [math.log(p / (1 - p)) for p in probs]
    above = []
    for frame, value in enumerate(odds):
        before = odds[:frame] or [0.0]
        deviation = max(statistics.pstdev(before), LEAST_DEVIATION)
        high = value - statistics.fmean(before) > ABOVE * deviation
        above.append(high and frame >= num_silent)
    return [now and not last for last, now in zip([False, *above], above, strict=False)]


def test_against_one_frame_after_another() -> None:
    rng = np.random.default_rng(0)
    probs = np.clip(rng.random(400) ** 8, 1e-4, 1 - 1e-4)
    found = rises(probs, 2.0)
    assert found.tolist() == plain_rises(probs.tolist(), 20)
    assert found.any()
    assert not rises(np.zeros(0), 2.0).any()


def test_by_hand() -> None:
    """Calm but for a peak of three frames: one decision, at its first frame; none in 10 s."""
    probs = [0.01] * 100
    probs[5] = 0.9
    probs[60:63] = [0.9, 0.9, 0.9]
    references = (event(5, "S1->start"), event(61, "S1->complete"))
    made = replace(stream(references, num_frames=100), update_prob=tuple(probs))
    pool = table([stats(made)], ["v"]).plain()
    found = {name: float(metric.function(pool)[0]) for name, metric in METRICS.items()}
    assert found["update_decision_precision_adaptive"] == 1
    assert found["update_decision_recall_adaptive"] == 1 / 2
    assert found["update_decision_f1_adaptive"] == 2 / 3
    assert np.isnan(found["speak_decision_f1_adaptive"])
