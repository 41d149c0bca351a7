"""Scores of the tracked state: which transition, when, and how long the state was right.

In: a `Prediction`. Out: counts of its transitions and of the frames at which its state is right.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prospect.errors import DataError
from prospect.metrics.moments import frames_of, pair
from prospect.metrics.pool import Floats, Metric, Pool, Stats, prf, share, weighted_median
from prospect.states.notation import format_transition
from prospect.states.transitions import MOVES, is_legal
from prospect.types import Event, Move, Prediction, State, Status, Transition

Bools = npt.NDArray[np.bool_]
TAUS_S = (1, 2, 5, 10)
MOMENT_S = 5
"""A prediction within 5 s counts as "at the right moment" for delays and for what it says."""
AFTER_REFRESH_S = 60
PROGRESS: Mapping[Status, int] = {"not_started": 0, "in_progress": 1, "completed": 2}
"""A step is behind, or ahead, by these."""


@dataclass(frozen=True, slots=True)
class Moves:
    """The transitions of a stream by frame: frames (N,) and what happens there."""

    frames: npt.NDArray[np.int64]
    transitions: tuple[Transition, ...]

    def only(self, move: Move) -> "Moves":
        kept = [index for index, item in enumerate(self.transitions) if item.move == move]
        return Moves(self.frames[kept], tuple(self.transitions[index] for index in kept))


def moves_of(events: Iterable[Event]) -> Moves:
    """All transitions in the order of their frames, those of one frame in their own order."""
    found = [
        (event.frame, transition)
        for event in sorted(events, key=lambda event: event.frame)
        for transition in event.transitions
    ]
    return Moves(np.array([frame for frame, _ in found], np.int64), tuple(t for _, t in found))


def same(
    left: Sequence[Transition], right: Sequence[Transition], field: str | None = None
) -> Bools:
    """(N, M): equal transitions, or equal ``step_id`` or ``move`` alone."""
    wanted = [item if field is None else getattr(item, field) for item in right]
    return np.array(
        [
            [(item if field is None else getattr(item, field)) == want for want in wanted]
            for item in left
        ],
        bool,
    ).reshape(len(left), len(right))


def timeline(prediction: Prediction, events: Iterable[Event]) -> Iterable[tuple[int, State]]:
    """(frame, state from this frame on), starting with the given state at ``start_frame``.

    A transition sets the status its move leads to, even where the state before does not allow
    it: a system that completes a step it never started has said that the step is completed. (The
    constrained decoder never does this; `illegal_move_rate` counts it.)
    """
    state: dict[str, Status] = dict(prediction.state)
    yield prediction.start_frame, dict(state)
    for event in sorted(events, key=lambda event: event.frame):
        for transition in event.transitions:
            state[transition.step_id] = MOVES[transition.move][1]
        if event.transitions:
            yield event.frame, dict(state)


def legality(state: State, transitions: Iterable[Transition]) -> list[bool]:
    """Whether the state allows each transition, where those before set theirs as in `timeline`."""
    current = dict(state)
    found = []
    for transition in transitions:
        found.append(is_legal(current, transition))
        current[transition.step_id] = MOVES[transition.move][1]
    return found


def wrong_steps(prediction: Prediction) -> npt.NDArray[np.int64]:
    """How many steps are behind their true status after each frame, and how many ahead, (2, F).

    The state after frame j includes the transitions decided at j, on either side.
    """
    num_frames = prediction.stop_frame - prediction.start_frame
    order = list(prediction.state)
    tracks = []
    for events in (prediction.references, prediction.events):
        changes = list(timeline(prediction, events))
        starts = np.array([frame - prediction.start_frame for frame, _ in changes])
        codes = np.array([[PROGRESS[state[step]] for step in order] for _, state in changes])
        at = np.searchsorted(starts, np.arange(num_frames), side="right") - 1
        tracks.append((at, codes))
    (at_true, true), (at_told, told) = tracks
    # states change rarely: compare each pair of states once, then look frames up
    lead = told[None, :, :] - true[:, None, :]
    return np.stack([(lead < 0).sum(-1), (lead > 0).sum(-1)])[:, at_true, at_told]


def stats(prediction: Prediction) -> Stats:
    """Counts of one stream's transitions and states."""
    predicted, reference = moves_of(prediction.events), moves_of(prediction.references)
    sums: dict[str, float] = {
        "moves_predicted": len(predicted.frames),
        "moves_reference": len(reference.frames),
        "moves_illegal": legality(prediction.state, predicted.transitions).count(False),
    }
    equal = same(predicted.transitions, reference.transitions)
    for tau in TAUS_S:
        pairs = pair(predicted.frames, reference.frames, frames_of(tau, prediction.fps), equal)
        sums[f"moves_right_{tau}s"] = len(pairs)
        if tau == MOMENT_S:
            at_moment = pairs
    delays = np.array(
        [(predicted.frames[i] - reference.frames[j]) / prediction.fps for i, j in at_moment],
        np.float64,
    )
    values = {"delay_s": delays}
    sums["delay_s"], sums["early"] = float(delays.sum()), int((delays < 0).sum())
    for move in MOVES:
        sums[f"{move}_predicted"] = len(predicted.only(move).frames)
        sums[f"{move}_reference"] = len(reference.only(move).frames)
        hits = [k for k, (i, _) in enumerate(at_moment) if predicted.transitions[i].move == move]
        sums[f"{move}_right"] = len(hits)
        values[f"{move}_delay_s"] = delays[hits]
        sums[f"{move}_delay_s"] = float(delays[hits].sum())
        sums[f"{move}_early"] = int((delays[hits] < 0).sum())
    sums |= _at_the_moment(prediction, predicted, reference)
    sums |= _over_time(prediction)
    return Stats(sums, values)


