"""Cutting streams into clips, and joining them again."""

from dataclasses import replace
from itertools import pairwise

import pytest
from transformers import PreTrainedTokenizerBase

from prospect.errors import ConfigError, DataError
from prospect.samples.clips import (
    RECENT_UTTERANCES,
    by_dialogue,
    cut,
    in_time,
    join,
    recent_turns,
    state_after,
    whole_clip,
    without_answers,
)
from prospect.samples.sequence import Renderer
from prospect.states.transitions import apply, initial_state
from prospect.types import (
    Clip,
    Dialogue,
    Event,
    StateTrack,
    Step,
    Task,
    TimedTransition,
    Transition,
    Turn,
)
from tests.clips import random_stream

TASK = Task("Make tea", (Step("S1", "Boil water."), Step("S2", "Pour it.")))
DIALOGUE = Dialogue(
    dialogue_id="v/human-0",
    video_id="v",
    dataset="toy",
    split="val",
    user_type="human",
    writer="human",
    task=TASK,
    task_type="tea",
    duration_s=20.0,
    turns=(Turn("user", 5.0, "Help me."), Turn("assistant", 5.0, "Boil water.")),
    video_file="videos/v.mp4",
    start_s=4.0,
)
TRACK = StateTrack("v", TASK, (TimedTransition(7.0, Transition("S1", "start")),))


@pytest.fixture
def renderer(tokenizer: PreTrainedTokenizerBase) -> Renderer:
    return Renderer(tokenizer, 1)


def room(renderer: Renderer, stream: Clip, stop: int) -> int:
    """Tokens of the stream up to frame ``stop``."""
    events = tuple(event for event in stream.events if event.frame < stop)
    return renderer.clip_len(replace(stream, stop_frame=stop, events=events))


def events_of(clips: list[Clip]) -> list[Event]:
    return [event for clip in clips for event in clip.events]


def test_a_whole_clip_is_the_dialogue_with_its_transitions() -> None:
    clip = whole_clip(DIALOGUE, TRACK, 2, 40)
    assert clip.events == (
        Event(9, user="Help me."),
        Event(10, (), "Boil water."),
        Event(13, (Transition("S1", "start"),)),
    )
    assert (clip.start_frame, clip.decide_from, clip.stop_frame) == (8, 8, 40)
    assert clip.state == initial_state(TASK)
    assert (clip.clip_id, clip.recent, clip.frames_file) == ("v/human-0/0", (), "videos/v.mp4")


def test_a_whole_clip_needs_its_own_track_and_all_its_frames() -> None:
    with pytest.raises(DataError, match=r"v/human-0 and the states of w are of different videos"):
        whole_clip(DIALOGUE, replace(TRACK, video_id="w"), 2, 40)
    with pytest.raises(DataError, match=r"different videos or tasks"):
        whole_clip(DIALOGUE, replace(TRACK, task=Task("Make tea", TASK.steps[:1])), 2, 40)
    assert whole_clip(DIALOGUE, TRACK, 2, 14).stop_frame == 14
    with pytest.raises(DataError, match=r"v/human-0: event at frame 13, .* 13 frames at 2 fps"):
        whole_clip(DIALOGUE, TRACK, 2, 13)


def test_an_answer_that_finds_no_frame_before_the_end_is_left_out() -> None:
    last = (Turn("user", 19.0, "Done?"), Turn("assistant", 19.5, "Done."))
    crowded = replace(DIALOGUE, turns=(*DIALOGUE.turns, *last))
    assert in_time(crowded, TRACK, 2, 40) == crowded
    # at 1 frame a second both decide on frame 18, and the answer moves to 19
    assert in_time(crowded, TRACK, 1, 20) == crowded
    assert in_time(crowded, TRACK, 1, 19).turns == crowded.turns[:-1]
    late = replace(TRACK, transitions=(TimedTransition(19.6, Transition("S1", "start")),))
    assert in_time(crowded, late, 1, 20) == crowded
    with pytest.raises(DataError, match=r"event at frame 20, .* 20 frames"):
        whole_clip(crowded, late, 1, 20)
    # what the video doesn't reach is no matter of crowding
    assert in_time(crowded, TRACK, 1, 17) == crowded
    with pytest.raises(DataError, match=r"event at frame 19, .* 17 frames"):
        whole_clip(crowded, TRACK, 1, 17)


def test_a_stream_that_fits_is_one_clip(renderer: Renderer) -> None:
    stream = random_stream(0)
    size = renderer.clip_len(stream)
    assert cut(stream, renderer, size, 0) == [stream]
    assert len(cut(stream, renderer, size - 1, 0)) > 1


SPOKEN = replace(
    random_stream(0),
    stop_frame=200,
    events=(
        Event(60, speech="One."),
        Event(100, speech="Two."),
        Event(110, (Transition("S1", "start"),)),
        Event(120, user="What is next?"),
        Event(150, speech="Three."),
    ),
)


def test_the_cut_falls_after_the_last_utterance_that_fits(renderer: Renderer) -> None:
    first, second = cut(SPOKEN, renderer, room(renderer, SPOKEN, 140), 0)
    assert (first.stop_frame, first.events) == (101, SPOKEN.events[:2])
    # the next begins 5 to 20 s before its first event is decided, and looks for 5 s
    assert 111 - 40 <= second.start_frame <= 111 - 10
    assert second.decide_from == min(max(101, second.start_frame + 10), 110)
    assert second.events == SPOKEN.events[2:]
    assert [turn.text for turn in second.recent] == ["One.", "Two."]
    assert second.stop_frame == 200


