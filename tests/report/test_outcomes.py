"""Outcomes of hand-made streams, and their agreement with the scores."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from prospect.embeddings import Embed
from prospect.metrics import speech, state
from prospect.report.outcomes import (
    outcomes,
    speech_offsets_s,
    transition_offsets_s,
    transition_outcomes,
)
from prospect.types import Event, Prediction, Transition

Make = Callable[..., Prediction]
START, OTHER = Transition("S1", "start"), Transition("S2", "start")


def stream(make: Make, due: list[Event], did: list[Event]) -> Prediction:
    return replace(make(0, steps=3), references=tuple(due), events=tuple(did))


def test_transitions_by_hand(make_prediction: Make) -> None:
    due = [Event(10, (START,)), Event(60, (OTHER,)), Event(200, (Transition("S3", "start"),))]
    did = [
        Event(8, (OTHER,)),  # near S1, but S1 itself comes within 5 s
        Event(15, (START,)),
        Event(66, (Transition("S3", "start"),)),
        Event(300, (Transition("S3", "complete"),)),
    ]
    found = transition_outcomes(stream(make_prediction, due, did))
    assert [(item.kind, item.frame) for item in found] == [
        ("redundant", 8),
        ("matched", 15),
        ("mismatched", 66),
        ("missed", 200),
        ("redundant", 300),
    ]
    assert found[2].due == (60, OTHER)


def test_offsets_by_hand(make_prediction: Make, embed: Embed) -> None:
    due = [Event(10, (START,)), Event(40, speech="Now the wheel.")]
    did = [Event(28, (START,)), Event(38, speech="Now the wheel.")]
    made = stream(make_prediction, due, did)
    assert transition_offsets_s(made) == [9.0]  # beyond 5 s, so no match, but within 10 s
    assert speech_offsets_s(made, outcomes(made, embed).speech) == [-1.0]


def test_speech_by_hand(make_prediction: Make, embed: Embed) -> None:
    due = [Event(10, speech="One."), Event(40, speech="Two."), Event(80, speech="Three.")]
    did = [Event(11, speech="One."), Event(40, speech="Else."), Event(120, speech="Three.")]
    found = outcomes(stream(make_prediction, due, did), embed)
    assert [(item.kind, item.frame) for item in found.speech] == [
        ("matched", 11),
        ("mismatched", 40),
        ("missed", 80),
        ("redundant", 120),
    ]
    assert found.num_errors() == 3


@pytest.mark.parametrize("seed", range(4))
def test_counts_are_those_of_the_scores(make_prediction: Make, embed: Embed, seed: int) -> None:
    made = make_prediction(seed)
    found = outcomes(made, embed)
    counts = state.stats(made).sums
    kinds = [item.kind for item in found.transitions]
    assert kinds.count("matched") == counts["moves_right_5s"]
    assert len(kinds) - kinds.count("missed") == counts["moves_predicted"]
    assert len(kinds) - kinds.count("redundant") == counts["moves_reference"]
    said = speech.stats(made, speech.listen(made, embed)).sums
    kinds = [item.kind for item in found.speech]
    assert kinds.count("matched") == said["speech_correct"]
    assert kinds.count("missed") == said["speech_missed"]
    assert kinds.count("redundant") == said["speech_redundant"]
