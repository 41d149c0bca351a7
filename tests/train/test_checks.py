"""Settings that can't work are refused before data is made or read."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from prospect.__main__ import main
from prospect.errors import ConfigError, DataError
from prospect.files import read_json
from prospect.model.config import DecisionLoss, LoraConfig, ModelConfig
from prospect.train import checks, setup
from prospect.train.config import AlignConfig, OptimConfig, TrainConfig
from prospect.train.run import train
from prospect.train.setup import arguments_of
from tests.models import FEATURE_DIM
from tests.train.runs import TRAIN, VAL, features


@pytest.fixture
def model(tiny_llm: Path) -> ModelConfig:
    return ModelConfig(llm=str(tiny_llm))


@pytest.mark.parametrize(
    ("of_model", "training", "message"),
    [
        ({}, {"dtype": "float16"}, "float16, which needs a GPU"),
        ({}, {"decision_loss": DecisionLoss("plain", pooled=True)}, "choose decision: token"),
        ({"lora": LoraConfig(targets=("qproj",))}, {}, "has no module qproj"),
        ({"num_layers": 3}, {}, "num_layers is 3"),
        ({}, {"sharding": "fsdp2"}, "there is one; give `prospect run` --processes N"),
    ],
)
def test_what_a_cpu_process_refuses(
    model: ModelConfig, of_model: dict[str, Any], training: dict[str, Any], message: str
) -> None:
    checks.check(model, TrainConfig())
    with pytest.raises(ConfigError, match=message):
        checks.check(replace(model, **of_model), TrainConfig(**training))


@pytest.mark.parametrize(
    ("of_model", "training", "message"),
    [
        ({"tuning": "full"}, {}, "model.tuning is full: choose lora"),
        ({}, {"optim": OptimConfig(batch_size="auto")}, "give a number"),
    ],
)
def test_what_sharding_excludes(
    model: ModelConfig,
    of_model: dict[str, Any],
    training: dict[str, Any],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    checks.check(model, TrainConfig(sharding="fsdp2"))
    with pytest.raises(ConfigError, match=message):
        checks.check(replace(model, **of_model), TrainConfig(sharding="fsdp2", **training))


def test_several_gpus_want_several_processes(
    model: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks.torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match=r"torchrun --nproc-per-node 2.*CUDA_VISIBLE_DEVICES=0"):
        checks.check(model, TrainConfig())
    monkeypatch.setenv("WORLD_SIZE", "2")
    checks.check(model, TrainConfig())


def test_workers_cannot_use_the_encoders_gpu(
    model: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "default_device", lambda: torch.device("cuda"))
    live = replace(model, features="on_the_fly")
    checks.check(live, TrainConfig())
    checks.check(model, TrainConfig(data_workers=2))
    with pytest.raises(ConfigError, match=r"on_the_fly with 2 data_workers.*data_workers to 0"):
        checks.check(live, TrainConfig(data_workers=2))


def test_clips_that_the_model_cannot_learn(model: ModelConfig, tmp_path: Path) -> None:
    token = replace(model, decision="token")
    with pytest.raises(ConfigError, match=r"v0/0 tracks the state.*choose roles: tokens"):
        train(TRAIN, VAL, features, FEATURE_DIM, token, TrainConfig(), tmp_path / "x")
    less = replace(model, moves=("complete",))
    with pytest.raises(DataError, match=r"->start at frame \d+, but model.moves is complete; add"):
        train(TRAIN, VAL, features, FEATURE_DIM, less, TrainConfig(), tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_run_is_refused_before_its_data_is_made(
    tiny_llm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = {name: {"toy": {"split": "train", "num_videos": 1}} for name in ("a", "b")}
    config = {"out": str(tmp_path / "x"), "data": data, "train": ["a"], "val": ["b"]}
    config["model"] = {"llm": str(tiny_llm)}
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    run = ["run", "--config", str(tmp_path / "config.yaml")]
    assert main([*run, "--model.decision", "token"]) == 2
    assert "a tracks states, but with model.decision: token" in capsys.readouterr().err
    assert main([*run, "--training.dtype", "float16"]) == 2
    assert "needs a GPU" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_sharding_file_is_deepspeeds(tmp_path: Path) -> None:
    path = tmp_path / "fsdp.json"
    path.write_text(json.dumps({"version": 2}))
    with pytest.raises(ConfigError, match=r"fsdp.json has no zero_optimization.*to fsdp2"):
        arguments_of(TrainConfig(sharding=path), tmp_path, torch.float32)


def test_the_deepspeed_file_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(__file__).resolve().parents[2] / "presets" / "zero2.json"
    assert read_json(path)["zero_optimization"]["stage"] == 2
    monkeypatch.setattr(setup.importlib.util, "find_spec", lambda name: object())
    assert setup.deepspeed_options(path) == {"deepspeed": read_json(path)}
    assert setup.deepspeed_options("fsdp2") == {}


def test_slips_are_for_models_that_choose(tiny_llm: Path) -> None:
    aligned = AlignConfig(steps=1, kind="contrast")
    config = TrainConfig(slips=0.1, dtype="float32", align=aligned)
    checks.check(ModelConfig(llm=str(tiny_llm), write="match"), config)
    with pytest.raises(ConfigError, match=r"slips is 0\.1, but with write: generate"):
        checks.check(ModelConfig(llm=str(tiny_llm)), config)
    reopening = ModelConfig(llm=str(tiny_llm), write="match", moves=("start", "complete", "reopen"))
    with pytest.raises(ConfigError, match="slips know only starts and ends"):
        checks.check(reopening, config)
    with pytest.raises(ConfigError, match=r"slips is 0\.7, must be in \[0, 0.5\]"):
        TrainConfig(slips=0.7)


def test_only_the_alignment_teaches_a_matcher(tiny_llm: Path) -> None:
    model = ModelConfig(llm=str(tiny_llm), write="match")
    for align in (AlignConfig(), AlignConfig(steps=5)):
        with pytest.raises(ConfigError, match=r"match, but align is cosine for [05] steps"):
            checks.check(model, TrainConfig(dtype="float32", align=align))


def test_as_many_processes_as_gpus(model: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match="give `prospect run` --processes 2"):
        checks.check(model, TrainConfig(), 1)
    with pytest.raises(ConfigError, match="processes is 3, but 2 GPUs are visible"):
        checks.check(model, TrainConfig(), 3)
    checks.check(model, TrainConfig(), 2)
