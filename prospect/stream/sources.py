"""Where frames come from: files, folders of pictures, features, web streams, cameras.

In: a path, an address, or ``camera:0``. Out: `Source`, frames on the stream's clock. What can be
known of a source without watching it is checked when it is opened, before a model is loaded.

    open_source("kitchen.mp4", fps=2)      open_source("http://10.0.0.7:8080/video", fps=2)
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import av
from av.container import InputContainer
from torch import Tensor

from prospect.errors import ConfigError, DataError, MissingError, ProspectError
from prospect.frames.decode import (
    Image,
    fit_frame,
    frame_total,
    read_frames,
    tolerance_s,
    video_stream,
)
from prospect.frames.features import feature_info, load_features

Frame = Image | Tensor
"""A picture, uint8 RGB (384, 384, 3), or the vectors of one, fp16 (P, E)."""

PICTURES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
"""Endings of the files of a folder that are frames."""

_CAMERA = re.compile(r"camera:(\d+)")
_CAMERAS = "video4linux2,v4l2"
_ROWS = 256  # of a feature shard that are read at once: 6 MB of 10 vectors of 1152
# such streams carry no time stamps, FFmpeg invents 25 frames a second
_WITHOUT_TIMES = ("mpjpeg", "mjpeg")
# of the address or the way there, not of what it sends; many are OSErrors
_ABSENT = (
    OSError,
    av.error.HTTPClientError,
    av.error.HTTPError,
    av.error.ProtocolNotFoundError,
)


@dataclass(frozen=True, slots=True)
class Source:
    """An open source of frames.

    Attributes:
        where: What was opened, without passwords.
        fps: Frames a second of the stream.
        live: Whether frames come by themselves and are lost if nobody takes them; False: a
            recording, read as fast as it is wanted.
        num_frames: How many there are, if that is known.
        encoder_key: Of the encoder whose vectors these are; None for pictures.
        frames: (time_s, frame) in order, ``time_s = n / fps`` of frame n: when it appears, counted
            from the first frame. Errors of the source are raised here.
    """

    where: str
    fps: float
    live: bool
    num_frames: int | None
    encoder_key: str | None
    frames: Iterator[tuple[float, Frame]]


def open_source(
    where: str, fps: float, timeout_s: float = 10.0, now: Callable[[], float] = time.monotonic
) -> Source:
    """Open anything that gives frames.

    Args:
        where: A video file; a folder of pictures of one size, each one frame, in the order of
            their names (numbers by value); a feature shard (``.safetensors``); an address that
            FFmpeg opens (``http://``, ``rtsp://``, ...); ``camera:0`` for the first camera of
            Linux. Untested: RTSP and cameras, since no device is at hand.
        fps: Frames a second to give, > 0.
        timeout_s: Longest wait for an address or camera to answer, and for each of its frames.
        now: Clock in seconds, for streams without time stamps.

    Raises:
        ConfigError: a setting that can't work.
        MissingError: nothing there.
        DataError: damaged, empty, shorter than one frame, or of another rate.
    """
    if fps <= 0 or timeout_s <= 0:
        raise ConfigError(f"fps ({fps:g}) and timeout_s ({timeout_s:g}) must be above 0")
    if camera := _CAMERA.fullmatch(where):
        return _open_stream(f"/dev/video{camera[1]}", _CAMERAS, fps, timeout_s, now)
    if "://" in where:
        return _open_stream(where, None, fps, timeout_s, now)
    path = Path(where)
    if path.is_dir():
        return _open_folder(path, fps)
    if path.suffix == ".safetensors":
        return _open_features(path, fps)
    return _open_file(path, fps)


def _open_file(path: Path, fps: float) -> Source:
    total = frame_total(path, fps)
    if total == 0:
        raise DataError(f"{path} is shorter than one frame at {fps:g} frames/s; nothing to watch")
    frames = ((n / fps, image) for n, image in enumerate(read_frames(path, fps)))
    return Source(str(path), fps, False, total, None, frames)


def _open_folder(folder: Path, fps: float) -> Source:
    files = sorted(
        (file for file in folder.iterdir() if file.suffix.lower() in PICTURES), key=_by_number
    )
    if not files:
        raise DataError(f"{folder} holds no pictures; their names end in {', '.join(PICTURES)}")
    _picture(files[0])
    return Source(str(folder), fps, False, len(files), None, _pictures(files, fps))


def _by_number(path: Path) -> list[tuple[int, str]]:
    """``f10.jpg`` comes after ``f2.jpg``."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part)
        for part in re.split(r"(\d+)", path.name)
    ]


