"""Every preset takes two steps, on small random models of the classes that it names."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

from prospect.__main__ import main
from prospect.dataset import write_dataset_manifest
from prospect.files import write_records
from prospect.frames.encoders import Encoder
from prospect.frames.features import feature_path, write_features
from prospect.samples.vision import Vision
from prospect.types import Clip
from tests.clips import random_stream
from tests.downloads import DOWNLOADS
from tests.loopback import write_video

PRESETS = Path(__file__).resolve().parents[2] / "presets"
NAMES = sorted(
    path.stem for path in PRESETS.glob("*.yaml") if "\ntraining:" in path.read_text("utf-8")
)
STATELESS = {"proassist-i1", "videollm-online"}
"""Their data tells no states."""
NEEDS = {
    "turing-2x24gb": ("dtype", "auto", "dtype is float16, which needs a GPU; choose auto"),
    "prospect-llama8b-fsdp2": ("sharding", "null", "sharding is fsdp2.*torchrun"),
}
"""What a CPU process can't have: the setting, what it can have instead, what is said."""
WIDTH = 64  # of stored vectors

Download = Callable[[str], Path]


@pytest.fixture(scope="module")
def download(tmp_path_factory: pytest.TempPathFactory) -> Download:
    return cache(lambda name: DOWNLOADS[name](tmp_path_factory.mktemp("download")))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], Path]:
    """A folder of three clips of one short video, with states or without."""

    def make(states: bool) -> Path:
        folder = tmp_path_factory.mktemp("data")
        write_video(folder / "v.mp4", 40, 2)
        made = [random_stream(seed, num_frames=40) for seed in range(3)]
        clips = [replace(clip, video_id="v", frames_file="v.mp4") for clip in made]
        told = clips if states else [without_states(clip) for clip in clips]
        write_records(folder / "clips.jsonl", [*told[:2], replace(told[2], split="val")])
        return folder

    return cache(make)


def without_states(clip: Clip) -> Clip:
    spoken = (replace(event, transitions=()) for event in clip.events if event.speech)
    return replace(clip, state_known=False, events=tuple(spoken))


@pytest.mark.parametrize("name", NAMES)
def test_two_steps_on_what_the_preset_names(
    name: str,
    download: Download,
    data: Callable[[bool], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    preset = yaml.safe_load((PRESETS / f"{name}.yaml").read_text("utf-8"))
    files = {"features": ("model",), "train": ("model", "training")}
    for verb, keys in files.items():
        text = yaml.safe_dump({key: preset[key] for key in keys})
        (tmp_path / f"{verb}.yaml").write_text(text)
    model, folder = preset["model"], str(data(name not in STATELESS))
    small = ["--model.llm", str(download(model["llm"])), "--model.lora.rank", "2"]
    if model.get("encoder") in DOWNLOADS:
        small += ["--model.encoder", str(download(model["encoder"]))]
    if "num_layers" in model:
        small += ["--model.num_layers", "1"]
    common = ["--data", folder, *small]
    assert main(["features", "--config", str(tmp_path / "features.yaml"), *common]) == 0
    args = ["train", "--dry-run", "--config", str(tmp_path / "train.yaml"), *common]
    args += ["--out", str(tmp_path / "x")]
    if name in NEEDS:
        setting, instead, refused = NEEDS[name]
        assert main(args) == 2
        assert re.search(refused, capsys.readouterr().err)
        args += [f"--training.{setting}", instead]
    assert main(args) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("step ")]
    assert ["loss" in line for line in told if "tokens/s" in line] == [True, True]
    assert not (tmp_path / "x").exists()


def vectors(clip: Clip) -> Tensor:
    generator = torch.Generator().manual_seed(clip.stop_frame)
    return torch.randn(clip.stop_frame - clip.start_frame, 1, WIDTH, generator=generator)


def test_from_the_command_line_nothing_is_kept(
    tiny_llm: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = tmp_path / "data"
    stored = Vision((data,), None, "none", "key", 1)
    monkeypatch.setattr("prospect.stages.learn.open_features", lambda *_: (stored, WIDTH))
    made = [replace(random_stream(seed, num_frames=40), video_id="v") for seed in range(3)]
    write_records(data / "clips.jsonl", [*made[:2], replace(made[2], split="val")])
    shard = feature_path(data / "features", "key", "v")
    encoder = Encoder("none", WIDTH, 1, "key", lambda frames: frames)
    write_features(shard, vectors(made[0]), made[0].fps, encoder, "x")
    write_dataset_manifest(data)
    args = ["train", "--dry-run", "--data", str(data), "--out", str(tmp_path / "x")]
    sizes = ["--training.optim.batch_size", "1", "--training.dtype", "float32"]
    assert main([*args, *sizes, "--model.llm", str(tiny_llm)]) == 0
    told = capsys.readouterr().err
    assert "step 2: loss" in told
    assert "peak memory on" in told
    shard.unlink()
    assert main([*args, *sizes, "--model.llm", "nowhere"]) == 2
    assert f"{shard} is missing" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
