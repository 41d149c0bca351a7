"""Every preset takes two steps, its models replaced by small random ones."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from prospect.__main__ import build_parser, main
from prospect.files import write_records
from prospect.run import RunConfig
from prospect.train.dry import dry_run
from prospect.types import Clip
from tests.clips import random_stream

PRESETS = Path(__file__).resolve().parents[2] / "presets"
NAMES = (
    "toy",
    "prospect-llama3b-24gb",
    "prospect-smolvlm2-24gb",
    "turing-2x24gb",
    "proassist-i1",
    "videollm-online",
)
STATELESS = {"proassist-i1", "videollm-online"}
"""Their data tells no states."""
WIDTH = 64  # of the small model, which is also that of a tower's vectors


def preset(name: str) -> RunConfig:
    parser = build_parser()
    path = str(PRESETS / f"{name}.yaml")
    options = vars(parser.instantiate(parser.parse_args(["run", "--config", path])).run)
    return RunConfig(**{key: value for key, value in options.items() if key != "config"})


def vectors(clip: Clip) -> Tensor:
    generator = torch.Generator().manual_seed(clip.stop_frame)
    return torch.randn(clip.stop_frame - clip.start_frame, 1, WIDTH, generator=generator)


@pytest.mark.parametrize("name", NAMES)
def test_two_steps(name: str, tiny_llm: Path) -> None:
    config = preset(name)
    clips = [random_stream(seed, num_frames=40 + seed) for seed in range(2)]
    if name in STATELESS:
        clips = [
            replace(
                clip,
                state_known=False,
                events=tuple(
                    replace(event, transitions=()) for event in clip.events if event.speech
                ),
            )
            for clip in clips
        ]
    # fp16 needs a GPU
    training = replace(config.training, dtype="float32", data_workers=0)
    model = replace(config.model, llm=str(tiny_llm), lora=replace(config.model.lora, rank=2))
    told = dry_run(clips, clips, vectors, WIDTH, model, training).splitlines()
    assert [line.split(":")[0] for line in told[:2]] == ["step 1", "step 2"]
    assert "GB computed" in told[-1]


def test_from_the_command_line_nothing_is_kept(
    tiny_llm: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("prospect.stages.learn.open_features", lambda *_: (vectors, WIDTH))
    made = [random_stream(seed, num_frames=40) for seed in range(3)]
    write_records(tmp_path / "data" / "clips.jsonl", [*made[:2], replace(made[2], split="val")])
    args = ["train", "--dry-run", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "x")]
    sizes = ["--training.optim.batch_size", "1", "--training.dtype", "float32"]
    assert main([*args, *sizes, "--model.llm", str(tiny_llm)]) == 0
    told = capsys.readouterr().err
    assert "step 2: loss" in told
    assert "peak memory on" in told
    assert not (tmp_path / "x").exists()
