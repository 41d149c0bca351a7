"""Beside the scores of a group: those of every stream by itself, and those of the other mode.

In: a system's predictions and what they contribute. Out: JSON values for ``scores.json``.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from prospect.embeddings import Embed
from prospect.errors import DataError
from prospect.metrics import nlg, speech
from prospect.metrics.bootstrap import Drawn
from prospect.metrics.match import Mode
from prospect.metrics.pool import Stats, table
from prospect.metrics.registry import METRICS
from prospect.types import Prediction

Drawings = dict[str, dict[str, Drawn]]
"""group -> metric -> its draws."""
_AT_ONCE = 256  # streams; bounds the memory of (streams, distinct probabilities)
_SAME = 1e-5
"""Modes that differ by less differ only in `match`'s rounding of similarities."""


def streams(predictions: Sequence[Prediction], found: Sequence[Stats]) -> list[dict[str, Any]]:
    """Every stream's own scores, those that exist; `prospect agree` compares them with people.

    Args:
        predictions: Of one system.
        found: What each contributes.
    """
    number = len(found)
    every = table(found, [str(row) for row in range(number)])
    scores: list[dict[str, float]] = []
    for start in range(0, number, _AT_ONCE):
        pool = every.pool(np.eye(min(_AT_ONCE, number - start), number, start))
        columns = {name: metric.function(pool).tolist() for name, metric in METRICS.items()}
        scores += [
            {name: column[row] for name, column in columns.items() if column[row] == column[row]}
            for row in range(len(pool.weights))
        ]
    return [
        {
            "dataset": item.dataset,
            "dialogue_id": item.dialogue_id,
            "start_frame": item.start_frame,
            "scores": own,
        }
        for item, own in zip(predictions, scores, strict=True)
    ]


def in_other_mode(
    predictions: Sequence[Prediction], embed: Embed, mode: Mode, drawings: Drawings
) -> dict[str, Any]:
    """Pooled scores of speech that are otherwise in the other mode.

    Returns:
        ``mode``; ``scores``, metric -> value, only where the two differ; ``error`` instead where
        `match` finds no assignment in that mode.
    """
    other: Mode = "proassist" if mode == "strict" else "strict"
    try:
        heard = [speech.stats(item, speech.listen(item, embed, other)) for item in predictions]
    except DataError as error:
        return {"mode": other, "error": str(error)}
    parts = [Stats({**one.sums, **nlg.stats(one.texts).sums}, {}, one.texts) for one in heard]
    pool = table(parts, [str(row) for row in range(len(parts))]).plain()
    scores: dict[str, float | None] = {}
    for name, metric in {**speech.METRICS, **nlg.METRICS}.items():
        value = float(metric.function(pool)[0])
        if not np.isclose(value, drawings["pooled"][name].value, 0, _SAME, equal_nan=True):
            scores[name] = None if np.isnan(value) else value
    return {"mode": other, "scores": scores}
