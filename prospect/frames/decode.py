"""Video files to frames on the stream's clock.

In: any file FFmpeg reads, at any rate, constant or variable. Out: uint8 RGB (384, 384, 3) frames at
exactly the asked rate: frame n is the one on screen n / fps seconds after the first.

Frames are chosen by their time stamps, never by counting: taking every 15th frame of a 29.97 Hz
file as "2 a second" drifts from the labels by 3.6 s an hour, and by minutes where the rate is
rounded to 29 first. Time stamps are rounded by containers (Matroska: 1 ms), so a frame counts as
on screen up to half a source frame early, at most 50 ms (`tolerance_s`): of a file with a constant
rate the nearest frame is taken.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream
from numpy.typing import NDArray

from prospect.clock import frame_count
from prospect.errors import DataError, MissingError

SIZE = 384
"""Side of a frame in pixels, as in ProAssist's frame stores (arXiv 2506.05904)."""

Image = NDArray[np.uint8]
"""One picture, RGB, (H, W, 3)."""

_MAX_TOLERANCE_S = 0.05
# Headers may promise a little more than they hold, e.g. an audio track that ends later.
_MAX_LACKING_S = 1.0


def tolerance_s(source_fps: float, fps: float) -> float:
    """How early a source frame may be taken as shown: half of it, at most 50 ms or half of ours."""
    return min(0.5 / source_fps, 0.5 / fps, _MAX_TOLERANCE_S)


def read_frames(path: Path, fps: float, size: int = SIZE) -> Iterator[Image]:
    """Frames of a video at a constant rate, squared by `fit`.

    Args:
        path: A video file; its first video stream is read.
        fps: Frames a second to give, > 0; more than the file has repeats frames.
        size: Side in pixels.

    Yields:
        uint8 (size, size, 3), RGB; frame n is shown at ``n / fps`` seconds after the first frame
        of the file, within `tolerance_s`. As many as are shown completely: `frame_total`.

    Raises:
        MissingError: no such file.
        DataError: no video in it, damaged, or shorter than its header says.
    """
    with _open(path) as (container, stream):
        tolerance = tolerance_s(_rate(stream, path), fps)
        waiting: deque[Image] = deque()  # taken, but not yet known to be shown for a whole 1 / fps
        taken = given = 0
        shown: av.VideoFrame | None = None
        start_s = now_s = 0.0
        for frame in container.decode(stream):
            if frame.time is None:
                raise DataError(f"{path}: a frame without a time stamp; remux it with ffmpeg")
            if shown is None:
                start_s = frame.time
            now_s = frame.time - start_s
            if shown is not None:
                picture: Image | None = None
                while taken / fps < now_s - tolerance:
                    picture = fit_frame(shown, size) if picture is None else picture
                    waiting.append(picture)
                    taken += 1
                while waiting and (given + 1) / fps <= now_s:
                    yield waiting.popleft()
                    given += 1
            shown = frame
        if shown is None:
            raise DataError(f"{path}: its video stream holds no frame that can be decoded")
        end_s = now_s + _duration_s(shown.duration, stream, path)
        _check_length(path, stream, end_s)
        total = frame_count(end_s + tolerance, fps)
        picture = fit_frame(shown, size)
        waiting.extend([picture] * max(0, total - taken))
        while waiting and given < total:
            yield waiting.popleft()
            given += 1


def frame_total(path: Path, fps: float) -> int:
    """How many frames `read_frames` gives, without decoding any.

    Raises:
        MissingError, DataError: as `read_frames`, but damage inside of frames goes unseen.
    """
    with _open(path) as (container, stream):
        first = last = None
        duration = None
        for packet in container.demux(stream):
            if packet.pts is None:  # the flushing packet at the end
                continue
            first = packet.pts if first is None else min(first, packet.pts)
            if last is None or packet.pts > last:
                last, duration = packet.pts, packet.duration
        if first is None or last is None:
            raise DataError(f"{path}: its video stream is empty")
        end_s = float((last - first) * _time_base(stream)) + _duration_s(duration, stream, path)
        _check_length(path, stream, end_s)
        return frame_count(end_s + tolerance_s(_rate(stream, path), fps), fps)


def fit(image: Image, size: int = SIZE) -> Image:
    """Scale a picture so that it covers a square, and cut the square from its middle.

    As ProAssist does: the aspect ratio stays, the short side becomes ``size`` (bicubic), the long
    side loses both ends.

    Args:
        image: uint8 RGB (H, W, 3), of any size.

    Returns:
        uint8 RGB (size, size, 3).
    """
    return fit_frame(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24"), size)


def video_stream(container: InputContainer, where: Path | str) -> VideoStream:
    """The first video stream of what was opened as ``where``; `DataError` if it holds none."""
    # FFmpeg takes text for a terminal and draws it
    if container.format.name == "tty" or not container.streams.video:
        raise DataError(f"{where}: holds no video stream; is it a video?")
    return container.streams.video[0]


def fit_frame(frame: av.VideoFrame, size: int = SIZE) -> Image:
    """`fit` for a frame as it was decoded, turned upright if its header says so."""
    ratio = max(size / frame.width, size / frame.height)
    width, height = max(size, int(frame.width * ratio)), max(size, int(frame.height * ratio))
    image = frame.to_ndarray(
        format="rgb24", width=width, height=height, interpolation=Interpolation.BICUBIC
    )
    left, top = (width - size) // 2, (height - size) // 2
    square = image[top : top + size, left : left + size]
    # phones store what they film upright as a turn in the header; the square stays one
    return np.ascontiguousarray(np.rot90(square, frame.rotation // 90)).astype(np.uint8, copy=False)


@contextmanager
def _open(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    if not path.is_file():
        raise MissingError(f"no video {path}; check the path")
    try:
        with av.open(path) as container:
            stream = video_stream(container, path)
            stream.thread_type = "AUTO"
            yield container, stream
    except av.FFmpegError as error:
        raise DataError(f"{path}: damaged, or no video: {error.strerror}") from error


def _rate(stream: VideoStream, path: Path) -> float:
    rate = stream.average_rate or stream.guessed_rate
    if not rate:
        raise DataError(f"{path}: states no frame rate; remux it with ffmpeg")
    return float(rate)


def _time_base(stream: VideoStream) -> Fraction:
    assert stream.time_base is not None  # FFmpeg sets it for every stream it opens
    return stream.time_base


def _duration_s(ticks: int | None, stream: VideoStream, path: Path) -> float:
    """How long the last frame is shown; files that don't say get the average."""
    return float(ticks * _time_base(stream)) if ticks else 1 / _rate(stream, path)


def _check_length(path: Path, stream: VideoStream, end_s: float) -> None:
    """FFmpeg ends quietly where a file was cut off; the header still knows its length."""
    if stream.duration is None:
        return
    promised_s = float(stream.duration * _time_base(stream))
    if end_s < promised_s - _MAX_LACKING_S:
        raise DataError(
            f"{path}: ends at {end_s:.2f} s, its header promises {promised_s:.2f} s; "
            "was it copied complete?"
        )
