"""A data folder's manifest and the check before a run: all that is missing or changed, at once."""

import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from prospect import stages
from prospect.annotations import SOURCES
from prospect.dataset import (
    OWN_LICENCE,
    Manifest,
    preflight,
    read_dataset_manifest,
    write_dataset_manifest,
)
from prospect.errors import DataError, MissingError
from prospect.files import read_json, write_json, write_records
from prospect.frames.encoders import Encoder
from prospect.frames.features import feature_path, write_features
from prospect.frames.stores import write_arrow_frames
from prospect.model.config import ModelConfig
from prospect.samples.vision import Vision, encode_clips
from prospect.types import Clip, Dialogue, StateTrack
from tests.clips import random_stream
from tests.samples.test_vision import ENCODER, FEATURES
from tests.samples.test_vision import write_features as write_feature_store

VIDEOS = ("v1", "v2", "v10")


def brightness(frames: Tensor) -> Tensor:
    return frames.float().mean(dim=(1, 2))[:, None]


def encoder(key: str = "k1") -> Encoder:
    return Encoder(ENCODER, 3, 1, key, brightness)


def shard(data: Path, video_id: str, key: str = "k1") -> Path:
    return feature_path(data / "features", key, video_id)


def encode(data: Path, clip: Clip, key: str = "k1", num_frames: int = 120) -> None:
    path = shard(data, clip.video_id, key)
    write_features(path, torch.rand(num_frames, 1, 3), clip.fps, encoder(key), "x")


def vision(data: Path, frames_root: Path | None = None, key: str = "k1") -> Vision:
    return Vision((data,), frames_root, ENCODER, key, 1)


