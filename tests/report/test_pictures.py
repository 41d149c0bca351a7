"""Frames of real files: an mp4 and ProAssist's store."""

import base64
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from prospect.errors import DataError, MissingError
from prospect.files import write_records
from prospect.frames.stores import write_arrow_frames
from prospect.report import pictures
from prospect.types import Clip, Prediction

Make = Callable[..., Prediction]
NUM_FRAMES = 20


def shade(frame: int) -> np.ndarray:
    return np.full((64, 64, 3), 10 * frame, np.uint8)


def folder(root: Path, prediction: Prediction, file: str) -> Path:
    """A data folder with one video of frames that grow brighter, 2 a second."""
    path = root / file
    path.parent.mkdir(parents=True)
    if path.suffix == ".arrow":
        write_arrow_frames(path, map(shade, range(NUM_FRAMES)))
    else:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", 2)
            stream.width = stream.height = 64
            stream.pix_fmt = "yuv420p"
            for frame in range(NUM_FRAMES):
                picture = av.VideoFrame.from_ndarray(shade(frame), "rgb24")
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
    clip = Clip(
        "c/0",
        prediction.dialogue_id,
        prediction.video_id,
        *("toy", "test", "talk_some", prediction.task, "toy", 2.0, 0, NUM_FRAMES, 0, {}, (), ()),
        frames_file=file,
    )
    write_records(root / "clips.jsonl", [clip])
    return root


@pytest.mark.parametrize("file", ["videos/a.mp4", "frames/a.arrow"])
def test_the_frames_that_were_asked_for(tmp_path: Path, make_prediction: Make, file: str) -> None:
    made = make_prediction(0, duration_s=10.0)
    found = pictures.thumbnails([folder(tmp_path, made, file)])(made, [17, 3, 3])
    assert list(found) == [3, 17]
    for frame, image in found.items():
        drawn = np.asarray(Image.open(io.BytesIO(image)))
        assert abs(float(drawn.mean()) - 10 * frame) < 4
    assert len(list(pictures.all_frames([tmp_path], made))) == NUM_FRAMES


def test_no_folder_has_it(tmp_path: Path, make_prediction: Make) -> None:
    other = replace(make_prediction(0), video_id="other")
    made = folder(tmp_path, make_prediction(0), "videos/a.mp4")
    assert pictures.thumbnails([made])(other, [0]) == {}
    assert pictures.thumbnails([])(other, [0]) == {}
    with pytest.raises(MissingError, match=r"no frames of video 'other' in .*; name its folder"):
        next(pictures.all_frames([made], other))


def test_uris_are_small(make_prediction: Make) -> None:
    with io.BytesIO() as buffer:
        Image.new("RGB", (640, 320), "red").save(buffer, "PNG")
        uri = pictures.data_uri(buffer.getvalue(), "here")
    data = base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))
    assert Image.open(io.BytesIO(data)).size == (160, 80)
    with pytest.raises(DataError, match="dialogue 7 frame 11: 4 bytes that are no picture"):
        pictures.data_uri(b"oops", "dialogue 7 frame 11")


def test_budget() -> None:
    uris = dict.fromkeys(range(10), "x" * 100)
    assert pictures.affordable(uris, 1000) == uris
    assert list(pictures.affordable(uris, 300)) == [1, 5, 8]
    assert list(pictures.affordable(uris, 0)) == [5]
    assert pictures.affordable({}, 0) == {}
