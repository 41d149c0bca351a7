"""PROSPECT's training JSON: the published sample, and copies with every known defect."""

import copy
import json
from collections import Counter
from pathlib import Path

import pytest

from prospect.errors import DataError
from prospect.samples.legacy.prospect_json import read_prospect_json
from prospect.states.notation import format_state, format_transitions
from prospect.states.transitions import fold, initial_state
from prospect.types import Clip, Turn
from tests.samples.legacy.defects import (
    NO_LIMITS,
    Json,
    found,
    measured,
    read,
    split_sample,
    stored,
    with_ranges,
    without_state_turns,
)


def after(clip: Clip) -> str:
    """The state once the clip is over."""
    return format_state(fold(clip.state, [m for e in clip.events for m in e.transitions]))


# ---- the published sample


def test_events_of_the_published_sample_by_hand(clip: Clip) -> None:
    # floor(t * 2) - 1; at 97.2 s the user's turn ends frame 193, so the answer is on 194
    assert [(event.frame, format_transitions(event.transitions)) for event in clip.events] == [
        (193, "S1->start"),
        (194, ""),
        (212, "S1->complete, S2->start"),
        (224, ""),
        (260, ""),
        (303, "S2->complete, S3->start"),
        (369, "S3->complete, S4->start"),
        (394, "S4->complete, S5->start"),
        (423, "S5->complete, S6->start"),
        (449, "S6->complete"),
    ]
    assert (clip.start_frame, clip.decide_from, clip.stop_frame) == (193, 193, 451)
    assert sum(event.speech is not None for event in clip.events) == 8
    assert (clip.dataset, clip.split, clip.user_type, clip.fps) == (
        "assembly101",
        "test",
        "no_talk",
        2.0,
    )
    assert [step.id for step in clip.task.steps] == ["S1", "S2", "S3", "S4", "S5", "S6"]
    assert clip.task.steps[1].name == "Attach wheels to the chassis."
    assert set(clip.state.values()) == {"not_started"}
    assert clip.recent == ()
    assert clip.dialogue_id == f"{clip.video_id}/no_talk-0"


def test_deviations_of_the_published_sample(sample_file: Path) -> None:
    result = read_prospect_json(sample_file, NO_LIMITS)
    assert result.deviating_fields() == {
        "end_frame": 21,  # ranges two frames wide; only the moved answer's ends where ours does
        "dst_state (partial)": 18,  # only steps seen so far
        "start_frame": 2,  # the system turn's 0, the opening answer's 193
        "metadata.user_type": 1,
        "seq_len": 1,
    }
    (move,) = result.moved
    assert (move.turn, move.role, move.time_s, move.before, move.after) == (
        3,
        "assistant",
        97.2,
        193,
        194,
    )
    assert result.unknown_keys == {}
    assert str(result.account) == "kept 1 of 1; dropped 0"


# ---- the defects of the earlier reader, by their numbers in its review


def test_01_unknown_keys_are_counted_not_silently_taken(sample: Json, tmp_path: Path) -> None:
    sample["segment_stats"] = {"turn_count": 22}
    sample["metadata"] = {"user_type": "no_talk", "user_id": "no_talk_0", "mood": "good"}
    sample["conversation"][1]["note"] = sample["conversation"][2]["note"] = "x"
    sample["dst"][0]["parent"] = None
    assert read(tmp_path, sample).unknown_keys == {
        "dst.parent": 1,
        "metadata.mood": 1,
        "sample.segment_stats": 1,
        "turn.note": 2,
    }


@pytest.mark.parametrize("style", ["previous event", "centred", "inclusive window", "one frame"])
def test_02_frames_come_from_times_whatever_the_ranges(
    sample: Json, clip: Clip, tmp_path: Path, style: str
) -> None:
    result = read(tmp_path, with_ranges(sample, style))
    assert result.clips[0].events == clip.events
    if style == "previous event":
        moves = {move.turn: (move.before, move.after) for move in result.moved}
        assert moves[1] == (0, 193)  # S1->start
        assert moves[9] == (261, 303)  # S2->complete, 21.5 s early
        assert moves[8] == (225, 260)  # said at 130.7 s
        # 9 group heads start at the event before; 12 followers at floor(t * fps), one too late,
        # which is where the opening answer belongs
        assert len(result.moved) == 20


def test_03_04_05_initial_state_is_the_fold_of_what_came_before(
    sample: Json, tmp_path: Path
) -> None:
    clips = split_sample(sample, [8, 15])
    clips[1]["metadata"] = {"user_type": "no_talk", "initial_dst_state": {"S1": "in_progress"}}
    del clips[2]["initial_dst_state"]
    result = read(tmp_path, *clips)
    states = [format_state(one.state) for one in result.clips]
    assert states[0] == ", ".join(f"S{n}: not_started" for n in range(1, 7))
    for earlier, later in zip(result.clips, states[1:], strict=False):
        assert after(earlier) == later
    assert [entry[0] for entry in found(result, "initial_dst_state")] == [0, 1]
    assert len(found(result, "metadata.initial_dst_state")) == 1


