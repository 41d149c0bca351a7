"""What both decisions would score with a threshold that each video sets itself.

In: a `Prediction` with probabilities. Out: counts of the moments at which the log-odds of the
probability stand `ABOVE` standard deviations over their mean, both taken over the frames of the
video so far. That needs no validation data, and the first `WARM_UP_S` of every video are silent.
What deciding there would have changed in the context is left out, as in
`prospect.metrics.decisions.sweep`.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from prospect.metrics.decisions import DECISIONS, TAU_S, Decision, moments, probabilities
from prospect.metrics.moments import count_pairs, frames_of
from prospect.metrics.pool import Floats, Metric, Stats, prf
from prospect.types import Prediction

ABOVE = 2.5
"""The best of .5, 1, 1.5, 2, 2.5 and 3 on the demo's predictions, where it reaches update F1 .81
(seen tasks) and .88 (unseen), fitted thresholds .83 and .88."""
WARM_UP_S = 10.0
LEAST_DEVIATION = 0.5
"""Of log-odds: a probability that hardly moves has no peaks."""
_LEAST_PROB = 1e-4  # probabilities are stored with 4 digits


def rises(probs: Floats, fps: float) -> npt.NDArray[np.bool_]:
    """Where a video's own threshold is crossed upwards, (F,), of probabilities (F,)."""
    clipped = np.clip(probs, _LEAST_PROB, 1 - _LEAST_PROB)
    odds = np.log(clipped / (1 - clipped))
    before = np.arange(len(odds))
    number = np.maximum(before, 1)
    mean = (np.cumsum(odds) - odds) / number
    variance = (np.cumsum(odds**2) - odds**2) / number - mean**2
    deviation = np.maximum(np.sqrt(np.maximum(variance, 0)), LEAST_DEVIATION)
    above: npt.NDArray[np.bool_] = (odds - mean > ABOVE * deviation) & (
        before >= frames_of(WARM_UP_S, fps)
    )
    above[1:] &= ~above[:-1]
    return above


def stats(prediction: Prediction) -> Stats:
    """Counts of one stream's moments; 0 of a system without probabilities."""
    sums: dict[str, float] = {}
    tolerance = frames_of(TAU_S, prediction.fps)
    for decision in DECISIONS:
        probs = probabilities(prediction, decision)
        fired = np.flatnonzero(rises(probs, prediction.fps)) + prediction.start_frame
        due = moments(prediction.references, decision) if len(probs) else []
        sums[f"{decision}_adaptive_did"], sums[f"{decision}_adaptive_due"] = len(fired), len(due)
        sums[f"{decision}_adaptive_hits"] = count_pairs(
            fired.tolist(), due, (-tolerance, tolerance)
        )
    return Stats(sums, {})


def _of(decision: Decision) -> dict[str, Metric]:
    hits, did, due = (f"{decision}_adaptive_{what}" for what in ("hits", "did", "due"))
    what = f"{decision} moments within {TAU_S:g} s at a threshold that the video sets itself"
    found = prf(f"{decision}_decision_{{}}_adaptive", hits, did, due, what)
    return {name: replace(metric, best=None) for name, metric in found.items()}


METRICS: dict[str, Metric] = {**_of("update"), **_of("speak")}
