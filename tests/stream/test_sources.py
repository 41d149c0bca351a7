"""Sources of every kind, whole and damaged: files, folders, features, and a web server."""

import io
import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pictures

from prospect.errors import ConfigError, DataError, MissingError
from prospect.frames.decode import SIZE, read_frames
from prospect.frames.encoders import Encoder
from prospect.frames.features import write_features
from prospect.stream import sources
from prospect.stream.sources import Source, open_source
from tests.loopback import MJPEG, Page, grey, jpeg, number_of, parts, web, write_video


def numbers(source: Source) -> list[int]:
    """Which pictures come; their times are those of the stream's clock."""
    taken = list(source.frames)
    assert [time_s for time_s, _ in taken] == [n / source.fps for n in range(len(taken))]
    assert all(frame.shape == (SIZE, SIZE, 3) for _, frame in taken)
    return [number_of(frame) for _, frame in taken]


def ticking(step_s: float) -> Callable[[], float]:
    """A clock on which a frame comes every so often."""
    times = (100 + n * step_s for n in itertools.count())
    return lambda: next(times)


def endless() -> Iterator[bytes]:
    """Three frames, then silence for longer than anybody waits here."""
    yield from parts(range(3))
    threading.Event().wait(1.0)


def test_a_file_gives_the_frames_that_training_sees(tmp_path: Path) -> None:
    path = write_video(tmp_path / "x.mp4", 40, 8)
    source = open_source(str(path), 2)
    assert (source.live, source.num_frames, source.encoder_key) == (False, 10, None)
    frames = [frame for _, frame in source.frames]
    np.testing.assert_array_equal(frames, list(read_frames(path, 2)))
    assert numbers(open_source(str(path), 2)) == list(range(0, 40, 4))


@pytest.mark.parametrize("name", ["text.mp4", "text.txt"])
def test_text_is_no_video(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("Make a cup of coffee.\n" * 40)
    with pytest.raises(DataError, match=r"text\.\w+: (damaged, or no video|holds no video)"):
        open_source(str(tmp_path / name), 2)


def test_videos_without_a_frame_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"no video .*none\.mp4; check the path"):
        open_source(str(tmp_path / "none.mp4"), 2)
    (tmp_path / "empty.mp4").write_bytes(b"")
    with pytest.raises(DataError, match=r"empty\.mp4: damaged, or no video"):
        open_source(str(tmp_path / "empty.mp4"), 2)
    short = write_video(tmp_path / "short.mp4", 3, 8)
    with pytest.raises(DataError, match=r"short\.mp4 is shorter than one frame at 2 frames/s"):
        open_source(str(short), 2)


def test_a_video_that_was_cut_off_is_refused_before_it_is_watched(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "x.mp4", 40, 8).read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(DataError, match=r"half\.mp4: ends at .* its header promises 5\.00 s"):
        open_source(str(tmp_path / "half.mp4"), 2)


