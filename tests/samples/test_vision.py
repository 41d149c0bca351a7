"""A clip finds its frame vectors, whatever holds its frames."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from prospect.errors import DataError, MissingError
from prospect.frames.encoders import Encoder, load_encoder
from prospect.frames.stores import write_arrow_frames
from prospect.samples.vision import Vision, encode_clips, find_source, stored_frames
from prospect.types import Clip
from tests.clips import random_stream
from tests.frames.test_features import make_video

VIDEO = "assembly_nusar-2021_x"
ENCODER = "google/siglip-so400m-patch14-384"
FEATURES = "features/google___siglip-so400m-patch14-384@-2"


def clip_of(start: int, stop: int, name: str | None = None) -> Clip:
    return replace(
        random_stream(0),
        video_id=VIDEO,
        dataset="assembly101",
        start_frame=start,
        decide_from=start,
        stop_frame=stop,
        events=(),
        frames_file=name,
    )


def write_features(path: Path, first: int, count: int) -> Path:
    """Row n of the store is a vector full of ``first + n``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [np.full((1, 4), first + n, np.float16).tolist() for n in range(count)]
    table = pa.table({"cls": pa.array(rows, pa.list_(pa.list_(pa.float16())))})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return path


def vision(data: Path, root: Path | None) -> Vision:
    return Vision((data,), root, ENCODER, "key", 1)


def values(found: torch.Tensor) -> list[float]:
    return found[:, 0, 0].tolist()


def test_a_named_store_comes_before_one_of_the_usual_name(tmp_path: Path) -> None:
    usual = tmp_path / "assembly101/frames/nusar-2021_x.arrow"
    write_features(usual, 0, 20)
    assert find_source(clip_of(0, 9), tmp_path, tmp_path, ENCODER).path == usual
    named = write_features(tmp_path / "data/x.arrow", 0, 20)
    assert find_source(clip_of(0, 9, "data/x.arrow"), tmp_path, tmp_path, ENCODER).path == named


def test_a_missing_store_names_every_path_tried(tmp_path: Path) -> None:
    with pytest.raises(MissingError) as caught:
        find_source(clip_of(0, 9, "data/x.arrow"), tmp_path / "none", tmp_path, ENCODER)
    message = str(caught.value)
    assert str(tmp_path / "data/x.arrow") in message
    assert str(tmp_path / "assembly101/frames/nusar-2021_x.arrow") in message
    with pytest.raises(MissingError, match="--frames-root"):
        find_source(clip_of(0, 9), tmp_path, None, ENCODER)


def test_feature_stores_are_read_by_frame(tmp_path: Path) -> None:
    write_features(tmp_path / "assembly101" / FEATURES / "nusar-2021_x.arrow", 0, 30)
    assert values(vision(tmp_path, tmp_path)(clip_of(11, 14))) == [11, 12, 13]
    assert stored_frames(clip_of(11, 14), tmp_path, tmp_path, ENCODER) == range(30)
    with pytest.raises(DataError, match="30"):
        vision(tmp_path, tmp_path)(clip_of(20, 31))


def test_a_one_clip_store_begins_at_its_clip(tmp_path: Path) -> None:
    write_features(tmp_path / "assembly101/abc-1.arrow", 100, 10)
    clip = replace(clip_of(103, 106), store_id="abc-1", store_start=100)
    assert values(vision(tmp_path, tmp_path)(clip)) == [103, 104, 105]
    assert stored_frames(clip, tmp_path, tmp_path, ENCODER) == range(100, 110)
    with pytest.raises(DataError):
        vision(tmp_path, tmp_path)(replace(clip, start_frame=99))


def test_frame_stores_are_encoded_once_into_shards(tmp_path: Path) -> None:
    store = tmp_path / "root/assembly101/frames/nusar-2021_x.arrow"
    pictures = (np.full((384, 384, 3), 10 * n, np.uint8) for n in range(5))
    write_arrow_frames(store, pictures)
    encoder = load_encoder("efficientnet-lite0")
    data = tmp_path / "data"
    clip = clip_of(1, 4)
    look = Vision((data,), tmp_path / "root", encoder.name, encoder.key, 1)
    with pytest.raises(MissingError, match="prospect features"):
        look(clip)
    live = replace(look, encoder=encoder)(clip)
    assert encode_clips([clip], data, tmp_path / "root", encoder).kept == 1
    assert look(clip).shape == (3, 1, 1280)
    # on the fly it is what the shard holds, but for the batch it was computed in
    torch.testing.assert_close(live, look(clip), atol=0.02, rtol=0.02)
    assert live.dtype == look(clip).dtype


def test_videos_are_encoded_on_the_fly(tmp_path: Path) -> None:
    seen: list[int] = []

    def shade(frames: torch.Tensor) -> torch.Tensor:
        seen.append(len(frames))
        return frames.float().mean(dim=(1, 2, 3))[:, None, None]

    make_video(tmp_path / "v.mp4", 20)  # frame n has shade n; 4 frames a second
    clip = replace(clip_of(35, 70, "v.mp4"), fps=4.0)
    encoder = Encoder("shade", 1, 1, "key", shade)
    look = Vision((tmp_path,), None, encoder.name, encoder.key, 1, encoder)
    found = look(clip)
    assert found.shape == (35, 1, 1)
    assert sum(seen) == 35
    encode_clips([clip], tmp_path, None, encoder)
    assert torch.equal(found, replace(look, encoder=None)(clip))
    (tmp_path / f"features/key/{VIDEO}.safetensors").unlink()
    with pytest.raises(DataError, match=r"holds frames \[0, 80\); asked for \[35, 90\)"):
        look(replace(clip, stop_frame=90))
