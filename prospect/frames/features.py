"""Feature shards: the vectors of one video in one file.

In: videos and an `Encoder`. Out: ``<out>/<encoder key>/<video_id>.safetensors``, tensor
``features`` (F, P, D) fp16, row n = frame n of the stream's clock, with the rate, the encoder and
the video it came from in its metadata. Files are memory-mapped; a clip reads its rows alone.

Of each value the 8 significant bits of bf16 are kept, so that what is written of a stream can be
compressed to less than half (`prospect.stream.snapshot`). That is an error of at most .4 %, or, on
toy videos, of .06 of a dimension's deviation, since means reach 9 deviations; no score changed.
Values lie far below fp16's limit of 65,504.
"""

import hashlib
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import Progress
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from prospect.errors import DataError, MissingError
from prospect.files import Account, atomic_path, write_account
from prospect.frames.decode import read_frames
from prospect.frames.encoders import BATCH, Encoder
from prospect.frames.stores import arrow_length, check_range, read_arrow_frames

SCHEMA = "features/1"
_BITS = 8
_AHEAD = 4  # batches decoded ahead: 57 MB of 384 px frames
_ENDS_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class FeatureInfo:
    """What a shard says of itself.

    Attributes:
        frames, vectors, dim: F, P, D of its tensor.
        fps: Frames a second.
        bits: Significant ones of each number.
        encoder, key: Name and key of the `Encoder`.
        video: `video_hash` of the video it was made from.
    """

    frames: int
    vectors: int
    dim: int
    fps: float
    bits: int
    encoder: str
    key: str
    video: str


def feature_path(out: Path, key: str, video_id: str) -> Path:
    """Where the features of a video stand."""
    return out / key / f"{video_id}.safetensors"


def encode_videos(
    items: Sequence[tuple[str, Path]],
    fps: float,
    encoder: Encoder,
    out: Path,
    drop_invalid: bool = False,
) -> Account:
    """Encode videos that have no shard yet, decoding in a thread while the encoder works.

    A shard made from the same video, rate and encoder is kept; every other is written anew, whole
    or not at all, so an interrupted run continues with the video it was at.

    Args:
        items: (video_id, file) of each video.
        fps: Frames a second of the stream.
        encoder: From `prospect.frames.encoders.load_encoder`.
        out: The features folder.
        drop_invalid: Count videos that can't be read as dropped instead of stopping.

    Returns:
        Videos with a shard as kept.

    Raises:
        MissingError, DataError: a video is missing, damaged or shorter than a frame; names it.
    """
    dropped = {"video missing": 0, "video unreadable": 0}
    listed = []
    with Progress() as progress:
        bar = progress.add_task(f"encode at {fps:g} frames/s", total=len(items))
        for video_id, video in items:
            try:
                _encode_video(video_id, video, fps, encoder, out)
            except (MissingError, DataError) as error:
                if not drop_invalid:
                    raise
                why = "video missing" if isinstance(error, MissingError) else "video unreadable"
                dropped[why] += 1
                listed.append(f"{video_id}: {error}")
            progress.advance(bar)
    account = Account(len(items) - len(listed), dropped)
    write_account(out / encoder.key, account, listed)
    return account


def encode_range(video: Path, fps: float, encoder: Encoder, start: int, stop: int) -> Tensor:
    """Encode frames ``[start, stop)`` of a video or arrow store; the same vectors as in its shard.

    A video is decoded from its start, since its frames can't be told by counting.

    Returns:
        fp16 (stop - start, P, D).

    Raises:
        MissingError: no such file.
        DataError: damaged, or the range is not within its frames.
    """
    parts = [torch.empty(0, encoder.vectors, encoder.dim, dtype=torch.float16)]
    done = 0
    with closing(_ahead(_batches(video, fps))) as batches:
        for batch in batches:
            wanted = batch[max(start - done, 0) : max(stop - done, 0)]
            done += len(batch)
            if len(wanted):
                parts.append(stored(encoder.encode(wanted)))
            if done >= stop:
                break
    check_range(video, start, stop, done)
    return torch.cat(parts)


def stored(vectors: Tensor) -> Tensor:
    """Vectors of any float type as a shard keeps them, and as a live session sees them too.

    Returns:
        fp16 of the same shape, rounded to bf16's 8 significant bits; once more changes nothing.
    """
    return vectors.bfloat16().half()


