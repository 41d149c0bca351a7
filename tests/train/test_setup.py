"""Settings that reach the library, and what is refused before any time is spent."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from prospect.errors import ConfigError, DataError, MissingError
from prospect.model.config import LoraConfig, ModelConfig
from prospect.train import setup
from prospect.train.config import OptimConfig, SourceConfig, TrainConfig
from prospect.train.progress import line
from prospect.train.run import train
from prospect.train.setup import arguments_of, optimizer_of, schedule_of
from tests.models import FEATURE_DIM, tiny_model
from tests.train.runs import TRAIN, VAL, features


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OptimConfig(batch_size=0), "batch_size is 0"),
        (lambda: OptimConfig(global_batch=8, accumulation=2), "leave it out"),
        (lambda: TrainConfig(metric="accuracy"), "metric is 'accuracy'.*transition_exact"),
        (lambda: TrainConfig(memory_target=1.5), "memory_target is 1.5"),
        (lambda: TrainConfig(keep_checkpoints=0), "keep_checkpoints is 0"),
        (lambda: TrainConfig(sources={"a": SourceConfig(weight=-1.0)}), "weight of source a"),
    ],
)
def test_settings_that_cannot_work(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ConfigError, match=message):
        make()


def test_features_of_another_encoder_are_refused(tmp_path: Path, tiny_llm: Path) -> None:
    model = ModelConfig(llm=str(tiny_llm), lora=LoraConfig(rank=4))
    with pytest.raises(DataError, match=f"{FEATURE_DIM} wide, the model's encoder gives 7"):
        train(TRAIN, VAL, features, 7, model, TrainConfig(dtype="float32"), tmp_path)
    two = replace(model, vectors_per_frame=5)
    config = TrainConfig(dtype="float32", optim=OptimConfig(batch_size=1))
    with pytest.raises(DataError, match=r"24 frames x 1 vectors, the model takes 24 x 5"):
        train(TRAIN[:1], VAL, features, FEATURE_DIM, two, config, tmp_path)


def test_a_tracker_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingError, match=r"report_to: wandb is not installed; pip install"):
        arguments_of(TrainConfig(report_to=("wandb",)), tmp_path, torch.float32)


def test_a_deepspeed_file_needs_deepspeed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "zero3.json"
    path.write_text(json.dumps({"zero_optimization": {"stage": 3}}))
    monkeypatch.setattr(setup.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingError, match=r"zero3.json is for DeepSpeed, which is not installed"):
        arguments_of(TrainConfig(sharding=path), tmp_path, torch.float32)


def test_rates_warm_up_and_decay(tiny_llm: Path) -> None:
    network = tiny_model(tiny_llm).network
    optim = OptimConfig(lr=1e-4, new_lr=1e-3, warmup_steps=4, weight_decay=0.1)
    optimizer = optimizer_of(network, optim)
    schedule = schedule_of(optimizer, optim, 12)
    groups = {
        (group["initial_lr"], group["weight_decay"]): sum(p.numel() for p in group["params"])
        for group in optimizer.param_groups
    }
    assert groups.keys() == {(1e-4, 0.1), (1e-3, 0.1), (1e-3, 0.0)}
    learned = sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert sum(groups.values()) == learned
    rates = []
    for _ in range(12):
        rates.append(optimizer.param_groups[0]["lr"] / 1e-4)
        optimizer.step()
        schedule.step()
    assert rates[:5] == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert rates[8] == pytest.approx(0.5)  # half of the cosine


def test_a_row_of_the_log_in_a_line() -> None:
    row = {"loss": 1.5, "tokens_per_s": 12345.6, "labelled_share": 0.153, "memory_gb": 3.21}
    assert line(row) == "loss 1.500  12,346 tok/s  15% labelled  3.2 GB"
    assert (
        line({"eval_loss": 2.0, "eval_update_f1": 0.5}) == "validation loss 2.000  update F1 0.50"
    )
    assert line({}) == ""
