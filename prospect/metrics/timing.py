"""When to speak, as other benchmarks score it: PAUC, Timeliness-F1, decisions at fixed points.

In: a `Prediction` and its `Heard`. Out: counts for

- PAUC (ProactiveVideoQA, Wang et al. 2025, arXiv 2507.09313, section 3): area under the curve of
  how right the replies so far are, over the time in which a reply is wanted;
- Timeliness-F1 (SPOT-Bench, Chatterjee et al. 2026, arXiv 2604.24317, and its scorer): an utterance
  counts fully close to its moment and less the farther away it is;
- macro-F1 and G-mean F1 of "speak or be silent" (EgoProactive and PWR, Kundu et al. 2026,
  arXiv 2606.04970) at fixed decision points.

Their judges of meaning are language models; here it is the cosine that `match` uses. So these are
their definitions, not their numbers. The moments of both decisions within 2, 5 and 10 s stand here
as well.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from prospect.metrics.decisions import DECISIONS, moments
from prospect.metrics.match import CORRECT_ABOVE
from prospect.metrics.moments import count_pairs, frames_of
from prospect.metrics.pool import Floats, Ints, Metric, Pool, Stats, counts_f1, prf, share
from prospect.metrics.speech import Heard
from prospect.types import Prediction

TAUS_S = (2, 5, 10)
SPAN_S = 10.0
"""A reference is wanted from its frame on until the next one, for so long at most."""
OMEGA = 0.5
"""How much PAUC forgives lateness, 0 to 1; the paper's choice."""
NO_REPLY = 0.25
"""What silence is worth in PAUC: the paper's 0.5 of 2, more than a reply that is all wrong."""

OFFSET_S = 1.5
SIGMA_EARLY_S, SIGMA_LATE_S = 2.22, 1.11
"""Full worth within the offset, Gaussian slopes outside it: SPOT-Bench's values for guidance
through steps (SPG)."""
LEAST_TIMELINESS = 0.05
OCCUPANCY = 5
"""So many utterances may belong to one reference before more of them count as false."""

POINT_S = 5.0
"""Decision points: the stream in pieces of so many seconds, the last one maybe shorter."""


def stats(prediction: Prediction, heard: Heard) -> Stats:
    """Counts of one stream."""
    sums: dict[str, float] = {}
    for decision in DECISIONS:
        did = moments(prediction.events, decision)
        due = moments(prediction.references, decision)
        for tau in TAUS_S:
            tolerance = frames_of(tau, prediction.fps)
            sums[f"{decision}_hits_{tau}s"] = count_pairs(did, due, (-tolerance, tolerance))
    sums |= _pauc(prediction, heard) | _timeliness(prediction, heard) | _points(prediction, heard)
    return Stats(sums, {})


def area(
    replies: Sequence[tuple[float, float]], span: tuple[float, float], omega: float = OMEGA
) -> float:
    """PAUC of one reference: mean over the span of how right the replies so far are.

    Args:
        replies: (time, how right all replies up to this one are together, 0 to 1), sorted by
            time, all in the span.
        span: (start, stop), in the unit of the times; start < stop.
        omega: Times are drawn towards the start by this share; 1 ignores lateness.
    """
    start, stop = span
    total, held, since = 0.0, NO_REPLY, start
    for time, right in replies:
        at = start + (1 - omega) * (time - start)
        total += (at - since) * held
        held, since = right, at
    return (total + (stop - since) * held) / (stop - start)


def _pauc(prediction: Prediction, heard: Heard) -> dict[str, float]:
    """A reference's replies are the utterance matched with it and the redundant ones in its span.

    How right replies are together is their mean similarity, so that a wrong one lowers all that
    follows. A matched reply that came early is known when the reference begins to be wanted.
    """
    starts = np.array([frame for frame, _ in heard.due], np.int64)
    stops = np.append(starts[1:], prediction.stop_frame)
    stops = np.minimum(stops, starts + SPAN_S * prediction.fps)
    replies: list[list[tuple[int, float]]] = [[] for _ in heard.due]
    for pair in heard.match.pairs:
        frame = max(heard.said[pair.predicted][0], int(starts[pair.reference]))
        frame = min(frame, int(stops[pair.reference]))
        replies[pair.reference].append((frame, pair.similarity))
    redundant = np.array(heard.match.redundant, np.int64)
    frames = np.array([heard.said[index][0] for index in redundant], np.int64)
    places = np.searchsorted(starts, frames, side="right") - 1
    wanted = places >= 0
    wanted[wanted] = frames[wanted] < stops[places[wanted]]
    right = _similarity(heard, redundant[wanted], places[wanted])
    for frame, place, worth in zip(frames[wanted], places[wanted], right, strict=True):
        replies[place].append((int(frame), float(worth)))
    total = 0.0
    for place, found in enumerate(replies):
        found.sort()
        so_far = [
            (float(frame), sum(right for _, right in found[: count + 1]) / (count + 1))
            for count, (frame, _) in enumerate(found)
        ]
        total += area(so_far, (float(starts[place]), float(stops[place])))
    return {"pauc": total}


