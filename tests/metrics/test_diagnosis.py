"""Each finding on made-up scores, and none on good ones."""

import re
from dataclasses import replace

import pytest

from prospect.metrics.diagnosis import diagnose
from prospect.metrics.registry import METRICS
from prospect.types import Prediction
from tests.metrics.worlds import event, stream

GOOD = {name: metric.best for name, metric in METRICS.items()} | {
    "update_average_precision": 0.9,
    "speak_average_precision": 0.9,
}
FINE = stream((event(10, "S1->start"),), (event(10, "S1->start"),))


def findings(
    change: dict[str, float | None],
    others: dict[str, dict[str, float | None]] | None = None,
    prediction: Prediction = FINE,
) -> list[str]:
    systems = {"ours": GOOD | change, **(others or {})}
    pooled = {
        system: {name: {"value": value} for name, value in metrics.items()}
        for system, metrics in systems.items()
    }
    return diagnose([prediction], pooled, "ours")


def test_nothing_stands_out() -> None:
    assert (
        findings({}, {"periodic": GOOD | {"update_decision_f1": 0.3, "speak_decision_f1": 0.2}})
        == []
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"speech_rate_ratio": 0.0}, "speak never. Lower speak_threshold"),
        ({"speech_rate_ratio": 4.0}, "speak 4 times as often as the reference. Raise speak"),
        ({"update_rate_ratio": 0.2}, "update 0.2 times as often as the reference. Lower update"),
        ({"update_decision_f1": 0.5}, "average precision 0.90.*F1 0.50. Fit update_threshold"),
        (
            {"transition_f1_2s": 0.4, "transition_delay_median_s": 3.0},
            "wrong times: F1 is 1.00 within 10 s but 0.40.*3.0 s late. Lower update_threshold",
        ),
        (
            {"transition_f1_2s": 0.4, "transition_delay_median_s": -3.0},
            "3.0 s early. Raise update_threshold",
        ),
        ({"speech_f1": 0.2}, "right times .F1 1.00. but says the wrong"),
        ({"joint_goal_accuracy_refresh": 0.5}, "lost after a refresh: right at 0.50"),
        ({"joint_goal_accuracy": 0.3}, "Early slips spoil the rest.*only 0.30"),
    ],
)
def test_one_fault_one_finding(change: dict[str, float | None], words: str) -> None:
    (found,) = findings(change)
    assert re.search(words, found), found


def test_no_better_than_without_eyes() -> None:
    others = {"periodic": GOOD | {"update_decision_f1": 0.4, "speak_decision_f1": 0.4}}
    found = findings({"update_decision_f1": 0.3, "update_average_precision": 0.3}, others)
    assert found[0].startswith("It knows when to update no better (F1 0.30) than periodic (0.40)")


def test_text_follows_the_list() -> None:
    (found,) = findings({"start_accuracy": 0.4}, {"listed_order": GOOD | {"start_accuracy": 0.38}})
    assert "permute_steps" in found


def test_steps_that_never_happen() -> None:
    begun = [event(frame, move) for frame in (10, 40) for move in ("S1->start", "S2->start")]
    (found,) = findings({}, prediction=replace(FINE, references=tuple(begun)))
    assert found.startswith(
        "It never starts 1 of the 2 steps that happen more than once: “Step 2.” (2 times)"
    )


def test_a_step_missed_once_is_chance() -> None:
    once = (event(10, "S1->start"), event(40, "S2->start"))
    assert findings({}, prediction=replace(FINE, references=once)) == []
