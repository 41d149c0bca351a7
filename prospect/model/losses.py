"""The four losses, at labelled positions only.

In: a network and a batch. Out: sums and counts, so that means are taken over the whole global
batch (accumulation steps and processes), never over a part of it.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from prospect.model.config import DecisionLoss, LossWeights
from prospect.model.decide import SPEAK, UPDATE, token_targets
from prospect.model.network import Network
from prospect.model.point import RECENT, Pointer
from prospect.samples.labels import ACT, SILENT, UNLABELLED
from prospect.samples.sequence import SPEAK_GEN, STATE_GEN

ROWS_AT_ONCE = 128
"""Of logits; on a CPU 64 and 256 were 15 and 30 % slower."""


class Batch(NamedTuple):
    """Clips padded to one length.

    Attributes:
        ids: (B, L) token ids, padded at the end with the end-of-turn token.
        targets: (B, L) what each token is a target of; `NONE` on padding.
        frame_ends: (N, 2) row and position of every frame's last token, row by row.
        speak_ends: (N,) position in the same row at which speak is decided.
        labels: (N, 2) speak and update label of every frame.
        features: (N, P, E) frame vectors in the same order.
        step_ends: (C, S, 2) row and position of the end of every clip's step lines; filled up with
            zeros to the longest list.
        choices: (Q, 4) clip, row and position of what chooses, and the option taken, in the order
            in which `STATE_GEN` targets follow these positions.
        options: (Q, 1 + 3 S) which options were legal; see `prospect.samples.choices`.
        positions: (B, L) of each token in its clip, where rows hold several; else None.
        sources: (B, L) number of the source each token comes from, if they are told apart.
    """

    ids: Tensor
    targets: Tensor
    frame_ends: Tensor
    speak_ends: Tensor
    labels: Tensor
    features: Tensor
    step_ends: Tensor
    choices: Tensor
    options: Tensor
    positions: Tensor | None = None
    sources: Tensor | None = None


class Readout(NamedTuple):
    """What one forward pass says at the positions that count; T labelled tokens, N frames.

    Attributes:
        token_losses: (T,) cross-entropy of each labelled token, row by row; with `write: point`
            those of state tokens are the choices'.
        kinds: (T,) `SPEAK_GEN` or `STATE_GEN`.
        right: (T,) whether the token, or the choice, is the most probable one.
        decisions: (N, 2) log-odds of `SPEAK` and `UPDATE`; NaN where token decisions are trained,
            since only labelled frames are read then.
        decision_losses: (N, 2) cross-entropy of each label; 0 where there is none.
    """

    token_losses: Tensor
    kinds: Tensor
    right: Tensor
    decisions: Tensor
    decision_losses: Tensor


class Losses(NamedTuple):
    """The four losses, each a scalar: already divided by the global batch's counts."""

    speak_gen: Tensor
    state_gen: Tensor
    speak_bin: Tensor
    update_bin: Tensor

    def total(self, weights: LossWeights) -> Tensor:
        """Weighted sum."""
        return (
            weights.speak_gen * self.speak_gen
            + weights.state_gen * self.state_gen
            + weights.speak_bin * self.speak_bin
            + weights.update_bin * self.update_bin
        )


def counts(targets: Tensor, labels: Tensor) -> Tensor:
    """(7,) denominators: speech and state tokens, positives and negatives of each decision, and
    how many negatives of the update are at frames whose speak label counts too.

    Args:
        targets: (B, L) of `Batch`; a target at position 0 has nothing to be predicted from.
        labels: (N, 2) of `Batch`.
    """
    shifted = targets[:, 1:]
    return torch.stack(
        [
            (shifted == SPEAK_GEN).sum(),
            (shifted == STATE_GEN).sum(),
            (labels[:, SPEAK] == ACT).sum(),
            (labels[:, SPEAK] == SILENT).sum(),
            (labels[:, UPDATE] == ACT).sum(),
            (labels[:, UPDATE] == SILENT).sum(),
            _counted_twice(labels).sum(),
        ]
    )


def four_losses(
    network: Network,
    batch: Batch,
    denominators: Tensor,
    decision_loss: DecisionLoss = DecisionLoss(),  # noqa: B008  frozen
) -> Losses:
    """One forward pass and the four losses.

    Args:
        network: The model.
        batch: On the network's device.
        denominators: (7,) `counts` summed over the global batch that this batch is a part of.
        decision_loss: How frames become one loss.

    Returns:
        This batch's share of each loss; the shares of a global batch add up to its means.
    """
    return reduce(read(network, batch), batch.labels, denominators, decision_loss)


