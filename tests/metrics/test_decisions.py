"""Decision scores by hand, average precision against its definition, threshold sweeps."""

from dataclasses import replace

import numpy as np
import pytest

from prospect.errors import DataError
from prospect.firing import DecisionRule
from prospect.metrics.bootstrap import draw_weights
from prospect.metrics.decisions import (
    DECISIONS,
    METRICS,
    SIMPLER_F1,
    THRESHOLDS,
    average_precision,
    fit,
    labelled,
    stats,
    sweep,
)
from prospect.metrics.pool import table
from prospect.types import Event, Prediction
from tests.metrics.worlds import event, random_stream, stream


def scores(prediction: Prediction) -> dict[str, float | None]:
    pool = table([stats(prediction)], ["v"]).plain()
    values = {name: float(metric.function(pool)[0]) for name, metric in METRICS.items()}
    return {name: None if np.isnan(value) else value for name, value in values.items()}


def test_decisions_by_hand() -> None:
    # within 1 s = 2 frames: 12 meets 10, 14 meets nobody, 33 is 3 frames away
    due = (event(10, "S1->start", "a"), event(30, "", "b"))
    did = (event(12, "S2->start", "x"), event(14, "", "y"), event(33, "", "z"))
    found = scores(stream(due, did))
    assert found["update_decision_precision"] == found["update_decision_recall"] == 1
    assert found["speak_decision_precision"] == 1 / 3
    assert found["speak_decision_recall"] == 1 / 2
    assert found["speak_decision_f1"] == 2 / 5
    assert found["update_rate_ratio"] == 1
    assert found["speak_average_precision"] is None
    assert found["speak_calibration_error"] is None


def test_frames_before_the_user_have_no_speak_label() -> None:
    due = (Event(2, user="What now?"), Event(3, speech="Turn it.", user="Ok."))
    made = replace(stream(due, num_frames=5), speak_prob=(0.1, 0.2, 0.9, 0.8, 0.3))
    probs, labels = labelled(made, "speak")
    assert probs.tolist() == [0.1, 0.2, 0.8, 0.3]
    assert labels.tolist() == [False, False, True, False]


def slow_precision(probs: np.ndarray, labels: np.ndarray) -> float:
    """Sum over distinct thresholds of precision times the gain in recall."""
    total, reached = 0.0, 0.0
    for cut in sorted(set(probs.tolist()), reverse=True):
        fired = probs >= cut
        recall = labels[fired].sum() / labels.sum()
        total += (recall - reached) * labels[fired].mean()
        reached = recall
    return total


def test_average_precision_is_that_of_the_repeated_videos() -> None:
    rng = np.random.default_rng(0)
    probs = np.round(rng.random(200), 2)  # with ties
    labels, owner = rng.random(200) < 0.2, rng.integers(0, 5, 200)
    weights = draw_weights(5, 0)[:40]
    found = average_precision(
        (probs[labels], owner[labels]), (probs[~labels], owner[~labels]), weights
    )
    for row, got in zip(weights, found, strict=True):
        rows = np.repeat(np.arange(200), row[owner].astype(int))
        assert got == pytest.approx(slow_precision(probs[rows], labels[rows]))


def test_calibration_by_hand() -> None:
    # bin 0: mean .05, 0 of 2 positive; bin 9: mean .9, 1 of 2 -> (2 * .05 + 2 * .4) / 4
    made = replace(stream((event(3, "", "a"),), num_frames=4), speak_prob=(0.05, 0.05, 0.9, 0.9))
    assert scores(made)["speak_calibration_error"] == pytest.approx(0.225)


def test_sweep_finds_the_gap_between_silence_and_moments() -> None:
    made = [random_stream(seed) for seed in range(8)]
    streams = []
    for item in made:
        speak = np.full(item.stop_frame, 0.12)
        update = np.full(item.stop_frame, 0.001)
        for due in item.references:
            if due.speech is not None:
                speak[due.frame] = 0.63
            if due.transitions:
                update[due.frame] = 0.04
        streams.append(
            replace(
                item,
                fed="reference_dialogue",
                speak_prob=tuple(speak.tolist()),
                update_prob=tuple(update.tolist()),
            )
        )
    found = sweep(streams)
    assert found.speak == 0.35  # the middle of 0.15 ... 0.6
    assert found.update in (0.01, 0.02, 0.03)
    assert dict(found.curves["speak"])[found.speak] == 1
    assert [cut for cut, _ in found.curves["speak"]] == list(THRESHOLDS)


