"""What holds for every source: the same suite over each adapter and whatever files are at hand."""

import math
from itertools import pairwise
from pathlib import Path

import pytest

from prospect.annotations import SOURCES, Adapted, read_dataset
from prospect.annotations.describe import describe
from prospect.annotations.group import grouped
from prospect.annotations.tables import coverage
from prospect.clock import frame_count
from prospect.dialogues import human, label, scripted
from prospect.errors import ConfigError, MissingError
from prospect.files import record_to_json
from prospect.samples.clips import whole_clip
from prospect.states.transitions import MOVES, fold, initial_state
from prospect.types import Annotation, Dialogue

NAMES = (
    "assembly101",
    "captaincook4d",
    "ego4d",
    "egoexolearn",
    "epickitchens",
    "holoassist",
    "wtag",
)
SOME = 12
"""Videos of a source on which the later stages are tried."""


@pytest.fixture(params=NAMES, scope="module")
def adapted(request: pytest.FixtureRequest, annotations_dir: Path) -> Adapted:
    name: str = request.param
    if not (annotations_dir / SOURCES[name].folder).is_dir():
        pytest.skip(f"no folder {annotations_dir / SOURCES[name].folder}")
    return read_dataset(name, annotations_dir)


def some(adapted: Adapted) -> list[Annotation]:
    every = math.ceil(len(adapted.annotations) / SOME)
    return [grouped(one) for one in adapted.annotations[::every]]


def test_the_seven_sources_and_their_licences() -> None:
    assert tuple(SOURCES) == NAMES
    assert all(source.licence and source.folder for source in SOURCES.values())


def test_annotations_are_well_formed(adapted: Adapted) -> None:
    assert adapted.account.kept == len(adapted.annotations) > 0
    assert len({one.video_id for one in adapted.annotations}) == adapted.account.kept
    for one in adapted.annotations:
        ids = [step.id for step in one.task.steps]
        assert ids == [f"S{n}" for n in range(1, len(ids) + 1)]
        assert len({step.name for step in one.task.steps}) == len(ids)
        assert one.task.goal.strip()
        assert one.task_type.strip()
        assert 0 <= one.start_s < one.duration_s
        assert all(0 <= a.start_s < a.end_s <= one.duration_s for a in one.actions)
        assert all(a.step_id in {*ids, None} and a.text.strip() for a in one.actions)
        assert all(a.step_id is not None for a in one.actions if a.kind == "step")
        spans = [(a.start_s, a.end_s) for a in one.actions]
        assert spans == sorted(spans)
        for turns in (one.conversation, one.spoken):
            assert all(a.time_s <= b.time_s for a, b in pairwise(turns))
            assert all(0 <= turn.time_s <= one.duration_s for turn in turns)
        assert one.conversation or not one.spoken
        assert 0 <= coverage(one) <= 1


def test_reading_twice_gives_the_same(adapted: Adapted, annotations_dir: Path) -> None:
    dataset = adapted.annotations[0].dataset
    again = read_dataset(dataset, annotations_dir / SOURCES[dataset].folder)
    assert again == adapted
    assert [record_to_json(one) for one in some(again)] == [
        record_to_json(o) for o in some(adapted)
    ]


def test_every_video_leads_to_legal_states(adapted: Adapted) -> None:
    for one in adapted.annotations:
        for moves in (("start", "complete"), tuple(MOVES)):
            track = label(grouped(one), moves)
            fold(initial_state(track.task), (item.transition for item in track.transitions))
            assert {item.transition.move for item in track.transitions} <= {*moves}


def test_every_video_can_be_talked_about(adapted: Adapted) -> None:
    for one in some(adapted):
        assert describe(one).strip()
        dialogue = scripted.write(one, "talk_more", 0)
        assert isinstance(dialogue, Dialogue), dialogue
        stream = whole_clip(dialogue, label(one), 2.0, frame_count(one.duration_s, 2.0))
        assert sum(event.speech is not None for event in stream.events) == sum(
            turn.role == "assistant" for turn in dialogue.turns
        )
        spoken = human.write(one, "human", 0)
        assert isinstance(spoken, Dialogue) == any(t.role == "assistant" for t in one.conversation)


def test_what_is_asked_for_and_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no adapter for 'x'; there are assembly101"):
        read_dataset("x", tmp_path)
    with pytest.raises(MissingError, match=r"no folder .* with annotations of 'wtag'"):
        read_dataset("wtag", tmp_path / "nowhere")
    for name in NAMES:
        with pytest.raises(MissingError):
            read_dataset(name, tmp_path)
