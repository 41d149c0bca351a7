"""What there was to choose from whenever a transition was written, for models that choose.

In: the state before a frame and its transitions. Out: rows of legal options with the one taken.
Column 0 stops; the others are the moves of the first step, then of the second, and so on. To stop
before the first transition is to decline: something was seen to happen, but nothing that the state
has room for.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from prospect.states.transitions import BASIC, apply, legal_moves
from prospect.types import Move, State, Transition

_MOVES: tuple[Move, ...] = get_args(Move)
NUM_MOVES = len(_MOVES)
STOP = 0
"""The column of "nothing more changes at this frame"."""


@dataclass(frozen=True, slots=True)
class Choices:
    """The choices of one clip, Q of them, over S steps.

    Attributes:
        ends: (Q,) int64, position whose hidden state chooses: a frame's last token for its first
            transition, then the last token of the transition before.
        options: (Q, 1 + 3 S) bool, what was legal; `STOP` always is.
        chosen: (Q,) int64, the column that was taken.
    """

    ends: NDArray[np.int64]
    options: NDArray[np.bool_]
    chosen: NDArray[np.int64]


def column(transition: Transition, step_ids: Sequence[str]) -> int:
    """Where a transition stands among the options of a task with these steps."""
    return 1 + step_ids.index(transition.step_id) * NUM_MOVES + _MOVES.index(transition.move)


def options(
    moves: Iterable[Transition], step_ids: Sequence[str], stop: bool = True
) -> NDArray[np.bool_]:
    """(1 + 3 S,) bool: these moves, and `STOP` if it may be."""
    row = np.zeros(1 + len(step_ids) * NUM_MOVES, bool)
    row[[column(move, step_ids) for move in moves]] = True
    row[STOP] = stop
    return row


def choices(
    state: State,
    written: Iterable[tuple[Sequence[int], Sequence[Transition]]],
    moves: tuple[Move, ...] = BASIC,
) -> Choices:
    """All choices of a clip.

    Args:
        state: Before the first of them, of every step in the task's order.
        written: For each frame with transitions: the m + 1 positions that choose, and its m
            transitions.
        moves: The vocabulary, of which all transitions are.

    Returns:
        For each frame a choice a transition, and one to stop unless none was left.
    """
    step_ids = list(state)
    found: list[tuple[int, NDArray[np.bool_], int]] = []
    for ends, transitions in written:
        for index, transition in enumerate(transitions):
            row = options(legal_moves(state, moves), step_ids)
            found.append((ends[index], row, column(transition, step_ids)))
            state = apply(state, transition)
        if legal := legal_moves(state, moves):
            found.append((ends[len(transitions)], options(legal, step_ids), STOP))
    return Choices(
        np.array([end for end, _, _ in found], np.int64),
        np.array([row for _, row, _ in found], bool).reshape(-1, 1 + len(step_ids) * NUM_MOVES),
        np.array([taken for _, _, taken in found], np.int64),
    )


def no_choices() -> Choices:
    """Of a clip without any."""
    return choices({}, ())
