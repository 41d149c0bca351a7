"""Numbers that a record's details hold, pooled."""

import math
from dataclasses import replace

import numpy as np
import pytest

from prospect.errors import DataError
from prospect.metrics.forced import METRICS, stats, time_differences
from prospect.metrics.pool import table
from prospect.metrics.score import score
from prospect.types import Event, Prediction
from tests.metrics.worlds import embed, event, stream

TEXT = {"lm_nll": 6.0, "lm_tokens": 3, "lm_right": 2, "lm_fluency": 0.5, "lm_turns": 1}
FREE = {"written_moves": 5, "illegal_moves": 1, "unreadable_moves": 1}
USABLE = {"written_moves": 3, "illegal_moves": 0, "unreadable_moves": 0}


def scores(*predictions: Prediction) -> dict[str, float | None]:
    made = table([stats(one) for one in predictions], ["v"] * len(predictions)).plain()
    values = {name: float(metric.function(made)[0]) for name, metric in METRICS.items()}
    return {name: None if np.isnan(value) else value for name, value in values.items()}


def test_totals_are_pooled() -> None:
    made = stream((), (event(5, "S1->start"), event(9, "S1->complete")))
    one = replace(made, details={**TEXT, "update_tokens": 12, "frames_per_s": 10.0})
    two = replace(made, details={**TEXT, "lm_nll": 2.0, "lm_tokens": 1, "frames_per_s": 30.0})
    found = scores(one, two)
    assert found["lm_perplexity"] == pytest.approx(math.exp(8 / 4))
    assert found["lm_token_accuracy"] == 4 / 4
    assert found["lm_fluency"] == 0.5
    assert found["tokens_per_update"] == 6
    assert found["frames_per_s"] == pytest.approx(200 / (10 + 100 / 30))
    assert found["real_time_factor"] == pytest.approx((10 + 100 / 30) / 100)


def test_moves_that_could_not_be_used_are_pooled_over_streams() -> None:
    # 2 of 5 in one stream and none of 3 in the other: 2 of 8, not the mean of 2/5 and 0
    one, two = (replace(stream(()), details=details) for details in (FREE, USABLE))
    assert scores(one)["unusable_move_rate"] == 2 / 5
    assert scores(one, two)["unusable_move_rate"] == 2 / 8
    assert scores(one, stream(()))["unusable_move_rate"] == 2 / 5  # written with constraint
    assert scores(replace(one, details=dict.fromkeys(FREE, 0)))["unusable_move_rate"] is None


def test_nothing_told() -> None:
    assert set(scores(stream((), ())).values()) == {None}


@pytest.mark.parametrize(
    ("details", "message"),
    [
        ({"lm_nll": 1.0}, "details has lm_nll but not lm_tokens"),
        ({"frames_per_s": 0.0}, "frames_per_s is 0"),
        ({"written_moves": 5}, "details has written_moves but not illegal_moves, unreadable_moves"),
        ({"update_tokens": "12"}, "details.update_tokens is '12'"),
        ({**TEXT, "lm_nll": float("nan")}, "details.lm_nll is nan"),
    ],
)
def test_details_that_are_wrong(details: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        score([replace(stream(()), details=details)], embed=embed)


def test_time_difference_turn_by_turn() -> None:
    # turns [0, 3], [4, 9], [10, 19]: fires 2 before the first; not in the second, but 2 after it,
    # of which (10, 4 + 5] are looked at; never in the third, which nothing follows
    probs = [0.0] * 20
    probs[1] = probs[11] = 0.9
    references = tuple(event(frame, "", "Go.") for frame in (3, 9, 19))
    told = replace(
        stream(references, (), num_frames=20),
        fed="reference_dialogue",
        speak_prob=tuple(probs),
    )
    # the third turn begins at 10, so frame 11 fires there, 8 before its end
    assert time_differences(told) == [2 / 2, 2 / 2, 8 / 2]
    assert scores(told)["told_time_diff_s"] == 2
    assert time_differences(replace(told, fed="self")) == []


def test_time_difference_looks_ahead_no_farther_than_the_turn_is_long() -> None:
    references = (Event(1, user="Hello?"), event(3, "", "Go."), event(12, "", "On."))
    probs = tuple([0.0] * 6 + [0.9] * 14)
    told = replace(
        stream(references, (), num_frames=20), fed="reference_dialogue", speak_prob=probs
    )
    # the first turn is frames 2 and 3: one frame ahead, 4, and that doesn't fire
    assert time_differences(told) == [1 / 2, 6 / 2]
