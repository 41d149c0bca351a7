"""Choosing a transition: by comparing hidden states, or by what is seen of each listed step.

In: the hidden state that chooses (a frame's last token, then the last token of the transition
before) and the hidden states at the ends of the step lines; with ``write: match`` also how likely
each step is shown, now and lately. Out: a score for every legal option of
`prospect.samples.choices`; to stop before the first is to decline: what ends at a frame has perhaps
been told already, and no other step is seen there.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from prospect.model.projector import Projector
from prospect.samples.choices import NUM_MOVES

RECENT = 16
"""Frames that count as lately, the deciding one among them: 8 s at 2 frames a second. Whoever
starts a step has hardly been seen at it; whoever completes it has been for long."""

_RANK = 64
_LINE_LEN = 8  # words of a short line, whose sum is to be about as long as a projected frame
_GAIN = 50.0  # what is seen lies in [0, 1] and has to outweigh log-odds of several


class Matcher(nn.Module):
    """How near a frame is to texts in the space of word embeddings: t <look(frame), sum of words>.

    The frame is turned to length 1; t is learned. What all texts share adds the same to each.
    Only the alignment before training teaches it (`prospect.train.align`): the few frames that
    decide on a transition would teach it their steps by heart.

    Args:
        look: From frame vectors (..., E) to (..., D).
        hidden_dim: D.
        word_rms: Root mean square of the numbers of a word embedding.
    """

    def __init__(self, look: Projector, hidden_dim: int, word_rms: float) -> None:
        super().__init__()
        self.look = look
        self._scale = 1 / (word_rms * math.sqrt(hidden_dim * _LINE_LEN))
        self.sharpness = nn.Parameter(torch.tensor([2.3]))  # log t; ten times a cosine

    def forward(self, frames: Tensor, texts: Tensor) -> Tensor:
        """How near each frame is to texts, fp32.

        Args:
            frames: (..., E).
            texts: (..., S, D) sums of word embeddings, or (S, D), the same for all.

        Returns:
            (..., S).
        """
        towards = functional.normalize(self.look(frames.float()).float(), dim=-1)
        alike = torch.einsum("...d,...sd->...s", towards, self._scale * texts.float())
        return self.sharpness.exp() * alike

    def seen(self, frames: Tensor, present: Tensor, texts: Tensor, listed: Tensor) -> Tensor:
        """How likely each listed step is what a frame shows, and what frames lately showed.

        Args:
            frames: (Q, W, E), the deciding frame last; the mean of each frame's vectors.
            present: (Q, W) bool, which of them are there; the deciding one is.
            texts: (Q, S, D) sums of the words of the step lines.
            listed: (Q, S) bool, which of them are steps of the task.

        Returns:
            (Q, S, 2) in [0, 1]: now, and the mean over the frames.
        """
        scores = self(frames, texts[:, None])
        shares = scores.masked_fill(~listed[:, None], -torch.inf).softmax(-1)
        weights = present / present.sum(1, keepdim=True)
        return torch.stack([shares[:, -1], (weights[..., None] * shares).sum(1)], -1)


class Pointer(nn.Module):
    """One bilinear form a move, of rank 64: score(move, step) = <W_move q, K step> / 8.

    With a matcher: score(move, step) = w_move q + a_move now(step) + b_move lately(step). Hidden
    states then say what happens, what is seen says to which step; forms over both learn steps by
    heart, and hidden states alone read the move from the state they are told, right or wrong.

    The first step of the list that a move is legal for scores c_move more: how far people go by
    the list is learned, from not at all (0, where it begins) to always.
    """

    def __init__(self, hidden_dim: int, matcher: Matcher | None = None) -> None:
        super().__init__()
        self.matcher = matcher
        rank = _RANK if matcher is None else 1
        self.query = nn.Linear(hidden_dim, NUM_MOVES * rank)
        self.key = nn.Linear(hidden_dim, _RANK) if matcher is None else None
        self.weight = None
        if matcher is not None:
            matcher.requires_grad_(False)
            self.weight = nn.Parameter(torch.tensor([[8.0, 0.0]]).repeat(NUM_MOVES, 1) / _GAIN)
        self.first = nn.Parameter(torch.zeros(NUM_MOVES))
        self.stop = nn.Linear(hidden_dim, 1)

    def forward(
        self, query: Tensor, steps: Tensor, legal: Tensor, seen: Tensor | None = None
    ) -> Tensor:
        """Scores of the legal options, fp32.

        Args:
            query: (Q, D).
            steps: (Q, S, D) step lines of each query's clip.
            legal: (Q, 1 + 3 S) bool, `prospect.samples.choices.options`.
            seen: (Q, S, 2) of `Matcher.seen`, with a matcher.

        Returns:
            (Q, 1 + 3 S): to stop, then every move of every step; -inf where it is illegal.
        """
        dtype = self.stop.weight.dtype
        query = query.to(dtype)
        wanted = self.query(query).unflatten(-1, (NUM_MOVES, -1))
        if self.key is not None:
            keys = self.key(steps.to(dtype))
            scores = torch.einsum("qmr,qsr->qsm", wanted, keys) / math.sqrt(_RANK)
        else:
            assert seen is not None
            assert self.weight is not None
            scores = wanted.mT + _GAIN * seen @ self.weight.mT
        moves = legal[:, 1:].view(len(legal), legal.shape[1] // NUM_MOVES, NUM_MOVES)
        scores = scores + _GAIN * self.first * (moves & (moves.cumsum(1) == 1))
        found = torch.cat([self.stop(query), scores.flatten(1)], 1).float()
        return found.masked_fill(~legal, -torch.inf)