def test_one_token_less_moves_the_cut_back(renderer: Renderer) -> None:
    size = room(renderer, SPOKEN, 101)
    assert cut(SPOKEN, renderer, size, 0)[0].stop_frame == 101
    assert cut(SPOKEN, renderer, size - 1, 0)[0].stop_frame == 61


def test_where_no_utterance_fits_the_cut_falls_after_an_event_or_a_frame(
    renderer: Renderer,
) -> None:
    silent = replace(SPOKEN, events=SPOKEN.events[2:])
    clips = cut(silent, renderer, room(renderer, silent, 140), 0)
    assert clips[0].stop_frame == 121
    assert [turn.text for turn in clips[1].recent] == ["What is next?"]
    assert clips[1].state["S1"] == "in_progress"
    empty = replace(SPOKEN, events=())
    assert cut(empty, renderer, room(renderer, empty, 140), 0)[0].stop_frame == 140


def test_a_context_that_holds_no_frame_is_an_error(renderer: Renderer) -> None:
    size = len(renderer.clip_prompt(SPOKEN))
    with pytest.raises(
        ConfigError, match=rf"{size} tokens don't hold the prompt \({size}\).*frame 0"
    ):
        cut(SPOKEN, renderer, size, 0)
    cut(SPOKEN, renderer, size + 80, 0)


@pytest.mark.parametrize("size", [1, 5])
@pytest.mark.parametrize("seed", range(8))
def test_clips_of_any_stream(tokenizer: PreTrainedTokenizerBase, seed: int, size: int) -> None:
    renderer = Renderer(tokenizer, size)
    stream = random_stream(seed, num_frames=400)
    context_len = 300 + 150 * size
    clips = cut(stream, renderer, context_len, seed)
    assert len(clips) >= 2
    assert events_of(clips) == list(stream.events)
    assert all(len(renderer.clip(clip).ids) <= context_len for clip in clips)
    assert [clip.clip_id for clip in clips] == [f"v{seed}/no_talk-0/{i}" for i in range(len(clips))]
    assert (clips[0].start_frame, clips[-1].stop_frame) == (0, 400)
    state = initial_state(stream.task)
    for clip in clips:
        assert clip.state == state
        for event in clip.events:
            for move in event.transitions:
                state = apply(state, move)
    for before, clip in pairwise(clips):
        assert 0 <= clip.start_frame <= clip.decide_from < clip.stop_frame
        assert before.stop_frame <= clip.decide_from
        first = clip.events[0].frame if clip.events else before.stop_frame
        assert 10 <= first + 1 - clip.start_frame <= 40 or clip.start_frame == 0
        past = [event for event in stream.events if event.frame < before.stop_frame]
        assert clip.recent == recent_turns(past, stream.fps)
        # 5 s to look, unless it must decide earlier; what lies in neither clip is silent
        assert clip.decide_from == min(max(before.stop_frame, clip.start_frame + 10), first)
    assert join(clips) == stream


def test_the_seed_alone_decides_how_far_clips_look_back(renderer: Renderer) -> None:
    stream = random_stream(3, num_frames=400)
    cuts = {seed: cut(stream, renderer, 500, seed) for seed in range(4)}
    assert cuts[0] == cut(stream, renderer, 500, 0)
    starts = {tuple(clip.start_frame for clip in clips) for clips in cuts.values()}
    assert len(starts) == 4


def test_recent_turns_are_the_last_utterances_and_what_is_unanswered() -> None:
    events = [Event(i, speech=str(i)) for i in range(5)]
    assert recent_turns([], 2) == ()
    assert [t.text for t in recent_turns(events, 2)] == ["2", "3", "4"]
    assert recent_turns(events, 2)[-1] == Turn("assistant", 2.5, "4")
    assert len(recent_turns(events, 2)) == RECENT_UTTERANCES
    asked = [Event(0, user="a"), Event(1, speech="b", user="c"), Event(2), Event(3, user="d")]
    assert [(t.role, t.text, t.time_s) for t in recent_turns(asked, 2)] == [
        ("assistant", "b", 1.0),
        ("user", "c", 1.0),
        ("user", "d", 2.0),
    ]


def test_state_after_folds_all_moves() -> None:
    events = [
        Event(3, (Transition("S1", "start"),)),
        Event(4, speech="Good."),
        Event(5, (Transition("S1", "complete"), Transition("S2", "start"))),
    ]
    before = initial_state(TASK)
    assert state_after(before, events) == {"S1": "completed", "S2": "in_progress"}
    assert state_after(before, []) == before


def test_a_dropped_clip_parts_its_dialogue(renderer: Renderer) -> None:
    clips = {seed: cut(random_stream(seed, num_frames=600), renderer, 400, 0) for seed in (1, 2)}
    assert min(len(each) for each in clips.values()) >= 3
    kept = [clip for clip in clips[1] if not clip.clip_id.endswith("/1")]
    groups = by_dialogue([*reversed(kept), *clips[2]])
    assert groups == [[clips[1][0]], clips[1][2:], clips[2]]
    later = join(groups[1])
    assert later.state == clips[1][2].state
    assert (later.start_frame, later.stop_frame) == (clips[1][2].start_frame, 600)
    assert by_dialogue([]) == []


def test_the_tenth_clip_follows_the_ninth() -> None:
    clips = [replace(SPOKEN, clip_id=f"v0/no_talk-0/{i}") for i in range(12)]
    assert by_dialogue(sorted(clips, key=lambda clip: clip.clip_id)) == [clips]


def test_a_stream_without_answers_holds_its_references() -> None:
    found = without_answers(SPOKEN, "demo")
    assert found.references == SPOKEN.events
    assert (found.events, found.speak_prob, found.system) == ((), (), "demo")
    assert (found.start_frame, found.stop_frame) == (SPOKEN.start_frame, SPOKEN.stop_frame)
