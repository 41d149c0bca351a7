"""What was said and decided in a video, reference beside prediction, frame by frame.

In: a `Prediction` and its outcomes. Out: one `Line` for every frame on which something happened.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from prospect.clock import event_time_s
from prospect.metrics.state import legality, moves_of
from prospect.report import svg
from prospect.report.outcomes import Kind, Outcome, Outcomes
from prospect.states.notation import format_transition
from prospect.types import Event, Prediction, Transition


@dataclass(frozen=True, slots=True)
class Moved:
    """A transition as text, its step's name, whether the state allowed it, what became of it."""

    text: str
    name: str
    legal: bool
    kind: Kind


@dataclass(frozen=True, slots=True)
class Entry:
    """What one side did on one frame: transitions and words, and in words what became of those."""

    moves: tuple[Moved, ...] = ()
    speech: str | None = None
    kind: Kind | None = None
    note: str = ""

    def is_error(self) -> bool:
        """Whether anything here is not matched."""
        kinds = {self.kind, *(move.kind for move in self.moves)}
        return not kinds <= {None, "matched"}


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the list: a frame on which something happened."""

    anchor: str
    frame: int
    time: str
    user: str | None
    reference: Entry
    prediction: Entry

    def is_error(self) -> bool:
        """Whether either side has something that is not matched."""
        return self.reference.is_error() or self.prediction.is_error()


def lines(prediction: Prediction, key: str, found: Outcomes) -> tuple[Line, ...]:
    """Frames with a reference or predicted event; user turns as the references tell them.

    Args:
        prediction: Of one stream.
        key: Starts the anchor of every row, ``<key>-<frame>``.
        found: The prediction's outcomes.
    """
    references = {event.frame: event for event in prediction.references}
    events = {event.frame: event for event in prediction.events}
    theirs = _entries(prediction, prediction.references, found, is_reference=True)
    ours = _entries(prediction, prediction.events, found, is_reference=False)
    return tuple(
        Line(
            anchor=f"{key}-{frame}",
            frame=frame,
            time=svg.clock_text(event_time_s(frame, prediction.fps), digits=1),
            user=references[frame].user if frame in references else None,
            reference=theirs.get(frame, Entry()),
            prediction=ours.get(frame, Entry()),
        )
        for frame in sorted(references.keys() | events.keys())
    )


def _entries(
    prediction: Prediction, events: Sequence[Event], found: Outcomes, is_reference: bool
) -> dict[int, Entry]:
    names = {step.id: step.name for step in prediction.task.steps}
    legal = iter(legality(prediction.state, moves_of(events).transitions))
    speech: dict[int, Outcome[str]] = {}
    moved: dict[tuple[int, Transition], Kind] = {}
    for said in found.speech:
        if side := said.due if is_reference else said.did:
            speech[side[0]] = said
    for change in found.transitions:
        if at := change.due if is_reference else change.did:
            moved[at] = change.kind
    entries = {}
    for event in sorted(events, key=lambda event: event.frame):
        moves = tuple(
            Moved(
                format_transition(transition),
                names[transition.step_id],
                next(legal),
                moved[event.frame, transition],
            )
            for transition in event.transitions
        )
        if event.speech is None:
            entries[event.frame] = Entry(moves)
        else:
            heard = speech[event.frame]
            note = _note(prediction, heard, event.frame, is_reference)
            entries[event.frame] = Entry(moves, event.speech, heard.kind, note)
    return entries


def _note(prediction: Prediction, heard: Outcome[str], frame: int, is_reference: bool) -> str:
    """``wrong, similarity 0.31, 1.5 s late · P(speak) 0.82``."""
    parts = ["wrong" if heard.kind == "mismatched" else str(heard.kind)]
    if is_reference:
        return parts[0]
    if heard.similarity is not None and heard.due:
        late_s = (frame - heard.due[0]) / prediction.fps
        when = "on time" if not late_s else f"{abs(late_s):g} s {'late' if late_s > 0 else 'early'}"
        parts += [f"similarity {heard.similarity:.2f}", when]
    note = ", ".join(parts)
    if prediction.speak_prob:
        note += f" · P(speak) {prediction.speak_prob[frame - prediction.start_frame]:.2f}"
    return note
