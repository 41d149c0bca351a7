"""Feature shards: resumable, whole or absent, read by range, and honest about what they hold."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from prospect.errors import DataError, MissingError
from prospect.frames import features
from prospect.frames.decode import read_frames
from prospect.frames.encoders import Encoder
from prospect.frames.features import (
    encode_videos,
    feature_info,
    feature_path,
    load_features,
    write_features,
)


def make_video(path: Path, seconds: int, shade: int = 0) -> Path:
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=4)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, 4)
        for n in range(4 * seconds):
            picture = np.full((32, 32, 3), min(255, shade + n), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def brightness(frames: Tensor) -> Tensor:
    return frames.float().mean(dim=(1, 2))[:, None] / 3  # (F, 1, 3)


@pytest.fixture
def encoder() -> Encoder:
    return Encoder("brightness", 3, 1, "k1", brightness)


@pytest.fixture
def items(tmp_path: Path) -> list[tuple[str, Path]]:
    return [(f"v{n}", make_video(tmp_path / f"v{n}.mp4", 5 * n + 5, 20 * n)) for n in range(3)]


def test_every_frame_is_encoded_in_order(
    items: list[tuple[str, Path]], encoder: Encoder, tmp_path: Path
) -> None:
    assert str(encode_videos(items, 4, encoder, tmp_path / "out")) == "kept 3 of 3; dropped 0"
    for video_id, video in items:
        path = feature_path(tmp_path / "out", "k1", video_id)
        frames = torch.from_numpy(np.stack(list(read_frames(video, 4))))
        want = brightness(frames).bfloat16().half()
        assert not want.equal(brightness(frames).half())
        info = feature_info(path)
        assert (info.frames, info.vectors, info.dim, info.fps) == (len(frames), 1, 3, 4.0)
        assert info.bits == 8
        assert torch.equal(features.encode_range(video, 4, encoder, 7, 19), want[7:19])
        assert (info.encoder, info.key) == ("brightness", "k1")
        assert torch.equal(load_features(path, 0, len(frames)), want)
        assert torch.equal(load_features(path, 7, 19), want[7:19])
        assert load_features(path, 5, 5).shape == (0, 1, 3)


def test_stored_keeps_eight_bits_and_what_is_stored() -> None:
    exact = torch.randn(10_000, generator=torch.Generator().manual_seed(0)) * 20
    kept = features.stored(exact)
    assert kept.dtype == torch.float16
    error = ((kept.float() - exact) / exact).abs()
    assert 2**-10 < error.max() <= 2**-8
    assert torch.equal(features.stored(kept), kept)
    assert torch.equal(features.stored(kept.float()), kept)


def test_only_what_changed_is_encoded_again(
    items: list[tuple[str, Path]], encoder: Encoder, tmp_path: Path
) -> None:
    seen: list[int] = []

    def counting(frames: Tensor) -> Tensor:
        seen.append(len(frames))
        return brightness(frames)

    out = tmp_path / "out"
    counted = replace(encoder, encode=counting)
    encode_videos(items, 4, counted, out)
    assert sum(seen) == 4 * (5 + 10 + 15)
    seen.clear()
    encode_videos(items, 4, counted, out)
    assert seen == []
    make_video(items[1][1], 10, shade=90)
    encode_videos(items, 4, counted, out)
    assert sum(seen) == 40
    seen.clear()
    encode_videos(items, 2, counted, out)
    assert sum(seen) == 2 * (5 + 10 + 15)
    seen.clear()
    path = feature_path(out, "k1", "v0")
    with safe_open(path, framework="pt") as shard:
        of_before = {key: text for key, text in shard.metadata().items() if key != "bits"}
        save_file({"features": shard.get_tensor("features")}, path, of_before)
    assert feature_info(path).bits == 11
    encode_videos(items, 2, counted, out)
    assert sum(seen) == 2 * 5
    assert feature_info(feature_path(out, "k1", "v0")).fps == 2.0


def test_an_interrupted_run_continues(
    items: list[tuple[str, Path]], encoder: Encoder, tmp_path: Path
) -> None:
    left = iter(range(3))

    def interrupted(frames: Tensor) -> Tensor:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return brightness(frames)

    # 20 + 40 + 60 frames in batches of 32: stops inside of the third video
    with pytest.raises(KeyboardInterrupt):
        encode_videos(items, 4, replace(encoder, encode=interrupted), tmp_path / "out")
    folder = tmp_path / "out" / "k1"
    assert sorted(file.name for file in folder.iterdir()) == ["v0.safetensors", "v1.safetensors"]
    before = (folder / "v0.safetensors").stat().st_mtime_ns
    encode_videos(items, 4, encoder, tmp_path / "out")
    assert (folder / "v0.safetensors").stat().st_mtime_ns == before
    assert feature_info(folder / "v2.safetensors").frames == 60


def test_a_bad_video_stops_or_is_counted(
    items: list[tuple[str, Path]], encoder: Encoder, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    items[0][1].write_bytes(b"no video")
    items[1][1].unlink()
    with pytest.raises(DataError, match=r"v0\.mp4: damaged, or no video"):
        encode_videos(items, 4, encoder, out)
    with pytest.raises(MissingError, match=r"no video .*v1\.mp4"):
        encode_videos(items[1:], 4, encoder, out)
    account = encode_videos(items, 4, encoder, out, drop_invalid=True)
    assert str(account) == "kept 1 of 3; dropped 2 (1 video missing, 1 video unreadable)"
    listed = (out / "k1.account.json").read_text()
    assert "v0: " in listed
    assert "v1: no video" in listed
    with pytest.raises(DataError, match=r"'v2' .* is shorter than one frame at 0\.01/s"):
        encode_videos(items[2:], 0.01, encoder, out)


def test_decoding_errors_of_the_thread_are_raised(
    items: list[tuple[str, Path]],
    encoder: Encoder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def breaks(video: Path, fps: float) -> Iterator[np.ndarray]:
        yield from [np.zeros((8, 8, 3), np.uint8)] * 40
        raise DataError(f"{video}: damaged at 10 s")

    monkeypatch.setattr(features, "read_frames", breaks)
    with pytest.raises(DataError, match="damaged at 10 s"):
        encode_videos(items[:1], 4, encoder, tmp_path / "out")
    assert not feature_path(tmp_path / "out", "k1", "v0").exists()


def test_ranges_and_files_that_do_not_fit(encoder: Encoder, tmp_path: Path) -> None:
    path = feature_path(tmp_path, "k1", "v")
    write_features(path, torch.zeros(6, 1, 3), 2, encoder, "h")
    for start, stop in ((0, 7), (-1, 3), (4, 3)):
        with pytest.raises(
            DataError, match=rf"v\.safetensors holds frames \[0, 6\); asked for \[{start}, {stop}\)"
        ):
            load_features(path, start, stop)
    with pytest.raises(MissingError, match="run `prospect features` first"):
        load_features(tmp_path / "none.safetensors", 0, 1)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError, match="not a feature shard"):
        load_features(path, 0, 1)
    bad = torch.zeros(6, 1, 3)
    bad[4, 0, 1] = 1e6
    with pytest.raises(DataError, match="frame 4 has a feature that is no finite fp16 number"):
        write_features(path, bad, 2, encoder, "h")


def test_a_shard_of_another_schema_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"features": torch.zeros(1, 1, 1)}, tmp_path / "x.safetensors")
    with pytest.raises(DataError, match="schema is None, expected 'features/1'"):
        feature_info(tmp_path / "x.safetensors")
