"""A belief weighs what may have happened, and writes nothing that isn't legal."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from prospect.errors import ConfigError
from prospect.firing import DecisionRule
from prospect.states.transitions import fold, initial_state
from prospect.stream.belief import (
    Belief,
    View,
    _read_text,
    believing,
    certain,
    change_prob,
    mixed,
    moved,
    quiet,
    towards,
)
from prospect.stream.config import BeliefConfig, StreamConfig
from prospect.stream.context import Context
from prospect.stream.engine import make_engine
from prospect.stream.predict import predict_stream
from prospect.stream.session import Session
from prospect.stream.snapshot import restore, snapshot
from prospect.stream.write import last
from prospect.types import State, Step, Task, Transition
from tests.clips import random_stream
from tests.model.modes import MODES, loud_llm, mode_model
from tests.models import with_thresholds
from tests.stream.test_engine import together
from tests.stream.test_modes import few_thresholds
from tests.stream.test_session import vectors

LEVEL = DecisionRule(0.5)
PLAIN = BeliefConfig(missed=0.0, overlap=1.0, floor=0.1)
BASIC = ("start", "complete")
TASK = Task("tea", (Step("S1", "boil"), Step("S2", "pour")))


@pytest.fixture(scope="module")
def llm(tiny_llm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return loud_llm(tiny_llm, tmp_path_factory.mktemp("loud_llm"))


def seen(state: State, **likely: float) -> dict[Transition, float]:
    """Scores of all moves; ``S1_start=.6`` names one, all others have .001."""
    return {
        Transition(step, move): math.log(likely.get(f"{step}_{move}", 0.001))
        for step in state
        for move in BASIC
    }


def shares(belief: Belief) -> dict[tuple[str, ...], float]:
    return {one.statuses: math.exp(one.log_weight) for one in belief}


def frame(
    belief: Belief,
    told: State,
    scores: Mapping[Transition, float],
    prob: float,
    config: BeliefConfig,
) -> Belief:
    after = moved(belief, told, scores, config)
    return mixed(belief, after, change_prob(prob, LEVEL), config.num_hypotheses)


def test_two_frames_by_hand() -> None:
    told = initial_state(TASK)
    scores = seen(told, S1_start=0.6, S2_start=0.2)
    once = frame(certain(told), told, scores, 0.4, PLAIN)
    none, first, second = (
        ("not_started", "not_started"),
        ("in_progress", "not_started"),
        ("not_started", "in_progress"),
    )
    # .4 is shared 3 : 1
    assert shares(once) == pytest.approx({none: 0.6, first: 0.3, second: 0.1})
    # again: of no start .6 * (.6, .2); of a start of S1 .3 * (.6 heard before, .2 S2 too, .001
    # complete), likewise of S2
    twice = shares(frame(once, told, scores, 0.4, PLAIN))
    change = {
        first: 0.6 * 0.6 + 0.3 * 0.6,
        second: 0.6 * 0.2 + 0.1 * 0.2,
        ("in_progress", "in_progress"): 0.3 * 0.2 + 0.1 * 0.6,
        ("completed", "not_started"): 0.3 * 0.001,
        ("not_started", "completed"): 0.1 * 0.001,
    }
    total = sum(change.values())
    expected = {state: 0.4 * weight / total for state, weight in change.items()}
    expected[none] = 0.6 * 0.6
    expected[first] += 0.6 * 0.3
    expected[second] += 0.6 * 0.1
    assert twice == pytest.approx(expected)
    assert next(iter(twice)) == first  # twice nearly seen, it is likelier than not


def test_priors_of_order_and_of_a_missed_move_by_hand() -> None:
    told: State = {"S1": "in_progress", "S2": "not_started"}
    config = BeliefConfig(missed=0.1, overlap=0.2, skip=0.5)
    scores = seen(told, S2_start=1.0)
    found = moved(certain(told), told, scores, config)
    # over S1 still in progress; or S1's end, one of two moves, was missed
    both, missed = ("in_progress", "in_progress"), ("completed", "in_progress")
    assert math.exp(found[both]) == pytest.approx(0.2)
    # or S2 was started unseen, and now S1 ends; each .001
    assert math.exp(found[missed]) == pytest.approx(0.05 + 0.05 * 0.2 * 0.001)
    skipped = moved(certain(initial_state(TASK)), initial_state(TASK), scores, config)
    assert math.exp(skipped["not_started", "in_progress"]) == pytest.approx(0.5)


def test_a_missed_start_is_made_up_for_when_the_end_is_clearly_seen() -> None:
    told = initial_state(TASK)
    belief = frame(certain(told), told, seen(told, S1_start=0.9), 0.3, PLAIN)
    assert towards(told, dict(zip(told, belief[0].statuses, strict=True)), BASIC) == ()
    belief = frame(belief, told, seen(told, S1_complete=0.9), 0.9, PLAIN)
    likely = dict(zip(told, belief[0].statuses, strict=True))
    moves = (Transition("S1", "start"), Transition("S1", "complete"))
    assert towards(told, likely, BASIC) == moves
    # even if nothing at all was seen of the start
    config = replace(PLAIN, missed=0.05)
    belief = frame(certain(told), told, seen(told, S1_complete=0.9), 0.9, config)
    assert belief[0].statuses == ("completed", "not_started")


def test_what_can_not_be_taken_back_stays_until_it_is_really_started() -> None:
    told: State = {"S1": "in_progress", "S2": "not_started", "S3": "in_progress"}
    likely: State = {"S1": "not_started", "S2": "in_progress", "S3": "completed"}
    moves = towards(told, likely, BASIC)
    assert moves == (Transition("S3", "complete"), Transition("S2", "start"))
    back: State = {"S1": "completed"}
    assert towards(back, {"S1": "in_progress"}, BASIC) == ()
    again = towards(back, {"S1": "in_progress"}, (*BASIC, "reopen"))
    assert again == (Transition("S1", "reopen"),)


def test_the_threshold_stands_for_even_odds() -> None:
    assert change_prob(0.95, DecisionRule(0.95)) == pytest.approx(0.5)
    assert change_prob(0.95, DecisionRule(0.5)) == pytest.approx(0.95)
    assert change_prob(0.5, DecisionRule(0.95)) == pytest.approx(0.05)
    assert 0 < change_prob(1.0, DecisionRule(1.0)) < 1
    assert quiet([0.05, 0.09, 0.2, 0.0], LEVEL, PLAIN) == 2
    with pytest.raises(ConfigError, match="kind rise"):
        change_prob(0.5, DecisionRule(0.1, "rise"))


def test_texts_have_the_probabilities_of_all_branches(llm: Path) -> None:
    model = mode_model(llm, "linear")
    task, renderer = random_stream(0).task, model.renderer
    engine = make_engine(model, StreamConfig(), 1)
    prompt = renderer.prompt(task, None, (), True, "x")
    context = Context(engine.take(), prompt)
    moves = [Transition(step.id, move) for step in task.steps for move in BASIC]
    options = [renderer.move(move) for move in moves]
    logs = engine.run(_read_text(context, options))
    assert context.tokens == prompt.ids
    assert sum(map(math.exp, logs)) == pytest.approx(1, abs=1e-5)
    read = torch.tensor(logs).exp()

    def slow(option: list[int]) -> float:
        """Token by token, of those that some option allows."""
        share = 1.0
        for depth, token in enumerate(option):
            allowed = sorted({o[depth] for o in options if o[:depth] == option[:depth]})
            context.add(option[:depth])
            context.num_read = 0
            logits = engine.forward([last(context, logits=True)])[0][0]
            context.rewind(len(prompt.ids))
            share *= float(logits[allowed].softmax(0)[allowed.index(token)])
        return share

    expected = torch.tensor([slow(option) for option in options])
    told_apart = expected.view(-1, 2).sum(1).repeat_interleave(2) > 0.02
    assert told_apart.sum() >= 2
    torch.testing.assert_close(read[told_apart], expected[told_apart], atol=1e-4, rtol=0)
    assert (read - expected).abs().max() < 0.02


def scripted(
    view: View, told: State, belief: Belief, change: float, fires: bool, wanted: list[int]
) -> tuple[Belief, tuple[Transition, ...]]:
    """`believing` with a network that sees ``wanted`` clearly, wherever in a state turn."""
    job = believing(view, told, belief, change, fires, PLAIN)
    start = len(view.context.tokens) + len(view.renderer.header("state"))
    answer: torch.Tensor | None = None
    while True:
        try:
            ask = next(job) if answer is None else job.send(answer)
        except StopIteration as end:
            found: tuple[Belief, tuple[Transition, ...]] = end.value
            return found
        tail = ask.context.tokens[start:]
        answer = torch.zeros(1, 60_000)
        follows = wanted[: len(tail)] == tail
        answer[0, wanted[len(tail)] if follows else view.renderer.end_id] = 12.0
        ask.context.num_read = len(ask.context.tokens)


def test_a_scripted_network_recovers_from_a_missed_start(llm: Path) -> None:
    model = mode_model(llm, "linear")
    told, renderer = initial_state(TASK), model.renderer
    context = Context(0, renderer.prompt(TASK, told, (), True, "x"))
    view, length = View(context, model.network, renderer, None), len(context.tokens)
    start, complete = Transition("S1", "start"), Transition("S1", "complete")
    belief, moves = scripted(view, told, certain(told), 0.3, False, renderer.move(start))
    assert moves == ()
    assert len(context.tokens) == length
    assert belief[0].statuses == ("not_started", "not_started")
    belief, moves = scripted(view, told, belief, 0.9, True, renderer.move(complete))
    assert moves == (start, complete)
    assert context.tokens[length:] == renderer.state_turn(moves)
    assert belief[0].statuses == ("completed", "not_started")


def on(chunk: int = 32) -> StreamConfig:
    return StreamConfig(max_chunk=chunk, max_new_tokens=8, belief=BeliefConfig(skip=0.5))


@pytest.mark.parametrize("mode", sorted(MODES))
def test_streams_are_legal_and_the_same_in_chunks_and_side_by_side(llm: Path, mode: str) -> None:
    model = few_thresholds(mode_model(llm, mode, context_len=700), 1)
    streams = [random_stream(seed, num_frames=120 + 40 * seed) for seed in (1, 2)]
    many = together(model, on(), streams, 2)
    written = 0
    for stream in streams:
        one = predict_stream(model, stream, vectors, on(1), "x")
        assert one.events == many[stream.dialogue_id].events
        assert one.refreshes == many[stream.dialogue_id].refreshes
        moves = [move for event in one.events for move in event.transitions]
        fold(stream.state, moves)  # an illegal one raises
        assert all(e.transitions or e.speech is not None or e.user for e in one.events)
        assert max(len(event.transitions) for event in one.events) <= 4
        written += len(moves)
    assert written


def test_a_snapshot_holds_it(llm: Path) -> None:
    model = few_thresholds(mode_model(llm, "linear", context_len=700), 1)
    stream = random_stream(1, num_frames=160)
    video = vectors(stream)
    cut = Session(model, on(), stream.task)
    cut.advance(video[:80])
    assert len(cut.belief) > 1
    data = snapshot(cut)
    again = restore(data, model, on(), make_engine(model, on(), 1))
    assert again.belief == cut.belief
    for session in (cut, again):
        session.advance(video[80:])
    assert again.events == cut.events
    off = replace(on(), belief=None)
    assert restore(data, model, off, make_engine(model, off, 1)).belief == ()


def test_what_references_tell_is_certain(llm: Path) -> None:
    model = with_thresholds(mode_model(llm, "linear"), 1.0, 1.0)
    stream = random_stream(3)
    session = Session(model, on(), stream.task)
    first = next(event for event in stream.events if event.transitions)
    session.advance(vectors(stream)[:1], [None])
    session.tell(first)
    assert session.belief == certain(session.state)


def test_at_a_quiet_frame_nothing_is_read(llm: Path) -> None:
    model = mode_model(llm, "linear")
    told = initial_state(TASK)
    engine = make_engine(model, StreamConfig(), 1)
    context = Context(engine.take(), model.renderer.prompt(TASK, told, (), True, "x"))
    view = View(context, model.network, model.renderer, None)
    with pytest.raises(StopIteration) as end:
        next(believing(view, told, certain(told), 0.05, False, PLAIN))
    assert end.value.value == (certain(told), ())


def test_settings_that_make_no_sense_are_refused(llm: Path) -> None:
    with pytest.raises(ConfigError, match="num_hypotheses"):
        BeliefConfig(num_hypotheses=0)
    with pytest.raises(ConfigError, match="missed is 1"):
        BeliefConfig(missed=1.0)
    with pytest.raises(ConfigError, match="floor is 0"):
        BeliefConfig(floor=0.0)
    with pytest.raises(ConfigError, match="unconstrained"):
        StreamConfig(unconstrained=True, belief=BeliefConfig())
    rise = StreamConfig(update_rule=DecisionRule(0.1, "rise"), belief=BeliefConfig())
    with pytest.raises(ConfigError, match="kind rise"):
        Session(mode_model(llm, "linear"), rise, TASK)
