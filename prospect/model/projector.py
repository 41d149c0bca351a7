"""From the vectors of frames to the space of word embeddings."""

import torch
from torch import Tensor, nn

from prospect.errors import ConfigError
from prospect.model.config import ProjectorKind


class Projector(nn.Module):
    """Two-layer MLP, or one linear layer, from encoder vectors to the LLM's embedding space.

    Vectors are standardised by the training data's statistics (`fit`): an encoder's dimensions
    differ in mean and scale by far more than one frame differs from the next. The output starts
    at the scale of the word embeddings (``output_rms``): a freshly initialised layer's is several
    times larger and drowns the words for the first hundred steps. With ``residual`` it is added
    to the vectors themselves, of width D already, and starts at zero.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, feature_dim: int, hidden_dim: int, output_rms: float, kind: ProjectorKind = "mlp"
    ) -> None:
        super().__init__()
        residual = kind == "residual"
        if residual and feature_dim != hidden_dim:
            raise ConfigError(
                f"projector is residual, but the encoder's vectors have {feature_dim} numbers and "
                f"the LLM's words {hidden_dim}; choose mlp, or the encoder the LLM grew up with"
            )
        self._residual = residual
        self.register_buffer("mean", torch.zeros(feature_dim))
        self.register_buffer("std", torch.ones(feature_dim))
        self.up = nn.Linear(feature_dim, hidden_dim)
        self.down = None if kind == "linear" else nn.Linear(hidden_dim, hidden_dim)
        self.scale = nn.Parameter(torch.tensor([0.0 if residual else output_rms]))
        self.output_norm = nn.LayerNorm(hidden_dim)

    def fit(self, features: Tensor) -> None:
        """Take mean and deviation from (N, E) training vectors."""
        self.mean = features.float().mean(0)
        # a dimension that never moves says nothing; the floor keeps it from being blown up
        self.std = features.float().std(0, correction=0).clamp(min=1e-3)

    def forward(self, features: Tensor) -> Tensor:
        """(..., E) -> (..., D)."""
        hidden = self.up((features - self.mean) / self.std)
        if self.down is not None:
            hidden = self.down(nn.functional.gelu(hidden))
        normed: Tensor = self.output_norm(hidden)
        projected = self.scale * normed
        return features + projected if self._residual else projected
