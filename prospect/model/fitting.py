"""The rules that a model decides by, fitted to its probabilities.

In: teacher-forced predictions of a split. Out: `Thresholds` as a checkpoint stores them, and what
they are worth there.
"""

from collections.abc import Mapping, Sequence

from prospect.metrics.decisions import DECISIONS, Decision, Fit, fit
from prospect.model.config import Thresholds
from prospect.types import Prediction


def fit_thresholds(
    predictions: Sequence[Prediction], split: str, negative_rate: float | None
) -> tuple[Thresholds, Mapping[Decision, Fit]]:
    """Threshold, minimum gap and re-arming of both decisions.

    Args:
        predictions: With probabilities, of every stream of the split.
        split: What they are of, for the record.
        negative_rate: rho of the model's training, likewise.

    Raises:
        DataError: a prediction without probabilities.
    """
    found = {decision: fit(predictions, decision) for decision in DECISIONS}
    speak, update = found["speak"].rule, found["update"].rule
    thresholds = Thresholds(
        speak.threshold,
        update.threshold,
        split,
        negative_rate,
        speak.min_gap_s,
        update.min_gap_s,
        speak.rearm,
        update.rearm,
    )
    return thresholds, found
