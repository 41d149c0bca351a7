"""ProAssist's conversations as clips: turns with the frames shown before them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prospect.types import Clip, Event
from tests.clips import random_stream

Turn = dict[str, Any]


def cases(folder: Path, name: str) -> list[dict[str, Any]]:
    path = folder / name
    if not path.is_file():
        pytest.skip(f"no {path}")
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def as_clip(conversation: list[Turn], fps: float = 2.0) -> tuple[Clip, list[range]]:
    """A conversation as a clip, and the frames of each of its frames turns.

    The last frame before a turn decides on it. Where the conversation ends with frames, what their
    last one decides isn't known, so that frame is not part of the clip.
    """
    turns: list[range] = []
    events: dict[int, Event] = {}
    for message in conversation[1:]:
        if message["role"] == "frames":
            turns.append(range(message["start"], message["end"]))
            continue
        frame = turns[-1].stop - 1
        event = events.setdefault(frame, Event(frame))
        field = {"assistant": "speech", "user": "user"}[message["role"]]
        assert getattr(event, field) is None
        events[frame] = replace(event, **{field: message["content"]})
    clip = replace(
        random_stream(0),
        fps=fps,
        start_frame=turns[0].start,
        decide_from=turns[0].start,
        stop_frame=turns[-1].stop - (conversation[-1]["role"] == "frames"),
        events=tuple(events.values()),
        state_known=False,
    )
    return clip, turns
