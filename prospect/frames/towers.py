"""Vision towers of transformers models as encoders.

In: a folder or hub id of a vision model (SigLIP, SigLIP 2, CLIP, DINOv2, ViT), of an image-text
pair, or of a vision-language model with a SmolVLM2 connector. Out: a `Tower`; of the pairs and
vision-language models only the vision half is read.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from prospect.errors import ConfigError, DataError
from prospect.files import file_hash, read_json
from prospect.pretrained import inference_dtype, model_folder, read_model

Pooled = tuple[Tensor, Tensor]
"""(F, D) pooled vectors and (F, D, h, w) patch maps."""

_CONNECTED = "smolvlm"
"""``model_type`` whose encoder goes on through the model's connector, to the words' space."""


@dataclass(frozen=True, slots=True)
class Tower:
    """What a loader returns: a network and its identity.

    Attributes:
        dim: D.
        identity: Names the weights and all of the preprocessing; becomes part of the key.
        forward: uint8 (F, H, W, 3) on the network's device -> `Pooled` in any float type.
    """

    dim: int
    identity: str
    forward: Callable[[Tensor], Pooled]


def map_side(name: str) -> int:
    """Side h = w of a model's patch maps, read from its ``config.json`` alone.

    Raises:
        ConfigError: not a vision model of one fixed picture size.
        MissingError: no such model.
    """
    whole, vision = _configs(model_folder(name), name)
    side: int = vision.image_size // vision.patch_size
    return side // whole.scale_factor if whole.model_type == _CONNECTED else side


def load_transformers(name: str, device: torch.device) -> Tower:
    """The vision tower of a transformers model with square patches.

    The pooled vector is the model's own (``pooler_output``) where it has one, which for SigLIP is
    what ProAssist stores as ``cls``, else the mean of the patches. SmolVLM2's patches go through
    its connector: 3 x 3 of them become one vector of the language model's width.

    Raises:
        ConfigError: not a vision model of one fixed picture size.
        DataError: weights or preprocessor settings missing.
    """
    folder = model_folder(name)
    whole, vision = _configs(folder, name)
    network, connect = _networks(folder, whole, device)
    pictures_of, identity = _preprocessor(folder, vision.image_size, device)
    patches_side = vision.image_size // vision.patch_size
    side = map_side(name)

    def forward(frames: Tensor) -> Pooled:
        output = network(pixel_values=pictures_of(frames).to(network.dtype))
        # (F, side^2, D), after any class token
        patches = connect(output.last_hidden_state[:, -patches_side * patches_side :])
        pooled = getattr(output, "pooler_output", None)
        maps = patches.mT.reshape(*patches.mT.shape[:2], side, side)
        return (patches.mean(dim=1) if pooled is None else pooled), maps

    connected = whole.model_type == _CONNECTED
    dim = whole.text_config.hidden_size if connected else vision.hidden_size
    weights = " ".join(file_hash(file) for file in sorted(folder.glob("*.safetensors")))
    return Tower(dim, f"{weights}|{identity}", forward)


def resize(frames: Tensor, size: int, mode: str) -> Tensor:
    """uint8 (F, H, W, 3) -> uint8 (F, 3, size, size), channels last; frames are squeezed square."""
    pictures = frames.permute(0, 3, 1, 2)
    if pictures.shape[2:] == (size, size):
        return pictures
    return F.interpolate(pictures, (size, size), mode=mode, antialias=True)


def _configs(folder: Path, name: str) -> tuple[Any, Any]:
    """Configuration of the model and of its vision half; the same of a vision model."""
    # transformers takes seconds to import; the offline encoder does without
    from transformers import AutoConfig

    whole = AutoConfig.from_pretrained(folder)
    vision = getattr(whole, "vision_config", whole)
    if not hasattr(vision, "image_size") or not hasattr(vision, "patch_size"):
        raise ConfigError(
            f"{name}: a {vision.model_type} model has no fixed image_size and patch_size; use a "
            "vision model like google/siglip2-base-patch16-384 (not -naflex)"
        )
    return whole, vision


def _networks(
    folder: Path, whole: Any, device: torch.device
) -> tuple[Any, Callable[[Tensor], Tensor]]:
    """The vision network, and what turns its patches into vectors."""
    from transformers import AutoModel, SmolVLMModel

    options = {"dtype": inference_dtype(device)}
    connect = _as_they_are
    if whole.model_type == _CONNECTED:
        # the language model beside is not read
        whole.text_config.num_hidden_layers = 0
        model, _ = read_model(SmolVLMModel, folder, {**options, "config": whole})
        connect = model.connector.to(device).eval().requires_grad_(False)
    else:
        model, no_pooler = read_model(AutoModel, folder, options, optional="pooler.")
        if no_pooler:  # saved as a classifier, which has none
            model.pooler = None
    network = getattr(model, "vision_model", model)
    return network.to(device).eval().requires_grad_(False), connect


def _as_they_are(patches: Tensor) -> Tensor:
    return patches


def _preprocessor(
    folder: Path, size: int, device: torch.device
) -> tuple[Callable[[Tensor], Tensor], str]:
    """Frames -> normalised pictures (F, 3, size, size) float32, and what names this function."""
    path = folder / "processor_config.json"
    # saved with its tokenizer, a model's picture settings stand in the processor's file
    settings = read_json(path).get("image_processor", {}) if path.is_file() else {}
    if not settings:
        path = folder / "preprocessor_config.json"
        settings = read_json(path)
    for field in ("image_mean", "image_std"):
        if len(settings.get(field) or ()) != 3:
            raise DataError(f"{path}: {field} is {settings.get(field)!r}; expected three numbers")
    # PIL's number for bicubic is 3; bilinear is what the models without a setting were made with
    mode = "bicubic" if settings.get("resample") == 3 else "bilinear"
    mean = torch.tensor(settings["image_mean"], device=device).view(3, 1, 1) * 255
    std = torch.tensor(settings["image_std"], device=device).view(3, 1, 1) * 255

    def pictures_of(frames: Tensor) -> Tensor:
        return (resize(frames, size, mode).float() - mean) / std

    chosen = [size, mode, settings["image_mean"], settings["image_std"]]
    return pictures_of, json.dumps(chosen)
