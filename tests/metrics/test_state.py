"""State scores of one hand-worked stream, and what makes them fall."""

from dataclasses import replace

import numpy as np
import pytest

from prospect.metrics.moments import pair
from prospect.metrics.pool import table
from prospect.metrics.state import METRICS, stats, wrong_steps
from prospect.states.transitions import fold
from prospect.types import Prediction
from tests.metrics.worlds import event, random_stream, stream

REFERENCES = (
    event(10, "S1->start"),
    event(30, "S1->complete S2->start"),
    event(60, "S2->complete"),
)
EVENTS = (
    event(12, "S1->start"),  # 1 s late
    event(30, "S1->complete"),
    event(33, "S3->start"),  # the wrong step, 1.5 s late
    event(80, "S2->complete"),  # 10 s late, and never started
)


def scores(prediction: Prediction) -> dict[str, float | None]:
    pool = table([stats(prediction)], ["v"]).plain()
    values = {name: float(metric.function(pool)[0]) for name, metric in METRICS.items()}
    return {name: None if np.isnan(value) else value for name, value in values.items()}


def test_transitions_by_hand() -> None:
    found = scores(stream(REFERENCES, EVENTS))
    for tau, right in ((1, 2), (2, 2), (5, 2), (10, 3)):
        for word in ("precision", "recall", "f1"):
            assert found[f"transition_{word}_{tau}s"] == right / 4
    assert found["start_f1_5s"] == 1 / 2
    assert found["complete_f1_5s"] == 1 / 2
    assert found["reopen_f1_5s"] is None
    assert found["transition_delay_mean_s"] == 0.5
    assert found["transition_delay_median_s"] == 0.5
    assert (found["start_delay_s"], found["complete_delay_s"]) == (1.0, 0.0)
    assert found["transition_early_rate"] == 0
    assert found["illegal_move_rate"] == 1 / 4


def test_text_at_the_right_moment_by_hand() -> None:
    # paired by time within 5 s: 12-10, 30-30, 33-30; nothing is near 60
    found = scores(stream(REFERENCES, EVENTS))
    assert found["text_step_accuracy"] == 2 / 3
    assert found["text_move_accuracy"] == 1
    assert found["text_accuracy"] == 2 / 3
    assert found["start_accuracy"] == 1 / 2
    assert found["start_accuracy_told"] is None


def test_told_starts_count_all_references_at_their_frame() -> None:
    told = replace(stream(REFERENCES, EVENTS), fed="reference_dialogue")
    assert scores(told)["start_accuracy_told"] == 0
    right = (event(10, "S1->start"), event(30, "S1->complete S3->start"))
    assert scores(replace(told, events=right))["start_accuracy_told"] == 1 / 2


def test_starts_of_one_frame_are_paired_with_their_equals() -> None:
    due = (event(10, "S1->start S3->start"),)
    found = scores(stream(due, (event(10, "S3->start S2->start"),)))
    assert found["start_accuracy"] == 1 / 2


def test_states_over_time_by_hand() -> None:
    # right: [0, 10) and [12, 30). Wrong steps: 1 in [10, 12) and [30, 33), 2 in [33, 80), then 1
    found = scores(replace(stream(REFERENCES, EVENTS), refreshes=(20,)))
    assert found["joint_goal_accuracy"] == 28 / 100
    assert found["state_behind_rate"] == (2 + 50) / 100  # S1 in [10, 12), S2 in [30, 80)
    assert found["state_ahead_rate"] == 67 / 100  # S3 from 33 on
    assert found["step_status_accuracy"] == pytest.approx(1 - (2 + 3 + 2 * 47 + 20) / 300)
    assert found["joint_goal_accuracy_events"] == 1 / 3  # frames 29, 59 and 99
    assert found["final_state_accuracy"] == 0
    assert found["joint_goal_accuracy_refresh"] == 10 / 80


def test_early_moves_have_negative_delay() -> None:
    found = scores(stream(REFERENCES, (event(6, "S1->start"),)))
    assert (found["transition_delay_mean_s"], found["transition_early_rate"]) == (-2.0, 1.0)


def test_extra_moves_cost_precision_only() -> None:
    found = scores(stream(REFERENCES, (*REFERENCES, event(90, "S3->start"))))
    assert (found["transition_precision_5s"], found["transition_recall_5s"]) == (4 / 5, 1)
    doubled = (event(9, "S1->start"), *REFERENCES)
    assert scores(stream(REFERENCES, doubled))["transition_precision_5s"] == 4 / 5


def test_task_without_steps_has_no_state_scores() -> None:
    assert set(scores(stream((), (), num_steps=0)).values()) == {None}


def test_wrong_steps_against_a_fold_at_every_frame() -> None:
    made = random_stream(7)
    kept = tuple(item for index, item in enumerate(made.references) if index % 3)
    got = wrong_steps(replace(made, events=kept))
    for frame in range(made.start_frame, made.stop_frame, 7):
        due = fold(
            made.state, [t for e in made.references if e.frame <= frame for t in e.transitions]
        )
        ours = dict(made.state)
        for item in (t for e in kept if e.frame <= frame for t in e.transitions):
            ours[item.step_id] = "in_progress" if item.move == "start" else "completed"
        progress = ("not_started", "in_progress", "completed").index
        leads = [progress(ours[step]) - progress(due[step]) for step in due]
        behind, ahead = sum(lead < 0 for lead in leads), sum(lead > 0 for lead in leads)
        assert got[:, frame - made.start_frame].tolist() == [behind, ahead]


def test_start_frame_need_not_be_zero() -> None:
    late = replace(
        stream(tuple(replace(e, frame=e.frame + 500) for e in REFERENCES)),
        start_frame=500,
        stop_frame=600,
        events=tuple(replace(e, frame=e.frame + 500) for e in EVENTS),
        refreshes=(520,),
    )
    assert scores(late) == scores(replace(stream(REFERENCES, EVENTS), refreshes=(20,)))


@pytest.mark.parametrize("tau", [1, 2, 5, 10])
def test_pairs_prefer_the_nearest_of_equal_moves(tau: int) -> None:
    found = pair(np.array([0, 10, 12]), np.array([11, 12]), tau)
    assert found == [(1, 0), (2, 1)]
