"""Scores of the two decisions, update and speak: at the right moment, with a sound probability?

In: a `Prediction`. Out: counts of its moments, its probabilities ranked and binned, and the
thresholds that would have been best.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from prospect.errors import DataError
from prospect.firing import DecisionRule, fire
from prospect.metrics.moments import count_pairs, frames_of
from prospect.metrics.pool import Floats, Ints, Metric, Pool, Stats, prf, ratio
from prospect.types import Event, Prediction

Decision = Literal["speak", "update"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)
TAU_S = 1.0
NUM_BINS = 10
THRESHOLDS: tuple[float, ...] = (
    *(0.01, 0.02, 0.03, 0.05, 0.075),
    *(round(0.1 + 0.05 * index, 2) for index in range(17)),
    *(0.925, 0.95, 0.97, 0.98, 0.99),
)
"""What `sweep` tries: 0.1 to 0.9 in steps of 0.05, finer towards the ends."""
GAPS_S: tuple[float, ...] = (0.0, 1.0, 2.0, 4.0, 8.0)
REARMS: tuple[float | None, ...] = (None, 1.0, 0.5)
"""What `fit` tries besides, simplest first."""
SIMPLER_F1 = 0.01
"""So much F1 `fit` gives up for a simpler rule: validation sets are small."""


def moments(events: Iterable[Event], decision: Decision) -> list[int]:
    """Frames at which events speak, or update the state; sorted."""
    if decision == "speak":
        return sorted(event.frame for event in events if event.speech is not None)
    return sorted(event.frame for event in events if event.transitions)


def probabilities(prediction: Prediction, decision: Decision) -> Floats:
    """One a frame, (F,), or (0,) for a system without any."""
    probs = prediction.speak_prob if decision == "speak" else prediction.update_prob
    return np.array(probs, np.float64)


def labelled(prediction: Prediction, decision: Decision) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """(probability, label) of the frames that have a label, (n,) each; n = 0 without probabilities.

    A frame is positive if a reference decides on it. A frame that the user speaks after has no
    speak label, since silence there is good manners and no judgement.
    """
    probs = probabilities(prediction, decision)
    if not len(probs):
        return probs, np.zeros(0, bool)
    labels = np.zeros(len(probs), bool)
    labels[np.array(moments(prediction.references, decision), int) - prediction.start_frame] = True
    known = np.ones(len(probs), bool)
    if decision == "speak":
        for event in prediction.references:
            if event.user is not None and event.speech is None:
                known[event.frame - prediction.start_frame] = False
    return probs[known], labels[known]


def stats(prediction: Prediction) -> Stats:
    """Counts of one stream's moments; its probabilities by label, and in bins."""
    sums: dict[str, float] = {}
    values: dict[str, Floats] = {}
    tolerance = frames_of(TAU_S, prediction.fps)
    for decision in DECISIONS:
        did = moments(prediction.events, decision)
        due = moments(prediction.references, decision)
        sums[f"{decision}_did"], sums[f"{decision}_due"] = len(did), len(due)
        sums[f"{decision}_hits"] = count_pairs(did, due, (-tolerance, tolerance))
        probs, labels = labelled(prediction, decision)
        values[f"{decision}_positive"], values[f"{decision}_negative"] = (
            probs[labels],
            probs[~labels],
        )
        bins = np.minimum((probs * NUM_BINS).astype(int), NUM_BINS - 1)
        for index in range(NUM_BINS):
            here = bins == index
            sums[f"{decision}_bin{index}_frames"] = int(here.sum())
            sums[f"{decision}_bin{index}_prob"] = float(probs[here].sum())
            sums[f"{decision}_bin{index}_labels"] = int(labels[here].sum())
    return Stats(sums, values)