def _pictures(files: list[Path], fps: float) -> Iterator[tuple[float, Frame]]:
    first = _picture(files[0])
    for n, file in enumerate(files):
        picture = _picture(file)
        if (picture.width, picture.height) != (first.width, first.height):
            raise DataError(
                f"{file} is {picture.width} x {picture.height}, {files[0].name} is "
                f"{first.width} x {first.height}; all frames of a source have one size"
            )
        yield n / fps, fit_frame(picture)


def _picture(file: Path) -> av.VideoFrame:
    """One picture as it is stored; damage is an error, not a grey patch."""
    try:
        with av.open(file, options={"pattern_type": "none"}) as container:
            stream = video_stream(container, file)
            stream.codec_context.options = {"err_detect": "crccheck+explode"}
            for picture in container.decode(stream):
                return picture
    except av.FFmpegError as error:
        raise DataError(f"{file}: damaged, or no picture: {error.strerror}") from error
    raise DataError(f"{file}: holds no picture")


def _open_features(path: Path, fps: float) -> Source:
    info = feature_info(path)
    if info.fps != fps:
        raise DataError(
            f"{path} has {info.fps:g} frames/s, {fps:g} are wanted; encode its video again"
        )
    if info.frames == 0:
        raise DataError(f"{path} holds no frames; nothing to watch")
    frames = _rows(path, info.frames, fps)
    return Source(str(path), fps, False, info.frames, info.key, frames)


def _rows(path: Path, total: int, fps: float) -> Iterator[tuple[float, Frame]]:
    for start in range(0, total, _ROWS):
        rows = load_features(path, start, min(start + _ROWS, total))
        for n, vectors in enumerate(rows, start):
            yield n / fps, vectors


def _open_stream(
    address: str, kind: str | None, fps: float, timeout_s: float, now: Callable[[], float]
) -> Source:
    where = _without_password(address)
    if kind is not None and kind not in av.formats_available:
        raise ConfigError(f"{where}: this FFmpeg has no {kind}; cameras need Linux")
    with _refusals(where, timeout_s):
        container = av.open(address, format=kind, timeout=timeout_s)
        video_stream(container, where)
    live = container.duration is None  # recordings on the web know their length
    return Source(where, fps, live, None, None, _received(container, where, fps, timeout_s, now))


def _received(
    container: InputContainer, where: str, fps: float, timeout_s: float, now: Callable[[], float]
) -> Iterator[tuple[float, Frame]]:
    """Frame n is the first that comes at ``n / fps``, or up to half a source frame earlier.

    A recording is sampled as `read_frames` does, but for its end: a last frame that is shown
    shorter than ``1 / fps`` counts. Where a source pauses or is slower than ``fps``, the next
    frame stands for those that are missing. FFmpeg conceals damage within a frame.
    """
    given = 0
    with container, _refusals(where, timeout_s):
        stream = video_stream(container, where)
        stamped = container.format.name not in _WITHOUT_TIMES
        tolerance = tolerance_s(float(stream.average_rate or fps), fps)
        start_s: float | None = None
        for frame in container.decode(stream):
            seen_s = frame.time if stamped else now()
            if seen_s is None:
                raise DataError(f"{where}: a frame without a time stamp; send another format")
            start_s = seen_s if start_s is None else start_s
            if given / fps > seen_s - start_s + tolerance:
                continue
            image = fit_frame(frame)
            while given / fps <= seen_s - start_s + tolerance:
                yield given / fps, image
                given += 1
    if given == 0:
        raise DataError(f"{where} ended before its first frame; is it sending?")


@contextmanager
def _refusals(where: str, timeout_s: float) -> Iterator[None]:
    """FFmpeg's errors as ours."""
    try:
        yield
    except av.FFmpegError as error:
        raise _as_ours(error, where, timeout_s) from error


def _as_ours(error: av.FFmpegError, where: str, timeout_s: float) -> ProspectError:
    if isinstance(error, av.error.ExitError):  # how PyAV ends a call that takes too long
        return DataError(
            f"{where} sent nothing for {timeout_s:g} s; is it still running? Else raise timeout_s"
        )
    if isinstance(error, _ABSENT):
        return MissingError(
            f"{where}: {error.strerror}; check that it is there, and who may use it"
        )
    return DataError(f"{where}: damaged, or no video: {error.strerror}")


def _without_password(address: str) -> str:
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
