"""What was confused with what: steps of each task, and moves.

In: predictions with the outcomes of their transitions. Out: a `Matrix` for each task and one of the
moves, and the pairs of steps that are taken for each other most often. Rows are references, columns
what was predicted at their moment; steps are told apart by name, since lists may be permuted.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prospect.report.outcomes import Outcome
from prospect.states.transitions import MOVES
from prospect.types import Prediction, Transition

MAX_TASKS = 6
MAX_PAIRS = 12
_NOTHING = ""
"""Stands for "missed" as a column and for "redundant" as a row; no step has an empty name."""

Judged = tuple[Prediction, Sequence[Outcome[Transition]]]
Counts = Counter[tuple[str, str]]
"""(reference, prediction) -> how often."""


@dataclass(frozen=True, slots=True)
class Square:
    """A count and its share of the row, in [0, 1]; ``css`` is ``right``, ``wrong`` or empty."""

    count: int
    css: str
    share: float
    hint: str


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of squares: a column a name and one of the missed; the last row is of the redundant."""

    title: str
    names: tuple[str, ...]
    rows: tuple[tuple[Square, ...], ...]


@dataclass(frozen=True, slots=True)
class Confused:
    """A step taken for another, ``count`` of the ``total`` times that it was due."""

    due: str
    did: str
    count: int
    total: int


@dataclass(frozen=True, slots=True)
class Confusion:
    """Everything of one system: the worst tasks first, ``others`` counts those left out."""

    pairs: tuple[Confused, ...]
    moves: Matrix | None
    tasks: tuple[Matrix, ...]
    others: int


def confusion(judged: Iterable[Judged]) -> Confusion:
    """Count over all predictions of one system; empty where no transition is due or made."""
    by_task: dict[str, Counts] = defaultdict(Counter)
    order: dict[str, dict[str, None]] = defaultdict(dict)
    moves: Counts = Counter()
    for prediction, outcomes in judged:
        goal = prediction.task.goal
        names = {step.id: step.name for step in prediction.task.steps}
        order[goal] |= dict.fromkeys(names.values())
        for item in outcomes:
            due = names[item.due[1].step_id] if item.due else _NOTHING
            did = names[item.did[1].step_id] if item.did else _NOTHING
            by_task[goal][due, did] += 1
            moves[
                item.due[1].move if item.due else _NOTHING,
                item.did[1].move if item.did else _NOTHING,
            ] += 1
    worst = sorted(by_task, key=lambda goal: (-_num_wrong(by_task[goal]), goal))
    return Confusion(
        pairs=_pairs(by_task),
        moves=_matrix("Moves of all steps", tuple(MOVES), moves) if moves else None,
        tasks=tuple(_matrix(goal, tuple(order[goal]), by_task[goal]) for goal in worst[:MAX_TASKS]),
        others=len(worst[MAX_TASKS:]),
    )


def _num_wrong(counts: Counts) -> int:
    return sum(count for (due, did), count in counts.items() if due != did)


def _pairs(by_task: Mapping[str, Counts]) -> tuple[Confused, ...]:
    counts: Counts = sum(by_task.values(), Counter())
    totals: Counter[str] = Counter()
    for (due, _), count in counts.items():
        totals[due] += count
    found = [
        Confused(due, did, count, totals[due])
        for (due, did), count in counts.items()
        if _NOTHING not in (due, did) and due != did
    ]
    found.sort(key=lambda item: (-item.count, -item.count / item.total, item.due, item.did))
    return tuple(found[:MAX_PAIRS])


def _matrix(title: str, names: tuple[str, ...], counts: Counts) -> Matrix:
    used = tuple(name for name in names if any(name in key for key in counts))
    rows = []
    for due in (*used, _NOTHING):
        total = sum(counts[due, did] for did in (*used, _NOTHING))
        columns = used if due == _NOTHING else (*used, _NOTHING)
        rows.append(tuple(_square(due, did, counts[due, did], total) for did in columns))
    return Matrix(title, used, tuple(rows))


def _square(due: str, did: str, count: int, total: int) -> Square:
    if due == _NOTHING:
        hint = f"{did}: {count} with nothing due"
    elif did == _NOTHING:
        hint = f"{due}: {count} of {total} missed"
    else:
        hint = f"{due}: {count} of {total} predicted as {did}"
    css = "" if not count else "right" if due == did else "wrong"
    return Square(count, css, round(count / total, 2) if total else 0.0, hint)