def read(network: Network, batch: Batch) -> Readout:
    """One forward pass, read at labelled tokens and at every frame's end."""
    hidden = network(batch.ids, batch.features, positions=batch.positions)
    # the only shift: the token at position i is predicted from the hidden state at i - 1
    predicted, targets = batch.ids[:, 1:], batch.targets[:, 1:]
    chosen = targets > 0
    kinds = targets[chosen]
    if network.pointer is None:
        losses, right = _tokens(network, hidden[:, :-1][chosen], predicted[chosen])
    else:
        spoken = targets == SPEAK_GEN
        parts = _tokens(network, hidden[:, :-1][spoken], predicted[spoken])
        states = _choices(network, network.pointer, hidden, batch)
        losses, right = (
            torch.empty_like(kinds, dtype=part.dtype)
            .masked_scatter(kinds == SPEAK_GEN, part)
            .masked_scatter(kinds == STATE_GEN, state)
            for part, state in zip(parts, states, strict=True)
        )
    return Readout(losses, kinds, right, *_decisions(network, hidden, batch))


def _tokens(network: Network, hidden: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """(T,) cross-entropy of the tokens, and whether each is the most probable one."""
    head = network.llm.get_output_embeddings()
    learned = network.own_headers is not None or any(p.requires_grad for p in head.parameters())
    if torch.is_grad_enabled() and not learned:
        found: tuple[Tensor, Tensor] = _Frozen.apply(network, hidden, tokens)  # type: ignore[no-untyped-call]
        return found
    return _from_logits(network, hidden, tokens)


def _from_logits(network: Network, hidden: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    found = []
    for rows, wanted in _split(hidden, tokens):
        logits = network.next_token_logits(rows)
        losses = functional.cross_entropy(logits, wanted, reduction="none")
        found.append((losses, logits.detach().argmax(-1) == wanted))
    losses, right = (torch.cat(parts) for parts in zip(*found, strict=True))
    return losses, right


def _split(hidden: Tensor, tokens: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(torch.split(hidden, ROWS_AT_ONCE), torch.split(tokens, ROWS_AT_ONCE), strict=True)


class _Frozen(torch.autograd.Function):
    """`_from_logits` of an output layer that doesn't learn, which keeps no logits.

    The gradient of a row's hidden state is known up to a factor before the backward pass, and takes
    the room of the hidden state.
    """

    @staticmethod
    def forward(
        ctx: Any, network: Network, hidden: Tensor, tokens: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(T, D) hidden states and (T,) tokens -> `_tokens`."""
        found = []
        for rows, wanted in _split(hidden, tokens):
            with torch.enable_grad():
                rows = rows.detach().requires_grad_()
                logits = network.next_token_logits(rows)
            logs = logits.detach().log_softmax(-1)
            losses = functional.nll_loss(logs, wanted, reduction="none")
            slopes = logs.exp_().scatter_add_(1, wanted[:, None], logs.new_full((len(logs), 1), -1))
            (slopes,) = torch.autograd.grad(logits, rows, slopes)
            found.append((losses, logits.argmax(-1) == wanted, slopes))
        losses, right, slopes = (torch.cat(parts) for parts in zip(*found, strict=True))
        ctx.save_for_backward(slopes)
        ctx.mark_non_differentiable(right)
        return losses, right

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor, None]:
        """Gradient of the hidden states."""
        (slopes,) = ctx.saved_tensors
        return None, grads[0][:, None] * slopes, None


def _choices(
    network: Network, pointer: Pointer, hidden: Tensor, batch: Batch
) -> tuple[Tensor, Tensor]:
    """The same of the Q choices that are targets, over the legal options."""
    clips, rows, ends, taken = batch.choices.unbind(1)
    counted = batch.targets[rows, ends + 1] == STATE_GEN
    line_rows, line_ends = batch.step_ends[clips[counted]].unbind(-1)
    rows, ends = rows[counted], ends[counted]
    seen = None
    if pointer.matcher is not None:
        texts = network.line_words(batch.ids)[line_rows, line_ends]
        # zeros fill the lists up; nothing ends with the first token
        seen = pointer.matcher.seen(*_recent(batch, rows, ends), texts, line_ends > 0)
    legal = batch.options[counted]
    scores = pointer(hidden[rows, ends], hidden[line_rows, line_ends], legal, seen)
    losses = functional.cross_entropy(scores, taken[counted], reduction="none")
    return losses, scores.detach().argmax(-1) == taken[counted]


def _recent(batch: Batch, rows: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """The frames of the same clip before Q positions.

    Returns:
        (Q, RECENT, E), the last one last, and (Q, RECENT) which are there.
    """
    length = batch.ids.shape[1]
    frame_rows, places = batch.frame_ends.unbind(1)
    # where in its row the clip of each frame begins
    within = places if batch.positions is None else batch.positions[frame_rows, places]
    begins = frame_rows * length + places - within
    last = torch.searchsorted(frame_rows * length + places, rows * length + ends, right=True) - 1
    window = last[:, None] + torch.arange(1 - RECENT, 1, device=last.device)
    present = (window >= 0) & (begins[window.clamp(min=0)] == begins[last][:, None])
    return batch.features[window.clamp(min=0)].float().mean(2), present


def _decisions(network: Network, hidden: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """(N, 2) log-odds of both decisions and (N, 2) losses of their labels."""
    labelled = batch.labels != UNLABELLED
    if network.decide is not None:
        odds = network.decisions_at(hidden, batch.frame_ends, batch.speak_ends)
        columns = zip(odds.unbind(1), batch.labels.unbind(1), labelled.unbind(1), strict=True)
        return odds, torch.stack([_binary(*column) for column in columns], 1)
    if network.training:
        odds = torch.full(batch.labels.shape, torch.nan, device=hidden.device)
    else:
        odds = network.decisions_at(hidden, batch.frame_ends, batch.speak_ends)
    rows, ends = batch.frame_ends.unbind(1)
    targets = token_targets(batch.labels, network.openers)
    # both decisions of most frames are one target at one position, so its logits are made once
    later = labelled[:, SPEAK] & (batch.speak_ends != ends)
    here = labelled[:, UPDATE] | (labelled[:, SPEAK] & ~later)
    at_frame, _ = _tokens(network, hidden[rows[here], ends[here]], targets[here, UPDATE])
    after, _ = _tokens(network, hidden[rows[later], batch.speak_ends[later]], targets[later, SPEAK])
    update = torch.zeros_like(ends, dtype=at_frame.dtype).masked_scatter(here, at_frame)
    speak = update.masked_scatter(later, after)
    return odds, torch.stack([speak, update], 1) * labelled


def _binary(odds: Tensor, labels: Tensor, labelled: Tensor) -> Tensor:
    """(N,) cross-entropy of one decision's labels; 0 where there is none."""
    losses = functional.binary_cross_entropy_with_logits(
        odds[labelled], labels[labelled].float(), reduction="none"
    )
    return torch.zeros_like(odds).masked_scatter(labelled, losses)


def reduce(
    readout: Readout,
    labels: Tensor,
    denominators: Tensor,
    decision_loss: DecisionLoss = DecisionLoss(),  # noqa: B008  frozen
) -> Losses:
    """The four losses of a pass.

    Args:
        readout: Of `read`; all of it, or one source's part.
        labels: (N, 2) of `Batch`.
        denominators: (7,) `counts` of the global batch.
        decision_loss: How frames become one loss.
    """
    kinds, own = readout.kinds, denominators[:6]
    if decision_loss.pooled:
        own = (denominators[:6].sum() - denominators[6]).expand(6)
        counted = labels[:, UPDATE].masked_fill(_counted_twice(labels), UNLABELLED)
        labels = torch.stack([labels[:, SPEAK], counted], 1)
    speak, update = (
        decisions_mean(
            readout.decision_losses[:, decision],
            labels[:, decision],
            own[2 + 2 * decision : 4 + 2 * decision],
            decision_loss,
        )
        for decision in (SPEAK, UPDATE)
    )
    return Losses(
        _mean(readout.token_losses[kinds == SPEAK_GEN], own[0]),
        _mean(readout.token_losses[kinds == STATE_GEN], own[1]),
        speak,
        update,
    )


def decisions_mean(
    losses: Tensor, labels: Tensor, denominators: Tensor, settings: DecisionLoss
) -> Tensor:
    """One loss from the cross-entropies of a decision's frames; see `DecisionLoss`.

    Args:
        losses: (N,) -log of the probability of each frame's label.
        labels: (N,) `ACT`, `SILENT` or `UNLABELLED`.
        denominators: (2,) number of `ACT` and `SILENT` in the global batch; balanced with one class
            absent is the other's mean. Pooled: each is the number of all that counts.
        settings: Which mean.

    Returns:
        Scalar; 0 where nothing is labelled.
    """
    acting, silent = losses[labels == ACT], losses[labels == SILENT]
    if settings.kind == "balanced":
        classes = (denominators > 0).sum().clamp(min=1)
        return (_mean(acting, denominators[0]) + _mean(silent, denominators[1])) / classes
    if settings.kind == "focal":
        acting, silent = (part * (1 - (-part).exp()) ** settings.gamma for part in (acting, silent))
    elif settings.kind == "weighted":
        acting = settings.pos_weight * acting
    total = denominators[0] if settings.pooled else denominators.sum()
    return _mean(torch.cat([acting, silent]), total)


def _counted_twice(labels: Tensor) -> Tensor:
    """(N,) bool: where a silent update and a speak label are two labels of one token decision."""
    return (labels[:, UPDATE] == SILENT) & (labels[:, SPEAK] != UNLABELLED)


def _mean(values: Tensor, denominator: Tensor) -> Tensor:
    return values.sum() / denominator.clamp(min=1)
