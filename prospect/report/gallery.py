"""The worst errors, to look at: missed, redundant and wrong utterances and transitions.

In: predictions with their outcomes. Out: for each kind of error the `Case`s the system was surest
of, or blindest to; with pictures they become the `Card`s of the page.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prospect.clock import event_time_s
from prospect.metrics.moments import frames_of
from prospect.metrics.speech import window_frames
from prospect.metrics.state import MOMENT_S
from prospect.report import svg
from prospect.report.outcomes import Kind, Outcome, Outcomes
from prospect.states.notation import format_transition
from prospect.types import Prediction, Transition

NUM_CASES = 8
"""Of each kind."""
_PER_VIDEO = 2
"""So many of a kind from one video, so that one bad video does not fill a row."""

HEADINGS: Mapping[tuple[str, Kind], tuple[str, str]] = {
    ("transition", "mismatched"): ("Wrong transitions", "surest first"),
    ("transition", "missed"): ("Missed transitions", "lowest P(update) around them first"),
    ("transition", "redundant"): ("Redundant transitions", "surest first"),
    ("speech", "mismatched"): ("Wrong utterances", "least similar first"),
    ("speech", "missed"): ("Missed utterances", "lowest P(speak) around them first"),
    ("speech", "redundant"): ("Redundant utterances", "surest first"),
}
"""(what, kind of outcome) -> (heading, order)."""


@dataclass(frozen=True, slots=True)
class Case:
    """An error of the prediction at ``place`` in the list of those shown; lowest ``rank`` first."""

    place: int
    frame: int
    time: str
    due: str
    did: str
    hint: str
    rank: float


@dataclass(frozen=True, slots=True)
class Card:
    """A case as the page shows it; ``uri`` is empty without a picture."""

    case: Case
    video_id: str
    anchor: str
    uri: str


@dataclass(frozen=True, slots=True)
class Row:
    """All cards of one kind; ``total`` counts every such error, shown or not."""

    title: str
    order: str
    total: int
    cards: tuple[Card, ...]


def worst(
    predictions: Sequence[Prediction], found: Sequence[Outcomes]
) -> dict[tuple[str, Kind], tuple[int, tuple[Case, ...]]]:
    """For each kind of error how many there are, and the worst; at most `_PER_VIDEO` a video
    while there are enough videos."""
    cases: dict[tuple[str, Kind], list[Case]] = {key: [] for key in HEADINGS}
    for place, (prediction, outcomes) in enumerate(zip(predictions, found, strict=True)):
        for said in outcomes.speech:
            if said.kind != "matched":
                cases["speech", said.kind].append(_said(prediction, place, said))
        for moved in outcomes.transitions:
            if moved.kind != "matched":
                cases["transition", moved.kind].append(_moved(prediction, place, moved))
    return {key: (len(items), _choose(items)) for key, items in cases.items()}


def rows(
    chosen: Mapping[tuple[str, Kind], tuple[int, tuple[Case, ...]]],
    predictions: Sequence[Prediction],
    keys: Sequence[str],
    uris: Sequence[Mapping[int, str]],
) -> tuple[Row, ...]:
    """Cards with pictures and the anchors of `transcript.lines`; kinds without errors are left out.

    Args:
        chosen: From `worst` of the same predictions.
        predictions: Those shown on the page.
        keys: Of the timeline of each.
        uris: frame -> picture, of each.
    """
    found = []
    for key, (total, cases) in chosen.items():
        cards = tuple(
            Card(
                case,
                predictions[case.place].video_id,
                f"{keys[case.place]}-{case.frame}",
                uris[case.place].get(case.frame, ""),
            )
            for case in cases
        )
        if cards:
            found.append(Row(*HEADINGS[key], total, cards))
    return tuple(found)


def _choose(cases: Sequence[Case]) -> tuple[Case, ...]:
    ranked = sorted(cases, key=lambda case: (case.rank, case.place, case.frame))
    taken: Counter[int] = Counter()
    first, rest = list[Case](), list[Case]()
    for case in ranked:
        (first if taken[case.place] < _PER_VIDEO else rest).append(case)
        taken[case.place] += 1
    kept = sorted([*first, *rest][:NUM_CASES], key=lambda case: case.rank)
    return tuple(kept)


def _said(prediction: Prediction, place: int, item: Outcome[str]) -> Case:
    due = item.due[1] if item.due else ""
    did = item.did[1] if item.did else ""
    probs = prediction.speak_prob
    if item.similarity is not None:
        rank, hint = item.similarity, f"similarity {item.similarity:.2f}"
    elif item.did:
        rank, hint = _surest(prediction, probs, item.did[0], "speak")
    else:
        before, after = window_frames(prediction.dataset, prediction.fps)
        # a prediction at i may take the frames i + before to i + after
        rank, hint = _blindest(prediction, probs, item.frame, (-after, -before), "speak")
    return _case(prediction, place, item.frame, due, did, hint, rank)


def _moved(prediction: Prediction, place: int, item: Outcome[Transition]) -> Case:
    due = _words(prediction, item.due)
    did = _words(prediction, item.did)
    probs = prediction.update_prob
    if item.did:
        rank, hint = _surest(prediction, probs, item.did[0], "update")
    else:
        reach = frames_of(MOMENT_S, prediction.fps)
        rank, hint = _blindest(prediction, probs, item.frame, (-reach, reach), "update")
    return _case(prediction, place, item.frame, due, did, hint, rank)


def _case(
    prediction: Prediction, place: int, frame: int, due: str, did: str, hint: str, rank: float
) -> Case:
    time = svg.clock_text(event_time_s(frame, prediction.fps), digits=1)
    return Case(place, frame, time, due, did, hint, rank)


def _words(prediction: Prediction, moved: tuple[int, Transition] | None) -> str:
    if moved is None:
        return ""
    names = {step.id: step.name for step in prediction.task.steps}
    return f"{format_transition(moved[1])} {names[moved[1].step_id]}"


def _surest(
    prediction: Prediction, probs: Sequence[float], frame: int, name: str
) -> tuple[float, str]:
    if not probs:
        return 0.0, ""
    prob = probs[frame - prediction.start_frame]
    return -prob, f"P({name}) {prob:.2f}"


def _blindest(
    prediction: Prediction, probs: Sequence[float], frame: int, span: tuple[int, int], name: str
) -> tuple[float, str]:
    if not probs:
        return 0.0, ""
    at = frame - prediction.start_frame
    peak = max(probs[max(at + span[0], 0) : at + span[1] + 1])
    return peak, f"P({name}) at most {peak:.2f} around it"
