"""Writing turns into a context: legal transitions, and sentences.

In: a context that ends with a frame or a turn. Out: what was written; the context then ends with
the end of the turn. Transitions are generated token by token, or chosen by what was seen and the
step lines of the prompt (`Sight`); both write through the same trie of legal moves.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch
from torch import Tensor

from prospect.model.network import Network
from prospect.model.point import RECENT, Pointer
from prospect.samples.choices import STOP, column, options
from prospect.samples.sequence import Renderer
from prospect.states.transitions import apply, legal_moves
from prospect.stream.context import Context
from prospect.stream.engine import Ask, Job
from prospect.types import State, Transition

MAX_MOVES = 4
"""Most transitions a frame, which fit a session's reserve; more can follow at the next."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What chooses a transition with ``write: point`` or ``match``.

    Attributes:
        frame: (D,) hidden state at the deciding frame's last token.
        steps: (S, D) hidden states at the ends of the step lines of this context.
        seen: (S, 2) of `prospect.model.point.Matcher.seen`, for a network that matches.
    """

    frame: Tensor
    steps: Tensor
    seen: Tensor | None

    def scores(
        self, pointer: Pointer, query: Tensor, state: State, moves: Sequence[Transition]
    ) -> Tensor:
        """(1 + 3 S) of all options to a hidden state (D,), of which these moves are legal."""
        seen = None if self.seen is None else self.seen[None]
        legal = torch.from_numpy(options(moves, list(state)))[None].to(query.device)
        scores: Tensor = pointer(query[None], self.steps[None], legal, seen)[0]
        return scores


def listed_by_sight(context: Context, network: Network) -> Tensor | None:
    """`Sight.seen` at the context's last frame."""
    if network.matcher is None:
        return None
    device = network.device
    prompt = context.tokens[: max(context.step_ends) + 1]
    texts = network.line_words(torch.tensor([prompt], device=device))[0, context.step_ends]
    frames = torch.stack(context.frames[-RECENT:]).to(device).float().mean(1)
    present = torch.ones(1, len(frames), dtype=torch.bool, device=device)
    listed = torch.ones(1, len(texts), dtype=torch.bool, device=device)
    return network.matcher.seen(frames[None], present, texts[None], listed)[0]


def last(context: Context, logits: bool = False) -> Ask:
    """The question for the last token alone."""
    return Ask(context, [len(context.tokens) - 1], logits)


def write_transitions(
    context: Context,
    network: Network,
    renderer: Renderer,
    state: State,
    sight: Sight | None,
    decline_prob: float = 1.0,
) -> Job[tuple[Transition, ...]]:
    """Write transitions, each the likeliest that the state then allows.

    Args:
        context: Ends with the deciding frame.
        network, renderer: The model.
        state: Allows at least one move.
        sight: Of the deciding frame, for a network that points; else None.
        decline_prob: Above this probability of stopping, a network that points writes nothing.

    Returns:
        The moves in order; applying them to ``state`` is legal by construction.
    """
    length = len(context.tokens)
    context.add(renderer.header("state"))
    written: list[Transition] = []
    while len(written) < MAX_MOVES and (moves := legal_moves(state, renderer.layout.moves)):
        if sight is not None:
            query = (yield last(context))[0] if written else sight.frame
            stop_prob = 0.5 if written else decline_prob
            moves = _pointed(network, sight, query, state, moves, stop_prob)
        if not moves:
            break
        if written:
            # a pointer has decided already that more follows
            ends = [[renderer.end_id]] if sight is None else []
            if (yield from _choose(context, [renderer.separator, *ends])) == 1:
                return tuple(written)
        chosen = moves[(yield from _choose(context, [renderer.move(move) for move in moves]))]
        written.append(chosen)
        state = apply(state, chosen)
    if not written:
        context.rewind(length)
        return ()
    context.add([renderer.end_id])
    return tuple(written)