def _at_the_moment(prediction: Prediction, predicted: Moves, reference: Moves) -> dict[str, float]:
    """What was written, of transitions paired by time alone."""
    tolerance = frames_of(MOMENT_S, prediction.fps)
    equal = same(predicted.transitions, reference.transitions)
    pairs = pair(predicted.frames, reference.frames, tolerance, preferred=equal)
    step = same(predicted.transitions, reference.transitions, "step_id")
    move = same(predicted.transitions, reference.transitions, "move")
    starts, due = predicted.only("start"), reference.only("start")
    equal_start = same(starts.transitions, due.transitions)
    start_pairs = pair(starts.frames, due.frames, tolerance, preferred=equal_start)
    forced = prediction.fed in ("reference_dialogue", "reference_state")
    told = pair(starts.frames, due.frames, 0, equal_start) if forced else []
    return {
        "text_pairs": len(pairs),
        "text_step": sum(step[item] for item in pairs),
        "text_move": sum(move[item] for item in pairs),
        "text_both": sum(equal[item] for item in pairs),
        "start_pairs": len(start_pairs),
        "start_right_step": sum(equal_start[item] for item in start_pairs),
        "start_told": len(due.frames) if forced else 0,
        "start_told_right": len(told),
    }


def _over_time(prediction: Prediction) -> dict[str, float]:
    """Frames with the right state, at all, at ends of events, at the end, after refreshes."""
    if not prediction.state or prediction.stop_frame == prediction.start_frame:
        names = ("frames", "frames_right", "frames_behind", "frames_ahead", "cells", "cells_right")
        more = ("ends", "ends_right", "finals", "finals_right", "refresh_frames", "refresh_right")
        return dict.fromkeys(names + more, 0)
    behind, ahead = wrong_steps(prediction)
    wrong = behind + ahead
    right = wrong == 0
    first = prediction.start_frame
    changes = {event.frame - first for event in prediction.references if event.transitions}
    # the last frame before the next event: the system had all the time there was
    ends = [frame - 1 for frame in sorted(changes)[1:]] + ([len(right) - 1] if changes else [])
    fresh = np.zeros(len(right), bool)
    for frame in prediction.refreshes:
        fresh[frame - first : frame - first + frames_of(AFTER_REFRESH_S, prediction.fps)] = True
    return {
        "frames": len(right),
        "frames_right": int(right.sum()),
        "frames_behind": int((behind > 0).sum()),
        "frames_ahead": int((ahead > 0).sum()),
        "cells": len(right) * len(prediction.state),
        "cells_right": int(len(right) * len(prediction.state) - wrong.sum()),
        "ends": len(ends),
        "ends_right": int(right[ends].sum()),
        "finals": 1,
        "finals_right": int(right[-1]),
        "refresh_frames": int(fresh.sum()),
        "refresh_right": int(right[fresh].sum()),
    }


