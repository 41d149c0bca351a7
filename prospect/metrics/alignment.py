"""Scores of labels: is each block given to the right step, and each step the right times?

In: for one video the step of every block and the `StateTrack` they lead to, as predicted and as
people have it. Out: counts, and metrics of a pool of videos.

Boundary error: every step of either track has two boundaries, its ``start`` and its last
``complete``. A step that both have counts ``|predicted - reference|`` for each. A step that only
one has counts, for each, the distance from there to the farther end of the tracks: as wrong as a
time could be. So neither leaving steps out nor adding some pays. Example: in tracks from 0 to 100 s
the reference has S1 from 0 to 40 s and S2 from 40 to 100 s, the prediction only S1 from 0 to 100 s.
S1 counts 0 and 60, S2, missed, counts max(40, 60) = 60 and max(100, 0) = 100: 220 s over 4
boundaries, an error of 55 s.
"""

from collections.abc import Sequence

import numpy as np

from prospect.errors import DataError
from prospect.metrics.moments import pair
from prospect.metrics.pool import Metric, Stats, counts_f1, share
from prospect.metrics.state import same
from prospect.types import StateTrack

TAU_S = 5
"""A transition is right within this time, as in `prospect.metrics.state`."""
_MS = 1000


def stats(
    predicted: Sequence[str | None],
    reference: Sequence[str | None],
    predicted_track: StateTrack,
    reference_track: StateTrack,
) -> Stats:
    """Counts of one video.

    Args:
        predicted, reference: The step of every block, None for no step; both of one length.
        predicted_track, reference_track: With ``reopen`` or without, both alike.

    Raises:
        DataError: the two are of different lengths; names the video.
    """
    if len(predicted) != len(reference):
        raise DataError(
            f"video {reference_track.video_id}: {len(predicted)} blocks predicted, "
            f"{len(reference)} in the reference; align the same blocks"
        )
    tracks = (predicted_track.transitions, reference_track.transitions)
    times = [np.array([round(item.time_s * _MS) for item in track], np.int64) for track in tracks]
    moves = [[item.transition for item in track] for track in tracks]
    pairs = pair(times[0], times[1], TAU_S * _MS, same(moves[0], moves[1]))
    errors_s = boundary_errors(predicted_track, reference_track)
    return Stats(
        {
            "blocks": len(reference),
            "blocks_right": sum(map(lambda a, b: a == b, predicted, reference)),
            "boundaries": len(errors_s),
            "boundary_error_s": sum(errors_s),
            "moves_predicted": len(moves[0]),
            "moves_reference": len(moves[1]),
            "moves_right": len(pairs),
        },
        {},
    )


def boundary_errors(predicted: StateTrack, reference: StateTrack) -> list[float]:
    """The error in s of both boundaries of every step that either track has."""
    sides = [_boundaries(predicted), _boundaries(reference)]
    every = [time_s for side in sides for times in side.values() for time_s in times]
    found = []
    for step_id in dict.fromkeys([*sides[0], *sides[1]]):
        spans = [side[step_id] for side in sides if step_id in side]
        if len(spans) == 2:
            found += [abs(ours - true) for ours, true in zip(*spans, strict=True)]
        else:
            found += [max(time_s - min(every), max(every) - time_s) for time_s in spans[0]]
    return found


def _boundaries(track: StateTrack) -> dict[str, tuple[float, float]]:
    """step_id -> when it starts, and when it is completed for good."""
    found: dict[str, tuple[float, float]] = {}
    for item in track.transitions:
        first_s, _ = found.get(item.transition.step_id, (item.time_s, 0.0))
        found[item.transition.step_id] = (first_s, item.time_s)
    return found


METRICS: dict[str, Metric] = {
    "block_accuracy": Metric(share("blocks_right", "blocks"), True, "blocks with the right step"),
    "boundary_error_s": Metric(
        share("boundary_error_s", "boundaries"),
        False,
        "mean error of the start and the last completion of every step in s",
        0.0,
    ),
    f"transition_f1_{TAU_S}s": Metric(
        counts_f1("moves_right", "moves_predicted", "moves_reference"),
        True,
        f"F1 of transitions with right step and move within {TAU_S} s",
    ),
}