def average_precision(
    positive: tuple[Floats, Ints], negative: tuple[Floats, Ints], weights: Floats
) -> Floats:
    """Area under precision over recall, as a step function; equal probabilities count at once.

    Args:
        positive: Probabilities (n,) of the positive frames and the video of each.
        negative: The same of the negative frames.
        weights: (B, V), how often each video counts.

    Returns:
        (B,); NaN where there is no positive frame.
    """
    if not len(positive[0]):
        return np.full(len(weights), np.nan)
    # only thresholds at which recall rises matter: the distinct probabilities of positive frames
    cuts, position = np.unique(-positive[0], return_inverse=True)
    num_videos = weights.shape[1]
    here = np.zeros((num_videos, len(cuts)))
    np.add.at(here, (positive[1], position), 1.0)
    others = np.zeros((num_videos, len(cuts)))
    place = np.searchsorted(cuts, -negative[0])  # first cut that lets the frame through
    counted = place < len(cuts)
    np.add.at(others, (negative[1][counted], place[counted]), 1.0)
    gained = weights @ here  # (B, U): positives that each cut adds
    true = np.cumsum(gained, axis=1)
    fired = true + np.cumsum(weights @ others, axis=1)
    precision = np.divide(true, fired, out=np.zeros_like(true), where=fired > 0)
    return ratio((gained * precision).sum(1), true[:, -1])


def calibration_error(pool: Pool, decision: Decision) -> Floats:
    """Expected calibration error: mean over frames of |mean probability - share of positives|
    of the frame's bin, in `NUM_BINS` bins of equal width (Guo et al. 2017, arXiv 1706.04599)."""
    frames = np.array([pool[f"{decision}_bin{index}_frames"] for index in range(NUM_BINS)])
    probs = np.array([pool[f"{decision}_bin{index}_prob"] for index in range(NUM_BINS)])
    labels = np.array([pool[f"{decision}_bin{index}_labels"] for index in range(NUM_BINS)])
    return ratio(np.abs(probs - labels).sum(0), frames.sum(0))


@dataclass(frozen=True, slots=True)
class Sweep:
    """The best threshold of each decision, and (threshold, F1) of all that were tried."""

    speak: float
    update: float
    curves: Mapping[Decision, tuple[tuple[float, float], ...]]


@dataclass(frozen=True, slots=True)
class Fit:
    """The best rule of one decision.

    Attributes:
        rule: Of kind ``level``.
        f1: Of its moments.
        plain_f1: Of the best threshold alone.
        clock_f1: Of the best of `GAPS_S` fired at without looking: a rule that does no better has
            learned how often, not when.
    """

    rule: DecisionRule
    f1: float
    plain_f1: float
    clock_f1: float


def sweep(predictions: Sequence[Prediction]) -> Sweep:
    """The thresholds with the best decision F1 within `TAU_S`, from stored probabilities alone.

    Every frame above the threshold counts as a decision. That deciding changes the frames after
    it is left out: references in the context must not be allowed to trigger anything. Where they
    stand there (`Prediction.fed` other than ``self``) a frame therefore meets only references at
    or after it: the answer to a reference that was just read would else be a hit.

    Of neighbouring thresholds that are equally good, the middle one is taken. Where nothing is due
    silence is perfect, so that data without speech gets a threshold that keeps silent.

    Raises:
        DataError: a prediction without probabilities.
    """
    curves = {decision: _curve(predictions, decision) for decision in DECISIONS}
    best = {decision: _peak(curve)[0] for decision, curve in curves.items()}
    return Sweep(best["speak"], best["update"], curves)


def fit(predictions: Sequence[Prediction], decision: Decision) -> Fit:
    """The best threshold, minimum gap and hysteresis of one decision, as `sweep` finds thresholds.

    A gap counts from the rule's own decisions and re-arming waits for the probability alone, never
    for a reference; but a reference in the context makes the probability fall, and so re-arms a
    rule that had been stuck: that it then fires right after each reference earns nothing, since a
    frame meets no reference before it.

    `GAPS_S` x `REARMS` are tried at `sweep`'s threshold: they may silence a decision, never buy
    one. Fitted together, a gap and a lower threshold look better here (update F1 on the demo's seen
    tasks .91, against .86 of the threshold alone) and are worse when the model feeds itself (.84
    against .88): what a false alarm does to the context is not seen.

    Raises:
        DataError: a prediction without probabilities.
    """
    threshold, plain_f1 = _peak(_curve(predictions, decision))
    rules = [
        DecisionRule(threshold, min_gap_s=gap_s, rearm=rearm)
        for rearm in REARMS
        for gap_s in GAPS_S
    ]
    tried = [(rule, count_fired(predictions, decision, rule).f1) for rule in rules]
    enough = max(f1 for _, f1 in tried) - SIMPLER_F1
    rule, f1 = next((rule, f1) for rule, f1 in tried if f1 >= enough)
    clock_f1 = max(
        count_fired(predictions, decision, DecisionRule(min_gap_s=gap_s), blind=True).f1
        for gap_s in GAPS_S
    )
    return Fit(rule, f1, plain_f1, clock_f1)


