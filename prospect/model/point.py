"""Choosing a transition by comparing what is seen with the step lines of the prompt.

In: the hidden state that chooses (a frame's last token, then the last token of the transition
before) and the hidden states at the ends of the step lines. Out: a score for every option of
`prospect.samples.choices`; only legal ones may be taken.
"""

import math

import torch
from torch import Tensor, nn

from prospect.samples.choices import NUM_MOVES

_RANK = 64


class Pointer(nn.Module):
    """One bilinear form a move, of rank 64: score(move, step) = <W_move q, K step> / 8."""

    def __init__(self, hidden_dim: int) -> None:
        super().__init__()
        self.query = nn.Linear(hidden_dim, NUM_MOVES * _RANK)
        self.key = nn.Linear(hidden_dim, _RANK)
        self.stop = nn.Linear(hidden_dim, 1)

    def forward(self, query: Tensor, steps: Tensor) -> Tensor:
        """Scores of all options, fp32.

        Args:
            query: (Q, D).
            steps: (Q, S, D) step lines of each query's clip.

        Returns:
            (Q, 1 + 3 S): to stop, then every move of every step.
        """
        query, steps = query.to(self.key.weight.dtype), steps.to(self.key.weight.dtype)
        wanted = self.query(query).unflatten(-1, (NUM_MOVES, _RANK))
        scores = torch.einsum("qmr,qsr->qsm", wanted, self.key(steps)) / math.sqrt(_RANK)
        return torch.cat([self.stop(query), scores.flatten(1)], 1).float()
