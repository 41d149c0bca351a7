"""Choosing a transition by comparing what is seen with the step lines of the prompt.

In: the hidden state that chooses (a frame's last token, then the last token of the transition
before) and the hidden states at the ends of the step lines; with ``write: match`` also the frame's
projected vector and the words of the step lines as they go into the LLM. Out: a score for every
option of `prospect.samples.choices`; only legal ones may be taken.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from prospect.samples.choices import NUM_MOVES

_RANK = 64
_LINE_LEN = 8  # words of a short line, whose sum is to be about as long as a projected frame


class Matcher(nn.Module):
    """How near a frame is to texts in the space of word embeddings: t <frame, sum of words>.

    The frame is turned to length 1; t is learned. What all texts share adds the same to each.

    Args:
        hidden_dim: D.
        word_rms: Root mean square of the numbers of a word embedding.
    """

    def __init__(self, hidden_dim: int, word_rms: float) -> None:
        super().__init__()
        self._scale = 1 / (word_rms * math.sqrt(hidden_dim * _LINE_LEN))
        self.sharpness = nn.Parameter(torch.tensor(2.3))  # log t; ten times a cosine

    def forward(self, frames: Tensor, texts: Tensor) -> Tensor:
        """How near each frame is to texts, fp32.

        Args:
            frames: (Q, D) projected.
            texts: (Q, S, D) sums of word embeddings, or (S, D), the same for all.

        Returns:
            (Q, S).
        """
        towards = functional.normalize(frames.float(), dim=-1)
        form = "qd,qsd->qs" if texts.ndim == 3 else "qd,sd->qs"
        alike = torch.einsum(form, towards, self._scale * texts.float())
        return self.sharpness.exp() * alike


class Pointer(nn.Module):
    """One bilinear form a move, of rank 64: score(move, step) = <W_move q, K step> / 8.

    With a matcher: score(move, step) = w_move q + its score of the step. Hidden states then say
    what happens, what is seen to which step; forms over both learn steps by heart. Vectors are 2 D
    wide: hidden states, then what is matched (`prospect.model.network.Network.embed`).
    """

    def __init__(self, hidden_dim: int, matcher: Matcher | None = None) -> None:
        super().__init__()
        self.matcher = matcher
        rank = _RANK if matcher is None else 1
        self.query = nn.Linear(hidden_dim, NUM_MOVES * rank)
        self.key = nn.Linear(hidden_dim, _RANK) if matcher is None else None
        self.stop = nn.Linear(hidden_dim, 1)

    def forward(self, query: Tensor, steps: Tensor) -> Tensor:
        """Scores of all options, fp32.

        Args:
            query: (Q, D), or (Q, 2 D) of `again`.
            steps: (Q, S, D) step lines of each query's clip; as wide.

        Returns:
            (Q, 1 + 3 S): to stop, then every move of every step.
        """
        dim, dtype = self.stop.in_features, self.stop.weight.dtype
        chooses = query[..., :dim].to(dtype)
        wanted = self.query(chooses).unflatten(-1, (NUM_MOVES, -1))
        if self.key is not None:
            keys = self.key(steps[..., :dim].to(dtype))
            scores = torch.einsum("qmr,qsr->qsm", wanted, keys) / math.sqrt(_RANK)
        else:
            assert self.matcher is not None
            scores = wanted.mT + self.matcher(query[..., dim:], steps[..., dim:])[..., None]
        return torch.cat([self.stop(chooses), scores.flatten(1)], 1).float()

    def again(self, query: Tensor, frame: Tensor) -> Tensor:
        """What chooses a frame's next transition: another hidden state, the same frame in view.

        Args:
            query: (..., D) or (..., 2 D) after the transition before.
            frame: At the frame's last token; as wide.
        """
        dim = self.stop.in_features
        return torch.cat([query[..., :dim], frame[..., dim:]], -1)
