"""Splits on disk: seeded, byte-identical, resumable."""

import random
from dataclasses import replace
from pathlib import Path
from typing import get_args

import av
import pytest

from prospect import files
from prospect.errors import ConfigError
from prospect.toy import world
from prospect.toy.plans import training_plans
from prospect.toy.world import ToySplit, annotations, split_of, write_video, write_world
from prospect.types import Annotation


def short(index: int = 0) -> Annotation:
    return replace(annotations("train", index + 1, seed=1)[index], duration_s=12.0)


@pytest.fixture
def short_world(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = annotations
    monkeypatch.setattr(
        world,
        "annotations",
        lambda split, n, seed: tuple(replace(a, duration_s=6.0) for a in whole(split, n, seed)),
    )


@pytest.mark.parametrize("split", get_args(ToySplit))
def test_a_video_is_the_same_whatever_their_number(split: ToySplit) -> None:
    assert annotations(split, 3, seed=7) == annotations(split, 8, seed=7)[:3]
    assert annotations(split, 3, seed=7) != annotations(split, 3, seed=8)
    assert annotations(split, 0, seed=7) == ()


@pytest.mark.parametrize("split", get_args(ToySplit))
def test_split_and_names(split: ToySplit) -> None:
    (video,) = annotations(split, 1, seed=7)
    assert video.video_id == f"toy-{split}-7-00000"
    assert split_of(video.video_id) == split
    assert video.split == ("train" if split == "train" else "test")
    assert video.video_file == f"videos/{video.video_id}.mp4"
    assert video.start_s == 0.0


def test_split_of_a_real_video_is_none() -> None:
    assert split_of("z008-june-15-22-gopro") is None


def test_task_types_tell_seen_from_unseen() -> None:
    trained = {plan.task_type for plan in training_plans()}
    assert {video.task_type for video in annotations("train", 50, 0)} <= trained
    assert {video.task_type for video in annotations("seen_tasks", 50, 0)} <= trained
    assert {video.task_type for video in annotations("unseen_looks", 50, 0)} <= trained
    assert not {video.task_type for video in annotations("unseen_tasks", 50, 0)} & trained


def test_unknown_split() -> None:
    with pytest.raises(ConfigError, match="no toy split 'val'; use one of train"):
        annotations("val", 1, 0)  # type: ignore[arg-type]


def test_bytes_are_the_same_across_runs(tmp_path: Path) -> None:
    for index in (0, 1):
        for run in ("a", "b"):
            write_video(tmp_path / run, short(index), draw_fps=4.0)
        name = f"videos/toy-train-1-{index:05d}.mp4"
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_video_has_the_drawn_frames(tmp_path: Path) -> None:
    write_video(tmp_path, short(), draw_fps=4.0)
    with av.open(str(tmp_path / "videos" / "toy-train-1-00000.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.average_rate, stream.width, stream.height) == (4, 384, 384)
        times = [frame.time for frame in container.decode(stream)]
    assert times == pytest.approx([n / 4 for n in range(48)])


@pytest.mark.usefixtures("short_world")
def test_write_world(tmp_path: Path) -> None:
    account = write_world(tmp_path, "seen_tasks", 2, seed=4, num_workers=1)
    assert str(account) == "kept 2 of 2; dropped 0"
    found = files.read_records(tmp_path / "annotations.jsonl", Annotation)
    assert [video.video_id for video in found] == [
        "toy-seen_tasks-4-00000",
        "toy-seen_tasks-4-00001",
    ]
    assert all((tmp_path / str(video.video_file)).is_file() for video in found)


@pytest.mark.usefixtures("short_world")
def test_finished_videos_are_kept_and_broken_ones_drawn_again(tmp_path: Path) -> None:
    write_world(tmp_path, "train", 3, seed=4, num_workers=1)
    videos = sorted((tmp_path / "videos").glob("*.mp4"))
    before = [path.read_bytes() for path in videos]
    kept_ns = videos[0].stat().st_mtime_ns
    videos[1].write_bytes(b"half")
    videos[2].unlink()
    write_world(tmp_path, "train", 3, seed=4, num_workers=1)
    assert [path.read_bytes() for path in videos] == before
    assert videos[0].stat().st_mtime_ns == kept_ns


def test_two_workers_write_what_one_writes(tmp_path: Path) -> None:
    videos = [replace(short(i), duration_s=3.0) for i in range(3)]
    for name, num_workers in (("two", 2), ("one", 1)):
        world._draw_all(tmp_path / name, tuple(videos), name, 4.0, num_workers)
        assert len(list((tmp_path / name / "videos").glob("*.mp4"))) == 3
    assert files.tree_hash(tmp_path / "two") == files.tree_hash(tmp_path / "one")


@pytest.mark.parametrize(("name", "value"), [("draw_fps", 0.0), ("num_workers", 0)])
def test_numbers_must_be_positive(tmp_path: Path, name: str, value: float) -> None:
    settings = {"draw_fps": 4.0, "num_workers": 1, name: value}
    with pytest.raises(ConfigError, match=f"{name} is {value}; it must be positive"):
        write_world(tmp_path, "train", 1, 0, settings["draw_fps"], int(settings["num_workers"]))


def test_global_random_state_is_left_alone() -> None:
    random.seed(1)
    expected = random.random()
    random.seed(1)
    annotations("train", 2, 0)
    assert random.random() == expected
