"""Where decisions, choices and step lines sit in a rendered clip."""

from dataclasses import replace

import numpy as np
import pytest
from transformers import PreTrainedTokenizerBase

from prospect.errors import ConfigError, DataError
from prospect.samples.choices import STOP, choices, column
from prospect.samples.config import Layout
from prospect.samples.labels import ACT, SILENT, UNLABELLED, check_clips
from prospect.samples.markers import find_markers
from prospect.samples.sequence import NONE, SPEAK_GEN, STATE_GEN, Renderer
from prospect.types import Clip, Event, Move, State, Step, Task, Transition
from tests.clips import random_stream
from tests.samples.test_sequence import byte_level

BOIL, POUR = Transition("S1", "start"), Transition("S2", "start")
BOILED = Transition("S1", "complete")
TEA = replace(
    random_stream(0, num_frames=10),
    task=Task("Make tea", (Step("S1", "Boil water."), Step("S2", "Pour it."))),
    state={"S1": "not_started", "S2": "not_started"},
    events=(
        Event(2, (BOIL,)),
        Event(4, (BOILED, POUR), "Now pour."),
        Event(6, speech="Slowly."),
        Event(8, user="Done?"),
    ),
)
CASCADE = Layout(cascade=True)
TOKEN = Layout(own_headers=True, token_decisions=True, cascade=True)
POINT = Layout(choices=True)
REOPEN: tuple[Move, ...] = ("start", "complete", "reopen")


@pytest.mark.parametrize("layout", [Layout(), CASCADE, TOKEN, POINT])
def test_inputs_depend_on_the_headers_alone(
    tokenizer: PreTrainedTokenizerBase, layout: Layout
) -> None:
    plain = Renderer(tokenizer, 1, Layout(own_headers=layout.own_headers)).clip(TEA)
    rendered = Renderer(tokenizer, 1, layout).clip(TEA)
    assert rendered.ids.tolist() == plain.ids.tolist()
    assert rendered.frame_ends.tolist() == plain.frame_ends.tolist()


