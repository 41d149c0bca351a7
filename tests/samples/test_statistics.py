"""Counting clips, by hand and against a slow count."""

from dataclasses import replace

import pytest
from transformers import PreTrainedTokenizerBase

from prospect.errors import DataError
from prospect.samples.clips import cut
from prospect.samples.labels import ACT, SILENT
from prospect.samples.sequence import Renderer
from prospect.samples.statistics import Balance, count
from prospect.types import Clip, Event, Transition
from tests.clips import random_stream


@pytest.fixture
def renderer(tokenizer: PreTrainedTokenizerBase) -> Renderer:
    return Renderer(tokenizer, 1)


SMALL = replace(
    random_stream(0),
    stop_frame=7200,
    events=(
        Event(3, user="Help."),
        Event(4, (Transition("S1", "start"),), "Begin."),
        Event(9, (Transition("S1", "complete"), Transition("S2", "start"))),
    ),
)


def test_one_clip_by_hand(renderer: Renderer) -> None:
    found = count([SMALL], renderer)
    total = found.total
    assert (total.clips, total.dialogues, total.videos) == (1, 1, 1)
    assert (total.frames, total.hours) == (7200, 1.0)
    assert total.tokens == (renderer.clip_len(SMALL),) * 3
    # the frame before the user's turn isn't labelled for speech
    assert total.speak == Balance(1, 7198)
    assert total.update == Balance(2, 7198)
    assert total.update.share == 2 / 7200
    assert found.moves == {"complete": 1, "start": 2}
    assert found.illegal == ()
    assert [row.name for row in found.groups["user type"]] == ["no_talk"]


def test_groups_add_up(renderer: Renderer) -> None:
    clips: list[Clip] = []
    for seed in range(3):
        stream = replace(random_stream(seed, 300), dataset="ab"[seed % 2])
        clips += cut(stream, renderer, 500, 0)
    clips += [replace(clip, kind="state") for clip in clips[:2]]
    found = count(clips, renderer)
    rendered = [renderer.clip(clip) for clip in clips]
    assert found.total.speak.act == sum(int((r.speak == ACT).sum()) for r in rendered)
    assert found.total.update.silent == sum(int((r.update == SILENT).sum()) for r in rendered)
    lengths = sorted(len(r.ids) for r in rendered)
    assert (found.total.tokens[0], found.total.tokens[2]) == (lengths[0], lengths[-1])
    for rows in found.groups.values():
        assert sum(row.clips for row in rows) == len(clips)
        assert sum(row.frames for row in rows) == found.total.frames
        assert sum(row.speak.act for row in rows) == found.total.speak.act
    (dialogue, state) = found.groups["kind"]
    assert (dialogue.name, state.name, state.clips) == ("dialogue", "state", 2)
    assert (state.speak, state.speak.share) == (Balance(0, 0), None)


def test_illegal_transitions_are_named(renderer: Renderer) -> None:
    bad = replace(SMALL, clip_id="v/x-0/3", events=(Event(5, (Transition("S1", "complete"),)),))
    (why,) = count([SMALL, bad], renderer).illegal
    assert why.startswith("v/x-0/3: ")
    assert "S1" in why


def test_no_clips_are_an_error(renderer: Renderer) -> None:
    with pytest.raises(DataError, match="no clips"):
        count([], renderer)