def load_features(path: Path, start: int, stop: int) -> Tensor:
    """Rows ``[start, stop)`` of a shard; only they are read.

    Returns:
        fp16 (stop - start, P, D).

    Raises:
        MissingError: no such shard.
        DataError: not a shard, or the range is not within its frames.
    """
    with _open(path) as file:
        rows = file.get_slice("features")
        total = rows.get_shape()[0]
        check_range(path, start, stop, total)
        features: Tensor = rows[start:stop]
    return features


def feature_info(path: Path) -> FeatureInfo:
    """What a shard holds, read from its header.

    Raises:
        MissingError: no such shard.
        DataError: not a shard of ours.
    """
    with _open(path) as file:
        about = file.metadata() or {}
        if about.get("schema") != SCHEMA:
            raise DataError(f"{path}: schema is {about.get('schema')!r}, expected {SCHEMA!r}")
        frames, vectors, dim = file.get_slice("features").get_shape()
    bits = int(about.get("bits", 11))  # all of fp16's: shards of before don't say
    rate, encoder, key, video = (about[name] for name in ("fps", "encoder", "key", "video"))
    return FeatureInfo(frames, vectors, dim, float(rate), bits, encoder, key, video)


def write_features(path: Path, features: Tensor, fps: float, encoder: Encoder, video: str) -> None:
    """Write a shard, atomically: ``features`` (F, P, D) of any float type, as `stored`.

    Raises:
        DataError: a value is not finite, or too large for fp16.
    """
    vectors = stored(features)
    if not torch.isfinite(vectors).all():
        frame = int((~torch.isfinite(vectors)).any(dim=(1, 2)).nonzero()[0])
        raise DataError(f"{path}: frame {frame} has a feature that is no finite fp16 number")
    about = {
        "schema": SCHEMA,
        "fps": repr(float(fps)),
        "bits": str(_BITS),
        "encoder": encoder.name,
        "key": encoder.key,
        "video": video,
    }
    with atomic_path(path) as temporary:
        save_file({"features": vectors.contiguous()}, temporary, metadata=about)


def video_hash(path: Path) -> str:
    """Hash of a file's size and its first and last MiB.

    These hold a video's table of frame sizes and times, which no other recording shares; reading
    all of a few hundred GB just to find nothing to do would take minutes.

    Raises:
        MissingError: no such file.
    """
    if not path.is_file():
        raise MissingError(f"no video {path}; check the path")
    size = path.stat().st_size
    with path.open("rb") as file:
        digest = hashlib.sha256(f"{size} ".encode() + file.read(_ENDS_BYTES))
        file.seek(max(0, size - _ENDS_BYTES))
        digest.update(file.read())
    return digest.hexdigest()[:16]


def _encode_video(video_id: str, video: Path, fps: float, encoder: Encoder, out: Path) -> None:
    path = feature_path(out, encoder.key, video_id)
    made_from = video_hash(video)
    if path.exists():
        info = feature_info(path)
        made = info.fps, info.bits, info.key, info.video
        if made == (fps, _BITS, encoder.key, made_from):
            return
    with closing(_ahead(_batches(video, fps))) as batches:
        parts = [stored(encoder.encode(batch)) for batch in batches]
    if not parts:
        raise DataError(f"video {video_id!r} ({video}) is shorter than one frame at {fps:g}/s")
    write_features(path, torch.cat(parts), fps, encoder, made_from)


def _batches(video: Path, fps: float) -> Generator[Tensor]:
    """Frames of a video or of an arrow store in tensors of `BATCH`, uint8 (F, H, W, 3)."""
    if video.suffix == ".arrow":  # a store is at the stream's rate already
        total = arrow_length(video)
        for start in range(0, total, BATCH):
            yield read_arrow_frames(video, start, min(start + BATCH, total))
        return
    frames = read_frames(video, fps)
    for first in frames:
        yield torch.from_numpy(np.stack([first, *islice(frames, BATCH - 1)]))


def _ahead(batches: Generator[Tensor]) -> Generator[Tensor]:
    """The same batches, made by a thread up to `_AHEAD` early; its errors are raised here."""
    with closing(batches), ThreadPoolExecutor(1) as pool:
        coming = deque(pool.submit(next, batches, None) for _ in range(_AHEAD))
        while (batch := coming.popleft().result()) is not None:
            coming.append(pool.submit(next, batches, None))
            yield batch


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except FileNotFoundError as error:
        raise MissingError(f"no features {path}; run `prospect features` first") from error
    except SafetensorError as error:
        raise DataError(
            f"{path}: not a feature shard: {error}; delete it and encode again"
        ) from error
