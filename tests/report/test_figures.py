"""Curves and histograms by hand."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from prospect.firing import DecisionRule
from prospect.metrics.decisions import THRESHOLDS, Counts, count_fired
from prospect.report.figures import histogram, threshold_figures
from prospect.types import Event, Prediction

Make = Callable[..., Prediction]


def test_precision_and_recall_by_hand(make_prediction: Make) -> None:
    probs = [0.0] * 40
    probs[4], probs[20], probs[36] = 0.9, 0.6, 0.3
    made = replace(
        make_prediction(0, steps=0, duration_s=20.0),
        references=(Event(5, speech="a"), Event(36, speech="b")),
        events=(),
        refreshes=(),
        speak_prob=tuple(probs),
        update_prob=(),
    )
    assert count_fired([made], "speak", DecisionRule(0.5)) == Counts(1, 2, 2)
    assert count_fired([made], "speak", DecisionRule(0.7)) == Counts(1, 1, 2)
    assert count_fired([made], "speak", DecisionRule(0.95)) == Counts(0, 0, 2)
    # told the references, it must not answer after them
    told = replace(made, references=(Event(3, speech="a"),), fed="reference_dialogue")
    assert count_fired([told], "speak", DecisionRule(0.8)) == Counts(0, 1, 1)
    scores = [(one.precision, one.recall, one.f1) for one in (Counts(1, 1, 2), Counts(0, 0, 2))]
    assert scores == [(1.0, 0.5, pytest.approx(2 / 3)), (1.0, 0.0, 0.0)]
    (figure,) = threshold_figures([made])
    assert figure.title.startswith("Speak")
    assert figure.note.startswith("Chosen: 0.4, F1 0.50. Best here: ")


def test_both_decisions_and_the_chosen_threshold(predictions: list[Prediction]) -> None:
    speak, update = threshold_figures(predictions)
    assert [curve.css for curve in speak.curves] == ["precision", "recall", "f1"]
    assert speak.curves[0].path.count("L") == len(THRESHOLDS) - 1
    assert len(update.uprights) == 1
    assert "Chosen: 0.55, F1" in update.note


def test_a_threshold_a_video(predictions: list[Prediction]) -> None:
    made = [replace(one, speak_threshold=0.1 * n) for n, one in enumerate(predictions)]
    figure = threshold_figures(made)[0]
    assert len(figure.uprights) == 9
    assert figure.note.startswith("Chosen: 0 to 0.8, one a video.")


def test_no_probabilities_no_figure(make_prediction: Make) -> None:
    assert threshold_figures([replace(make_prediction(0), speak_prob=(), update_prob=())]) == ()
    assert threshold_figures([]) == ()


def test_histogram_by_hand() -> None:
    figure = histogram("Delay", [0.0, 0.0, 0.1, -1.0, 2.5])
    assert figure is not None
    assert [column.hint for column in figure.columns] == ["1 at -1 s", "3 at +0 s", "1 at +2.5 s"]
    heights = [column.height for column in figure.columns]
    assert heights[1] == pytest.approx(3 * heights[0], abs=0.3)
    assert figure.note == "n 5, median +0.00 s, mean +0.32 s, 20% early."
    assert histogram("Delay", []) is None
