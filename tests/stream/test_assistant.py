"""The front door: a checkpoint folder, images one by one, events."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch

from prospect.errors import ConfigError, DataError
from prospect.states.transitions import fold, initial_state
from prospect.stream.assistant import Assistant, StateChange, Utterance
from prospect.stream.config import StreamConfig
from prospect.toy.draw import draw
from prospect.toy.world import annotations
from tests.models import save_tiny_checkpoint


@pytest.fixture(scope="module")
def folder(tiny_llm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_checkpoint(tiny_llm, tmp_path_factory.mktemp("assistant") / "checkpoint")


def test_it_watches_images_and_keeps_a_legal_state(folder: Path) -> None:
    annotation = annotations("train", 1, 0)[0]
    eager = StreamConfig(speak_threshold=0.3, update_threshold=0.3, max_new_tokens=5)
    assistant = Assistant.from_pretrained(folder, eager, "float32")
    session = assistant.open(annotation.task)
    moves = []
    times = []
    for image in islice(draw(annotation, assistant.fps), 8):
        for event in session.step(image):
            times.append(event.time_s)
            assert event.probability > 0.3
            assert event.latency_ms > 0
            if isinstance(event, StateChange):
                moves += event.transitions
            else:
                assert isinstance(event, Utterance)  # a random model may well say white space
        if len(times) == 2:
            session.say("what is next?")
    assert times == sorted(times)
    assert times[0] >= 0.5  # a decision is known when its frame ends
    assert session.state == fold(initial_state(annotation.task), moves)
    assert moves


def test_without_knowledge_no_state_is_tracked(folder: Path) -> None:
    annotation = annotations("train", 1, 0)[0]
    config = StreamConfig(speak_threshold=1.0, update_threshold=0.0)
    session = Assistant.from_pretrained(folder, config, "float32").open(
        annotation.task, knowledge=False
    )
    for image in islice(draw(annotation, 2.0), 3):
        assert session.step(image) == []


def test_a_stream_that_may_not_forget_ends_with_the_reason(folder: Path) -> None:
    annotation = annotations("train", 1, 0)[0]
    config = StreamConfig(
        policy="none", context_len=380, max_new_tokens=5, max_user_tokens=30, speak_threshold=1.0
    )
    config = replace(config, update_threshold=1.0)
    session = Assistant.from_pretrained(folder, config, "float32").open(annotation.task)
    image = next(draw(annotation, 2.0))

    def watch() -> None:
        for _ in range(380):
            session.step(image)

    with pytest.raises(ConfigError, match="choose policy restate"):
        watch()


def test_a_user_turn_that_does_not_fit_is_refused(folder: Path) -> None:
    annotation = annotations("train", 1, 0)[0]
    session = Assistant.from_pretrained(folder, dtype="float32").open(annotation.task)
    session.step(next(draw(annotation, 2.0)))
    with pytest.raises(DataError, match="at most 128 are allowed"):
        session.say("again and " * 100)
    session.say("and now?")
    with pytest.raises(DataError, match="two user turns"):
        session.say("and then?")


def test_several_people_at_once(folder: Path) -> None:
    eager = StreamConfig(speak_threshold=0.3, update_threshold=0.3, max_new_tokens=5, num_slots=3)
    assistant = Assistant.from_pretrained(folder, eager, "float32")
    plans = annotations("train", 3, 0)
    videos = [list(islice(draw(plan, 2.0), 5)) for plan in plans]
    alone = []
    for plan, video in zip(plans, videos, strict=True):
        session = assistant.open(plan.task)
        alone.append([_said(session.step(image)) for image in video])
        session.close()
    sessions = [assistant.open(plan.task) for plan in plans]
    with pytest.raises(ConfigError, match="all 3 slots"):
        assistant.open(plans[0].task)
    for index in range(5):
        images = [video[index] for video in videos]
        found = assistant.step(list(zip(sessions, images, strict=True)))
        for number, events in enumerate(found):
            assert isinstance(events, list)
            assert _said(events) == alone[number][index]
    # one bad frame is told, and the others are watched
    bad = torch.zeros(1, 7)
    found = assistant.step([(sessions[0], bad), (sessions[1], videos[1][0])])
    assert isinstance(found[0], DataError)
    assert isinstance(found[1], list)
    with pytest.raises(DataError, match="stands twice"):
        assistant.step([(sessions[0], videos[0][0]), (sessions[0], videos[0][1])])


def test_a_session_goes_on_from_its_snapshot(folder: Path) -> None:
    annotation = annotations("train", 1, 0)[0]
    eager = StreamConfig(speak_threshold=0.3, update_threshold=0.3, max_new_tokens=5)
    video = list(islice(draw(annotation, 2.0), 8))
    first = Assistant.from_pretrained(folder, eager, "float32")
    session = first.open(annotation.task)
    for image in video[:4]:
        session.step(image)
    data = session.snapshot()
    expected = [_said(session.step(image)) for image in video[4:]]
    again = Assistant.from_pretrained(folder, eager, "float32").restore(data)
    assert [_said(again.step(image)) for image in video[4:]] == expected
    assert again.state == session.state


def _said(events: list[StateChange | Utterance]) -> list[object]:
    """Without what a clock says."""
    return [replace(event, latency_ms=0.0, probability=0.0) for event in events]
