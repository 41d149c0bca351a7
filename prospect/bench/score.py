"""Matching utterances: only the frames of the windows, against all frames of the video squared.

The plain way is what ProAssist's published code does: costs of every frame with every frame as
dense matrices, then the rows of the speaking ones as a sparse matrix.
"""

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from prospect.metrics.match import DISTANCE_FACTOR, DISTANCE_POWER, match

NUM_FRAMES, NUM_UTTERANCES, DIM = 14_400, 700, 384
"""Two hours at 2 frames a second."""
WINDOW = (-8, 17)
"""The widest of ProAssist's, in frames: ego4d's."""
_LONG = 4
"""For the growth of memory: a video so many times as long, with as many times the utterances."""

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def bench_score() -> dict[str, Any]:
    """Match one two-hour video both ways.

    Returns:
        ``match_ratio``, the plain way's time over ours; below ``score`` the seconds of each, the
        peak bytes that ours allocates there and for a video four times as long, and whether both
        found the same pairs.
    """
    case, longer = _case(1), _case(_LONG)
    ours_s, ours = _fastest(lambda: _ours(*case), 5)
    plain_s, plain = _fastest(lambda: _plain(*case), 1)
    return {
        "match_ratio": plain_s / ours_s,
        "score": {
            "num_frames": NUM_FRAMES,
            "num_utterances": NUM_UTTERANCES,
            "ours_s": ours_s,
            "plain_s": plain_s,
            "same_pairs": ours == plain,
            "ours_peak_bytes": _peak_bytes(lambda: _ours(*case)),
            "ours_peak_bytes_4_times_as_long": _peak_bytes(lambda: _ours(*longer)),
        },
    }


def _case(times: int) -> tuple[Ints, Ints, Floats, Floats, int]:
    """Speaking frames and sentence vectors of both sides; number of frames."""
    rng = np.random.default_rng(0)
    num_frames, count = NUM_FRAMES * times, NUM_UTTERANCES * times
    said, due = (np.sort(rng.choice(num_frames, count, replace=False)) for _ in range(2))
    vectors = rng.normal(size=(2, count, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    vectors[0] = 0.6 * vectors[0] + 0.8 * vectors[1]  # some alike, so that pairs are found
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    return said, due, vectors[0], vectors[1], num_frames


def _ours(
    said: Ints, due: Ints, said_vectors: Floats, due_vectors: Floats, num_frames: int
) -> set[tuple[int, int]]:
    found = match(said, due, said_vectors, due_vectors, (0, num_frames), WINDOW, "proassist")
    return {(pair.predicted, pair.reference) for pair in found.pairs}


def _plain(
    said: Ints, due: Ints, said_vectors: Floats, due_vectors: Floats, num_frames: int
) -> set[tuple[int, int]]:
    """Frames squared: 0.8 GB a matrix at two hours."""
    talk = np.full((2, num_frames), -1.0, np.float32)
    talk[0, said] = talk[1, due] = 1
    cost = (1 - np.outer(talk[0], talk[1])) / 2
    similarity = np.abs(said_vectors @ due_vectors.T)
    cost[np.ix_(said, due)] = 1 - similarity
    frames = np.arange(num_frames, dtype=np.float32)
    ahead = frames[None, :] - frames[:, None]
    distance = np.abs(ahead) ** DISTANCE_POWER
    distance *= DISTANCE_FACTOR / max(-WINDOW[0], WINDOW[1]) ** DISTANCE_POWER
    distance[(ahead < WINDOW[0]) | (ahead > WINDOW[1])] = np.inf
    cost += distance
    rows = cost[said]
    row, column = np.nonzero(np.isfinite(rows))
    graph = csr_matrix((rows[row, column].astype(np.float64), (row, column)), shape=rows.shape)
    index, frame = min_weight_full_bipartite_matching(graph)
    place = {int(at): number for number, at in enumerate(due)}
    return {(int(i), place[int(j)]) for i, j in zip(index, frame, strict=True) if int(j) in place}


def _fastest(
    work: Callable[[], set[tuple[int, int]]], times: int
) -> tuple[float, set[tuple[int, int]]]:
    """Least seconds of several runs, and what the last found."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        found = work()
        seconds.append(time.perf_counter() - began)
    return min(seconds), found


def _peak_bytes(work: Callable[[], object]) -> int:
    """The most memory that Python and numpy hold at once during the work."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
