"""Frames to vectors: the frozen vision encoders.

In: uint8 RGB frames (F, H, W, 3). Out: float32 vectors (F, P, D): one pooled vector a frame, or
with it the patches averaged over a 2x2 or 3x3 grid, which is ProAssist's I = 1, 5, 10
(arXiv 2506.05904), or ``native``: all patches as they are. `ENCODERS` is where another encoder is
added.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from prospect.errors import ConfigError
from prospect.files import text_hash
from prospect.frames import lite0
from prospect.frames.towers import Pooled, Tower, load_transformers, map_side, resize
from prospect.pretrained import efficientnet_lite0_weights, inference_dtype

BATCH = 32
"""Frames a forward: larger ones were not faster on CPUs, and GPUs are full at it from 384 px."""

GRIDS: Mapping[int, int | None] = {1: None, 5: 2, 10: 3}
"""vectors a frame -> side of the grid of averaged patches beside the pooled vector."""

VectorsPerFrame = int | Literal["native"]
"""A key of `GRIDS`, or all patches."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """A frozen vision encoder, ready to use.

    Attributes:
        name: What it was loaded as: ``efficientnet-lite0``, a hub id or a folder.
        dim: D, the length of a vector.
        vectors: P, vectors a frame: 1, 5, 10, or as many as ``native`` stands for.
        key: Hash of weights, preprocessing and P; equal keys mean interchangeable features. The
            device and its precision are no part of it.
        encode: uint8 (F, H, W, 3) -> float32 (F, P, D) on the CPU; F may be 0.
    """

    name: str
    dim: int
    vectors: int
    key: str
    encode: Callable[[Tensor], Tensor]


def num_vectors(name: str, vectors: VectorsPerFrame) -> int:
    """P: what a setting means for an encoder, which need not be loaded.

    Raises:
        ConfigError: ``native`` of a model this can't drive.
        MissingError: no such model.
    """
    if vectors != "native":
        return vectors
    side = ENCODERS[name][0] if name in ENCODERS else map_side(name)
    return side * side


def load_encoder(name: str, vectors: VectorsPerFrame = 1, device: str = "cpu") -> Encoder:
    """Load a vision encoder.

    Args:
        name: A key of `ENCODERS`, or else a folder or hub id of a transformers vision model.
        vectors: 1 (pooled), 5 (pooled and 2x2), 10 (pooled and 3x3), or ``native`` (all patches,
            row by row: 49 of EfficientNet-Lite0, 81 of SmolVLM2-2.2B).
        device: Where it runs: ``cpu``, ``cuda``, ``cuda:1``.

    Raises:
        ConfigError: another number of vectors, or a model this can't drive.
        MissingError: no such model; says how to get it.
        DataError: its files don't fit.
    """
    if vectors != "native" and vectors not in GRIDS:
        raise ConfigError(f"vectors a frame is {vectors}; choose one of {sorted(GRIDS)}, or native")
    total = num_vectors(name, vectors)
    place = torch.device(device)
    tower = ENCODERS[name][1](place) if name in ENCODERS else load_transformers(name, place)
    pool = _native if vectors == "native" else partial(_pooled, grid=GRIDS[vectors])

    @torch.inference_mode()
    def encode(frames: Tensor) -> Tensor:
        if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
            raise ConfigError(
                f"frames are {frames.dtype} {tuple(frames.shape)}; expected uint8 (F, H, W, 3)"
            )
        # not torch.empty(0) alone: `cat` needs something, and zero frames are a valid video
        parts = [torch.empty(0, total, tower.dim)]
        for batch in torch.split(frames, BATCH) if len(frames) else ():
            pooled, maps = tower.forward(batch.to(place))
            parts.append(pool(pooled, maps).float().cpu())
        return torch.cat(parts)

    return Encoder(name, tower.dim, total, text_hash(f"{tower.identity}|{vectors}"), encode)


def _native(pooled: Tensor, maps: Tensor) -> Tensor:
    """(F, D), (F, D, h, w) -> (F, P, D): the patches row by row."""
    return maps.flatten(2).mT


def _pooled(pooled: Tensor, maps: Tensor, grid: int | None) -> Tensor:
    """(F, D), (F, D, h, w) -> (F, P, D): pooled first, then the grid row by row."""
    if grid is None:
        return pooled[:, None]
    cells = F.adaptive_avg_pool2d(maps.float(), grid).flatten(2).mT  # (F, grid^2, D)
    return torch.cat([pooled[:, None].float(), cells], dim=1)


def _load_lite0(device: torch.device) -> Tower:
    dtype = inference_dtype(device)
    network = lite0.load(efficientnet_lite0_weights())
    network.to(device=device, dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(frames: Tensor) -> Pooled:
        maps = network(lite0.normalise(resize(frames, lite0.SIZE, "bilinear").to(dtype)))
        return maps.float().mean(dim=(2, 3)), maps

    identity = f"efficientnet-lite0-57934424|{lite0.SIZE}|bilinear|(x-127)/128"
    return Tower(lite0.DIM, identity, forward)


ENCODERS: dict[str, tuple[int, Callable[[torch.device], Tower]]] = {
    "efficientnet-lite0": (lite0.SIDE, _load_lite0)
}
"""Encoders of our own: name -> side of its patch maps, and loader. Other names are folders or hub
ids of transformers."""
