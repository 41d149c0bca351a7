"""Places on the time scale, the rows that are left out, and what is refused."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from prospect.embeddings import Embed
from prospect.report import timeline as module
from prospect.report.outcomes import outcomes
from prospect.report.timeline import Timeline, thumb_frames
from prospect.types import Event, Prediction, Transition

Make = Callable[..., Prediction]


Draw = Callable[[Prediction], Timeline]


@pytest.fixture
def draw(embed: Embed) -> Draw:
    return lambda made: module.timeline(made, "v0", {}, outcomes(made, embed))


def test_places_by_hand(make_prediction: Make, draw: Draw) -> None:
    start, stop = Event(3, (Transition("S1", "start"),), "Go on."), Event(6, user="And now?")
    made = replace(
        make_prediction(0, steps=1, duration_s=5.0),  # 10 frames on 1030 units
        start_frame=100,
        stop_frame=110,
        references=(replace(start, frame=103), replace(stop, frame=106)),
        events=(replace(start, frame=104),),
        refreshes=(105,),
    )
    view = draw(made)
    assert [(mark.css, mark.x) for mark in view.marks] == [
        ("ref matched", 360.5),
        ("pred matched", 463.5),
        ("user", 669.5),
    ]
    bars = {bar.css: (bar.x, bar.width) for bar in view.bars}
    assert bars["ref in_progress"] == (309.0, 721.0)
    assert bars["pred in_progress"] == (412.0, 618.0)
    assert bars["agree wrong"] == (309.0, 103.0)
    assert view.refreshes == ((566.5, "0:53.0: context rebuilt"),)
    assert [line.time for line in view.lines] == ["0:52.0", "0:52.5", "0:53.5"]
    assert view.lines[0].anchor == "v0-103"
    assert view.ticks[0] == (0.0, "0:50")
    (tie,) = view.ties
    assert (tie.css, tie.hint) == ("matched", "matched: similarity 1.00, +0.5 s")
    assert tie.path.startswith("M360.5 ")
    assert "L463.5 " in tie.path
    assert view.lines[1].prediction.note == "matched, similarity 1.00, 0.5 s late · P(speak) 0.01"
    assert view.data["errors"] == []
    assert view.data["reference"] == [(100, "nothing started"), (103, "S1 in progress")]


def test_curves(make_prediction: Make, draw: Draw) -> None:
    made = replace(
        make_prediction(0, steps=0, duration_s=1.0),
        references=(),
        events=(),
        refreshes=(),
        speak_prob=(0.0, 1.0),
        update_prob=(),
        speak_threshold=0.25,
    )
    (curve,) = draw(made).curves
    low, high = f"{curve.bottom:.1f}", f"{curve.top:.1f}"
    assert curve.area == f"M257.5 {low}L257.5 {low}L772.5 {high}L772.5 {low}Z"
    assert curve.threshold_y == curve.top + 0.75 * module.CURVE


def test_illegal_moves_are_told(make_prediction: Make, draw: Draw) -> None:
    wrong = Event(3, (Transition("S1", "complete"), Transition("S1", "start")))
    again = Event(5, (Transition("S1", "complete"),))
    made = replace(make_prediction(0, steps=1), references=(), events=(again, wrong))
    name = made.task.steps[0].name
    moves = [line.prediction.moves for line in draw(made).lines]
    assert [[(move.text, move.name, move.legal) for move in one] for one in moves] == [
        [("S1->complete", name, False), ("S1->start", name, False)],
        [("S1->complete", name, True)],
    ]
    assert {move.kind for one in moves for move in one} == {"redundant"}


def test_what_is_missing_leaves_no_row(make_prediction: Make, draw: Draw) -> None:
    made = replace(make_prediction(0, steps=0), speak_prob=(), update_prob=(), references=())
    view = draw(made)
    assert (view.thumbs, view.curves, view.bars) == ((), (), ())
    assert [label.text for label in view.labels] == [
        "User",
        "Reference speech",
        "Predicted speech",
    ]
    assert dict(view.facts)["Joint goal accuracy"] == "n/a, no steps"


def test_pictures_are_few_and_spread(make_prediction: Make) -> None:
    frames = thumb_frames(make_prediction(0, duration_s=3600.0))
    assert len(frames) == module.MAX_THUMBS
    assert (frames[0], frames[-1]) == (150, 7050)  # the middles of 24 shares of 7200 frames


def test_pictures_stand_on_their_frames(make_prediction: Make, embed: Embed) -> None:
    made = make_prediction(0, duration_s=5.0, steps=0)
    view = module.timeline(made, "v0", {3: "data:b", 1: "data:a"}, outcomes(made, embed))
    assert [(thumb.frame, thumb.x, thumb.uri) for thumb in view.thumbs] == [
        (1, 154.5, "data:a"),
        (3, 360.5, "data:b"),
    ]
    assert view.labels[0].text == "Frames"
