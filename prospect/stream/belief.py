"""A filter over what the state may be, so that one early slip doesn't ruin the rest.

In: at a frame, how likely the state changes and how likely each move is. Out: a handful of states
with weights, and the legal moves that lead from the state told so far to the likeliest of them.

    P(state, move | frame) = w(state) (1 - p)                              nothing changed
    P(state, move | frame) ~ w(state) order(state, move) likelihood(move)  p in all

p is `change_prob`. All moves of all hypotheses are weighed together, not state by state: one that
has no room for what is clearly seen loses to one that has. No state is ever told that legal moves
don't lead to: a step started by mistake stays so until it is really started. A network that points
learned to choose among the moves of the told state, so it scores those alone.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch

from prospect.errors import ConfigError
from prospect.firing import DecisionRule
from prospect.model.network import Network
from prospect.samples.choices import STOP, column
from prospect.samples.sequence import Renderer
from prospect.states.transitions import apply, fold, is_legal, legal_moves, path
from prospect.stream.config import BeliefConfig
from prospect.stream.context import Context
from prospect.stream.engine import Job
from prospect.stream.write import Sight, last
from prospect.types import Move, State, Status, Transition

_SURE = 1e-6  # no probability is nearer to 0 or 1: a hypothesis may be unlikely, never impossible
_UNLEARNED = -30.0
"""Log-likelihood of a move that what is told doesn't allow, to a pointer: it has learned to choose
among the others alone, and scores these as high by chance."""
_UNREAD = math.log(0.02)  # what begins less likely than this isn't told apart any further


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What the state may be.

    Attributes:
        statuses: Of the steps in listed order.
        log_weight: Log-probability among the hypotheses that are kept.
    """

    statuses: tuple[Status, ...]
    log_weight: float


Belief: TypeAlias = tuple[Hypothesis, ...]
"""The likeliest first; weights sum to 1."""


@dataclass(frozen=True, slots=True)
class View:
    """What a transition is read from; of a context that ends with the deciding frame."""

    context: Context
    network: Network
    renderer: Renderer
    sight: Sight | None


def certain(state: State) -> Belief:
    """The state is known."""
    return (Hypothesis(tuple(state.values()), 0.0),)


def change_prob(update_prob: float, rule: DecisionRule) -> float:
    """How likely the state changes at a frame.

    The fitted threshold is where acting begins to pay, so it stands for even odds:
    ``log-odds = log-odds(update_prob) - log-odds(threshold)``. `update_prob` itself says "act" far
    too often, since training weighs the rare updates as much as all silence.

    Returns:
        In (0, 1).

    Raises:
        ConfigError: the rule's threshold is no probability.
    """
    if rule.kind != "level":
        raise ConfigError(
            f"the update rule is of kind {rule.kind}, but a belief needs the fitted threshold of "
            "kind level; choose that, or leave belief out"
        )
    prob, even = (min(max(x, _SURE), 1 - _SURE) for x in (update_prob, rule.threshold))
    yes, no = prob * (1 - even), (1 - prob) * even
    return min(max(yes / (yes + no), _SURE), 1 - _SURE)


def quiet(update_probs: Sequence[float], rule: DecisionRule, config: BeliefConfig) -> int:
    """How many of the first frames leave a belief as it is."""
    noted = (i for i, p in enumerate(update_probs) if change_prob(p, rule) >= config.floor)
    return next(noted, len(update_probs))


def moved(
    belief: Belief, told: State, scores: Mapping[Transition, float], config: BeliefConfig
) -> dict[tuple[Status, ...], float]:
    """Every state that one change leads to.

    A move may be made, be made right after one that was missed, or have been made before: what
    the model reads knows only what is told, and catches up with it.

    Args:
        belief: Before.
        told: The state as the context has it.
        scores: Log-likelihood of every move of every step, up to a common constant.
        config: Priors.

    Returns:
        Statuses -> log-weight, up to the same constant. Empty if nothing can change.
    """
    found: defaultdict[tuple[Status, ...], list[float]] = defaultdict(list)
    moves = tuple(dict.fromkeys(move.move for move in scores))
    news = [move for move in scores if is_legal(told, move)]
    for one in belief:
        state = dict(zip(told, one.statuses, strict=True))
        legal = legal_moves(state, moves)
        for after, log in _next(state, scores, moves, config):
            found[after].append(one.log_weight + log)
        for move in news:
            ahead = path(told[move.step_id], state[move.step_id], moves)
            if ahead and ahead[0] == move.move:
                found[one.statuses].append(one.log_weight + scores[move])
        if not config.missed:
            continue
        for first in legal:
            log = one.log_weight + math.log(config.missed / len(legal))
            log += _order(state, first, config)
            for after, more in _next(apply(state, first), scores, moves, config):
                found[after].append(log + more)
    return {statuses: _log_sum(logs) for statuses, logs in found.items()}


def _next(
    state: State, scores: Mapping[Transition, float], moves: tuple[Move, ...], config: BeliefConfig
) -> Iterator[tuple[tuple[Status, ...], float]]:
    """(statuses after, log-weight) of each legal move."""
    for move in legal_moves(state, moves):
        yield tuple(apply(state, move).values()), scores[move] + _order(state, move, config)


def _order(state: State, move: Transition, config: BeliefConfig) -> float:
    """Log-prior of a move: steps tend to come one after the other."""
    if move.move != "start":
        return 0.0
    log = math.log(config.overlap) if "in_progress" in state.values() else 0.0
    first = next(step_id for step_id, status in state.items() if status == "not_started")
    return log if first == move.step_id else log + math.log(config.skip)