def test_06_stored_turn_states_are_compared_turn_by_turn(sample: Json, tmp_path: Path) -> None:
    sample["conversation"][4]["dst_state"] = {"S1": "not_started"}  # really in_progress
    sample["conversation"][5]["dst_state"] = {"S1": "completed", "S9": "not_started"}
    ((_, turn, was, now), (_, other, _, _)) = found(read(tmp_path, sample), "dst_state")
    assert (turn, other) == (4, 5)
    assert was == {"S1": "not_started"}
    assert now["S1"] == "in_progress"
    assert len(now) == 6


def test_07_repeated_turns_are_supervised_once(sample: Json, clip: Clip, tmp_path: Path) -> None:
    clips = split_sample(sample, [8, 14])
    assert [len(one["conversation"]) for one in clips] == [1 + 8, 1 + 1 + 6, 1 + 3 + 7]
    result = read(tmp_path, *clips)
    assert tuple(e for one in result.clips for e in one.events) == clip.events
    first, second, third = result.clips
    # the third clip begins with the repeated turns of 185.0 s, frame 369, and looks for 5 s
    assert (third.start_frame, third.decide_from, third.events[0].frame) == (369, 379, 394)
    assert [turn.text for turn in second.recent] == [e.speech for e in clip.events[2:5]]
    assert third.recent[-1] == Turn("assistant", 185.0, second.events[-1].speech or "")
    assert first.recent == ()
    assert [entry[:2] for entry in found(result, "turn")] == [(1, 1), (2, 1), (2, 2), (2, 3)]


def test_07_a_split_inside_a_group_keeps_both_halves(
    sample: Json, clip: Clip, tmp_path: Path
) -> None:
    # turns[4] is S2->start at 106.8 s; S1->complete of the same time ends the first clip
    result = read(tmp_path, *split_sample(sample, [4]))
    first, second = result.clips
    assert format_transitions(first.events[-1].transitions) == "S1->complete"
    assert format_transitions(second.events[0].transitions) == "S2->start"
    assert (first.events[-1].frame, second.events[0].frame) == (212, 213)
    assert after(first) == format_state(second.state)


def test_08_frames_are_absolute_in_every_clip(sample: Json, tmp_path: Path) -> None:
    result = read(tmp_path, *split_sample(sample, [9]))
    assert result.clips[1].start_frame > 193
    assert (1, 0, 0, result.clips[1].start_frame) in found(result, "start_frame")


def test_09_10_turns_outside_the_stored_bounds_are_kept(sample: Json, tmp_path: Path) -> None:
    sample["conversation"].append(
        {"role": "assistant", "content": "Well done!", "time": 230.0, "labels": ""}
    )
    sample["conversation"].insert(
        1, {"role": "assistant", "content": "Shall we?", "time": 90.0, "labels": ""}
    )
    result = read(tmp_path, sample, limits=stored(range(500)))
    clip = result.clips[0]
    assert (clip.start_frame, clip.stop_frame) == (179, 460)
    assert (clip.events[0].frame, clip.events[-1].frame) == (179, 459)
    assert found(result, "start_frame_idx") == [(0, None, 193, 179)]
    assert found(result, "end_frame_idx") == [(0, None, 451, 460)]


def test_09_the_event_at_the_last_frame_counts(sample: Json, tmp_path: Path) -> None:
    sample["end_frame_idx"] = 449  # the last transition is on frame 449
    clip = read(tmp_path, sample).clips[0]
    assert clip.events[-1].frame == 449
    assert clip.stop_frame == 450


def test_12_length_is_ours_and_long_clips_are_dropped(sample: Json, tmp_path: Path) -> None:
    sample["seq_len"] = 10
    result = read(tmp_path, sample, limits=measured(lambda clip: 5000, 4096))
    assert result.clips == ()
    assert str(result.account) == "kept 0 of 1; dropped 1 (1 longer than the context)"
    assert "5000 tokens, the context has 4096" in result.dropped[0]
    assert found(read(tmp_path, sample), "seq_len") == [(0, None, 10, 700)]


def test_11_13_the_old_system_turn_is_not_in_the_clip(sample: Json, tmp_path: Path) -> None:
    leak = "Current step states - Step S1: completed"
    sample["conversation"][0]["content"] = leak
    assert leak not in str(read(tmp_path, sample).clips[0])


