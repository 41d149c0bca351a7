"""Writing ProAssist's prepared JSONL, and reading it back."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerBase

from prospect.annotations import read_dataset
from prospect.dialogues import WRITERS, label, write_dialogues
from prospect.samples.clips import cut, first_decision, whole_clip
from prospect.samples.legacy.checks import Import, Limits
from prospect.samples.legacy.proassist_export import (
    holds,
    write_proassist_back,
    write_proassist_clips,
)
from prospect.samples.legacy.proassist_jsonl import read_proassist_jsonl
from prospect.samples.legacy.prospect_json import read_prospect_json
from prospect.samples.sequence import Renderer
from prospect.samples.variants import VARIANTS, narrated, narration
from prospect.states.transitions import initial_state
from prospect.toy.world import annotations
from prospect.types import Annotation, Clip, Event, UserType
from tests.samples.legacy.defects import NO_LIMITS
from tests.samples.legacy.test_proassist_jsonl import LINE, TAIL, line, read


@pytest.fixture
def renderer(tokenizer: PreTrainedTokenizerBase) -> Renderer:
    return Renderer(tokenizer, 1)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(one) for one in path.read_text(encoding="utf-8").splitlines()]


def again(path: Path) -> Import:
    return read_proassist_jsonl(path, NO_LIMITS)


def test_the_published_samples_come_back_field_by_field(data_dir: Path, tmp_path: Path) -> None:
    path = data_dir / "proassist-samples" / "proassist_prepared_data.jsonl"
    if not path.is_file():
        pytest.skip(f"no {path}")
    imported = again(path)
    (written,) = write_proassist_back(imported, tmp_path, NO_LIMITS)
    assert lines(written) == lines(path)
    # as our own clips they lose names, times within a frame and ProAssist's prompt alone
    (ours,) = write_proassist_clips(imported.clips, tmp_path, NO_LIMITS, 1)
    assert ours == tmp_path / "assembly101" / "prepared" / "dialog_test_L4096_I1.jsonl"
    assert again(ours).clips == tuple(
        replace(clip, task_type=clip.task.goal) for clip in imported.clips
    )
    same = ("dataset", "video_uid", "clip_idx", "start_frame_idx", "end_frame_idx", "fps")
    for old, new in zip(lines(path), lines(ours), strict=True):
        assert list(new) == list(old)
        assert list(new["metadata"]) == list(old["metadata"])
        assert [new[key] for key in same] == [old[key] for key in same]
        assert new["metadata"] == {**old["metadata"], "quality": None}
        for before, after in zip(old["conversation"][1:], new["conversation"][1:], strict=True):
            assert {**after, "time": before.get("time")} == {**before, "time": before.get("time")}


def test_knowledge_and_the_closing_summary_stay(tmp_path: Path) -> None:
    one = line()
    one["conversation"] += TAIL
    one.update(end_frame_idx=22, seq_len=77)
    one["metadata"]["has_summary"] = True
    one["note"] = "unknown keys too"
    (written,) = write_proassist_back(read(tmp_path, one), tmp_path / "out", NO_LIMITS)
    assert lines(written) == [one]


def test_a_moved_turn_is_written_where_it_is_decided(tmp_path: Path) -> None:
    one = line()
    one["seq_len"] = 77
    one["conversation"][7]["time"] = 9.5
    imported = read(tmp_path, one)
    assert imported.moved
    (written,) = write_proassist_back(imported, tmp_path / "out", NO_LIMITS)
    (new,) = lines(written)
    assert new["conversation"][6:] == [
        {"role": "frames", "start": 11, "end": 19},
        one["conversation"][7],
        {"role": "frames", "start": 19, "end": 21},
    ]
    assert new["seq_len"] == 700
    repaired = again(written)
    assert (repaired.clips, repaired.moved) == (imported.clips, ())


def test_lines_that_were_dropped_stay_out(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(f"{{\n\n{json.dumps({**LINE, 'fps': 0})}\n{json.dumps(LINE)}\n")
    imported = read_proassist_jsonl(path, NO_LIMITS, drop_invalid=True)
    (written,) = write_proassist_back(imported, tmp_path / "out", NO_LIMITS)
    assert [one["fps"] for one in lines(written)] == [2]


USER_TYPES: tuple[UserType, ...] = ("no_talk", "talk_some", "talk_more")


def streams_of(annotation: Annotation) -> list[Clip]:
    written, _ = write_dialogues([annotation], WRITERS["scripted"], USER_TYPES, 0)
    total = int(annotation.duration_s * 2)
    return [whole_clip(one, label(annotation), 2.0, total) for one in written]


def as_held(clip: Clip, first_of: str | None) -> Clip:
    """What the format holds of a clip: no transitions, no states, no place of the video's."""
    talk = tuple(replace(event, transitions=()) for event in clip.events)
    events = tuple(event for event in talk if event != Event(event.frame))
    held = replace(
        clip,
        events=events,
        task_type=clip.task.goal,
        state=initial_state(clip.task),
        state_known=False,
        frames_file=f"frames/{clip.video_id}.arrow",
    )
    if first_of is None and events:
        # the importer knows of words alone, so a later clip may only look a little longer
        at = first_decision(clip.start_frame, clip.decide_from, events[0].frame, clip.fps)
        held = replace(held, decide_from=at)
    return held


