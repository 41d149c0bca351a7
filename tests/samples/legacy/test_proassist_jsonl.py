"""ProAssist's prepared JSONL: the published samples and changed copies."""

import json
from pathlib import Path
from typing import Any

import pytest

from prospect.errors import DataError
from prospect.samples.legacy.checks import Import, numbered_lines
from prospect.samples.legacy.proassist_jsonl import read_proassist_jsonl
from tests.samples.legacy.defects import NO_LIMITS, Json, stored

LINE: Json = {
    "dataset": "wtag",
    "video_uid": "T1",
    "clip_idx": 0,
    "frames_file": "frames/T1.arrow",
    "start_frame_idx": 4,
    "end_frame_idx": 21,
    "fps": 2,
    "conversation": [
        {"role": "system", "content": "Be helpful."},
        {"role": "frames", "start": 4, "end": 10},
        {"role": "user", "time": 5.0, "content": "I make tea.", "labels": ""},
        {"role": "system", "content": "Task knowledge: Tea\n1. Boil"},
        {"role": "frames", "start": 10, "end": 11},
        {
            "role": "assistant",
            "time": 5.0,
            "content": "Boil it.",
            "labels": "initiative|instruction",
            "progress": "Nothing yet.",
        },
        {"role": "frames", "start": 11, "end": 21},
        {"role": "assistant", "time": 10.5, "content": "Pour.", "labels": "", "progress": "Hot."},
    ],
    "metadata": {
        "user_type": "talk_some",
        "user_id": "talk_some_3",
        "task_goal": "Tea",
        "knowledge": "Tea\n1. Boil\nthe water\n\n12 oz\n2. Pour",
        "add_knowledge": True,
        "has_summary": False,
        "summary_only": False,
    },
}
TAIL = [
    {"role": "system", "content": "Please summarize the progress."},
    {"role": "frames", "start": 21, "end": 22},
    {"role": "assistant", "content": "Hot."},
]


def read(folder: Path, *lines: Any, name: str = "x.jsonl", **options: Any) -> Import:
    path = folder / name
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n", encoding="utf-8")
    options.setdefault("limits", NO_LIMITS)
    return read_proassist_jsonl(path, **options)


def line() -> Json:
    return json.loads(json.dumps(LINE))  # type: ignore[no-any-return]


def test_the_published_samples_agree_on_every_frame(data_dir: Path) -> None:
    path = data_dir / "proassist-samples" / "proassist_prepared_data.jsonl"
    if not path.is_file():
        pytest.skip(f"no {path}")
    result = read_proassist_jsonl(path, NO_LIMITS)
    assert str(result.account) == "kept 6 of 6; dropped 0"
    assert result.moved == ()
    assert result.deviating_fields() == {"seq_len": 6}
    turns = [item for reading in result.readings for item in reading.items]
    assert len(turns) == 21 + 26 + 30 + 38 + 44 + 68
    assert [clip.dialogue_id.rpartition("/")[2] for clip in result.clips[:3]] == [
        "no_talk-0",
        "talk_some-1",
        "talk_more-2",
    ]
    first = result.clips[0]
    assert (first.start_frame, first.stop_frame) == (11, 342)
    assert [event.frame for event in first.events[:3]] == [14, 15, 20]
    assert first.events[1].summary is not None
    assert first.events[1].labels == "initiative|instruction"
    assert len(first.task.steps) == 7
    assert not first.knowledge


def test_one_line_by_hand(tmp_path: Path) -> None:
    result = read(tmp_path, LINE, name="dialog-klg_val_L4096_I1.jsonl")
    (clip,) = result.clips
    assert [(e.frame, e.user, e.speech, e.summary) for e in clip.events] == [
        (9, "I make tea.", None, None),
        (10, None, "Boil it.", "Nothing yet."),
        (20, None, "Pour.", "Hot."),
    ]
    assert clip.split == "val"
    assert clip.knowledge
    assert [(step.id, step.name) for step in clip.task.steps] == [
        ("S1", "Boil the water"),
        ("S2", "Pour"),
    ]
    assert dict(clip.state) == {"S1": "not_started", "S2": "not_started"}
    assert clip.dialogue_id == "T1/talk_some-3"
    assert result.deviations == ()