def mixed(
    belief: Belief, after: Mapping[tuple[Status, ...], float], change: float, num_hypotheses: int
) -> Belief:
    """The belief after a frame at which something changed with probability ``change``.

    Args:
        belief: Before.
        after: Of `moved`, not empty.
        change: In (0, 1).
        num_hypotheses: Most that are kept.
    """
    weights = {one.statuses: [one.log_weight + math.log1p(-change)] for one in belief}
    total = _log_sum(list(after.values()))
    for statuses, log in after.items():
        weights.setdefault(statuses, []).append(math.log(change) + log - total)
    ranked = sorted((-_log_sum(logs), statuses) for statuses, logs in weights.items())
    kept = ranked[:num_hypotheses]
    total = _log_sum([-cost for cost, _ in kept])
    return tuple(Hypothesis(statuses, -cost - total) for cost, statuses in kept)


def towards(told: State, likely: State, moves: tuple[Move, ...]) -> tuple[Transition, ...]:
    """The legal moves from one state to another; a step that can't be taken there stays.

    What was in progress comes first, then what is completed by now, then what goes on.
    """
    ranked = sorted(
        told.items(), key=lambda item: (item[1] != "in_progress", likely[item[0]] != "completed")
    )
    return tuple(
        Transition(step_id, move)
        for step_id, status in ranked
        for move in path(status, likely[step_id], moves) or ()
    )


def believing(
    view: View, told: State, belief: Belief, change: float, fires: bool, config: BeliefConfig
) -> Job[tuple[Belief, tuple[Transition, ...]]]:
    """Go on by a frame, and write what became likeliest.

    Passes: with a pointer one a write, as without belief. Generating, one for every branching
    point of the moves' tokens that is at least 2 % likely, mostly two or three a read; there is
    one read a frame, and one more after each write.

    Args:
        view: Its context ends with the frame; what is written is added.
        told: The state as the context has it.
        belief: Before the frame.
        change: `change_prob` of the frame.
        fires: Whether the update decision does; nothing is written where it doesn't.
        config: Of the filter.

    Returns:
        The belief after it, and the moves that were written, legal in order.
    """
    if not fires and change < config.floor:
        return belief, ()
    context, renderer = view.context, view.renderer
    length = len(context.tokens)
    context.add(renderer.header("state"))
    written: list[Transition] = []
    while True:
        scores, stop = yield from _read(view, told, may_stop=bool(written))
        if after := moved(belief, told, scores, config):
            if written:
                # stopping was learned against what the told state allows, and nothing else
                legal = [scores[move] for move in legal_moves(told, renderer.layout.moves)]
                change = _share(_log_sum(legal), stop)
            belief = mixed(belief, after, change, config.num_hypotheses)
        likely = dict(zip(told, belief[0].statuses, strict=True))
        moves = towards(told, likely, renderer.layout.moves)[: config.max_moves - len(written)]
        if not fires or not moves:
            break
        for move in moves:
            context.add([*(renderer.separator if written else []), *renderer.move(move)])
            written.append(move)
        told = fold(told, moves)
        if len(written) == config.max_moves or not legal_moves(told, renderer.layout.moves):
            break
    if written:
        context.add([renderer.end_id])
    else:
        context.rewind(length)
    return belief, tuple(written)


def _read(view: View, told: State, may_stop: bool) -> Job[tuple[dict[Transition, float], float]]:
    """Log-likelihood of all moves, and of stopping (only if it may be)."""
    context, renderer = view.context, view.renderer
    moves = [Transition(step_id, move) for step_id in told for move in renderer.layout.moves]
    if view.sight is None:
        lead = renderer.separator if may_stop else []
        ends = [[renderer.end_id]] if may_stop else []
        options = [[*lead, *renderer.move(move)] for move in moves]
        logs = yield from _read_text(context, [*options, *ends])
        return dict(zip(moves, logs, strict=False)), logs[-1]
    assert view.network.pointer is not None
    query = view.sight.frame
    if may_stop:
        query = (yield last(context))[0]
    legal = legal_moves(told, renderer.layout.moves)
    scores = view.sight.scores(view.network.pointer, query, told, legal).tolist()
    logs = [
        scores[column(move, list(told))] if is_legal(told, move) else _UNLEARNED for move in moves
    ]
    return dict(zip(moves, logs, strict=True)), scores[STOP]


def _read_text(context: Context, options: Sequence[Sequence[int]]) -> Job[list[float]]:
    """Log-probability of each option among all; the context stays as it is.

    Only branching points of their trie cost a pass. Options that share an unlikely beginning
    share its probability evenly.
    """
    length = len(context.tokens)
    logs = [0.0] * len(options)
    waiting = [(0.0, 0, list(range(len(options))))]
    while waiting:
        log, depth, alive = waiting.pop()
        if len(alive) == 1 or log < _UNREAD:
            for index in alive:
                logs[index] = log - math.log(len(alive))
            continue
        branches: defaultdict[int, list[int]] = defaultdict(list)
        for index in alive:
            branches[options[index][depth]].append(index)
        shares = [0.0]
        if len(branches) > 1:
            context.add(options[alive[0]][:depth])
            logits = (yield last(context, logits=True))[0]
            context.rewind(length)
            shares = torch.log_softmax(logits[list(branches)], 0).tolist()
        for share, some in zip(shares, branches.values(), strict=True):
            waiting.append((log + share, depth + 1, some))
    return logs


def _log_sum(logs: Sequence[float]) -> float:
    """Log of the sum of exponentials."""
    top = max(logs)
    return top + math.log(sum(math.exp(log - top) for log in logs))


def _share(log: float, other: float) -> float:
    """What the first has of both, in (0, 1)."""
    return min(max(1 / (1 + math.exp(min(other - log, 50.0))), _SURE), 1 - _SURE)