def _pointed(
    network: Network,
    sight: Sight,
    query: Tensor,
    state: State,
    moves: Sequence[Transition],
    stop_prob: float,
) -> tuple[Transition, ...]:
    """The best of the legal moves alone; nothing where stopping is likelier than ``stop_prob``."""
    assert network.pointer is not None
    scores = sight.scores(network.pointer, query, state, moves)
    if scores.softmax(0)[STOP] > stop_prob:
        return ()
    best = 1 + int(scores[1:].argmax())
    return tuple(move for move in moves if column(move, list(state)) == best)


def _choose(context: Context, options: Sequence[list[int]]) -> Job[int]:
    """Write the greedy path through the trie of ``options``; returns which one was written.

    Only branching points cost a forward pass. No option may be a prefix of another.
    """
    alive = list(range(len(options)))
    depth = 0
    while True:
        allowed = {options[index][depth] for index in alive}
        if len(allowed) == 1:
            token = allowed.pop()
        else:
            logits = (yield last(context, logits=True))[0]
            candidates = sorted(allowed)
            token = candidates[int(logits[candidates].argmax())]
        context.add([token])
        alive = [index for index in alive if options[index][depth] == token]
        depth += 1
        if len(alive) == 1:
            context.add(options[alive[0]][depth:])
            return alive[0]


def write_sentence(
    context: Context, renderer: Renderer, max_new_tokens: int, max_draft: int = 0
) -> Job[tuple[str, float]]:
    """Write one assistant turn by greedy decoding.

    What the context has said before is often said again: names of steps, turns of phrase. A draft
    of what followed there is read together with the last token, and kept as far as it is what the
    model would have written (prompt lookup, Saxena 2023; Leviathan et al., arXiv 2211.17192).

    Args:
        context: Ends with a frame or a turn; then with the end of the turn.
        renderer: Of the model.
        max_new_tokens: At most so many are written.
        max_draft: At most so many are guessed at once; doesn't change the text.

    Returns:
        Its text, at least one and at most ``max_new_tokens`` tokens; and when the first of them
        was there, in seconds of `time.perf_counter`.
    """
    context.add(renderer.header("assistant"))
    tokens: list[int] = []
    first_s = 0.0
    while len(tokens) < max_new_tokens:
        guess = draft(context.tokens, min(max_draft, max_new_tokens - len(tokens) - 1), renderer)
        length = len(context.tokens)
        context.add(guess)
        rows = yield Ask(context, range(length - 1, length + len(guess)), logits=True)
        likeliest = _greedy(rows, renderer)
        first_s = first_s or time.perf_counter()
        for place, token in enumerate(likeliest):
            if token == renderer.end_id and not tokens:
                token = _greedy(rows[:1], renderer, may_end=False)[0]
            if token == renderer.end_id:
                context.rewind(length + place)
                context.add([token])
                return renderer.decode(tokens), first_s
            tokens.append(token)
            if place == len(guess) or guess[place] != token:
                break
        context.rewind(length + place)
        context.add([token])
    context.add([renderer.end_id])
    return renderer.decode(tokens), first_s


def draft(tokens: Sequence[int], length: int, renderer: Renderer) -> list[int]:
    """What followed when the last two tokens stood there before, the last time they did.

    Args:
        tokens: Of a context.
        length: At most so many; 0 or less for none.
        renderer: Says which tokens are no words; the draft ends before them, or with the turn.
    """
    first, second = tokens[-2:]
    for at in range(len(tokens) - 3, 0, -1) if length > 0 else ():
        if tokens[at] == second and tokens[at - 1] == first:
            after = tokens[at + 1 : at + 1 + length]
            words = list(takewhile(lambda token: token not in renderer.special_ids, after))
            ends = len(words) < len(after) and after[len(words)] == renderer.end_id
            return [*words, renderer.end_id] if ends else words
    return []


def _greedy(rows: Tensor, renderer: Renderer, may_end: bool = True) -> list[int]:
    """The likeliest token of each row; markers (images, headers) can't stand in a sentence."""
    found: list[int] = rows.argmax(-1).tolist()
    forbidden = [i for i in renderer.special_ids if i != renderer.end_id or not may_end]
    if not set(forbidden).isdisjoint(found):  # rarely, so the rows are rarely copied
        without = torch.tensor(forbidden, device=rows.device)
        found = rows.index_fill(-1, without, -torch.inf).argmax(-1).tolist()
    return found
