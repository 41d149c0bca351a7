"""Histories with slips: what is told, what is wanted, and what of it is learned."""

from dataclasses import replace

import numpy as np
import pytest
from transformers import AutoTokenizer

from prospect.pretrained import model_folder
from prospect.samples.choices import STOP, column
from prospect.samples.config import Layout
from prospect.samples.labels import ACT, SILENT, UNLABELLED
from prospect.samples.sequence import STATE_GEN, Renderer
from prospect.samples.slips import Slipped, render_slipped, slip
from prospect.states.transitions import fold, is_legal
from prospect.types import Event, Transition
from tests.clips import random_stream

S1, E1 = Transition("S1", "start"), Transition("S1", "complete")
S2, E2 = Transition("S2", "start"), Transition("S2", "complete")
TRUE = replace(
    random_stream(1, num_frames=30),
    events=(Event(4, (S1,)), Event(9, (E1,), "Good."), Event(14, (S2,)), Event(19, (E2,))),
)


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    tokenizer = AutoTokenizer.from_pretrained(model_folder("smollm2-135m-instruct"))
    return Renderer(tokenizer, 1, Layout(choices=True))


def test_a_clip_without_slips_is_rendered_as_ever(renderer: Renderer) -> None:
    slipped = slip(TRUE, 0.0, np.random.default_rng(0))
    assert slipped.clip == TRUE
    ours, plain = render_slipped(renderer, TRUE, slipped), renderer.clip(TRUE)
    for name in ("ids", "targets", "speak", "update"):
        assert np.array_equal(getattr(ours, name), getattr(plain, name)), name
    for name in ("ends", "options", "chosen"):
        assert np.array_equal(getattr(ours.choices, name), getattr(plain.choices, name)), name


def test_a_silent_clip_stays_as_it_is() -> None:
    silent = replace(TRUE, events=())
    for seed in range(10):
        assert slip(silent, 0.5, np.random.default_rng(seed)) == Slipped(silent, {})


def test_what_is_wanted_after_slips_by_hand(renderer: Renderer) -> None:
    # the start of S1 was missed, S2's came too early, and its end went unnoticed
    told = (Event(9, (S1, E1)), Event(12, (S2,)))
    slipped = Slipped(
        replace(TRUE, events=told), {4: (S1,), 9: (S1, E1), 12: (), 14: (), 19: (E2,)}
    )
    rendered = render_slipped(renderer, TRUE, slipped)
    assert [rendered.update[frame] for frame in (4, 9, 12, 14, 19)] == [
        ACT,
        ACT,
        SILENT,
        SILENT,
        ACT,
    ]
    assert rendered.speak[9] == UNLABELLED
    steps = list(TRUE.state)
    # missed: the start alone; caught up: both and that nothing more is due; too early, or told
    # before: to decline
    caught_up = [column(S1, steps), column(E1, steps), STOP]
    chosen = [column(S1, steps), *caught_up, STOP, STOP, column(E2, steps)]
    assert rendered.choices.chosen.tolist() == chosen
    ends = rendered.frame_ends
    first = [rendered.choices.ends[at] for at in (0, 1, 4, 5, 6)]
    assert first == [ends[4], ends[9], ends[12], ends[14], ends[19]]
    assert (
        np.flatnonzero(rendered.targets == STATE_GEN).tolist()
        == (rendered.choices.ends + 1).tolist()
    )
    assert all(row[taken] for row, taken in zip(rendered.choices.options, chosen, strict=True))


def test_what_was_missed_is_wanted_until_it_is_told(renderer: Renderer) -> None:
    told = (Event(7, (S1,)), Event(9, (E1,), "Good."), *TRUE.events[2:])
    wanted = {4: (S1,), 5: (S1,), 6: (S1,), 7: (S1,), 9: (E1,), 14: (S2,), 19: (E2,)}
    rendered = render_slipped(renderer, TRUE, Slipped(replace(TRUE, events=told), wanted))
    assert np.flatnonzero(rendered.update == ACT).tolist() == [*range(4, 8), 9, 14, 19]
    assert rendered.speak[9] == ACT  # told in time again
    steps = list(TRUE.state)
    first = rendered.choices.ends[:4].tolist()
    assert first == rendered.frame_ends[4:8].tolist()
    assert rendered.choices.chosen[:5].tolist() == [column(S1, steps)] * 4 + [0]


def test_drawn_histories_often_tell_late_and_never_after_the_next_event() -> None:
    spans = []
    for seed in range(300):
        slipped = slip(TRUE, 0.3, np.random.default_rng(seed))
        told = {event.frame: event.transitions for event in slipped.clip.events}
        for event in TRUE.events[:-1]:
            late, wants = [], slipped.wanted.get(event.frame + 1)
            while wants and slipped.wanted.get(event.frame + 1 + len(late)) == wants:
                late.append(event.frame + 1 + len(late))
            if late:
                spans.append(len(late))
                assert late[-1] < event.frame + 5
                assert [told.get(frame, ()) for frame in late] == [()] * (len(late) - 1) + [wants]
    assert len(spans) > 60
    assert set(spans) == {1, 2, 3, 4}


def test_a_sentence_of_what_was_missed_is_not_taught_to_be_silence(renderer: Renderer) -> None:
    told = (TRUE.events[0], *TRUE.events[2:])
    wanted = {4: (S1,), 9: (E1,), 14: (S2,), 19: (E2,)}
    rendered = render_slipped(renderer, TRUE, Slipped(replace(TRUE, events=told), wanted))
    assert rendered.speak[9] == UNLABELLED


@pytest.mark.parametrize("seed", range(40))
def test_drawn_histories_are_legal_and_what_is_wanted_is(renderer: Renderer, seed: int) -> None:
    true = random_stream(seed)
    slipped = slip(true, 0.3, np.random.default_rng(seed))
    state, told = true.state, {event.frame: event for event in slipped.clip.events}
    for frame in sorted({*told, *slipped.wanted}):
        after = state
        for move in slipped.wanted.get(frame, ()):
            assert is_legal(after, move)
            after = fold(after, (move,))
        for move in told[frame].transitions if frame in told else ():
            assert is_legal(state, move)
            state = fold(state, (move,))
    rendered = render_slipped(renderer, true, slipped)
    choices = rendered.choices
    assert choices.options[np.arange(len(choices.ends)), choices.chosen].all()
    assert (np.diff(choices.ends) > 0).all()
    users = [event.user for event in true.events if event.user is not None]
    assert [e.user for e in slipped.clip.events if e.user is not None] == users