def bundled() -> tuple[Annotation, ...]:
    return read_dataset("holoassist", Path("bundled")).annotations[:3]


@pytest.mark.parametrize("source", ["toy", "holoassist"])
def test_our_clips_go_out_and_come_back(tmp_path: Path, source: str, renderer: Renderer) -> None:
    found = annotations("train", 3, 0) if source == "toy" else bundled()
    clips = [
        clip
        for annotation in found
        for stream in streams_of(annotation)
        for clip in cut(stream, renderer, 900, 0)
    ]
    assert any(not clip.clip_id.endswith("/0") for clip in clips)
    limits = Limits(renderer.clip_len, 900, lambda clip: None)
    paths = write_proassist_clips(clips, tmp_path, limits, 1)
    assert {path.name.split("_")[0] for path in paths} == {"dialog-klg"}
    result = {clip.clip_id: clip for path in paths for clip in again(path).clips}
    for clip in clips:
        back = result.pop(clip.clip_id)
        held = as_held(clip, clip.clip_id if clip.clip_id.endswith("/0") else None)
        # which words are recent depends on the clips before, which are the same
        assert replace(back, decide_from=0) == replace(held, decide_from=0)
        assert clip.decide_from <= back.decide_from <= max(clip.decide_from, held.decide_from)
    assert result == {}


@pytest.mark.parametrize("name", ["no_knowledge", "summarized", "proassist", "summary"])
def test_variants_go_out_and_come_back(tmp_path: Path, name: str, renderer: Renderer) -> None:
    clips = []
    for annotation in annotations("train", 2, 0):
        found = VARIANTS[name](streams_of(annotation)[1], renderer, 900, 0)
        assert isinstance(found, list)
        clips += found
    (path,) = write_proassist_clips(clips, tmp_path, NO_LIMITS, 5)
    assert (
        path.name
        == {
            "no_knowledge": "dialog_train_L4096_I5.jsonl",
            "summarized": "dialog-klg-sum_train_L4096_I5.jsonl",
            "proassist": "dialog-klg-sum_train_L4096_I5.jsonl",
            "summary": "summary_train_L4096_I5.jsonl",
        }[name]
    )
    result = again(path)
    assert result.moved == ()
    for clip, back, raw in zip(clips, result.clips, lines(path), strict=True):
        assert (back.clip_id, back.kind, back.summary, back.knowledge) == (
            clip.clip_id,
            clip.kind,
            clip.summary,
            clip.knowledge,
        )
        assert (back.start_frame, back.stop_frame) == (clip.start_frame, clip.stop_frame)
        assert back.events == as_held(clip, None).events
        frames = [turn for turn in raw["conversation"] if turn["role"] == "frames"]
        shown = sum(turn["end"] - turn["start"] for turn in frames)
        assert shown == raw["end_frame_idx"] - raw["start_frame_idx"]
        prompt = raw["conversation"][0]["content"]
        assert (clip.progress or "") in prompt
        told = [t for t in raw["conversation"][1:] if "Task knowledge" in t.get("content", "")]
        first = clip.clip_id.endswith("/0")
        assert len(told) == (first and clip.knowledge)
        assert ("Task knowledge" in prompt) == (not first and clip.knowledge)


def test_narrations_go_out_and_come_back(tmp_path: Path, renderer: Renderer) -> None:
    stream, _ = narrated(bundled()[0], 2.0, int(bundled()[0].duration_s * 2))
    clips = narration(stream, renderer, 500, 0)
    assert isinstance(clips, list)
    (path,) = write_proassist_clips(clips, tmp_path, NO_LIMITS, 1)
    assert path.name == f"narration_{stream.split}_L4096_I1.jsonl"
    for clip, back in zip(clips, again(path).clips, strict=True):
        assert (back.kind, back.events) == ("narration", clip.events)


def test_the_published_prospect_sample_becomes_a_line(sample_file: Path, tmp_path: Path) -> None:
    (clip,) = read_prospect_json(sample_file, NO_LIMITS).clips
    (path,) = write_proassist_clips([clip], tmp_path, NO_LIMITS, 1)
    (back,) = again(path).clips
    assert replace(back, frames_file=None) == replace(as_held(clip, ""), frames_file=None)
    assert lines(path)[0]["frames_file"] == clip.frames_file


def test_what_the_format_cannot_hold() -> None:
    (stream, *_) = streams_of(annotations("train", 1, 0)[0])
    assert holds(stream)
    assert not holds(replace(stream, kind="state"))
    assert not holds(replace(stream, kind="caption"))
