"""Packing captions of images and short videos."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from prospect.errors import DataError
from prospect.samples.captions import Caption, pack, read_captions
from prospect.samples.dataset import permute_steps
from prospect.samples.labels import UNLABELLED
from prospect.samples.sequence import PROMPTS, SPEAK_GEN, Renderer
from prospect.types import Clip


@pytest.fixture(scope="module")
def renderer(tokenizer: PreTrainedTokenizerBase) -> Renderer:
    return Renderer(tokenizer, 1)


def clips_of(renderer: Renderer, captions: list[Caption], context_len: int = 2048) -> list[Clip]:
    clips, account = pack(captions, "egoobjects", "train", 2.0, renderer, context_len)
    assert account.kept + sum(account.dropped.values()) == len(captions)
    return clips


IMAGES = [Caption("frames/a.arrow", i, i + 1, f"A cup, number {i}.") for i in range(40)]


def test_images_of_one_file_are_packed(renderer: Renderer) -> None:
    (clip,) = clips_of(renderer, list(reversed(IMAGES)))
    assert (clip.clip_id, clip.video_id) == ("frames/a/caption-0/0", "frames/a")
    assert (clip.start_frame, clip.stop_frame, clip.kind) == (0, 40, "caption")
    assert [(event.frame, event.speech) for event in clip.events] == [
        (caption.start_frame, caption.text) for caption in IMAGES
    ]
    rendered = renderer.clip(clip)
    learned = rendered.ids[rendered.targets == SPEAK_GEN].tolist()
    assert learned == [i for c in IMAGES for i in renderer.turn("assistant", c.text)]
    # where a caption ends is the file's doing: nothing is learned of when to speak
    assert (rendered.speak == UNLABELLED).all()
    assert (rendered.update == UNLABELLED).all()
    assert permute_steps(clip, np.random.default_rng(0)) == clip
    prompt = renderer.decode(renderer.clip_prompt(clip))
    assert prompt.split("\n", 1)[1] in PROMPTS["caption"]


def test_a_full_context_a_gap_an_overlap_and_another_file_begin_a_clip(renderer: Renderer) -> None:
    clips = clips_of(renderer, IMAGES, context_len=200)
    assert len(clips) > 2
    assert [event for clip in clips for event in clip.events] == [
        event for clip in clips_of(renderer, IMAGES) for event in clip.events
    ]
    for clip, following in pairwise(clips):
        assert renderer.clip_len(clip) <= 200 < renderer.clip_len(clip) + 20
        assert clip.stop_frame == following.start_frame
    apart = [
        Caption("a.arrow", 0, 8, "Open."),
        Caption("a.arrow", 8, 9, "Close."),
        Caption("a.arrow", 10, 14, "Turn."),
        Caption("a.arrow", 12, 20, "Push."),
        Caption("b.arrow", 20, 21, "Lift."),
    ]
    assert [(c.video_id, c.start_frame, c.stop_frame) for c in clips_of(renderer, apart)] == [
        ("a", 0, 9),
        ("a", 10, 14),
        ("a", 12, 20),
        ("b", 20, 21),
    ]


def test_a_caption_longer_than_the_context_is_counted(renderer: Renderer) -> None:
    long = Caption("a.arrow", 0, 900, "A long one.")
    clips, account = pack([*IMAGES, long], "x", "val", 1.0, renderer, 512)
    assert str(account) == "kept 40 of 41; dropped 1 (1 longer than the context)"
    assert {clip.split for clip in clips} == {"val"}
    assert pack([], "x", "val", 1.0, renderer, 512)[0] == []


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 6), st.sampled_from("ab")), max_size=25)
)
def test_any_captions(renderer: Renderer, rows: list[tuple[int, int, str]]) -> None:
    captions = [Caption(f"{name}.arrow", start, start + n, "It is.") for start, n, name in rows]
    clips = clips_of(renderer, captions, 80)
    told = [(f"{c.video_id}.arrow", e.frame + 1) for c in clips for e in c.events]
    assert sorted(told) == sorted((c.frames_file, c.stop_frame) for c in captions)
    for clip in clips:
        assert len(renderer.clip(clip).ids) <= 80
    assert len({clip.clip_id for clip in clips}) == len(clips)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stop_frame": 3}, r"x\.jsonl:3: field 'stop_frame': 3 is not after start_frame 4"),
        ({"start_frame": -1}, r"x\.jsonl:3: field 'start_frame'.*got -1"),
        ({"text": ""}, r"x\.jsonl:3: field 'text'"),
        ({"label": "cup"}, r"x\.jsonl:3: field 'label'"),
    ],
)
def test_errors_name_line_and_field(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    row = {"frames_file": "a.arrow", "start_frame": 4, "stop_frame": 8, "text": "A cup."}
    path = tmp_path / "x.jsonl"
    path.write_text(f"{json.dumps(row)}\n\n{json.dumps({**row, **change})}\n", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_captions(path)
    path.write_text(json.dumps(row), encoding="utf-8")
    assert read_captions(path) == [Caption("a.arrow", 4, 8, "A cup.")]
