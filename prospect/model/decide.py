"""What decides at a frame's last token, and what the decision is a target of.

In: hidden states, or the logits of the next token. Out: log-odds of `SPEAK` and `UPDATE`.

**Heads** put two numbers on the hidden state, each the log-odds of acting.

**Token** decisions (ProAssist, arXiv 2506.05904, section 4) read the LM's distribution p of the
next token. ``end`` means silence, ``A`` and ``S`` open an assistant and a state turn:

    P(act) = 1 - p[end]
    P(update) = P(act) * p[S] / (p[S] + p[A])        P(speak) = P(act) * p[A] / (p[S] + p[A])

so one position says whether and which. Where both turns open with the same token (`roles: chat`)
no state is tracked and P(speak) = P(act), which is ProAssist's rule: silent if p[end] > 1 -
threshold. After a state turn the same formula is read at its last token: ``end`` now means "and
nothing to say". The target at a position is the opening token of the turn that follows, else
``end``, and the loss is the cross-entropy over the whole vocabulary.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from prospect.model.config import Head
from prospect.samples.labels import ACT

SPEAK, UPDATE = 0, 1
"""Columns of the decisions."""


class Openers(NamedTuple):
    """Token ids: end of turn, and what opens an assistant and a state turn."""

    end: int
    assistant: int
    state: int


def make_heads(head: Head, hidden_dim: int) -> nn.Module:
    """(..., D) -> (..., 2) log-odds of `SPEAK` and `UPDATE`."""
    if head == "linear":
        return nn.Linear(hidden_dim, 2)
    return nn.Sequential(nn.Linear(hidden_dim, hidden_dim), nn.GELU(), nn.Linear(hidden_dim, 2))


def token_odds(logits: Tensor, openers: Openers) -> Tensor:
    """(..., V) logits of the next token -> (..., 2) log-odds of `SPEAK` and `UPDATE`."""
    silent = logits.log_softmax(-1)[..., openers.end]
    act = torch.log(-torch.expm1(silent))
    if openers.assistant == openers.state:
        return torch.stack([act - silent, torch.full_like(act, -torch.inf)], -1)
    lean = logits[..., openers.assistant] - logits[..., openers.state]
    speak, update = act + functional.logsigmoid(lean), act + functional.logsigmoid(-lean)
    return torch.stack(
        [speak - torch.logaddexp(silent, update), update - torch.logaddexp(silent, speak)], -1
    )


def token_targets(labels: Tensor, openers: Openers) -> Tensor:
    """The token that each decision's position is to predict.

    Args:
        labels: (N, 2) of `prospect.model.losses.Batch`.
        openers: Of the model.

    Returns:
        (N, 2) token ids. A frame that speaks without an update has both decisions at one position,
        so there the update's target is the assistant turn too.
    """
    speak = torch.where(labels[:, SPEAK] == ACT, openers.assistant, openers.end)
    update = torch.where(labels[:, UPDATE] == ACT, openers.state, speak)
    return torch.stack([speak, update], 1)