def test_a_turn_on_another_frame_is_counted(tmp_path: Path) -> None:
    one = line()
    one["conversation"][7]["time"] = 9.5
    result = read(tmp_path, one)
    assert [(move.turn, move.before, move.after) for move in result.moved] == [(7, 20, 18)]
    assert result.deviating_fields() == {"frames": 1}


def test_the_closing_summary_takes_no_frame(tmp_path: Path) -> None:
    one = line()
    one["conversation"] += TAIL
    one["end_frame_idx"] = 22
    one["metadata"]["has_summary"] = True
    result = read(tmp_path, one)
    assert (result.clips[0].stop_frame, result.clips[0].events[-1].frame) == (21, 20)
    assert result.clips[0].events[-1].summary == result.clips[0].summary == "Hot."
    assert result.deviations == ()
    del one["conversation"][7]["progress"]
    assert read(tmp_path, one).clips[0].events[-1].summary == "Hot."
    one["conversation"][7]["progress"] = "Cold."
    assert read(tmp_path, one).deviating_fields() == {"summary": 1}


def test_summaries_alone_are_clips_of_their_own_kind(tmp_path: Path) -> None:
    one = line()
    one["conversation"] = [*one["conversation"][:4], {"role": "frames", "start": 10, "end": 21}]
    one["conversation"] += TAIL
    one["end_frame_idx"] = 22
    one["metadata"].update(summary_only=True, has_summary=True)
    result = read(tmp_path, one)
    (clip,) = result.clips
    assert (clip.kind, clip.summary, clip.stop_frame) == ("summary", "Hot.", 21)
    assert [(event.frame, event.user) for event in clip.events] == [(9, "I make tea.")]
    assert result.deviations == ()
    one["conversation"] = one["conversation"][:-3]
    with pytest.raises(DataError, match=r"sample 0: metadata: 'summary_only', but no summary"):
        read(tmp_path, one)


def test_a_file_of_narrations(tmp_path: Path) -> None:
    (clip,) = read(tmp_path, LINE, name="narration_train_L4096_I1.jsonl").clips
    assert (clip.kind, clip.split) == ("narration", "train")


def test_a_later_clip_repeats_frames_not_decisions(tmp_path: Path) -> None:
    later = line()
    later.update(clip_idx=1, start_frame_idx=14, end_frame_idx=40)
    later["conversation"] = [
        {"role": "system", "content": "Be helpful. Hot."},
        {"role": "frames", "start": 14, "end": 40},
        {"role": "assistant", "time": 20.0, "content": "Drink.", "labels": ""},
    ]
    second = read(tmp_path, LINE, later).clips[1]
    assert (second.start_frame, second.decide_from, second.stop_frame) == (14, 24, 40)
    assert [turn.text for turn in second.recent] == ["Boil it.", "Pour."]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: one["conversation"][6].update(start=12), r"turn 6: frames \[12, 21\) don't"),
        (lambda one: one["conversation"][7].pop("time"), r"turn 7: a assistant turn needs 'time'"),
        (lambda one: one["conversation"][2].update(role="u"), r"turn 2: field 'role'"),
        (lambda one: one["metadata"].pop("user_id"), r"metadata: field 'user_id'"),
        (lambda one: one.pop("fps"), r"field 'fps'"),
    ],
)
def test_errors_name_their_place(tmp_path: Path, change: Any, message: str) -> None:
    one = line()
    change(one)
    with pytest.raises(DataError, match=r"x\.jsonl: sample 0.*" + message):
        read(tmp_path, one)
    result = read(tmp_path, one, drop_invalid=True)
    assert result.account.dropped == {"malformed field": 1}


def test_bad_json_and_frames_beyond_the_store(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"turn 7: field 'time'.*\[0, 15\) are stored for T1"):
        read(tmp_path, LINE, limits=stored(range(15)))
    (tmp_path / "bad.jsonl").write_text(f"{json.dumps(LINE)}\n\n{{\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"bad\.jsonl:3: not JSON"):
        read_proassist_jsonl(tmp_path / "bad.jsonl", NO_LIMITS)
    kept = read_proassist_jsonl(tmp_path / "bad.jsonl", NO_LIMITS, drop_invalid=True)
    assert str(kept.account) == "kept 1 of 2; dropped 1 (1 not JSON)"


def test_numbered_lines() -> None:
    assert numbered_lines("Title\n1. a\n2.  b\n10. c") == ("a", "b", "c")
    assert numbered_lines("no steps") == ()