def check_steps(prediction: Prediction) -> None:
    """`DataError` if state and task have different steps, or a transition is of neither."""
    steps = {step.id for step in prediction.task.steps}
    if steps != set(prediction.state):
        raise DataError(
            f"{prediction.dialogue_id} by {prediction.system}: the task has steps "
            f"{', '.join(sorted(steps)) or 'none'}, the state "
            f"{', '.join(sorted(prediction.state)) or 'none'}; both must name the same"
        )
    for events in (prediction.references, prediction.events):
        for event in events:
            for transition in event.transitions:
                if transition.step_id not in prediction.state:
                    raise DataError(
                        f"{prediction.dialogue_id} by {prediction.system}, frame {event.frame}: "
                        f"{format_transition(transition)} is of no step of the state "
                        f"({', '.join(prediction.state) or 'empty'})"
                    )


def _median(name: str) -> Callable[[Pool], Floats]:
    return lambda pool: weighted_median(*pool.values[name], pool.weights)


def _metrics() -> Mapping[str, Metric]:
    found: dict[str, Metric] = {}
    for tau in TAUS_S:
        what = f"transitions with right step and move within {tau} s"
        names = (f"moves_right_{tau}s", "moves_predicted", "moves_reference")
        found |= prf(f"transition_{{}}_{tau}s", *names, what)
    for move in MOVES:
        what = f"{move} transitions, as at {MOMENT_S} s"
        names = (f"{move}_right", f"{move}_predicted", f"{move}_reference")
        found |= prf(f"{move}_{{}}_{MOMENT_S}s", *names, what)
        found[f"{move}_delay_s"] = Metric(
            share(f"{move}_delay_s", f"{move}_right"),
            None,
            f"mean of predicted - reference time of right {move} transitions; 0 is best",
            0.0,
        )
        found[f"{move}_delay_median_s"] = Metric(
            _median(f"{move}_delay_s"), None, "median of the same; 0 is best", 0.0
        )
        found[f"{move}_early_rate"] = Metric(
            share(f"{move}_early", f"{move}_right"), False, "share of the same that come early", 0.0
        )
    return found


METRICS: dict[str, Metric] = {
    **_metrics(),
    "transition_delay_mean_s": Metric(
        share("delay_s", f"moves_right_{MOMENT_S}s"),
        None,
        f"mean of predicted - reference time of transitions right within {MOMENT_S} s; 0 is best",
        0.0,
    ),
    "transition_delay_median_s": Metric(
        _median("delay_s"), None, "median of the same; 0 is best", 0.0
    ),
    "transition_early_rate": Metric(
        share("early", f"moves_right_{MOMENT_S}s"), False, "share of the same that come early", 0.0
    ),
    "joint_goal_accuracy": Metric(
        share("frames_right", "frames"), True, "frames at which the whole state is right"
    ),
    "state_behind_rate": Metric(
        share("frames_behind", "frames"),
        False,
        "frames at which a step is behind its true status: told late, or never",
        0.0,
    ),
    "state_ahead_rate": Metric(
        share("frames_ahead", "frames"),
        False,
        "frames at which a step is ahead of its true status: told early, or another was meant",
        0.0,
    ),
    "joint_goal_accuracy_events": Metric(
        share("ends_right", "ends"),
        True,
        "reference updates whose state is right on the last frame before the next update",
    ),
    "step_status_accuracy": Metric(
        share("cells_right", "cells"), True, "(frame, step) pairs with the right status"
    ),
    "final_state_accuracy": Metric(
        share("finals_right", "finals"), True, "streams whose last state is right"
    ),
    "joint_goal_accuracy_refresh": Metric(
        share("refresh_right", "refresh_frames"),
        True,
        f"joint goal accuracy in the {AFTER_REFRESH_S} s after each context refresh",
    ),
    "text_step_accuracy": Metric(
        share("text_step", "text_pairs"),
        True,
        f"right step, of transitions paired by time within {MOMENT_S} s",
    ),
    "text_move_accuracy": Metric(share("text_move", "text_pairs"), True, "right move, of the same"),
    "text_accuracy": Metric(share("text_both", "text_pairs"), True, "both right, of the same"),
    "start_accuracy": Metric(
        share("start_right_step", "start_pairs"),
        True,
        f"right step, of starts paired with reference starts by time within {MOMENT_S} s",
    ),
    "start_accuracy_told": Metric(
        share("start_told_right", "start_told"),
        True,
        "right step, of all reference starts, asked at their frame with the reference in context",
    ),
    "illegal_move_rate": Metric(
        share("moves_illegal", "moves_predicted"),
        False,
        "predicted transitions that the predicted state does not allow",
        0.0,
    ),
}
