"""Parts put together and taken apart -> steps of the task, and which action visits which.

In: what was done to which parts, when, and whether it was right. Out: `Step`s and `Action`s. The
steps of an assembly are the joints a correct run makes, whichever part is named first; undoing
one visits its step again. Of a disassembly it is the reverse.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Literal

from prospect.annotations.order import corpus_order
from prospect.types import Action, Step

Kind = Literal["assembly", "disassembly"]
MAKES = ("attach", "screw", "position")
UNDOES = ("detach", "unscrew", "remove")
OPPOSITE = dict(zip(MAKES + UNDOES, UNDOES + MAKES, strict=True))
DOES: dict[Kind, tuple[str, ...]] = {"assembly": MAKES, "disassembly": UNDOES}
"""The verbs that make a step of a task; their opposites undo it."""
NEUTRAL = ("inspect", "demonstrate")
ATTEMPT = "attempt to "
LINK = {"attach": "to", "screw": "to", "position": "in"}
"""The word between two parts; "from" for other verbs."""
MISTIMED = ("wrong order", "previous one is a mistake")
"""Remarks on joints that a correct run makes as well, only at another time."""

Joint = tuple[str, frozenset[str]]
"""The verb that makes a step, and the parts."""


@dataclass(frozen=True, slots=True)
class Row:
    """Something done with one part, or with two if ``that`` isn't empty.

    Attributes:
        where: File and line.
        verb: One of `MAKES`, `UNDOES` or `NEUTRAL`, perhaps after "attempt to ".
        label: ``correct``, ``mistake`` or ``correction``.
        mistake: What is wrong with it; None unless it is a mistake.
    """

    where: str
    start_s: float
    end_s: float
    verb: str
    this: str
    that: str = ""
    label: str = "correct"
    mistake: str | None = None

    @property
    def brief(self) -> str:
        """Without the second part: "attach body"."""
        return f"{self.verb} {self.this}"

    @property
    def text(self) -> str:
        """As ProAssist's parser words it: "attach body to chassis"."""
        link = LINK.get(self.verb, "from")
        return f"{self.brief} {link} {self.that}" if self.that else self.brief


@dataclass(frozen=True, slots=True)
class Run:
    """One video: its rows sorted by time, and what they are to lead to."""

    video_id: str
    kind: Kind
    task_type: str
    rows: tuple[Row, ...]


def joint(kind: Kind, row: Row) -> Joint:
    """What a row is about, whether it makes it, undoes it or only attempts to."""
    verb = row.verb.removeprefix(ATTEMPT)
    if verb in OPPOSITE and verb not in DOES[kind]:
        verb = OPPOSITE[verb]
    return verb, frozenset({row.this, row.that} - {""})


def steps_of(runs: Sequence[Run]) -> list[dict[Joint, Step]]:
    """The steps of every run, in the order of other runs (`corpus_order`).

    They are the joints it makes that some run of the same task makes rightly, or wrong in time
    alone. A step is named as it is worded most often.
    """
    needed: set[tuple[str, Joint]] = set()
    wordings: dict[Joint, Counter[str]] = defaultdict(Counter)
    for run in runs:
        for row, made in _making(run):
            wordings[made][row.text] += 1
            if row.mistake is None or row.mistake in MISTIMED:
                needed.add((run.task_type, made))
    names = {made: min(texts, key=lambda t: (-texts[t], t)) for made, texts in wordings.items()}
    found = [{names[made]: made for made in _needed_by(run, needed)} for run in runs]
    order = corpus_order(
        {run.video_id: (run.task_type, list(of)) for run, of in zip(runs, found, strict=True)}
    )
    return [
        {of[name]: Step(f"S{at}", name) for at, name in enumerate(order[run.video_id], start=1)}
        for run, of in zip(runs, found, strict=True)
    ]


def actions_of(run: Run, steps: Mapping[Joint, Step]) -> list[Action]:
    """The rows as actions. Making a step visits it, so does undoing it once it has been made.

    All else is of kind ``action``: attempts, inspections, joints that are no step. It belongs to
    the step that its part is joined by, if there is just one.
    """
    actions: list[Action] = []
    made: set[Joint] = set()
    for at, row in enumerate(run.rows):
        own = joint(run.kind, row)
        found = own if own in steps else _only(run, row, steps)
        said = found == own or not row.that
        does = row.verb in DOES[run.kind] or (row.verb in OPPOSITE and found in made)
        visit = found is not None and said and does
        if visit and found is not None:
            made.add(found)
        actions.append(
            Action(
                start_s=row.start_s,
                end_s=row.end_s,
                text=row.text,
                kind="step" if visit else "action",
                step_id=None if found is None else steps[found].id,
                verb=row.verb,
                noun=row.this,
                mistake=row.mistake,
                undoes=visit and row.verb not in DOES[run.kind],
                corrects=_corrected(run, at) if row.label == "correction" else None,
            )
        )
    return actions


def _making(run: Run) -> list[tuple[Row, Joint]]:
    return [(row, joint(run.kind, row)) for row in run.rows if row.verb in DOES[run.kind]]


def _needed_by(run: Run, needed: Set[tuple[str, Joint]]) -> list[Joint]:
    """The steps a run makes, by time; one part alone makes one where no pair explains it."""
    making = _making(run)
    pairs = {made for row, made in making if row.that and (run.task_type, made) in needed}
    return [
        made for row, made in making if made in pairs or not (row.that or _only(run, row, pairs))
    ]


def _only(run: Run, row: Row, joints: Collection[Joint]) -> Joint | None:
    """The joint that the row's part is joined by in this run, if there is just one."""
    verb, _ = joint(run.kind, row)
    found = {
        made
        for other, made in _making(run)
        if other.that and other.this == row.this and made in joints and made[0] == verb
    }
    return found.pop() if len(found) == 1 else None


def _corrected(run: Run, at: int) -> str | None:
    """What the correction at row ``at`` puts right: the last mistake at the same joint, else what
    was last done there, else the last mistake of all; None if there was neither."""
    row = run.rows[at]
    before = run.rows[:at][::-1]
    reverse = [
        other
        for other in before
        if joint(run.kind, other) == joint(run.kind, row)
        if other.verb == OPPOSITE.get(row.verb)
    ]
    there = [other for other in reverse if other.mistake is not None]
    wrong = [other for other in before if other.mistake is not None]
    return next((other.text for other in [*there, *reverse, *wrong]), None)
