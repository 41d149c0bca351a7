"""Writing a state turn without constraint: what the model would write if every text were allowed.

In: a context that ends with the deciding frame. Out: the moves of the text that are legal, and how
many were not. The text stays in the context as it was written, as with a model that nobody checks;
what is illegal or no transition at all is counted and not applied.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from prospect.errors import DataError
from prospect.samples.sequence import Renderer
from prospect.states.notation import SEPARATOR, parse_transitions
from prospect.states.transitions import apply, is_legal
from prospect.stream.context import Context
from prospect.stream.engine import Job
from prospect.stream.write import last
from prospect.types import State, Transition

MAX_NEW_TOKENS = 32
"""Longest text of a state turn: four transitions, which fits the session's reserve."""


@dataclass(frozen=True, slots=True)
class Written:
    """What one text says.

    Attributes:
        transitions: Its legal moves, in order.
        moves: How many moves it has, legal or not; what is no transition counts as one.
        illegal: Moves that the state doesn't allow.
        unreadable: Pieces that are no transitions.
    """

    transitions: tuple[Transition, ...]
    moves: int
    illegal: int
    unreadable: int


def write_freely(context: Context, renderer: Renderer, state: State) -> Job[Written]:
    """Write one state turn by greedy decoding, at most `MAX_NEW_TOKENS` long.

    Args:
        context: Ends with the deciding frame; then with the end of the turn.
        renderer: Of the model.
        state: Decides what is legal; where no move is, whatever is written is illegal.
    """
    context.add(renderer.header("state"))
    tokens: list[int] = []
    forbidden = torch.tensor([one for one in renderer.special_ids if one != renderer.end_id])
    while len(tokens) < MAX_NEW_TOKENS:
        logits = (yield last(context, logits=True))[0]
        token = int(logits.index_fill(0, forbidden.to(logits.device), -torch.inf).argmax())
        if token == renderer.end_id:
            break
        context.add([token])
        tokens.append(token)
    context.add([renderer.end_id])
    return read_moves(renderer.decode(tokens), state)


def read_moves(text: str, state: State) -> Written:
    """The moves of a text, each judged by the state that the legal ones before it lead to.

    Args:
        text: Pieces between commas; an empty text is one piece that is no transition.
        state: Before the first.
    """
    legal: list[Transition] = []
    illegal = unreadable = 0
    pieces = text.split(SEPARATOR)
    for piece in pieces:
        try:
            found = parse_transitions(piece)
        except DataError:
            found = ()
        if not found:
            unreadable += 1
        elif is_legal(state, found[0]):
            legal.append(found[0])
            state = apply(state, found[0])
        else:
            illegal += 1
    return Written(tuple(legal), len(pieces), illegal, unreadable)


def counted(written: Iterable[Written]) -> dict[str, int]:
    """Totals for ``details`` of a `Prediction`, of the state turns of one stream."""
    turns = list(written)
    return {
        "written_moves": sum(one.moves for one in turns),
        "illegal_moves": sum(one.illegal for one in turns),
        "unreadable_moves": sum(one.unreadable for one in turns),
    }
