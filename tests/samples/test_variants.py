"""What is made of one stream: each variant by its rules, and on random streams all of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from transformers import PreTrainedTokenizerBase

from prospect.annotations import read_dataset
from prospect.dialogues import WRITERS, label, write_dialogues
from prospect.samples.clips import by_dialogue, state_after, whole_clip
from prospect.samples.labels import ACT, SILENT, UNLABELLED
from prospect.samples.sequence import NONE, PROMPTS, SPEAK_GEN, STATE_GEN, SUMMARY_REQUEST, Renderer
from prospect.samples.variants import (
    MAX_SUMMARY_LEN,
    VARIANTS,
    narrated,
    narration,
    proassist,
    state_only,
    summary_only,
    with_summary,
)
from prospect.toy.world import annotations
from prospect.types import Action, Annotation, Clip, Event, Task
from tests.clips import random_stream

CONTEXT_LEN = 520


@pytest.fixture
def renderer(tokenizer: PreTrainedTokenizerBase) -> Renderer:
    return Renderer(tokenizer, 1)


def summed(stream: Clip) -> Clip:
    """Every utterance with a summary that names its frame."""
    events = (
        replace(e, summary=f"So far, up to {e.frame}.") if e.speech is not None else e
        for e in stream.events
    )
    return replace(stream, events=tuple(events))


def toy_stream() -> Clip:
    annotation = annotations("train", 1, 0)[0]
    written, _ = write_dialogues([annotation], WRITERS["scripted"], ["talk_some"], 0)
    return whole_clip(written[0], label(annotation), 2.0, int(annotation.duration_s * 2))


def made(found: list[Clip] | str) -> list[Clip]:
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("seed", [0, 3, 5])
def test_clips_of_every_variant(renderer: Renderer, name: str, seed: int) -> None:
    stream = summed(random_stream(seed, num_frames=400))
    clips = made(VARIANTS[name](stream, renderer, CONTEXT_LEN, seed))
    assert len(clips) > 1
    assert clips == VARIANTS[name](stream, renderer, CONTEXT_LEN, seed)
    whole = {event.frame: event for event in stream.events}
    for clip in clips:
        rendered = renderer.clip(clip)
        assert len(rendered.ids) == renderer.clip_len(clip) <= CONTEXT_LEN
        assert 0 <= clip.start_frame <= clip.decide_from < clip.stop_frame <= 400
        # the exact state: of all transitions before it, whatever the variant shows of them
        before = [event for event in stream.events if event.frame < clip.decide_from]
        assert clip.state == state_after(stream.state, before)
        for event in clip.events:
            assert event.transitions in ((), whole[event.frame].transitions)
            assert event.speech in (None, whole[event.frame].speech)
    names = {clip.dialogue_id for clip in clips}
    assert names == {stream.dialogue_id + ("" if name == "dialogue" else f"+{name}")}


def test_variants_of_one_dialogue_stay_apart(renderer: Renderer) -> None:
    stream = summed(random_stream(1, num_frames=400))
    sets = [made(make(stream, renderer, CONTEXT_LEN, 0)) for make in VARIANTS.values()]
    clips = [clip for each in sets for clip in each]
    assert len({clip.clip_id for clip in clips}) == len(clips)
    groups = sorted(by_dialogue(clips), key=lambda group: group[0].dialogue_id)
    assert groups == sorted(sets, key=lambda group: group[0].dialogue_id)


@pytest.mark.parametrize(("variant", "steps"), [("no_state", True), ("no_knowledge", False)])
def test_the_talk_alone(variant: str, steps: bool, renderer: Renderer) -> None:
    (clip,) = made(VARIANTS[variant](toy_stream(), renderer, 9999, 0))
    prompt = renderer.decode(renderer.clip_prompt(clip))
    assert ("Steps:" in prompt) == steps
    assert "State:" not in prompt
    rendered = renderer.clip(clip)
    assert (rendered.update == UNLABELLED).all()
    assert not (rendered.targets == STATE_GEN).any()


def test_the_state_alone(renderer: Renderer) -> None:
    stream = toy_stream()
    (clip,) = made(state_only(stream, renderer, 9999, 0))
    assert [e.transitions for e in clip.events] == [
        e.transitions for e in stream.events if e.transitions
    ]
    rendered = renderer.clip(clip)
    assert not (rendered.targets == SPEAK_GEN).any()
    # silence is our doing, so nothing is learned of when to speak
    assert (rendered.speak == UNLABELLED).all()
    assert (rendered.update == ACT).sum() == len(clip.events)
    assert (rendered.update == SILENT).sum() == clip.stop_frame - len(clip.events)
    assert any(line in renderer.decode(renderer.clip_prompt(clip)) for line in PROMPTS["state"])
    assert state_only(replace(stream, events=()), renderer, 9999, 0) == "no transitions"


def test_a_summary_is_asked_for_at_the_end(renderer: Renderer) -> None:
    stream = toy_stream()
    last = [event for event in stream.events if event.speech is not None][-1]
    (clip,) = made(with_summary(stream, renderer, 9999, 0))
    assert (clip.stop_frame, clip.summary) == (last.frame + 1, last.summary)
    rendered, plain = renderer.clip(clip), renderer.clip(replace(clip, summary=None))
    tail = slice(len(plain.ids), None)
    assert clip.summary is not None
    request = renderer.turn("user", SUMMARY_REQUEST)
    answer = renderer.turn("assistant", clip.summary)
    assert rendered.ids[tail].tolist() == [*request, *answer]
    assert rendered.targets[tail].tolist() == [NONE] * len(request) + [SPEAK_GEN] * len(answer)
    # the user asks: no frame is labelled for it
    assert np.array_equal(rendered.speak, plain.speak)
    assert np.array_equal(rendered.update, plain.update)


def test_room_is_kept_for_the_longest_summary(renderer: Renderer) -> None:
    stream = summed(random_stream(2, num_frames=400))
    clips = made(with_summary(stream, renderer, CONTEXT_LEN, 0))
    assert len(clips) > 1
    for clip in clips:
        assert clip.events[-1].speech is not None
        assert clip.summary == clip.events[-1].summary == f"So far, up to {clip.stop_frame - 1}."
    long = replace(stream, events=(Event(9, speech="Hi.", summary="so " * MAX_SUMMARY_LEN),))
    assert with_summary(long, renderer, 9999, 0) == "a summary of more than 768 tokens"
    mute = replace(stream, events=(Event(9, speech="Hi."),))
    assert with_summary(mute, renderer, 9999, 0) == "no summaries"


def test_proassists_own_samples(renderer: Renderer) -> None:
    stream = summed(random_stream(2, num_frames=400))
    first, second, *_ = made(proassist(stream, renderer, CONTEXT_LEN, 0))
    assert (first.progress, second.progress) == (None, first.summary)
    prompt = renderer.decode(renderer.clip_prompt(second))
    assert prompt.endswith(f"Progress: {first.summary}")
    assert "Steps:" in prompt
    assert "State:" not in prompt
    assert "Recent:" not in prompt
    assert all(not event.transitions for event in first.events)


def test_summaries_alone(renderer: Renderer) -> None:
    stream = summed(random_stream(2, num_frames=400))
    clips = made(summary_only(stream, renderer, CONTEXT_LEN, 0))
    talks = made(proassist(stream, renderer, CONTEXT_LEN, 0))
    assert len(clips) > 1
    for clip in clips:
        rendered = renderer.clip(clip)
        assert clip.summary is not None
        assert (rendered.speak == UNLABELLED).all()
        assert (rendered.update == UNLABELLED).all()
        learned = rendered.ids[rendered.targets == SPEAK_GEN].tolist()
        assert learned == renderer.turn("assistant", clip.summary)
        heard = [(e.frame, e.user) for e in stream.events if e.user is not None]
        inside = [(f, text) for f, text in heard if clip.decide_from <= f < clip.stop_frame]
        assert [(e.frame, e.user) for e in clip.events] == inside
    assert talks[0].stop_frame <= clips[0].stop_frame
    assert clips[1].progress == clips[0].summary


def annotation(*actions: Action) -> Annotation:
    return Annotation("v", "epickitchens", "train", Task("Cook", ()), "cook", 60.0, actions)


def test_actions_are_told_when_they_end() -> None:
    stream, beyond = narrated(
        annotation(
            Action(1.0, 9.0, "wash pan", "action"),
            Action(2.0, 5.0, "open tap", "action"),
            Action(4.0, 9.0, "take sponge", "action"),
            Action(10.0, 20.0, "look around", "pause"),
            Action(0.0, 30.0, "do the dishes", "step"),
            Action(50.0, 60.0, "close tap", "action"),
        ),
        2.0,
        119,
    )
    assert [(event.frame, event.speech) for event in stream.events] == [
        (9, "open tap"),
        (17, "wash pan"),
        (18, "take sponge"),
    ]
    assert beyond == 1
    assert (stream.kind, stream.knowledge, stream.state_known) == ("narration", False, False)
    steps, _ = narrated(annotation(Action(0.0, 30.0, "do the dishes", "step")), 2.0, 120)
    assert [(event.frame, event.speech) for event in steps.events] == [(59, "do the dishes")]


def test_clips_of_narrations(renderer: Renderer) -> None:
    actions = [Action(2.0 * i, 2.0 * i + 1.5, f"do thing {i}", "action") for i in range(28)]
    stream, _ = narrated(annotation(*actions), 2.0, 120)
    clips = made(narration(stream, renderer, 150, 0))
    assert len(clips) > 2
    assert [e for clip in clips for e in clip.events] == list(stream.events)
    for clip in clips:
        rendered = renderer.clip(clip)
        assert len(rendered.ids) <= 150
        prompt = renderer.decode(renderer.clip_prompt(clip))
        assert prompt.split("\n", 1)[1] in PROMPTS["narration"]
        assert (rendered.update == UNLABELLED).all()
        assert (rendered.speak == ACT).sum() == len(clip.events)
        assert (rendered.speak[clip.decide_from - clip.start_frame :] != UNLABELLED).all()
    for clip in clips[1:]:  # 1 to 3 s before its first event
        assert 2 <= clip.events[0].frame + 1 - clip.start_frame <= 6
    assert narration(replace(stream, events=()), renderer, 150, 0) == "nothing to narrate"


def test_every_bundled_annotation_has_narrations(renderer: Renderer) -> None:
    for one in read_dataset("holoassist", Path("bundled")).annotations[:4]:
        stream, beyond = narrated(one, 2.0, int(one.duration_s * 2))
        fine = [action for action in one.actions if action.kind == "action"]
        assert len(stream.events) + beyond == len(fine) > 0
        clips = made(narration(stream, renderer, 1024, 0))
        assert sum(len(clip.events) for clip in clips) == len(stream.events)
