"""The bare backbone as a checkpoint: what a pretrained model does before anything was learned.

In: a `ModelConfig`. Out: a `Checkpoint` with fresh projector and heads and thresholds of .5.
"""

import torch

from prospect.model.checkpoint import Checkpoint
from prospect.model.config import ModelConfig, Thresholds
from prospect.model.network import build


def untrained(
    config: ModelConfig, feature_dim: int, fps: float, dtype: torch.dtype, seed: int = 0
) -> Checkpoint:
    """A model that has learned nothing of ours, in evaluation mode on the CPU.

    Args:
        config: What it is made of; adapters, if any, do nothing yet.
        feature_dim: Width of the frame vectors.
        fps: Frames a second of the streams it is to watch.
        dtype: Of the LLM's weights.
        seed: Of the weights that are not pretrained.

    Raises:
        MissingError, ConfigError, DataError: as `prospect.model.network.build`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network, renderer = build(config, feature_dim, dtype)
    if config.tuning == "full":
        network.llm.to(dtype)
    network.eval()
    about = {"untrained": True, "seed": seed}
    return Checkpoint(
        network, renderer, config, Thresholds(), fps, about, f"untrained, seed {seed}"
    )
