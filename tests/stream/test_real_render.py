"""Training render = streaming render on toy, HoloAssist and existing clips, token for token."""

from pathlib import Path

import pytest
import torch

from prospect.annotations import read_dataset
from prospect.dialogues import WRITERS, label, write_dialogues
from prospect.model.checkpoint import Checkpoint
from prospect.samples.clips import by_dialogue, cut, recent_turns, whole_clip
from prospect.samples.legacy.checks import Limits
from prospect.samples.legacy.proassist_jsonl import read_proassist_jsonl
from prospect.samples.legacy.prospect_json import read_prospect_json
from prospect.stream.config import StreamConfig
from prospect.stream.engine import make_engine
from prospect.stream.fed import predict_streams
from prospect.stream.predict import Viewer
from prospect.stream.session import Session
from prospect.toy.world import annotations
from prospect.types import Annotation, Clip
from tests.models import FEATURE_DIM, tiny_model

CONTEXT_LEN = 700
"""Of the clips; the session's is larger, so that it is refreshed just where they were cut."""


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> Checkpoint:
    return tiny_model(tiny_llm, context_len=8192)


def frames(count: int) -> torch.Tensor:
    return torch.zeros(count, 1, FEATURE_DIM)


def streams_of(annotation: Annotation) -> list[Clip]:
    written, _ = write_dialogues(
        [annotation], WRITERS["scripted"], ["no_talk", "talk_some", "talk_more"], 0
    )
    total = int(annotation.duration_s * 2)
    return [whole_clip(dialogue, label(annotation), 2.0, total) for dialogue in written]


def check_clips(model: Checkpoint, clips: list[Clip]) -> None:
    """One session over a dialogue's clips, restated where they were cut, sees what they render."""
    for parts in by_dialogue(clips):
        first = parts[0]
        session = Session(
            model,
            StreamConfig(),
            first.task,
            state=first.state,
            recent=first.recent,
            key=first.dialogue_id,
            knowledge=first.knowledge,
            state_known=first.state_known,
            start_frame=first.start_frame,
        )
        for clip in parts:
            if clip is not first:
                told = session.prompt(recent_turns(session.events, session.fps))
                session.reopen(told, list(frames(clip.decide_from - clip.start_frame)))
            session.next_frame = clip.decide_from
            events = {event.frame: event for event in clip.events}
            forced = [events.get(frame) for frame in range(clip.decide_from, clip.stop_frame)]
            session.advance(frames(len(forced)), forced)
            assert session.context.tokens == model.renderer.clip(clip).ids.tolist(), clip.clip_id


def test_toy_clips(model: Checkpoint) -> None:
    for annotation in annotations("train", 4, 0):
        for stream in streams_of(annotation):
            clips = cut(stream, model.renderer, CONTEXT_LEN, 0)
            assert len(clips) > 1
            check_clips(model, clips)


def test_holoassist_clips(model: Checkpoint) -> None:
    adapted = read_dataset("holoassist", Path("bundled"))
    for annotation in adapted.annotations[:4]:
        stream = streams_of(annotation)[1]
        check_clips(model, cut(stream, model.renderer, 1000, 0))


def test_existing_prospect_and_proassist_samples(model: Checkpoint, data_dir: Path) -> None:
    limits = Limits(model.renderer.clip_len, 4096, lambda clip: None)
    samples = read_prospect_json(data_dir / "prospect-samples/prospect_training_data.json", limits)
    lines = read_proassist_jsonl(
        data_dir / "proassist-samples/proassist_prepared_data.jsonl", limits
    )
    clips = [*samples.clips, *lines.clips]
    assert len(clips) == 7
    check_clips(model, clips)


def test_told_streams_answer_every_reference_transition_and_change_nothing(
    model: Checkpoint,
) -> None:
    stream = streams_of(annotations("train", 1, 0)[0])[0]
    viewer = Viewer(
        model,
        lambda clip: frames(clip.stop_frame - clip.start_frame),
        StreamConfig(),
        "told",
        False,
        make_engine(model, StreamConfig(), 1),
    )
    (told,) = predict_streams(viewer, "told", [[stream]])
    due = [event.frame for event in stream.events if event.transitions]
    assert [event.frame for event in told.events] == due
    assert all(event.transitions for event in told.events)
    assert len(told.speak_prob) == stream.stop_frame - stream.start_frame