def _similarity(heard: Heard, said: Ints, due: Ints) -> Floats:
    """As the matcher has it, of pairs of indices, (N,) each."""
    said_vectors, due_vectors = heard.said_vectors[said], heard.due_vectors[due]
    cosine = np.einsum("ed,ed->e", said_vectors, due_vectors)
    rounded: Floats = np.round(np.abs(cosine), 5).astype(np.float64)
    return rounded


def timeliness(late_s: float) -> float:
    """What an utterance is worth, 0 to 1, that comes ``late_s`` after its moment (< 0: before)."""
    outside = max(abs(late_s) - OFFSET_S, 0.0)
    sigma = SIGMA_EARLY_S if late_s < 0 else SIGMA_LATE_S
    return math.exp(-(outside**2) / (2 * sigma**2))


def _timeliness(prediction: Prediction, heard: Heard) -> dict[str, float]:
    """Each utterance, in order, may serve every open reference that it fits in time and meaning."""
    reach = math.sqrt(-2 * math.log(LEAST_TIMELINESS))
    early, late = (OFFSET_S + sigma * reach for sigma in (SIGMA_EARLY_S, SIGMA_LATE_S))
    said_s, due_s = (
        np.array([frame for frame, _ in side]) / prediction.fps for side in (heard.said, heard.due)
    )
    first = np.searchsorted(due_s, said_s - late)
    counts = np.minimum(np.searchsorted(due_s, said_s + early) + 1, len(due_s)) - first
    rows = np.repeat(np.arange(len(said_s)), counts)
    places = np.arange(len(rows)) + np.repeat(first - np.cumsum(counts) + counts, counts)
    right = _similarity(heard, rows, places) > CORRECT_ABOVE
    best = np.zeros(len(due_s))
    served = np.zeros(len(due_s), int)
    useful: set[int] = set()
    for row, place in zip(rows[right].tolist(), places[right].tolist(), strict=True):
        worth = timeliness(said_s[row] - due_s[place])
        if worth >= LEAST_TIMELINESS and served[place] < OCCUPANCY:
            served[place] += 1
            best[place] = max(best[place], worth)
            useful.add(row)
    num_served = int((served > 0).sum())
    return {
        "timely": float(best.sum()),
        "timely_said": num_served + len(heard.said) - len(useful),
    }


def _points(prediction: Prediction, heard: Heard) -> dict[str, float]:
    """How many pieces of the stream somebody speaks in: both, one alone, neither."""
    length = POINT_S * prediction.fps
    num_points = math.ceil((prediction.stop_frame - prediction.start_frame) / length)

    def speaks(utterances: Sequence[tuple[int, str]]) -> npt.NDArray[np.bool_]:
        found = np.zeros(num_points, bool)
        found[[int((frame - prediction.start_frame) / length) for frame, _ in utterances]] = True
        return found

    did, due = speaks(heard.said), speaks(heard.due)
    return {
        "points_both": int((did & due).sum()),
        "points_neither": int((~did & ~due).sum()),
        "points_said": int(did.sum()),
        "points_due": int(due.sum()),
        "points_not_said": int((~did).sum()),
        "points_not_due": int((~due).sum()),
    }


_speak_f1 = counts_f1("points_both", "points_said", "points_due")
_silent_f1 = counts_f1("points_neither", "points_not_said", "points_not_due")


def _macro_f1(pool: Pool) -> Floats:
    mean: Floats = (_speak_f1(pool) + _silent_f1(pool)) / 2
    return mean


def _gmean_f1(pool: Pool) -> Floats:
    mean: Floats = np.sqrt(_speak_f1(pool) * _silent_f1(pool))
    return mean


def _decisions() -> dict[str, Metric]:
    found: dict[str, Metric] = {}
    for decision in DECISIONS:
        for tau in TAUS_S:
            names = (f"{decision}_hits_{tau}s", f"{decision}_did", f"{decision}_due")
            what = f"{decision} moments within {tau} s"
            found |= prf(f"{decision}_decision_{{}}_{tau}s", *names, what)
    return found


METRICS: dict[str, Metric] = {
    **_decisions(),
    "pauc": Metric(
        share("pauc", "speech_due"),
        True,
        f"area under how right the replies so far are, while one is wanted (omega {OMEGA})",
    ),
    **prf("timeliness", "timely", "timely_said", "speech_due", "utterances, weighed by timeliness"),
    "point_speak_f1": Metric(
        _speak_f1, True, f"F1 of the pieces of {POINT_S:g} s in which somebody speaks"
    ),
    "point_silent_f1": Metric(_silent_f1, True, "F1 of the pieces in which nobody speaks"),
    "point_macro_f1": Metric(_macro_f1, True, "mean of the two"),
    "point_gmean_f1": Metric(_gmean_f1, True, "geometric mean of the two"),
}
