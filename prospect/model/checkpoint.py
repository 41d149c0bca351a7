"""A checkpoint: our own weights, what they were trained for, and the thresholds.

``weights.safetensors`` holds the trained weights only: projector, heads, and of the LLM what
`ModelConfig.tuning` lets learn (adapters, nothing, or all of it in fp32); what isn't trained comes
from `ModelConfig.llm`. ``prospect.json`` holds the configuration. A weight too many or too few is
an error, and so is an LLM of another class or size.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from prospect.errors import DataError
from prospect.files import (
    MANIFEST,
    check_manifest,
    parse,
    read_json,
    restamp,
    write_json,
    write_manifest,
)
from prospect.model.backbone import describe
from prospect.model.config import ModelConfig, Thresholds
from prospect.model.network import Network, build
from prospect.samples.sequence import Renderer

_SCHEMA = "checkpoint/2"
_WEIGHTS = "weights.safetensors"
_CONFIG = "prospect.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A loaded model with all that is needed to use it.

    Attributes:
        fps: Frames a second that it takes.
        about: What is told of its training.
        weights: Hash of the saved weights, whatever it decides by; empty for those of no file.
    """

    network: Network
    renderer: Renderer
    config: ModelConfig
    thresholds: Thresholds
    fps: float
    about: dict[str, Any]
    weights: str = ""


def save_weights(network: Network, folder: Path) -> None:
    """Write the trained weights into an existing folder."""
    state = {name: weight.cpu().contiguous() for name, weight in network.trainable_state().items()}
    save_file(state, folder / _WEIGHTS)


def load_weights(network: Network, folder: Path) -> None:
    """Put saved weights into a network.

    Raises:
        DataError: the names or shapes differ from the network's; names the first ones.
    """
    saved = load_file(folder / _WEIGHTS)
    state = network.trainable_state()
    wrong = sorted(saved.keys() ^ state.keys()) or sorted(
        name for name in saved if saved[name].shape != state[name].shape
    )
    if wrong:
        raise DataError(
            f"{folder / _WEIGHTS}: {len(wrong)} weights don't fit the model, first {wrong[0]}; "
            "they are of other settings or of another version: train again, elsewhere"
        )
    for name, weight in state.items():
        weight.copy_(saved[name])


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write a complete checkpoint folder; its manifest comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(checkpoint.network, folder)
    write_json(
        folder / _CONFIG,
        {
            "schema": _SCHEMA,
            "model": asdict(checkpoint.config),
            "backbone": describe(checkpoint.network.llm),
            "feature_dim": checkpoint.network.feature_dim,
            "fps": checkpoint.fps,
            "thresholds": asdict(checkpoint.thresholds),
            "about": checkpoint.about,
        },
    )
    write_manifest(folder)


def store_thresholds(folder: Path, thresholds: Thresholds) -> None:
    """Let a finished checkpoint decide by other rules; its weights stay, and so does its run."""
    check_manifest(folder)
    write_json(folder / _CONFIG, _saved(folder) | {"thresholds": asdict(thresholds)})
    write_manifest(folder)
    restamp(folder)


def checkpoint_fps(folder: Path) -> float:
    """Frames a second that a checkpoint takes, without loading it; `MissingError` if there is none.

    What is shown to a model can then be checked before it is loaded.
    """
    fps: float = _saved(folder)["fps"]
    return fps


def checkpoint_model(folder: Path) -> ModelConfig:
    """What a checkpoint's model is made of, without loading it or checking its weights.

    Raises:
        MissingError: there is none.
        DataError: of another schema, or settings that are none of a model's.
    """
    return parse(_saved(folder)["model"], ModelConfig, f"{folder / _CONFIG}: model")


def checkpoint_thresholds(folder: Path) -> Thresholds:
    """What a checkpoint decides by, without loading it; errors as `checkpoint_model`."""
    return parse(_saved(folder)["thresholds"], Thresholds, f"{folder / _CONFIG}: thresholds")


def _saved(folder: Path) -> dict[str, Any]:
    """The configuration as written, if it is of our schema."""
    saved: dict[str, Any] = read_json(folder / _CONFIG)
    if saved["schema"] != _SCHEMA:
        raise DataError(
            f"{folder / _CONFIG}: schema {saved['schema']!r}, expected {_SCHEMA!r}; train again "
            "with this version"
        )
    return saved


def load_checkpoint(folder: Path, dtype: torch.dtype) -> Checkpoint:
    """Load a folder written by `save_checkpoint`.

    Args:
        folder: Of the checkpoint.
        dtype: Of the LLM's weights but for adapters, which stay fp32.

    Raises:
        MissingError: not there or incomplete, or the LLM isn't at hand.
        DataError: altered, of another schema, or weights that don't fit.
    """
    check_manifest(folder)
    saved = _saved(folder)
    config = checkpoint_model(folder)
    thresholds = checkpoint_thresholds(folder)
    network, renderer = build(config, saved["feature_dim"], dtype)
    # adapters of a model of the same shapes would fit by name
    if saved["backbone"] != describe(network.llm):
        raise DataError(
            f"{folder} was trained on {saved['backbone']}, but {config.llm} is "
            f"{describe(network.llm)}; put the model it was trained on there"
        )
    load_weights(network, folder)
    if config.tuning == "full":
        # learned in fp32, which inference has no use for
        network.llm.to(dtype)
    network.eval()
    weights = read_json(folder / MANIFEST)[_WEIGHTS]
    return Checkpoint(network, renderer, config, thresholds, saved["fps"], saved["about"], weights)