def dialogue(clip: Clip) -> Dialogue:
    where = clip.dialogue_id, clip.video_id, "toy"
    return Dialogue(*where, "val", "no_talk", "scripted", clip.task, "b", 60.0, ())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three videos with dialogues, states, clips and features; the videos are any bytes."""
    folder = tmp_path / "data"
    clips = [
        replace(random_stream(n), video_id=name, dataset="toy", frames_file=f"videos/{name}.mp4")
        for n, name in enumerate(VIDEOS)
    ]
    dialogues = [dialogue(one) for one in clips]
    write_records(folder / "dialogues.jsonl", dialogues)
    write_records(
        folder / "states.jsonl", [StateTrack(one.video_id, one.task, ()) for one in clips]
    )
    write_records(folder / "clips.jsonl", clips)
    (folder / "videos").mkdir()
    for one in clips:
        (folder / f"videos/{one.video_id}.mp4").write_bytes(one.video_id.encode() * 1000)
        encode(folder, one)
    return folder


def complaint(data: Path | list[Path], look: Vision) -> str:
    with pytest.raises(DataError) as caught:
        preflight([data] if isinstance(data, Path) else data, look)
    return str(caught.value)


def named(message: str) -> list[str]:
    """The listed lines."""
    return [line.strip() for line in message.split("\n") if line.startswith("  ")]


def test_predict_checks_the_data_before_it_loads_the_model(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prospect.stages.stream.open_features", lambda *_: (vision(data), 3))
    config = {"schema": "checkpoint/2", "model": asdict(ModelConfig())}
    write_json(tmp_path / "model" / "prospect.json", config)  # there are no weights
    with pytest.raises(DataError, match="is missing: the data is not finished"):
        stages.predict(tmp_path / "model", data, tmp_path / "predictions.jsonl")


def test_the_manifest_says_what_is_there(data: Path) -> None:
    manifest = write_dataset_manifest(data)
    assert manifest.schema == "dataset/1"
    assert manifest.counts == {
        "dialogues": 3,
        "states": 3,
        "clips": 3,
        "videos": 3,
        "features": 3,
    }
    assert manifest.licences == {"toy": "Apache-2.0"}
    assert (manifest.writers, manifest.encoders) == (("scripted",), ("k1",))
    assert list(manifest.files) == [
        *(f"{name}.jsonl" for name in ("dialogues", "states", "clips")),
        *(f"features/k1/{name}.safetensors" for name in sorted(VIDEOS)),
    ]
    assert list(manifest.videos) == [f"videos/{name}.mp4" for name in sorted(VIDEOS)]
    assert manifest.videos["videos/v10.mp4"].bytes == 3000
    assert manifest.stores == {}
    assert read_dataset_manifest(data) == manifest
    before = (data / "manifest.json").read_bytes()
    write_dataset_manifest(data)
    assert (data / "manifest.json").read_bytes() == before
    preflight([data, data], vision(data))


def test_licences_are_those_of_the_sources(data: Path) -> None:
    clips = [
        replace(random_stream(n), dataset=name)
        for n, name in enumerate([*SOURCES, "toy", "somebody's"])
    ]
    write_records(data / "clips.jsonl", clips)
    found = write_dataset_manifest(data).licences
    expected = {name: source.licence for name, source in SOURCES.items()}
    assert found == {**expected, **OWN_LICENCE, "somebody's": None}
    assert all(expected.values())


def test_everything_missing_or_changed_is_named_at_once(data: Path) -> None:
    write_dataset_manifest(data)
    with (data / "states.jsonl").open("a") as file:
        file.write("\n")
    os.truncate(data / "dialogues.jsonl", 10)
    (data / "videos/v1.mp4").unlink()
    (data / "videos/v2.mp4").write_bytes(b"v3" * 1000)  # of the same size
    shard(data, "v10").unlink()
    swapped = bytearray(shard(data, "v2").read_bytes())
    swapped[-1] ^= 1
    shard(data, "v2").write_bytes(swapped)
    message = complaint(data, vision(data))
    assert message.startswith("6 problems with the data:\n")
    assert message.endswith("run `prospect clips` and `prospect features` on the folder again")
    assert sorted(named(message)) == sorted(
        [
            f"{data / 'states.jsonl'} has changed",
            f"{data / 'dialogues.jsonl'} has changed",
            f"{data / 'videos/v1.mp4'} is missing",
            f"{data / 'videos/v2.mp4'} has changed",
            f"{shard(data, 'v10')} is missing",
            f"{shard(data, 'v2')} has changed",
        ]
    )


def test_changed_clips_are_no_guide_to_what_is_needed(data: Path) -> None:
    write_dataset_manifest(data)
    (data / "clips.jsonl").write_text("nonsense\n", encoding="utf-8")
    message = complaint(data, vision(data))
    assert named(message) == [f"{data / 'clips.jsonl'} has changed"]
    assert message.startswith("one problem with the data:")
    (data / "clips.jsonl").unlink()
    assert named(complaint(data, vision(data))) == [f"{data / 'clips.jsonl'} is missing"]


def test_a_folder_without_manifest_is_not_finished(data: Path, tmp_path: Path) -> None:
    lines = named(complaint([data, tmp_path / "nowhere"], vision(data)))
    assert lines == [
        f"{folder / 'manifest.json'} is missing: the data is not finished"
        for folder in (data, tmp_path / "nowhere")
    ]
    with pytest.raises(MissingError, match=r"manifest\.json is missing; `prospect clips` and"):
        read_dataset_manifest(data)
    write_json(data / "manifest.json", {"clips.jsonl": "abc"})
    with pytest.raises(DataError, match=r"manifest\.json: field"):
        preflight([data], vision(data))
    with pytest.raises(MissingError, match=r"no file .*clips\.jsonl"):
        write_dataset_manifest(tmp_path / "nowhere")


def test_problems_of_several_folders_come_together(data: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    data.rename(other)
    shutil.copytree(other, data)
    for folder in (data, other):
        write_dataset_manifest(folder)
        shard(folder, "v1").unlink()
    lines = named(complaint([data, other], vision(data)))
    assert lines == [f"{shard(folder, 'v1')} is missing" for folder in (data, other)]


def test_features_not_made_yet_or_not_fitting(data: Path) -> None:
    clip = replace(random_stream(0), video_id="v1")
    shard(data, "v1").unlink()
    write_dataset_manifest(data)
    assert named(complaint(data, vision(data))) == [f"{shard(data, 'v1')} is missing"]
    encode(data, clip)
    assert named(complaint(data, vision(data))) == [
        f"{shard(data, 'v1')} is newer than manifest.json"
    ]
    encode(data, clip, num_frames=119)
    write_dataset_manifest(data)
    assert f"has 119 frames, but {clip.clip_id} ends at frame 120" in complaint(data, vision(data))
    encode(data, replace(clip, fps=4.0))
    write_dataset_manifest(data)
    assert f"has 4 frames/s, but {clip.clip_id} has 2" in complaint(data, vision(data))
    shard(data, "v1").write_bytes(b"torn")
    write_dataset_manifest(data)
    assert f"{shard(data, 'v1')} can't be read: " in complaint(data, vision(data))


def test_another_encoders_features_may_go(data: Path) -> None:
    clips = [replace(random_stream(n), video_id=name) for n, name in enumerate(VIDEOS)]
    for one in clips:
        encode(data, one, "k2")
    manifest = write_dataset_manifest(data)
    assert (manifest.encoders, manifest.counts["features"]) == (("k1", "k2"), 6)
    for one in clips:
        shard(data, one.video_id, "k1").unlink()
    preflight([data], vision(data, key="k2"))
    assert len(named(complaint(data, vision(data, key="k1")))) == 3


def test_a_file_of_clips_needs_its_frames_alone(data: Path, tmp_path: Path) -> None:
    chosen = data / "chosen.jsonl"
    message = complaint(chosen, vision(data))
    assert named(message) == [f"{chosen} is missing"]
    clip = replace(random_stream(0), video_id="v1", frames_file="videos/v1.mp4")
    write_records(chosen, [clip, replace(clip, video_id="gone", frames_file="videos/gone.mp4")])
    (line,) = named(complaint(chosen, vision(data)))
    assert line.startswith(f"{shard(data, 'gone')} is missing, and so are the frames: ")
    assert str(data / "videos/gone.mp4") in line
    write_records(chosen, [clip])
    preflight([chosen], vision(data))
    write_dataset_manifest(data)
    preflight([data / "clips.jsonl"], vision(data))
    (data / "states.jsonl").unlink()
    assert named(complaint(data / "clips.jsonl", vision(data))) == [
        f"{data / 'states.jsonl'} is missing"
    ]


def imported(data: Path) -> None:
    clip = replace(random_stream(0), video_id="assembly_nusar-2021_x", dataset="assembly101")
    write_records(data / "clips.jsonl", [clip])


def test_imported_clips_with_stores_of_vectors(tmp_path: Path) -> None:
    data, root = tmp_path / "data", tmp_path / "root"
    imported(data)
    manifest = write_dataset_manifest(data, root, ENCODER)
    assert (manifest.counts, manifest.stores) == ({"clips": 1, "videos": 0, "features": 0}, {})
    assert "is missing, and so are the frames" in complaint(data, vision(data, root))
    store = write_feature_store(root / "assembly101" / FEATURES / "nusar-2021_x.arrow", 0, 130)
    manifest = write_dataset_manifest(data, root, ENCODER)
    assert list(manifest.stores) == [f"assembly101/{FEATURES}/nusar-2021_x.arrow"]
    preflight([data], vision(data, root))
    assert "--frames-root" in complaint(data, vision(data))
    root.rename(tmp_path / "moved")
    preflight([data], vision(data, tmp_path / "moved"))
    (tmp_path / "moved" / store.relative_to(root)).write_bytes(b"torn")
    message = complaint(data, vision(data, tmp_path / "moved"))
    assert "nusar-2021_x.arrow has changed" in message
    assert "its store can't be read" in message
    write_feature_store(tmp_path / "moved" / store.relative_to(root), 1, 130)
    assert "nusar-2021_x.arrow has changed" in complaint(data, vision(data, tmp_path / "moved"))


def test_imported_clips_with_stores_of_pictures(tmp_path: Path) -> None:
    data, root = tmp_path / "data", tmp_path / "root"
    imported(data)
    store = root / "assembly101/frames/nusar-2021_x.arrow"
    write_arrow_frames(store, (np.zeros((384, 384, 3), np.uint8) for _ in range(120)))
    write_dataset_manifest(data, root, ENCODER)
    path = shard(data, "assembly_nusar-2021_x")
    assert named(complaint(data, vision(data, root))) == [f"{path} is missing"]
    encode(data, replace(random_stream(0), video_id="assembly_nusar-2021_x"))
    write_dataset_manifest(data, root, ENCODER)
    preflight([data], vision(data, root))
    store.unlink()
    assert named(complaint(data, vision(data, root))) == [f"{store} is missing"]


def test_a_toy_folder_as_the_stages_make_it(tmp_path: Path, tiny_llm: Path) -> None:
    stages.toy("train", 1, tmp_path, fps=1.0, model=ModelConfig(llm=str(tiny_llm)))
    clips = stages.load_clips(tmp_path, None)
    encode_clips(clips, tmp_path, None, encoder())
    manifest = write_dataset_manifest(tmp_path)
    assert manifest.counts == {
        "annotations": 1, "dialogues": 1, "states": 1,
        "clips": len(clips), "videos": 1, "features": 1,
    }  # fmt: skip
    assert isinstance(manifest, Manifest)
    assert read_json(tmp_path / "manifest.json")["writers"] == ["scripted"]
    preflight([tmp_path], vision(tmp_path))
    (tmp_path / next(iter(manifest.videos))).unlink()
    assert len(named(complaint(tmp_path, vision(tmp_path)))) == 1
