"""Scores of labels, by hand."""

import numpy as np
import pytest

from prospect.errors import DataError
from prospect.metrics.alignment import METRICS, boundary_errors, stats
from prospect.metrics.pool import table
from prospect.types import Move, StateTrack, Step, Task, TimedTransition, Transition

TASK = Task("Do it.", (Step("S1", "One."), Step("S2", "Two.")))


def track(*moves: tuple[float, str, Move]) -> StateTrack:
    timed = (TimedTransition(time_s, Transition(step_id, move)) for time_s, step_id, move in moves)
    return StateTrack("v", TASK, tuple(timed))


TRUE = track(
    (0, "S1", "start"), (40, "S1", "complete"), (40, "S2", "start"), (100, "S2", "complete")
)
ONE_STEP = track((0, "S1", "start"), (100, "S1", "complete"))


def test_the_worked_example() -> None:
    assert boundary_errors(ONE_STEP, TRUE) == [0, 60, 60, 100]
    scores = table([stats(["S1", "S1"], ["S1", "S2"], ONE_STEP, TRUE)], ["v"]).plain()
    value = {name: metric.function(scores)[0] for name, metric in METRICS.items()}
    assert value == {
        "block_accuracy": 0.5,
        "boundary_error_s": 55.0,
        "transition_f1_5s": pytest.approx(2 * 1 / (2 + 4)),  # only the first start
    }


def test_an_extra_step_costs_as_much_as_a_missed_one() -> None:
    assert sum(boundary_errors(TRUE, ONE_STEP)) == sum(boundary_errors(ONE_STEP, TRUE))


def test_boundaries_are_the_first_start_and_the_last_completion() -> None:
    revisit = track(
        (0, "S1", "start"), (10, "S1", "complete"), (50, "S1", "reopen"), (90, "S1", "complete")
    )
    assert boundary_errors(revisit, ONE_STEP) == [0, 10]


def test_moves_pair_within_five_seconds() -> None:
    late = track((5, "S1", "start"), (94.99, "S1", "complete"))
    counts = stats(["S1"], ["S1"], late, ONE_STEP).sums
    assert (counts["moves_right"], counts["boundary_error_s"]) == (1, pytest.approx(10.01))


def test_oracle_and_silence() -> None:
    perfect = table([stats(["S1", None], ["S1", None], TRUE, TRUE)], ["v"]).plain()
    assert [float(m.function(perfect)[0]) for m in METRICS.values()] == [1.0, 0.0, 1.0]
    nothing = table([stats([], [], track(), track())], ["v"]).plain()
    assert all(np.isnan(metric.function(nothing)[0]) for metric in METRICS.values())
    silent = stats([None], ["S1"], track(), ONE_STEP).sums
    assert (silent["moves_right"], silent["boundary_error_s"]) == (0, 200)


def test_blocks_must_be_the_same() -> None:
    with pytest.raises(DataError, match="video v: 1 blocks predicted, 2 in the reference"):
        stats(["S1"], ["S1", "S2"], TRUE, TRUE)
