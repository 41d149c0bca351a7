"""Threshold curves and timing histograms.

In: predictions of one system, offsets in seconds. Out: `Figure`s in viewBox units, in the frame of
the training charts (`curves.WIDTH` and so on).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np

from prospect.firing import DecisionRule
from prospect.metrics.decisions import (
    DECISIONS,
    THRESHOLDS,
    Decision,
    count_fired,
    probabilities,
)
from prospect.report import svg
from prospect.report.curves import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Tick
from prospect.types import Prediction

BIN_S = 0.5


@dataclass(frozen=True, slots=True)
class Curve:
    """One line, named ``css`` in the legend too."""

    css: str
    path: str


@dataclass(frozen=True, slots=True)
class Column:
    """A bar of a histogram."""

    x: float
    y: float
    width: float
    height: float
    hint: str


@dataclass(frozen=True, slots=True)
class Figure:
    """``uprights`` are vertical lines as (x, css); ``note`` says in words what to see."""

    title: str
    curves: tuple[Curve, ...]
    columns: tuple[Column, ...]
    uprights: tuple[tuple[float, str], ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_label: str
    note: str


def threshold_figures(predictions: Sequence[Prediction]) -> tuple[Figure, ...]:
    """Precision, recall and F1 of both decisions over the threshold; the chosen one is marked.

    As in `prospect.metrics.decisions.sweep`, every frame above the threshold counts as a decision:
    minimum gaps, re-arming and what a decision changes in the frames after it are left out, so a
    curve at the chosen threshold need not meet the score of the run. A decision for which some
    prediction has no probabilities has no figure.
    """
    return tuple(
        _threshold_figure(predictions, decision)
        for decision in DECISIONS
        if predictions and all(len(probabilities(item, decision)) for item in predictions)
    )


def _threshold_figure(predictions: Sequence[Prediction], decision: Decision) -> Figure:
    counts = [count_fired(predictions, decision, DecisionRule(one)) for one in THRESHOLDS]
    scores = [(one.precision, one.recall, one.f1) for one in counts]
    best = max(range(len(scores)), key=lambda index: scores[index][2])
    thresholds = {
        item.speak_threshold if decision == "speak" else item.update_threshold
        for item in predictions
    }
    chosen = ", ".join(f"{threshold:g}" for threshold in sorted(thresholds))
    if len(thresholds) > 3:
        chosen = f"{min(thresholds):g} to {max(thresholds):g}, one a video"
    note = f"Chosen: {chosen}. Best here: {THRESHOLDS[best]:g}, F1 {scores[best][2]:.2f}."
    if len(thresholds) == 1:
        f1 = count_fired(predictions, decision, DecisionRule(min(thresholds))).f1
        note = f"Chosen: {chosen}, F1 {f1:.2f}. Best here: {THRESHOLDS[best]:g}, "
        note += f"F1 {scores[best][2]:.2f}."
    axes = _Axes(0.0, 1.0, 1.0)
    numbered = list(enumerate(scores))
    return Figure(
        title=f"{decision.capitalize()} decision over its threshold",
        curves=tuple(
            Curve(name, svg.path((axes.x(THRESHOLDS[i]), axes.y(s[side])) for i, s in numbered))
            for side, name in enumerate(("precision", "recall", "f1"))
        ),
        columns=(),
        uprights=tuple((axes.x(threshold), "chosen") for threshold in sorted(thresholds)),
        x_ticks=tuple(Tick(axes.x(value), svg.short(value)) for value in (0, 0.25, 0.5, 0.75, 1)),
        y_ticks=tuple(Tick(axes.y(value), svg.short(value)) for value in (0, 0.5, 1)),
        x_label="x: threshold",
        note=note,
    )


def histogram(title: str, offsets_s: Sequence[float]) -> Figure | None:
    """Signed offsets, late ones right of 0, in bins of `BIN_S` around its multiples.

    None for no offsets.
    """
    if not offsets_s:
        return None
    bins = np.round(np.array(offsets_s) / BIN_S).astype(int)
    reach = max(int(np.abs(bins).max()), 4)
    counts = np.bincount(bins + reach, minlength=2 * reach + 1)
    y_values = svg.ticks(0, int(counts.max()), 3)
    axes = _Axes(-(reach + 0.5) * BIN_S, (reach + 0.5) * BIN_S, y_values[-1])
    columns = []
    for place, count in enumerate(counts.tolist()):
        middle_s = (place - reach) * BIN_S
        left, right = axes.x(middle_s - BIN_S / 2), axes.x(middle_s + BIN_S / 2)
        if count:
            hint = f"{count} at {middle_s:+g} s"
            height = HEIGHT - BOTTOM - axes.y(count)
            columns.append(Column(left + 0.5, axes.y(count), right - left - 1, height, hint))
    x_values = [x for x in svg.ticks(axes.low, axes.high, 5) if axes.low <= x <= axes.high]
    early = sum(offset < 0 for offset in offsets_s) / len(offsets_s)
    return Figure(
        title=title,
        curves=(),
        columns=tuple(columns),
        uprights=((axes.x(0), "zero"), (axes.x(median(offsets_s)), "median")),
        x_ticks=tuple(Tick(axes.x(value), f"{value:+g}" if value else "0") for value in x_values),
        y_ticks=tuple(Tick(axes.y(value), svg.short(value)) for value in y_values),
        x_label="x: s, late is right",
        note=(
            f"n {len(offsets_s)}, median {median(offsets_s):+.2f} s, "
            f"mean {fmean(offsets_s):+.2f} s, {early:.0%} early."
        ),
    )


@dataclass(frozen=True, slots=True)
class _Axes:
    """Values to the canvas: x over [low, high], y over [0, top]."""

    low: float
    high: float
    top: float

    def x(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(LEFT + (WIDTH - LEFT - RIGHT) * share, 1)

    def y(self, value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / self.top, 1)
