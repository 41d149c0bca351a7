"""Scores of what was said and when (ProAssist, arXiv 2506.05904, section 5).

In: a `Prediction` and an embedder. Out: the counts of its matching, and metrics over them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from prospect.embeddings import Embed, Vectors
from prospect.errors import DataError
from prospect.metrics.match import Match, Mode, match
from prospect.metrics.moments import count_pairs
from prospect.metrics.pool import Floats, Metric, Pool, Stats, prf, ratio, share
from prospect.types import Event, Prediction

WINDOWS_S: dict[str, tuple[float, float]] = {
    "narration": (-2.5, 2.5),
    "ego4d": (-4.0, 8.5),
    "epickitchens": (-1.5, 3.0),
    "holoassist": (-1.5, 2.5),
    "egoexolearn": (-2.0, 3.5),
    "assembly101": (-2.0, 4.0),
    "wtag": (-3.0, 6.0),
}
"""dataset -> (before, after) in s: a prediction matches if ``reference - predicted`` lies in it
(ProAssist, ``eval_utils.py``)."""
DEFAULT_WINDOW_S = (-2.5, 2.5)
OVERLONG_WORDS = 60
"""More words than this in one utterance are more than somebody at work listens to: 25 s of speech
at 150 words a minute. The longest utterance of ProAssist's sample dialogues has 38."""

Utterance = tuple[int, str]
"""(frame, text)."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What one stream said and what it should have said, matched.

    Attributes:
        said, due: Predicted and reference utterances in the order of their frames.
        said_vectors, due_vectors: Unit vectors of their texts, (N, D) and (M, D).
        match: Indices are those of ``said`` and ``due``.
        mode: In which they were matched.
    """

    said: list[Utterance]
    due: list[Utterance]
    said_vectors: Vectors
    due_vectors: Vectors
    match: Match
    mode: Mode


def window_frames(dataset: str, fps: float) -> tuple[int, int]:
    """(before, after) in frames, cut towards 0 as ProAssist does: ``int(seconds * fps)``."""
    before, after = WINDOWS_S.get(dataset, DEFAULT_WINDOW_S)
    return int(before * fps), int(after * fps)


def utterances(events: tuple[Event, ...]) -> list[tuple[int, str]]:
    """(frame, text) of every event that speaks, in the order of the frames."""
    return sorted((event.frame, event.speech) for event in events if event.speech is not None)


def listen(prediction: Prediction, embed: Embed, mode: Mode = "strict") -> Heard:
    """Match what one stream said.

    Raises:
        DataError: as `prospect.metrics.match.match`, with the dialogue and system.
    """
    said = utterances(prediction.events)
    due = utterances(prediction.references)
    vectors = embed([text for _, text in said + due])
    said_vectors, due_vectors = vectors[: len(said)], vectors[len(said) :]
    try:
        found = match(
            np.array([frame for frame, _ in said], np.int64),
            np.array([frame for frame, _ in due], np.int64),
            said_vectors,
            due_vectors,
            (prediction.start_frame, prediction.stop_frame),
            window_frames(prediction.dataset, prediction.fps),
            mode,
        )
    except DataError as error:
        raise DataError(f"{prediction.dialogue_id} by {prediction.system}: {error}") from error
    return Heard(said, due, said_vectors, due_vectors, found, mode)


def stats(prediction: Prediction, heard: Heard) -> Stats:
    """Counts of one stream: pairs and right pairs, missed, redundant, sums for the means."""
    said, due, found = heard.said, heard.due, heard.match
    right = [item for item in found.pairs if item.correct]
    similar = [item.similarity for item in found.pairs if item.similarity >= 0.5]
    late = [abs(said[item.predicted][0] - due[item.reference][0]) for item in right]
    window = window_frames(prediction.dataset, prediction.fps)
    on_time = count_pairs([frame for frame, _ in said], [frame for frame, _ in due], window)
    sums = {
        "speech_correct": len(right),
        "speech_pairs": len(found.pairs),
        "speech_missed": len(found.missed),
        "speech_redundant": len(found.redundant),
        "speech_similar": len(similar),
        "speech_similarity": sum(similar),
        "speech_off_s": sum(late) / prediction.fps,
        "speech_on_time": on_time,
        "speech_said": len(said),
        "speech_due": len(due),
        "speech_repeated": sum(before == after for (_, before), (_, after) in pairwise(said)),
        "speech_empty": sum(not text.strip() for _, text in said),
        "speech_overlong": sum(len(text.split()) > OVERLONG_WORDS for _, text in said),
        "speech_proassist": int(heard.mode == "proassist"),
    }
    texts = tuple((said[item.predicted][1], due[item.reference][1]) for item in right)
    return Stats(sums, {}, texts)


def _mean_of_pairs(total: str, count: str) -> Callable[[Pool], Floats]:
    """total / count; of no pair it does not exist, or is 0 as ProAssist has it in its mode."""

    def mean(pool: Pool) -> Floats:
        value = ratio(pool[total], pool[count])
        as_zero = (pool["speech_proassist"] > 0) & (pool[count] == 0)
        return np.where(as_zero, 0.0, value)

    return mean


METRICS: dict[str, Metric] = {
    **prf("speech", "speech_correct", "speech_said", "speech_due", "utterances (time and meaning)"),
    "speech_jaccard": Metric(
        share("speech_correct", "speech_pairs", "speech_missed", "speech_redundant"),
        True,
        "right pairs of all pairs, missed and redundant utterances",
    ),
    "speech_missing_rate": Metric(
        share("speech_missed", "speech_due"), False, "missed of the reference utterances", 0.0
    ),
    "speech_redundant_rate": Metric(
        share("speech_redundant", "speech_said"), False, "redundant of the spoken utterances", 0.0
    ),
    "speech_semantic_score": Metric(
        _mean_of_pairs("speech_similarity", "speech_similar"),
        True,
        "mean similarity of pairs >= 0.5",
    ),
    "speech_time_diff_s": Metric(
        _mean_of_pairs("speech_off_s", "speech_correct"),
        False,
        "mean |dt| of the right pairs in s",
        0.0,
    ),
    **prf(
        "speech_when",
        "speech_on_time",
        "speech_said",
        "speech_due",
        "speaking moments in the window, text ignored",
    ),
    "speech_rate_ratio": Metric(
        lambda pool: ratio(pool["speech_said"], pool["speech_due"]),
        None,
        "utterances spoken per reference utterance; 1 is best",
    ),
    "speech_repeat_rate": Metric(
        share("speech_repeated", "speech_said"),
        False,
        "utterances word for word like the one before them",
        None,
    ),
    "speech_empty_rate": Metric(
        share("speech_empty", "speech_said"), False, "utterances without a word", None
    ),
    "speech_overlong_rate": Metric(
        share("speech_overlong", "speech_said"),
        False,
        f"utterances of more than {OVERLONG_WORDS} words",
        None,
    ),
}