def test_a_folder_is_read_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    for number in range(12):
        Pictures.fromarray(grey(number)).save(tmp_path / f"frame{number}.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    source = open_source(str(tmp_path), 4)
    assert (source.live, source.num_frames) == (False, 12)
    assert numbers(source) == list(range(12))


def test_pictures_are_turned_upright(tmp_path: Path) -> None:
    dark_above = np.concatenate([grey(0, 64, 32), grey(40, 64, 32)])
    turned = Pictures.fromarray(np.rot90(dark_above))  # the camera was held sideways, and says so
    exif = Pictures.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "a.jpg", exif=exif)
    ((_, frame),) = open_source(str(tmp_path), 2).frames
    assert number_of(frame[: SIZE // 4]) == 0
    assert number_of(frame[-SIZE // 4 :]) == 40


def noisy_jpeg() -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    return jpeg(noise)


DAMAGED = {
    "cut": noisy_jpeg()[:900],
    "overwritten": noisy_jpeg()[:900] + bytes(300) + noisy_jpeg()[1200:],
    "text": b"a picture of a cup",
    "empty": b"",
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_picture_is_named_after_those_before_it(tmp_path: Path, kind: str) -> None:
    for number in range(2):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(grey(number)))
    (tmp_path / "2.jpg").write_bytes(DAMAGED[kind])
    frames = open_source(str(tmp_path), 2).frames
    assert [number_of(frame) for _, frame in itertools.islice(frames, 2)] == [0, 1]
    with pytest.raises(DataError, match=r"2\.jpg: (damaged, or no picture|holds no picture)"):
        next(frames)


def test_a_damaged_first_picture_is_found_when_opened(tmp_path: Path) -> None:
    (tmp_path / "0.jpg").write_bytes(DAMAGED["cut"])
    with pytest.raises(DataError, match=r"0\.jpg: damaged"):
        open_source(str(tmp_path), 2)


def test_pictures_of_another_size_are_refused(tmp_path: Path) -> None:
    Pictures.fromarray(grey(0)).save(tmp_path / "0.png")
    Pictures.fromarray(grey(1, 32, 48)).save(tmp_path / "1.png")
    with pytest.raises(DataError, match=r"1\.png is 32 x 48, 0\.png is 64 x 48; all frames"):
        list(open_source(str(tmp_path), 2).frames)


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no pictures"):
        open_source(str(tmp_path), 2)


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    def encode(frames: torch.Tensor) -> torch.Tensor:
        return torch.empty(len(frames), 5, 3)

    path = tmp_path / "v.safetensors"
    features = torch.arange(7 * 15).reshape(7, 5, 3).float()
    write_features(path, features, 2.0, Encoder("some", 3, 5, "key", encode), "video")
    return path


def test_features_come_as_they_are_stored(shard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_ROWS", 3)
    source = open_source(str(shard), 2)
    assert (source.live, source.num_frames, source.encoder_key) == (False, 7, "key")
    taken = list(source.frames)
    assert [time_s for time_s, _ in taken] == [n / 2 for n in range(7)]
    rows = torch.stack([torch.as_tensor(frame) for _, frame in taken])
    torch.testing.assert_close(rows.float(), torch.arange(7 * 15).reshape(7, 5, 3).float())


def test_features_that_do_not_fit_are_refused(shard: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has 2 frames/s, 4 are wanted"):
        open_source(str(shard), 4)
    with pytest.raises(MissingError, match="no features"):
        open_source(str(tmp_path / "none.safetensors"), 2)
    (tmp_path / "text.safetensors").write_text("no shard")
    with pytest.raises(DataError, match="not a feature shard"):
        open_source(str(tmp_path / "text.safetensors"), 2)


def test_an_mjpeg_stream_is_stamped_as_it_comes() -> None:
    pages: dict[str, Page] = {"/live": (MJPEG, lambda: parts(range(20)))}
    with web(pages) as address:
        source = open_source(f"{address}/live", 2, now=ticking(0.125))
        assert (source.live, source.num_frames) == (True, None)
        assert numbers(source) == [0, 4, 8, 12, 16]
        # two seconds between frames: each stands for the three that are missing before it
        slow = open_source(f"{address}/live", 2, now=ticking(2.0))
        assert numbers(slow)[:9] == [0, 1, 1, 1, 1, 2, 2, 2, 2]


def test_a_recording_on_the_web_gives_the_frames_of_its_file(tmp_path: Path) -> None:
    path = write_video(tmp_path / "x.mp4", 40, 8)
    with web({"/x.mp4": ("video/mp4", lambda: [path.read_bytes()])}) as address:
        source = open_source(f"{address}/x.mp4", 2)
        assert not source.live
        frames = [frame for _, frame in source.frames]
    np.testing.assert_array_equal(frames, list(read_frames(path, 2)))


def test_a_stalled_stream_ends_with_the_reason() -> None:
    with web({"/live": (MJPEG, endless)}) as address:
        source = open_source(f"{address}/live", 2, timeout_s=0.3, now=ticking(0.5))
        assert [number_of(frame) for _, frame in itertools.islice(source.frames, 2)] == [0, 1]
        with pytest.raises(DataError, match=r"/live sent nothing for 0\.3 s; is it still running"):
            list(source.frames)


def test_a_server_that_never_answers_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        with pytest.raises(DataError, match=r"sent nothing for 0\.2 s"):
            open_source(address, 2, timeout_s=0.2)


def test_addresses_that_give_no_video() -> None:
    pages: dict[str, Page] = {
        "/page": ("text/html", lambda: [b"<html>no video here</html>"]),
        "/nothing": ("video/mp4", lambda: []),
    }
    with web(pages) as address:
        with pytest.raises(MissingError, match="404 Not Found; check that it is there") as refused:
            open_source(address.replace("//", "//user:secret@") + "/none", 2)
        assert "secret" not in str(refused.value)
        for name in pages:
            with pytest.raises(DataError, match=f"{name}: damaged, or no video"):
                open_source(address + name, 2)
    with pytest.raises(MissingError, match="Connection refused; check that it is there"):
        open_source(f"{address}/live", 2)
    with pytest.raises(MissingError, match="Protocol not found"):
        open_source("carrier-pigeon://roof/1", 2)


def test_a_stream_that_breaks_off_says_so() -> None:
    with web({"/live": (MJPEG, lambda: parts(range(3)))}, ends=False) as address:
        source = open_source(f"{address}/live", 2, now=ticking(0.5))
        with pytest.raises(MissingError, match="/live: Input/output error; check that it is there"):
            list(source.frames)


def test_a_stream_that_holds_a_header_alone_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "x.mp4", 8, 8, "empty_moov+frag_keyframe")
    header = path.read_bytes().split(b"moof")[0][:-4]
    with web({"/x": ("video/mp4", lambda: [header])}) as address:
        source = open_source(f"{address}/x", 2)
        with pytest.raises(DataError, match="/x ended before its first frame"):
            list(source.frames)


def test_damage_in_a_stream_of_pictures_is_no_frame() -> None:
    text = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 4\r\n\r\nnone\r\n"

    def pieces() -> Iterator[bytes]:
        yield from parts(range(2))
        yield text

    with web({"/live": (MJPEG, pieces)}) as address:
        source = open_source(f"{address}/live", 2, now=ticking(0.5))
        with pytest.raises(DataError, match="/live: damaged, or no video"):
            list(source.frames)


def test_settings_and_devices_that_are_not_there() -> None:
    with pytest.raises(ConfigError, match=r"fps \(0\) and timeout_s \(10\) must be above 0"):
        open_source("x.mp4", 0)
    with pytest.raises((MissingError, ConfigError), match="/dev/video99"):
        open_source("camera:99", 2)


def test_pictures_may_have_any_kind_of_pixels(tmp_path: Path) -> None:
    for number, mode in enumerate(("L", "RGBA", "P", "RGB")):
        with io.BytesIO() as buffer:
            Pictures.fromarray(grey(number)).convert(mode).save(buffer, "PNG")
            (tmp_path / f"{number}.png").write_bytes(buffer.getvalue())
    assert numbers(open_source(str(tmp_path), 2)) == [0, 1, 2, 3]
