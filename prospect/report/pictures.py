"""Pictures for the report: frames of the predicted videos.

In: data folders. Out: a function (prediction, frames) -> JPEG bytes by frame, without those the
folders hold no video of; and small data URIs that a page can hold many of.
"""

import base64
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from prospect.errors import DataError, MissingError
from prospect.files import read_records
from prospect.frames.decode import SIZE, read_frames
from prospect.types import Clip, Prediction

Thumbnails = Callable[[Prediction, Sequence[int]], Mapping[int, bytes]]
"""(prediction, frames) -> image files' bytes of the frames that there is a picture of."""

PIXELS = 160
_QUALITY = 72


def thumbnails(folders: Sequence[Path]) -> Thumbnails:
    """Finds each video in one of the folders and decodes it once a call, up to the last frame."""
    videos = _videos(folders)

    def pictures(prediction: Prediction, frames: Sequence[int]) -> Mapping[int, bytes]:
        if prediction.video_id not in videos:
            return {}
        path = videos[prediction.video_id]
        return {
            frame: jpeg(image, PIXELS)
            for frame, image in _images(path, prediction.fps, sorted(set(frames)), PIXELS)
        }

    return pictures


def all_frames(folders: Sequence[Path], prediction: Prediction) -> Iterator[NDArray[np.uint8]]:
    """Every frame of the stream, uint8 RGB (H, W, 3).

    Raises:
        MissingError: no folder holds the video.
    """
    videos = _videos(folders)
    if prediction.video_id not in videos:
        looked = ", ".join(map(str, folders)) or "no data folder"
        raise MissingError(
            f"no frames of video {prediction.video_id!r} in {looked}; name its folder with --data"
        )
    wanted = range(prediction.start_frame, prediction.stop_frame)
    for _, image in _images(videos[prediction.video_id], prediction.fps, wanted, SIZE):
        yield image


def jpeg(image: NDArray[np.uint8], pixels: int) -> bytes:
    """A picture (H, W, 3) as a JPEG file of at most ``pixels`` a side."""
    with io.BytesIO() as buffer:
        picture = Image.fromarray(image)
        picture.thumbnail((pixels, pixels))
        picture.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
        return buffer.getvalue()


def data_uri(image: bytes, where: str) -> str:
    """A small JPEG of the picture, so that a page of many stays light.

    Raises:
        DataError: bytes that are no picture; begins with ``where``.
    """
    try:
        picture = Image.open(io.BytesIO(image)).convert("RGB")
    except UnidentifiedImageError as error:
        raise DataError(f"{where}: {len(image)} bytes that are no picture") from error
    if max(picture.size) > PIXELS:
        image = jpeg(np.asarray(picture), PIXELS)
    return "data:image/jpeg;base64," + base64.b64encode(image).decode("ascii")


def affordable(uris: Mapping[int, str], budget_bytes: int) -> dict[int, str]:
    """As many of the pictures, evenly spread, as fit the budget together; at least one."""
    frames = sorted(uris)
    if not frames:
        return {}
    fitting = len(frames) * budget_bytes // sum(map(len, uris.values()))
    count = min(max(fitting, 1), len(frames))
    places = ((2 * index + 1) * len(frames) // (2 * count) for index in range(count))
    return {frames[place]: uris[frames[place]] for place in places}


def _videos(folders: Sequence[Path]) -> dict[str, Path]:
    """video_id -> its file of frames, in the first folder that has one."""
    found: dict[str, Path] = {}
    for folder in folders:
        for clip in read_records(folder / "clips.jsonl", Clip):
            if clip.frames_file is not None and (folder / clip.frames_file).is_file():
                found.setdefault(clip.video_id, folder / clip.frames_file)
    return found


def _images(
    path: Path, fps: float, frames: Sequence[int], size: int
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """(frame, picture) of those of ``frames``, sorted, that the file holds.

    Videos are squared to ``size``; pictures in a store are as large as they are.
    """
    if path.suffix == ".arrow":
        yield from _stored(path, frames)
        return
    wanted = set(frames)
    for frame, image in enumerate(read_frames(path, fps, size)):
        if frame in wanted:
            yield frame, image
        if frame >= frames[-1]:
            return


def _stored(path: Path, frames: Sequence[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Rows of a store of pictures; none of a store of vectors."""
    from prospect.frames.stores import arrow_kind, arrow_length, read_arrow_frames

    if arrow_kind(path) != "frames":
        return
    length = arrow_length(path)
    for frame in frames:
        if frame < length:
            yield frame, read_arrow_frames(path, frame, frame + 1)[0].numpy()