def test_speak_is_read_after_the_state_turn_of_its_frame(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    renderer = Renderer(tokenizer, 2, CASCADE)
    rendered = renderer.clip(TEA)
    for frame, (end, again) in enumerate(
        zip(rendered.frame_ends.tolist(), rendered.speak_ends.tolist(), strict=True)
    ):
        turn = rendered.ids[end + 1 : again + 1].tolist()
        written = {2: (BOIL,), 4: (BOILED, POUR)}.get(frame)
        assert turn == (renderer.state_turn(written) if written else [])
    plain = Renderer(tokenizer, 2).clip(TEA)
    assert plain.speak_ends.tolist() == plain.frame_ends.tolist()


def test_openers_count_in_the_decision_alone(tokenizer: PreTrainedTokenizerBase) -> None:
    renderer = Renderer(tokenizer, 1, TOKEN)
    assistant, state = renderer.openers
    assert len({assistant, state, renderer.image_id, renderer.end_id}) == 4
    assert {assistant, state} <= set(renderer.special_ids)  # never part of a sentence
    rendered = renderer.clip(TEA)
    assert (rendered.targets[np.isin(rendered.ids, [assistant, state])] == NONE).all()
    for frame, opener in ((2, state), (4, state), (6, assistant)):
        assert rendered.ids[rendered.frame_ends[frame] + 1] == opener
    after = rendered.speak_ends[4]
    assert rendered.ids[[after, after + 1]].tolist() == [renderer.end_id, assistant]
    # what follows frame 8 is the user's, so neither decision has a target there
    assert (rendered.speak[8], rendered.update[8]) == (UNLABELLED, UNLABELLED)
    assert rendered.update.tolist().count(ACT) == 2
    text = [renderer.header("assistant")[0], *renderer.text("Slowly."), renderer.end_id]
    start = rendered.speak_ends[6] + 1
    assert rendered.ids[start : start + len(text)].tolist() == text
    expected = [NONE] + [SPEAK_GEN] * (len(text) - 1)
    assert rendered.targets[start : start + len(text)].tolist() == expected


def test_the_opener_of_a_summary_is_a_target_since_no_decision_is(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    renderer = Renderer(tokenizer, 1, TOKEN)
    asked = replace(TEA, kind="summary", events=(), summary="All done.")
    rendered = renderer.clip(asked)
    answer = renderer.turn("assistant", "All done.")
    assert rendered.targets[-len(answer) :].tolist() == [SPEAK_GEN] * len(answer)


def test_choices_by_hand(tokenizer: PreTrainedTokenizerBase) -> None:
    renderer = Renderer(tokenizer, 1, POINT)
    rendered = renderer.clip(TEA)
    made = rendered.choices
    # columns: stop, S1 start, complete, reopen, S2 start, complete, reopen
    assert made.options.astype(int).tolist() == [
        [1, 1, 0, 0, 1, 0, 0],
        [1, 0, 1, 0, 1, 0, 0],
        [1, 0, 1, 0, 1, 0, 0],
        [1, 0, 0, 0, 1, 0, 0],
        [1, 0, 0, 0, 0, 1, 0],
    ]
    assert made.chosen.tolist() == [1, STOP, 2, 4, STOP]
    ends = made.ends
    assert ends[[0, 2]].tolist() == rendered.frame_ends[[2, 4]].tolist()
    texts = [tokenizer.decode(rendered.ids[: end + 1]) for end in ends[[1, 3, 4]]]
    assert texts[0].endswith("state\nS1->start")
    assert texts[1].endswith("state\nS1->complete")
    assert texts[2].endswith("state\nS1->complete, S2->start")
    assert np.flatnonzero(rendered.targets == STATE_GEN).tolist() == (ends + 1).tolist()


def test_nothing_is_chosen_where_no_state_is_known(tokenizer: PreTrainedTokenizerBase) -> None:
    silent = replace(TEA, state_known=False, events=TEA.events[2:])
    rendered = Renderer(tokenizer, 1, POINT).clip(silent)
    assert len(rendered.choices.chosen) == 0
    assert STATE_GEN not in rendered.targets


def test_the_last_step_leaves_nothing_to_stop() -> None:
    state = {"S1": "in_progress"}
    made = choices(state, [([7, 9], (Transition("S1", "complete"),))])
    assert made.ends.tolist() == [7]
    with pytest.raises(DataError, match="needs in_progress"):
        choices({"S1": "completed"}, [([7, 9], (Transition("S1", "complete"),))])


def test_reopening_is_an_option_where_the_vocabulary_has_it() -> None:
    state: State = {"S1": "completed", "S2": "not_started"}
    start, reopen = Transition("S2", "start"), Transition("S1", "reopen")
    basic = choices(state, [([3, 5], (start,))])
    assert basic.options.astype(int).tolist() == [[1, 0, 0, 0, 1, 0, 0], [1, 0, 0, 0, 0, 1, 0]]
    larger = choices(state, [([3, 5], (start,)), ([8, 9], (reopen,))], REOPEN)
    assert larger.chosen.tolist() == [4, STOP, column(reopen, ["S1", "S2"]), STOP]
    assert larger.options.astype(int).tolist() == [
        [1, 0, 0, 1, 1, 0, 0],
        [1, 0, 0, 1, 0, 1, 0],
        [1, 0, 0, 1, 0, 1, 0],
        [1, 0, 1, 0, 0, 1, 0],
    ]


def test_a_transition_outside_of_the_vocabulary_is_refused(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    clip = replace(TEA, state=dict.fromkeys(TEA.state, "completed"), events=())
    reopened = replace(clip, events=(Event(7, (Transition("S2", "reopen"),)),))
    with pytest.raises(DataError, match=r"S2->reopen at frame 7.*add reopen"):
        check_clips(Layout(), [clip, reopened])
    with pytest.raises(DataError, match="add reopen"):
        Renderer(tokenizer, 1).clip(reopened)
    rendered = Renderer(tokenizer, 1, Layout(moves=REOPEN)).clip(reopened)
    assert (rendered.update == ACT).sum() == 1


@pytest.mark.parametrize("seed", range(3))
def test_step_ends_are_the_last_tokens_of_their_lines(
    tokenizer: PreTrainedTokenizerBase, seed: int
) -> None:
    renderer = Renderer(tokenizer, 1)
    clip = random_stream(seed)
    names = ("Crème brûlée, 5 ☕", "Ends in a stop.", "x", clip.task.steps[3].name, "two  spaces ")
    steps = tuple(replace(s, name=n) for s, n in zip(clip.task.steps, names, strict=True))
    rendered = renderer.clip(replace(clip, task=replace(clip.task, steps=steps)))
    assert len(rendered.step_ends) == 5
    for step, end in zip(steps, rendered.step_ends.tolist(), strict=True):
        assert tokenizer.decode(rendered.ids[: end + 1]).endswith(f"- {step.id}: {step.name}")
    bare: Clip = replace(clip, knowledge=False, events=())
    assert len(renderer.clip(bare).step_ends) == 0


def test_a_prompt_is_the_system_turn_it_always_was(tokenizer: PreTrainedTokenizerBase) -> None:
    renderer = Renderer(tokenizer, 1)
    ids = renderer.clip_prompt(TEA)
    text = tokenizer.decode(ids).removeprefix("<|im_start|>system\n").removesuffix("<|im_end|>")
    assert ids == renderer.turn("system", text)


def test_a_vocabulary_without_reserved_tokens_cannot_have_own_headers() -> None:
    plain = byte_level("<|im_start|>", "<|im_end|>", "<image>")
    assert find_markers(plain, False).own_headers == {}
    with pytest.raises(ConfigError, match="choose roles: chat"):
        find_markers(plain, True)


def test_labels_are_those_of_the_plain_layout(tokenizer: PreTrainedTokenizerBase) -> None:
    plain = Renderer(tokenizer, 1).clip(TEA)
    for layout in (CASCADE, POINT):
        rendered = Renderer(tokenizer, 1, layout).clip(TEA)
        assert rendered.speak.tolist() == plain.speak.tolist()
        assert rendered.update.tolist() == plain.update.tolist()
    assert (plain.speak[2], plain.update[8]) == (SILENT, SILENT)
