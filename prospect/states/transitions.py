"""The state machine of a step, as pure functions over `State` maps.

In: a state (step_id -> status) and transitions. Out: new states. The move table below is the only
place that knows what is legal; constrained decoding, labels and metrics ask here.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from prospect.errors import DataError
from prospect.types import Move, State, Status, Task, TimedTransition, Transition

MOVES: Mapping[Move, tuple[Status, Status]] = MappingProxyType(
    {
        "start": ("not_started", "in_progress"),
        "complete": ("in_progress", "completed"),
        "reopen": ("completed", "in_progress"),
    }
)
"""move -> (status before, status after)."""

BASIC: tuple[Move, ...] = ("start", "complete")
"""The default vocabulary; add ``reopen`` for data with revisits and corrections."""


def initial_state(task: Task) -> dict[str, Status]:
    """All steps of the task ``not_started``, in listed order."""
    return {step.id: "not_started" for step in task.steps}


def is_legal(state: State, transition: Transition) -> bool:
    """Whether the step exists and has the status that the move starts from."""
    return state.get(transition.step_id) == MOVES[transition.move][0]


def legal_moves(state: State, moves: tuple[Move, ...] = BASIC) -> tuple[Transition, ...]:
    """Every transition that ``state`` allows, in the order of its steps."""
    return tuple(
        Transition(step_id, move)
        for step_id, status in state.items()
        for move in moves
        if MOVES[move][0] == status
    )


def apply(state: State, transition: Transition) -> dict[str, Status]:
    """The state after one transition.

    Raises:
        DataError: unknown step, or a move that its status does not allow.
    """
    before = state.get(transition.step_id)
    if before is None:
        raise DataError(
            f"unknown step {transition.step_id!r}; the task has {', '.join(state) or 'no steps'}"
        )
    needs, after = MOVES[transition.move]
    if before != needs:
        raise DataError(
            f"{transition.step_id}->{transition.move} needs {needs}, but it is {before}"
        )
    return {**state, transition.step_id: after}


def fold(state: State, transitions: Iterable[Transition]) -> dict[str, Status]:
    """The state after all transitions in order; `apply`'s errors."""
    result = dict(state)
    for transition in transitions:
        result = apply(result, transition)
    return result


def fold_until(state: State, timed: Iterable[TimedTransition], time_s: float) -> dict[str, Status]:
    """The state after all transitions strictly before ``time_s``."""
    return fold(state, (item.transition for item in timed if item.time_s < time_s))


def diff(before: State, after: State) -> tuple[Transition, ...]:
    """The fewest legal moves from ``before`` to ``after``, step by step in listed order.

    Raises:
        DataError: the two have different steps, or no moves lead there (nothing becomes
            ``not_started`` again).
    """
    if set(before) != set(after):
        raise DataError(f"states of different steps: {sorted(before)} and {sorted(after)}")
    found: list[Transition] = []
    for step_id, status in before.items():
        moves = path(status, after[step_id])
        if moves is None:
            raise DataError(f"no move leads {step_id} from {status} to {after[step_id]}")
        found += [Transition(step_id, move) for move in moves]
    return tuple(found)


def path(
    before: Status, after: Status, vocabulary: Iterable[Move] = tuple(MOVES)
) -> tuple[Move, ...] | None:
    """Fewest moves of a vocabulary from one status to another, by breadth-first search.

    Returns:
        None if none lead there.
    """
    paths: dict[Status, tuple[Move, ...]] = {before: ()}
    queue: list[Status] = [before]
    for status in queue:
        for move in vocabulary:
            needs, becomes = MOVES[move]
            if needs == status and becomes not in paths:
                paths[becomes] = (*paths[status], move)
                queue.append(becomes)
    return paths.get(after)