def _curve(
    predictions: Sequence[Prediction], decision: Decision
) -> tuple[tuple[float, float], ...]:
    """(threshold, F1) of every threshold alone."""
    return tuple(
        (one, count_fired(predictions, decision, DecisionRule(one)).f1) for one in THRESHOLDS
    )


class Counts(NamedTuple):
    """Moments decided, moments due, and how many of them match one to one within `TAU_S`."""

    hits: int
    decided: int
    due: int

    @property
    def precision(self) -> float:
        """1 where nothing is decided."""
        return self.hits / self.decided if self.decided else 1.0

    @property
    def recall(self) -> float:
        """1 where nothing is due."""
        return self.hits / self.due if self.due else 1.0

    @property
    def f1(self) -> float:
        """1 where nothing is decided or due."""
        both = self.decided + self.due
        return 2 * self.hits / both if both else 1.0


def count_fired(
    predictions: Sequence[Prediction], decision: Decision, rule: DecisionRule, blind: bool = False
) -> Counts:
    """Moments at which a rule fires on the recorded probabilities.

    Args:
        predictions: Of one system.
        decision: Whose probabilities.
        rule: That fires.
        blind: Take every frame for certain.

    Raises:
        DataError: a prediction without probabilities.
    """
    hits = decided = due = 0
    for prediction in predictions:
        probs = probabilities(prediction, decision)
        if not len(probs):
            raise DataError(
                f"{prediction.dialogue_id} by {prediction.system} has no {decision} probabilities"
            )
        fired = fire(np.ones_like(probs) if blind else probs, rule, prediction.fps)
        did = (np.flatnonzero(fired) + prediction.start_frame).tolist()
        wanted = moments(prediction.references, decision)
        tolerance = frames_of(TAU_S, prediction.fps)
        # told references stand in the context, and must not be answered after the fact
        late = tolerance if prediction.fed == "self" else 0
        hits += count_pairs(did, wanted, (-late, tolerance))
        decided, due = decided + len(did), due + len(wanted)
    return Counts(hits, decided, due)


def _peak(curve: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The threshold of the greatest F1, the middle of the first plateau that reaches it; its F1."""
    scores = [f1 for _, f1 in curve]
    first = scores.index(max(scores))
    last = first
    while last + 1 < len(scores) and scores[last + 1] == scores[first]:
        last += 1
    return curve[(first + last) // 2]


def _of(decision: Decision) -> dict[str, Metric]:
    def precision(pool: Pool) -> Floats:
        ranked = (pool.values[f"{decision}_positive"], pool.values[f"{decision}_negative"])
        return average_precision(*ranked, pool.weights)

    names = (f"{decision}_hits", f"{decision}_did", f"{decision}_due")
    return {
        **prf(f"{decision}_decision", *names, f"{decision} moments within {TAU_S:g} s"),
        f"{decision}_average_precision": Metric(
            precision, True, f"average precision of the {decision} probability over frames"
        ),
        f"{decision}_calibration_error": Metric(
            lambda pool: calibration_error(pool, decision),
            False,
            f"expected calibration error of the {decision} probability, {NUM_BINS} bins",
            0.0,
        ),
    }


METRICS: dict[str, Metric] = {
    **_of("update"),
    **_of("speak"),
    "update_rate_ratio": Metric(
        lambda pool: ratio(pool["update_did"], pool["update_due"]),
        None,
        "updates per reference update; 1 is best",
    ),
}
