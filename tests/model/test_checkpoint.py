"""A checkpoint comes back as it was, or not at all."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from prospect.errors import ConfigError, DataError, MissingError
from prospect.files import read_json, write_json, write_manifest
from prospect.model.checkpoint import (
    Checkpoint,
    checkpoint_fps,
    checkpoint_model,
    load_checkpoint,
    save_checkpoint,
)
from prospect.model.config import ModelConfig, Thresholds
from prospect.model.network import build
from prospect.model.teacher import probabilities
from tests.clips import random_stream
from tests.models import FEATURE_DIM, tiny_model


def probs(model: Checkpoint) -> Tensor:
    clip = random_stream(0, num_frames=40)
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(40, 1, FEATURE_DIM, generator=generator)
    return probabilities(model.network, model.renderer.clip(clip), vectors)


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> Checkpoint:
    thresholds = Thresholds(0.3, 0.4, "val of toy", 0.5)
    return replace(tiny_model(tiny_llm), thresholds=thresholds, about={"step": 7})


@pytest.fixture
def folder(model: Checkpoint, tmp_path: Path) -> Path:
    path = tmp_path / "checkpoint"
    save_checkpoint(model, path)
    return path


def test_a_checkpoint_comes_back_as_it_was(model: Checkpoint, folder: Path) -> None:
    loaded = load_checkpoint(folder, torch.float32)
    assert torch.equal(probs(loaded), probs(model))
    assert not loaded.network.training
    assert (loaded.config, loaded.thresholds) == (model.config, model.thresholds)
    assert (loaded.fps, loaded.about) == (model.fps, model.about)


def test_the_configuration_is_read_without_the_weights(model: Checkpoint, folder: Path) -> None:
    (folder / "weights.safetensors").unlink()
    assert checkpoint_model(folder) == model.config
    assert checkpoint_fps(folder) == model.fps


def test_the_vocabulary_of_transitions_is_kept(tiny_llm: Path, tmp_path: Path) -> None:
    fresh = tiny_model(tiny_llm)
    moves = ("start", "complete", "reopen")
    save_checkpoint(replace(fresh, config=replace(fresh.config, moves=moves)), tmp_path)
    assert load_checkpoint(tmp_path, torch.float32).renderer.layout.moves == moves
    saved = read_json(tmp_path / "prospect.json")
    del saved["model"]["moves"]  # checkpoints of before it was a setting
    write_json(tmp_path / "prospect.json", saved)
    write_manifest(tmp_path)
    assert load_checkpoint(tmp_path, torch.float32).renderer.layout.moves == moves[:2]


def test_only_what_is_learned_is_stored(model: Checkpoint, folder: Path) -> None:
    stored = load_file(folder / "weights.safetensors")
    ours = {name for name, weight in model.network.named_parameters() if weight.requires_grad}
    assert set(stored) == ours | {"projector.mean", "projector.std"}
    assert {name.split(".")[0] for name in stored} == {"llm", "projector", "decide"}
    assert all(".lora_" in name for name in stored if name.startswith("llm."))


def test_the_statistics_of_the_vectors_come_back(tiny_llm: Path, tmp_path: Path) -> None:
    model = tiny_model(tiny_llm)
    vectors = 5 + 3 * torch.randn(50, FEATURE_DIM, generator=torch.Generator().manual_seed(1))
    vectors[:, 0] = 2.0  # a dimension that never moves
    model.network.projector.fit(vectors)
    save_checkpoint(model, tmp_path / "fitted")
    loaded = load_checkpoint(tmp_path / "fitted", torch.float32)
    projector = loaded.network.projector
    standard = (vectors - projector.mean) / projector.std
    torch.testing.assert_close(standard.mean(0), torch.zeros(FEATURE_DIM), atol=1e-4, rtol=0)
    expected = torch.ones(FEATURE_DIM)
    expected[0] = 0
    torch.testing.assert_close(standard.std(0, correction=0), expected)
    assert torch.equal(probs(loaded), probs(model))


def test_a_merged_network_gives_the_same_probabilities(folder: Path) -> None:
    loaded = load_checkpoint(folder, torch.float32)
    before = probs(loaded)
    loaded.network.merge_adapters()
    torch.testing.assert_close(probs(loaded), before, atol=1e-5, rtol=0)


def test_an_incomplete_folder_is_missing(folder: Path, tmp_path: Path) -> None:
    (folder / "manifest.json").unlink()
    for path in (folder, tmp_path / "nowhere"):
        with pytest.raises(MissingError, match=r"has no manifest\.json: not there, or its writing"):
            load_checkpoint(path, torch.float32)


def test_an_altered_weight_is_an_error(folder: Path) -> None:
    path = folder / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"weights\.safetensors is missing or altered"):
        load_checkpoint(folder, torch.float32)


def drop(weights: dict[str, Tensor]) -> None:
    del weights["decide.bias"]


def add(weights: dict[str, Tensor]) -> None:
    weights["decide.extra"] = torch.zeros(2)


def reshape(weights: dict[str, Tensor]) -> None:
    weights["decide.weight"] = weights["decide.weight"][:1].clone()


@pytest.mark.parametrize(
    ("change", "name"),
    [(drop, "decide.bias"), (add, "decide.extra"), (reshape, "decide.weight")],
)
def test_a_weight_that_does_not_fit_is_an_error(
    folder: Path, change: Callable[[dict[str, Tensor]], None], name: str
) -> None:
    path = folder / "weights.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path)
    write_manifest(folder)
    with pytest.raises(DataError, match=rf"1 weights don't fit the model, first {name}; they"):
        load_checkpoint(folder, torch.float32)


def changed(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Alter the configuration as somebody would who also renews the manifest."""
    value = read_json(folder / "prospect.json")
    change(value)
    write_json(folder / "prospect.json", value)
    write_manifest(folder)


