"""Captions of images or short videos -> packed clips.

In: JSONL, one caption a line:

    {"frames_file": "frames/a.arrow", "start_frame": 0, "stop_frame": 1, "text": "A red cup."}

Out: clips of contiguous frames, each caption an utterance after its last frame (ProAssist:
prepare_sthsth and its like). An image is a video of one frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import Field

from prospect.errors import DataError
from prospect.files import Account, parse, read_lines
from prospect.samples.sequence import Renderer
from prospect.types import Clip, Event, Split, Task

TOO_LONG = "longer than the context"


@dataclass(frozen=True, slots=True)
class Caption:
    """What is shown in the frames ``[start_frame, stop_frame)`` of one file."""

    frames_file: Annotated[str, Field(min_length=1)]
    start_frame: Annotated[int, Field(ge=0)]
    stop_frame: Annotated[int, Field(ge=1)]
    text: Annotated[str, Field(min_length=1)]


def read_captions(path: Path) -> list[Caption]:
    """Read captions in file order.

    Raises:
        MissingError: no such file.
        DataError: a line that isn't a caption, or has no frames; names file, line and field.
    """
    found = []
    for number, value in read_lines(path):
        caption = parse(value, Caption, f"{path}:{number}")
        if caption.stop_frame <= caption.start_frame:
            raise DataError(
                f"{path}:{number}: field 'stop_frame': {caption.stop_frame} is not after "
                f"start_frame {caption.start_frame}; ranges are half-open"
            )
        found.append(caption)
    return found


def pack(
    captions: Sequence[Caption],
    dataset: str,
    split: Split,
    fps: float,
    renderer: Renderer,
    context_len: int,
) -> tuple[list[Clip], Account]:
    """Pack the captions of each file into clips.

    Args:
        captions: In any order.
        dataset: Name that the clips carry.
        split: Of all of them.
        fps: Of the frames; any number for images.
        renderer: Counts the tokens.
        context_len: Tokens the model may see.

    Returns:
        Clips, file by file, and the account of captions. A new clip begins where the frames aren't
        contiguous or the context is full; a caption that fits none is dropped and counted.
    """
    clips: list[Clip] = []
    dropped = 0
    ordered = sorted(captions, key=lambda c: (c.frames_file, c.start_frame, c.stop_frame))
    for frames_file, group in groupby(ordered, key=lambda caption: caption.frames_file):
        packed: list[Clip] = []
        for caption in group:
            alone = _clip(caption, frames_file, dataset, split, fps, len(packed))
            if renderer.clip_len(alone) > context_len:
                dropped += 1
                continue
            if packed and packed[-1].stop_frame == caption.start_frame:
                longer = replace(
                    packed[-1],
                    stop_frame=alone.stop_frame,
                    events=(*packed[-1].events, *alone.events),
                )
                if renderer.clip_len(longer) <= context_len:
                    packed[-1] = longer
                    continue
            packed.append(alone)
        clips += packed
    return clips, Account(len(captions) - dropped, {TOO_LONG: dropped})


def _clip(
    caption: Caption, frames_file: str, dataset: str, split: Split, fps: float, index: int
) -> Clip:
    video_id = str(PurePosixPath(frames_file).with_suffix(""))
    return Clip(
        clip_id=f"{video_id}/caption-0/{index}",
        dialogue_id=f"{video_id}/caption-0",
        video_id=video_id,
        dataset=dataset,
        split=split,
        user_type="no_talk",
        task=Task("", ()),
        task_type="caption",
        fps=fps,
        start_frame=caption.start_frame,
        stop_frame=caption.stop_frame,
        decide_from=caption.start_frame,
        state={},
        recent=(),
        events=(Event(caption.stop_frame - 1, speech=caption.text),),
        frames_file=frames_file,
        knowledge=False,
        state_known=False,
        kind="caption",
    )
