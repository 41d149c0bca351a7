"""What became of every utterance and transition: matched, mismatched, missed or redundant.

In: a `Prediction`. Out: `Outcome`s, which timeline, gallery, confusion and histograms all show.
Utterances are matched as scores match them (`prospect.metrics.match`). Transitions are matched as
in transition F1 within `MOMENT_S`: equal step and move, most pairs first. Those of the rest that
lie within `MOMENT_S` of each other are mismatched: one was taken for the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import numpy as np

from prospect.embeddings import Embed
from prospect.metrics.match import Mode
from prospect.metrics.moments import frames_of, pair
from prospect.metrics.speech import listen
from prospect.metrics.state import MOMENT_S, TAUS_S, Moves, moves_of, same
from prospect.types import Prediction, Transition

T = TypeVar("T")
Kind = Literal["matched", "mismatched", "missed", "redundant"]


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """One reference, one prediction, or both where they were paired; each as (frame, what).

    Attributes:
        similarity: |cosine| of the two texts; None for transitions and the unpaired.
    """

    kind: Kind
    due: tuple[int, T] | None
    did: tuple[int, T] | None
    similarity: float | None = None

    @property
    def frame(self) -> int:
        """Where to look: the predicted frame, or that of the reference nobody answered."""
        found = self.did or self.due
        assert found is not None  # an outcome is of something
        return found[0]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """All of one prediction, each kind of thing in the order of frames."""

    speech: tuple[Outcome[str], ...]
    transitions: tuple[Outcome[Transition], ...]

    def num_errors(self) -> int:
        """How many are not matched."""
        kinds = [item.kind for item in self.speech] + [item.kind for item in self.transitions]
        return len(kinds) - kinds.count("matched")


def outcomes(prediction: Prediction, embed: Embed, mode: Mode = "strict") -> Outcomes:
    """Both kinds; ``mode`` is of the matching of utterances."""
    return Outcomes(speech_outcomes(prediction, embed, mode), transition_outcomes(prediction))


def speech_outcomes(prediction: Prediction, embed: Embed, mode: Mode) -> tuple[Outcome[str], ...]:
    """Every utterance of either side once."""
    heard = listen(prediction, embed, mode)
    found: list[Outcome[str]] = [
        Outcome(
            "matched" if item.correct else "mismatched",
            heard.due[item.reference],
            heard.said[item.predicted],
            item.similarity,
        )
        for item in heard.match.pairs
    ]
    found += [Outcome("missed", heard.due[index], None) for index in heard.match.missed]
    found += [Outcome("redundant", None, heard.said[index]) for index in heard.match.redundant]
    return tuple(sorted(found, key=lambda item: item.frame))


def transition_outcomes(prediction: Prediction) -> tuple[Outcome[Transition], ...]:
    """Every transition of either side once."""
    did, due = moves_of(prediction.events), moves_of(prediction.references)
    tolerance = frames_of(MOMENT_S, prediction.fps)
    equal = pair(did.frames, due.frames, tolerance, same(did.transitions, due.transitions))
    left = _others(did, [index for index, _ in equal])
    right = _others(due, [index for _, index in equal])
    near = pair(did.frames[left], due.frames[right], tolerance)
    taken = [(left[i], right[j]) for i, j in near]
    found = [Outcome("matched", _at(due, j), _at(did, i)) for i, j in equal]
    found += [Outcome("mismatched", _at(due, j), _at(did, i)) for i, j in taken]
    found += [Outcome("missed", _at(due, j), None) for j in right if j not in {b for _, b in taken}]
    found += [
        Outcome("redundant", None, _at(did, i)) for i in left if i not in {a for a, _ in taken}
    ]
    return tuple(sorted(found, key=lambda item: item.frame))


def transition_offsets_s(prediction: Prediction) -> list[float]:
    """Predicted minus reference time in s of equal transitions within the widest of `TAUS_S`."""
    did, due = moves_of(prediction.events), moves_of(prediction.references)
    equal = same(did.transitions, due.transitions)
    pairs = pair(did.frames, due.frames, frames_of(TAUS_S[-1], prediction.fps), equal)
    return [int(did.frames[i] - due.frames[j]) / prediction.fps for i, j in pairs]


def speech_offsets_s(prediction: Prediction, found: Sequence[Outcome[str]]) -> list[float]:
    """Predicted minus reference time in s of the matched utterances."""
    return [
        (item.did[0] - item.due[0]) / prediction.fps
        for item in found
        if item.kind == "matched" and item.did and item.due
    ]


def _at(moves: Moves, index: int) -> tuple[int, Transition]:
    return int(moves.frames[index]), moves.transitions[index]


def _others(moves: Moves, taken: Sequence[int]) -> list[int]:
    left: list[int] = np.setdiff1d(np.arange(len(moves.frames)), taken).tolist()
    return left
