"""Which errors are shown, in what order, and where they lead."""

from collections.abc import Callable
from dataclasses import replace

from prospect.embeddings import Embed
from prospect.report import gallery
from prospect.report.outcomes import outcomes
from prospect.types import Event, Prediction, Transition

Make = Callable[..., Prediction]


def test_by_hand(make_prediction: Make, embed: Embed) -> None:
    probs = [0.0] * 360
    probs[100], probs[200], probs[52] = 0.7, 0.9, 0.25
    made = replace(
        make_prediction(0, steps=2),
        references=(Event(10, (Transition("S1", "start"),)), Event(50, speech="Now.")),
        events=(Event(100, speech="Hm."), Event(200, speech="Oh.")),
        speak_prob=tuple(probs),
        update_prob=(),
    )
    chosen = gallery.worst([made], [outcomes(made, embed)])
    (row_moved, row_missed, row_redundant) = gallery.rows(chosen, [made], ["v7"], [{200: "data:x"}])
    assert [card.case.did for card in row_redundant.cards] == ["Oh.", "Hm."]
    assert [card.uri for card in row_redundant.cards] == ["data:x", ""]
    assert row_redundant.cards[0].anchor == "v7-200"
    assert row_redundant.cards[0].case.hint == "P(speak) 0.90"
    assert row_missed.title == "Missed utterances"
    assert row_missed.cards[0].case.hint == "P(speak) at most 0.25 around it"
    assert row_moved.cards[0].case.due == f"S1->start {made.task.steps[0].name}"
    assert row_moved.cards[0].case.hint == ""  # no probabilities


def test_one_bad_video_does_not_fill_a_row(make_prediction: Make, embed: Embed) -> None:
    bad = replace(
        make_prediction(0),
        references=(),
        events=tuple(Event(frame, speech="Hm.") for frame in range(0, 300, 10)),
        speak_prob=(1.0,) * 360,
    )
    good = replace(bad, events=bad.events[:4], speak_prob=(0.5,) * 360)
    total, cases = gallery.worst([bad], [outcomes(bad, embed)])["speech", "redundant"]
    assert (total, len(cases)) == (30, gallery.NUM_CASES)
    many = [bad, *[good] * 3]
    _, cases = gallery.worst(many, [outcomes(one, embed) for one in many])["speech", "redundant"]
    assert sorted(case.place for case in cases) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_perfect_system_has_none(make_prediction: Make, embed: Embed) -> None:
    made = make_prediction(0)
    made = replace(made, events=tuple(replace(one, user=None) for one in made.references))
    assert gallery.rows(gallery.worst([made], [outcomes(made, embed)]), [made], ["v0"], [{}]) == ()