def test_another_schema_is_an_error(folder: Path) -> None:
    changed(folder, lambda value: value.update(schema="checkpoint/0"))
    with pytest.raises(DataError, match=r"schema 'checkpoint/0', expected 'checkpoint/2'"):
        load_checkpoint(folder, torch.float32)


def test_unknown_and_mistyped_settings_are_errors(folder: Path) -> None:
    changed(folder, lambda value: value["model"].update(nonsense=3))
    with pytest.raises(DataError, match=r"prospect\.json: model: field 'nonsense'"):
        load_checkpoint(folder, torch.float32)
    changed(folder, lambda value: value["model"].pop("nonsense"))
    changed(folder, lambda value: value["thresholds"].update(speak="0.3"))
    with pytest.raises(DataError, match=r"thresholds: field 'speak': .* got '0\.3'"):
        load_checkpoint(folder, torch.float32)


def test_a_configuration_of_another_rank_does_not_fit(folder: Path) -> None:
    changed(folder, lambda value: value["model"]["lora"].update(rank=8))
    with pytest.raises(DataError, match=r"weights don't fit the model, first llm\..*lora_A"):
        load_checkpoint(folder, torch.float32)


def test_the_first_layers_alone(tiny_llm: Path, tmp_path: Path) -> None:
    config = ModelConfig(llm=str(tiny_llm), num_layers=1)
    network, renderer = build(config, FEATURE_DIM, torch.float32)
    network.eval()
    assert not any(".layers.1." in name for name, _ in network.named_parameters())
    model = Checkpoint(network, renderer, config, Thresholds(), 2.0, {})
    save_checkpoint(model, tmp_path / "one")
    loaded = load_checkpoint(tmp_path / "one", torch.float32)
    assert torch.equal(probs(loaded), probs(model))


@pytest.mark.parametrize("num_layers", [0, 3, -1])
def test_layers_that_are_not_there_are_an_error(tiny_llm: Path, num_layers: int) -> None:
    config = ModelConfig(llm=str(tiny_llm), num_layers=num_layers)
    with pytest.raises(ConfigError, match=rf"num_layers is {num_layers}, but .* has 2 layers"):
        build(config, FEATURE_DIM, torch.float32)


def test_what_is_trained_stays_fp32_on_a_bf16_llm(folder: Path, model: Checkpoint) -> None:
    loaded = load_checkpoint(folder, torch.bfloat16)
    for weight in loaded.network.parameters():
        assert weight.dtype == (torch.float32 if weight.requires_grad else torch.bfloat16)
    torch.testing.assert_close(probs(loaded), probs(model), atol=0.05, rtol=0)