def test_14_every_reported_mismatch_is_refused(
    data_dir: Path, sample: Json, tmp_path: Path
) -> None:
    report = json.loads(
        (data_dir / "prospect-samples" / "sparse_mismatches.json").read_text(encoding="utf-8")
    )
    cases = {(row["sparse_frame"], row["arrow_frames"]) for row in report}
    for last_frame, arrow_frames in cases:
        one = copy.deepcopy(sample)
        shift_s = (last_frame - 451) / 2
        one["start_frame_idx"], one["end_frame_idx"] = max(0, 193 + last_frame - 451), last_frame
        for turn in one["conversation"][1:]:
            turn["time"] = max(0.0, turn["time"] + shift_s)
        for step in one["dst"]:
            step["start_ts"] = max(0.0, step["start_ts"] + shift_s)
            step["end_ts"] = max(0.0, step["end_ts"] + shift_s)
        with pytest.raises(DataError, match=rf"field 'time'.*\[0, {arrow_frames}\) are stored"):
            read(tmp_path, one, limits=stored(range(arrow_frames)))


def test_14_silent_frames_beyond_the_store_are_cut_and_counted(
    sample: Json, tmp_path: Path
) -> None:
    sample["end_frame_idx"] = 500
    result = read(tmp_path, sample, limits=stored(range(460)))
    assert result.clips[0].stop_frame == 460
    assert found(result, "end_frame_idx") == [(0, None, 500, 460)]


# ---- transitions without turns


def test_absent_state_turns_are_derived_from_the_times(
    sample: Json, clip: Clip, tmp_path: Path
) -> None:
    result = read(tmp_path, without_state_turns(sample))
    assert result.clips[0].events == clip.events
    assert len(found(result, "DST_UPDATE")) == 12


def test_one_absent_state_turn_is_derived(sample: Json, clip: Clip, tmp_path: Path) -> None:
    del sample["conversation"][4]  # S1->complete at 106.8 s
    result = read(tmp_path, sample)
    moves = [set(event.transitions) for event in result.clips[0].events]
    assert moves == [set(event.transitions) for event in clip.events]
    assert found(result, "DST_UPDATE") == [(0, None, None, "S1->complete at 106.8 s")]


@pytest.mark.parametrize("cuts", [[6], [8, 14], [6, 11, 18], [4, 9, 15]])
@pytest.mark.parametrize("state_turns", [True, False])
def test_each_transition_is_rendered_once_or_folded(
    sample: Json, tmp_path: Path, cuts: list[int], state_turns: bool
) -> None:
    clips = split_sample(sample, cuts, overlap=state_turns)
    if not state_turns:
        clips = [without_state_turns(one) for one in clips]
    result = read(tmp_path, *clips)
    rendered = Counter(m for one in result.clips for e in one.events for m in e.transitions)
    assert set(rendered.values()) == {1}
    timeline = result.readings[0].sample.timeline
    for position, one in enumerate(result.clips):
        ahead = {m for c in result.clips[position:] for e in c.events for m in e.transitions}
        before = [
            timed.transition
            for timed in timeline
            if int(timed.time_s * 2) - 1 < one.decide_from and timed.transition not in ahead
        ]
        assert one.state == fold(initial_state(one.task), before)
    assert after(result.clips[-1]) == ", ".join(f"S{n}: completed" for n in range(1, 7))


def test_a_lone_later_clip_has_the_state_of_the_times(sample: Json, tmp_path: Path) -> None:
    later = split_sample(sample, [9], overlap=False)[1]
    clip = read(tmp_path, later).clips[0]
    assert format_state(clip.state).startswith("S1: completed, S2: in_progress, S3: not_started")
    assert clip.recent == ()


def test_a_dropped_clip_leaves_its_neighbours_right(sample: Json, tmp_path: Path) -> None:
    clips = split_sample(sample, [6, 14], overlap=False)
    clips[1]["conversation"][2]["role"] = "narrator"
    result = read(tmp_path, *clips, drop_invalid=True)
    assert str(result.account) == "kept 2 of 3; dropped 1 (1 malformed field)"
    last = result.clips[1]
    # clip 1 held S2->complete, S3->start and S3->complete; the times still know of them
    assert format_state(last.state).startswith("S1: completed, S2: completed, S3: completed")
    assert last.recent == ()


def test_times_of_turns_and_steps_are_compared(sample: Json, tmp_path: Path) -> None:
    sample["dst"][0]["end_ts"] = 105.0
    result = read(tmp_path, sample)
    assert found(result, "dst of S1->complete") == [(0, 4, 105.0, 106.8)]


def test_knowledge_and_folder_are_compared(sample: Json, tmp_path: Path) -> None:
    sample["inferred_knowledge"] = "Title\n1. Something else."
    sample["dataset"] = "ego4d"
    result = read(tmp_path, sample)
    assert found(result, "inferred_knowledge")[0][2] == ("Something else.",)
    assert found(result, "dataset") == [(0, None, "ego4d", "assembly101")]
