"""Rows of a training log -> one small chart for each quantity.

In: dicts with ``step`` and any numbers, as in ``metrics.jsonl``. Out: `Chart`s in viewBox units.
``eval_x`` is drawn into the chart of ``x``.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prospect.errors import DataError
from prospect.report import svg

WIDTH, HEIGHT = 290, 160
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 8, 24

TITLES: Mapping[str, str] = {
    "loss": "Total loss",
    "speak_gen": "Speech text (cross-entropy a token)",
    "state_gen": "State text (cross-entropy a token)",
    "speak_bin": "Speak decision (binary cross-entropy)",
    "update_bin": "Update decision (binary cross-entropy)",
    "transition_exact": "Transitions written exactly right (share)",
    "update_f1": "Update decision: F1",
    "speak_f1": "Speak decision: F1",
    "update_precision": "Update decision: precision",
    "speak_precision": "Speak decision: precision",
    "update_recall": "Update decision: recall",
    "speak_recall": "Speak decision: recall",
    "update_average_precision": "Update decision: average precision",
    "speak_average_precision": "Speak decision: average precision",
    "update_calibration_error": "Update decision: calibration error",
    "speak_calibration_error": "Speak decision: calibration error",
    "state_perplexity": "State text: perplexity",
    "speak_perplexity": "Speech text: perplexity",
    "summary_perplexity": "Summaries: perplexity",
    "lr": "Learning rate",
    "rho": "Share of silent frames that count (rho)",
    "labelled_share": "Labelled share of the tokens",
    "tokens_per_s": "Tokens a second",
    "frames_per_s": "Frames a second",
    "data_share": "Share of the time spent waiting for data",
    "memory_gb": "Peak memory (GB)",
    "grad_norm": "Gradient norm",
}
"""The order of the charts; other quantities follow under their own names."""

_EVAL = "eval_"
_NOT_DRAWN = frozenset({"step", "epoch"})


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled position on an axis, in viewBox units."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Line:
    """One series. ``split`` is ``train`` or ``eval``; ``dots`` mark the rows of short series."""

    split: str
    path: str
    dots: tuple[svg.Point, ...]
    last: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One quantity over training steps; ``skipped`` counts values that are no finite number."""

    title: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    skipped: int


def charts(rows: Sequence[Mapping[str, Any]]) -> tuple[Chart, ...]:
    """One chart for each number in ``rows``, losses first; empty for no rows.

    Raises:
        DataError: a row without ``step``.
    """
    series: dict[str, dict[str, list[svg.Point]]] = {}
    for index, row in enumerate(rows):
        if "step" not in row:
            raise DataError(f"training row {index + 1} has no 'step', only {sorted(row)}")
        for name, value in row.items():
            base = name.removeprefix(_EVAL)
            if base in _NOT_DRAWN or isinstance(value, bool) or not isinstance(value, int | float):
                continue
            split = "eval" if name.startswith(_EVAL) else "train"
            series.setdefault(base, {}).setdefault(split, []).append((row["step"], value))
    order = [*(name for name in TITLES if name in series), *sorted(series.keys() - TITLES.keys())]
    return tuple(_chart(TITLES.get(name, name), series[name]) for name in order)


def _chart(title: str, series: Mapping[str, Sequence[svg.Point]]) -> Chart:
    finite = {split: [p for p in points if math.isfinite(p[1])] for split, points in series.items()}
    drawn = [point for points in finite.values() for point in points]
    total = sum(len(points) for points in series.values())
    if not drawn:
        return Chart(title, (), (), (), skipped=total)
    first, last = min(x for x, _ in drawn), max(x for x, _ in drawn)
    y_values = svg.ticks(min(y for _, y in drawn), max(y for _, y in drawn), 4)
    x_values = [x for x in svg.ticks(first, last, 4) if first <= x <= last] or [first]

    def x_of(step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (step - first) / max(last - first, 1)

    def y_of(value: float) -> float:
        share = (value - y_values[0]) / (y_values[-1] - y_values[0])
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    lines = []
    for split, points in sorted(finite.items(), reverse=True):
        placed = svg.thin([(x_of(x), y_of(y)) for x, y in points])
        dots = tuple(placed) if len(placed) <= 12 else ()
        ends_at = svg.short(float(f"{points[-1][1]:.3g}")) if points else "n/a"
        lines.append(Line(split, svg.path(placed), dots, ends_at))
    return Chart(
        title,
        tuple(lines),
        tuple(Tick(x_of(x), svg.short(x)) for x in x_values),
        tuple(Tick(y_of(y), svg.short(y)) for y in y_values),
        skipped=total - len(drawn),
    )
