"""Diagnostics of a run that was told the references, and what its record says of tokens and time.

In: a `Prediction`. Out: totals for language-model perplexity, token accuracy, fluency and time
difference (VideoLLM-online, Chen et al. 2024, arXiv 2406.11816, section 4, and its code), for
tokens per update, for moves written without constraint, and for speed. They say nothing of a run
that feeds itself, so they rank nobody.

`predict` leaves these numbers in ``details``: those of `TEXT` where it was told the references,
``update_tokens`` and ``frames_per_s`` where it wrote and was timed. What a record doesn't have
is not counted.
"""

import math
from collections.abc import Sequence

import numpy as np

from prospect.errors import DataError
from prospect.metrics.decisions import moments
from prospect.metrics.pool import Floats, Metric, Pool, Stats, ratio, share
from prospect.types import Prediction

TEXT: tuple[str, ...] = ("lm_nll", "lm_tokens", "lm_right", "lm_fluency", "lm_turns")
"""Keys of ``details``: sum over the reference texts' tokens of the negative log-likelihood (nats);
number of these tokens; how many of them are the most likely ones; sum over turns of fluency, the
share of a turn's decisions and tokens that are right before the first error; number of turns."""
FREE: tuple[str, ...] = ("written_moves", "illegal_moves", "unreadable_moves")
"""Keys of ``details`` of what was written without constraint: pieces between commas; those that the
state doesn't allow; those that are no transitions."""


def stats(prediction: Prediction) -> Stats:
    """Totals of one stream; 0 for what its record doesn't hold."""
    names = ("update_tokens", "token_updates", "timed_frames", "timed_s", "timed_video_s")
    sums = dict.fromkeys((*TEXT, *FREE, *names), 0.0)
    details = numbers(prediction)
    sums |= {key: details[key] for key in (*TEXT, *FREE) if key in details}
    if "update_tokens" in details:
        sums["update_tokens"] = details["update_tokens"]
        sums["token_updates"] = len(moments(prediction.events, "update"))
    if "frames_per_s" in details:
        num_frames = prediction.stop_frame - prediction.start_frame
        sums["timed_frames"] = num_frames
        sums["timed_s"] = num_frames / details["frames_per_s"]
        sums["timed_video_s"] = num_frames / prediction.fps
    off_s = time_differences(prediction)
    sums["told_turns"], sums["told_off_s"] = len(off_s), sum(off_s)
    return Stats(sums, {})


def numbers(prediction: Prediction) -> dict[str, float]:
    """The numbers in ``details`` that are scored.

    Raises:
        DataError: some of `TEXT` or of `FREE` without the others, or what is no number above 0.
    """
    where = f"{prediction.dialogue_id} by {prediction.system}"
    for names in (TEXT, FREE):
        present = [key for key in names if key in prediction.details]
        if present and len(present) < len(names):
            lacking = [key for key in names if key not in present]
            raise DataError(f"{where}: details has {present[0]} but not {', '.join(lacking)}")
    found: dict[str, float] = {}
    for key in (*TEXT, *FREE, "update_tokens", "frames_per_s"):
        if key in prediction.details:
            value = prediction.details[key]
            if not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
                raise DataError(f"{where}: details.{key} is {value!r}; it must be a number >= 0")
            found[key] = value
    if found.get("frames_per_s") == 0:
        raise DataError(f"{where}: details.frames_per_s is 0; it must be positive")
    return found


def time_differences(prediction: Prediction) -> list[float]:
    """Seconds between each reference utterance and when a told system would have spoken, (turns,).

    A turn is the frames since the last one that anybody spoke at. The system would have spoken at
    the first of them whose probability is over the threshold; if at none, at the first such frame
    of the next turn, of which no more are looked at than the turn has before its own. (There
    VideoLLM-online hides the reference's words; a record has the probabilities with them.)
    """
    if prediction.fed not in ("reference_dialogue", "oracle") or not prediction.speak_prob:
        return []
    fires = np.array(prediction.speak_prob) > prediction.speak_threshold
    spoken = sorted(
        event.frame - prediction.start_frame
        for event in prediction.references
        if event.speech is not None or event.user is not None
    )
    due = [frame - prediction.start_frame for frame in moments(prediction.references, "speak")]
    starts = [max((frame + 1 for frame in spoken if frame < end), default=0) for end in due]
    return [
        _frames_off(fires, starts[turn], due[turn], due[turn + 1 : turn + 2]) / prediction.fps
        for turn in range(len(due))
    ]


def _frames_off(fires: np.ndarray, start: int, end: int, following: Sequence[int]) -> int:
    """|frames| from ``end`` to the first that fires in ``[start, end]``, else after it."""
    early = np.flatnonzero(fires[start : end + 1])
    if len(early):
        return end - start - int(early[0])
    ahead = min(following[0] - end, end - start) if following else 0
    late = np.flatnonzero(fires[end + 1 : end + 1 + ahead])
    return int(late[0]) + 1 if len(late) else ahead


def _unusable(pool: Pool) -> Floats:
    return ratio(pool["illegal_moves"] + pool["unreadable_moves"], pool["written_moves"])


def _perplexity(pool: Pool) -> Floats:
    perplexity: Floats = np.exp(ratio(pool["lm_nll"], pool["lm_tokens"]))
    return perplexity


METRICS: dict[str, Metric] = {
    "lm_perplexity": Metric(
        _perplexity, False, "exp of the mean loss a token of the reference texts, told", None
    ),
    "lm_token_accuracy": Metric(
        share("lm_right", "lm_tokens"), True, "tokens of the reference texts most likely, told"
    ),
    "lm_fluency": Metric(
        share("lm_fluency", "lm_turns"), True, "share of a turn right before its first error, told"
    ),
    "told_time_diff_s": Metric(
        share("told_off_s", "told_turns"),
        False,
        "mean |dt| of when it would have spoken, told all before, in s",
        0.0,
    ),
    "tokens_per_update": Metric(
        share("update_tokens", "token_updates"), None, "tokens written an update", None
    ),
    "unusable_move_rate": Metric(
        _unusable, False, "moves written without constraint that are illegal or no moves", None
    ),
    "frames_per_s": Metric(
        share("timed_frames", "timed_s"), True, "frames streamed a second", None
    ),
    "real_time_factor": Metric(
        share("timed_s", "timed_video_s"),
        False,
        "seconds of work a second of video; below 1 keeps up",
        None,
    ),
}