def test_a_run_fires_once_and_again_after_a_decision() -> None:
    due = (event(10, "", "a"), event(14, "", "b"))
    prob = np.full(40, 0.02)
    prob[9:15] = 0.8  # 9 fires (1 frame early), 11 fires again after the decision on 10
    made = replace(
        stream(due, num_frames=40),
        fed="reference_dialogue",
        speak_prob=tuple(prob.tolist()),
        update_prob=(0.0,) * 40,
    )
    assert dict(sweep([made]).curves["speak"])[0.5] == pytest.approx(2 * 1 / (2 + 2))


def test_sweep_without_speech_keeps_silent() -> None:
    made = replace(
        stream((event(5, "S1->start"),), num_frames=9),
        speak_prob=(0.3,) * 9,
        update_prob=(0.0,) * 5 + (0.6,) + (0.0,) * 3,
    )
    found = sweep([made])
    assert found.speak > 0.3
    assert dict(found.curves["update"])[found.update] == 1


def test_sweep_needs_probabilities() -> None:
    with pytest.raises(DataError, match="v1/no_talk-0 by model has no speak probabilities"):
        sweep([stream(())])


def told(prediction: Prediction, speak: np.ndarray) -> Prediction:
    """Teacher-forced: the references stand in the context."""
    return replace(
        prediction,
        fed="reference_dialogue",
        speak_prob=tuple(speak.tolist()),
        update_prob=(0.0,) * len(speak),
    )


def every(period: int, num_frames: int) -> tuple[Event, ...]:
    return tuple(event(frame, "", "a") for frame in range(period, num_frames - 5, period))


def test_a_fitted_rule_by_hand() -> None:
    # each moment is announced over 3 frames, the last of them due; a peak of one frame is a decoy
    due = every(30, 300)
    prob = np.full(300, 0.05)
    for at in (item.frame for item in due):
        prob[at - 2 : at + 1] = 0.85
    prob[10:290:30] = 0.62
    found = fit([told(stream(due, num_frames=300), prob)], "speak")
    # 9 due; a plain threshold decides 3 times for each: 2 * 9 / (27 + 9)
    assert found.plain_f1 == pytest.approx(0.5)
    # 1 s: on the first frame and the last; 2 s: once
    assert found.rule == DecisionRule(0.7, min_gap_s=2.0)
    assert found.f1 == 1
    assert found.clock_f1 < 0.5


def test_a_simpler_rule_is_preferred() -> None:
    due = every(30, 300)
    prob = np.full(300, 0.05)
    for item in due:
        prob[item.frame] = 0.85
    found = fit([told(stream(due, num_frames=300), prob)], "speak")
    assert found.rule == DecisionRule(0.4)
    assert found.f1 == found.plain_f1 == 1


@pytest.mark.parametrize("after", [1, 2])
def test_an_echo_of_the_references_earns_nothing(after: int) -> None:
    """A blind model that acts right after each reference it reads in its context."""
    due = every(25, 400)
    prob = np.full(400, 0.02)
    for item in due:
        prob[item.frame + after] = 0.9
    echo = told(stream(due, num_frames=400), prob)
    blind = fit([echo], "speak")
    assert blind.f1 <= blind.clock_f1 + SIMPLER_F1
    assert dict(sweep([echo]).curves["speak"])[0.5] == 0
    # the same probabilities of a run that saw no reference are merely late, which counts
    assert dict(sweep([replace(echo, fed="self")]).curves["speak"])[0.5] == 1


def test_references_that_rearm_a_stuck_rule_earn_nothing() -> None:
    """A blind model that always wants to act, but for the frame after it reads a reference.

    Hysteresis then fires once for each reference, two frames later: within 1 s, by no merit.
    """
    due = every(25, 400)
    prob = np.full(400, 0.9)
    for item in due:
        prob[item.frame + 1] = 0.02
    stuck = told(stream(due, num_frames=400), prob)
    found = fit([stuck], "speak")
    assert found.f1 <= found.clock_f1 + SIMPLER_F1
    assert fit([replace(stuck, fed="self")], "speak").f1 > 0.95  # what it would have been


def test_a_rule_that_only_knows_how_often_is_told_apart() -> None:
    due = every(16, 400)  # each 8 s
    found = fit([told(stream(due, num_frames=400), np.full(400, 0.4))], "speak")
    assert found.f1 == found.clock_f1 > found.plain_f1


def test_fitting_data_without_speech_keeps_silent() -> None:
    found = fit([told(stream((), num_frames=50), np.full(50, 0.3))], "speak")
    assert found.rule.threshold > 0.3
    assert (found.f1, found.rule.min_gap_s, found.rule.rearm) == (1, 0, None)
    for decision in DECISIONS:
        with pytest.raises(DataError, match=f"has no {decision} probabilities"):
            fit([stream(())], decision)
