"""The network and its losses as one module.

What spreads training over processes (DDP, FSDP, ZeRO) wraps a module and sees only what its
forward pass uses: projector, heads and losses have to be inside, or their gradients would not be
summed over the processes.
"""

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache

from prospect.model.config import DecisionLoss
from prospect.model.losses import Batch, Losses, Readout, counts, read, reduce
from prospect.model.network import Network
from prospect.model.slots import Slots
from prospect.samples.sequence import NONE


class Objective(nn.Module):
    """The four losses of a network, of all clips and of each source.

    Args:
        network: The model.
        decision_loss: How the frames of a decision become one loss.
        num_sources: S; below 2 none is told apart.
        device: On which it is trained.
        dtype: Of the language model's arithmetic; decisions and losses are fp32 as in streaming.
    """

    def __init__(
        self,
        network: Network,
        decision_loss: DecisionLoss,
        num_sources: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        forward = network.forward

        def cast(
            ids: Tensor,
            features: Tensor,
            cache: Cache | Slots | None = None,
            positions: Tensor | None = None,
            rows: Tensor | None = None,
        ) -> Tensor:
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                hidden = forward(ids, features, cache, positions, rows)
            # gradients of tokens and frames meet here, and would be rounded one by one in bf16
            return hidden.float()

        network.forward = cast  # type: ignore[method-assign]
        self.network = network
        self.decision_loss = decision_loss
        # one source is the whole
        self.num_sources = num_sources if num_sources > 1 else 0

    def forward(self, batch: Batch, denominators: Tensor) -> Tensor:
        """This batch's shares of the losses.

        Args:
            batch: On the network's device.
            denominators: (1 + S, K) `denominators`, summed over the global batch.

        Returns:
            (1 + S, 4): the four losses of all clips, then each source's, which have no gradient.
        """
        readout = self.read(batch)
        losses = [self.reduce(readout, batch.labels, denominators[0])]
        for source in range(self.num_sources):
            part, labels = _part(readout, batch, source)
            losses.append(self.reduce(part, labels, denominators[1 + source]))
        return torch.stack([torch.stack(row) for row in losses])

    def read(self, batch: Batch) -> Readout:
        """What the model says, also for validation."""
        # the library casts all of a wrapped module's forward pass; only the network's is to be
        with torch.autocast(batch.ids.device.type, enabled=False):
            return read(self.network, batch)

    def reduce(self, readout: Readout, labels: Tensor, denominators: Tensor) -> Losses:
        """`prospect.model.losses.reduce` with this run's settings."""
        return reduce(readout, labels, denominators, self.decision_loss)


def denominators(batch: Batch, num_sources: int) -> Tensor:
    """(1 + S, K) the K `counts` of a batch: of all its clips, then of each source's."""
    rows = [counts(batch.targets, batch.labels)]
    for source in range(num_sources):
        targets, labels = _of_source(batch, source)
        rows.append(counts(targets, labels))
    return torch.stack(rows)


def _of_source(batch: Batch, source: int) -> tuple[Tensor, Tensor]:
    """Targets (B, L) with those of other sources taken out, and the source's labels (n, 2)."""
    assert batch.sources is not None
    rows, ends = batch.frame_ends.unbind(1)
    targets = torch.where(batch.sources == source, batch.targets, NONE)
    return targets, batch.labels[batch.sources[rows, ends] == source]


def _part(readout: Readout, batch: Batch, source: int) -> tuple[Readout, Tensor]:
    """What was read of one source, and its labels."""
    assert batch.sources is not None
    tokens = (batch.sources == source)[:, 1:][batch.targets[:, 1:] > 0]
    rows, ends = batch.frame_ends.unbind(1)
    frames = batch.sources[rows, ends] == source
    part = Readout(
        readout.token_losses[tokens].detach(),
        readout.kinds[tokens],
        readout.right[tokens],
        readout.decisions[frames].detach(),
        readout.decision_losses[frames].detach(),
    )
    return part, batch.labels[frames]
