"""The sides of `prospect bench train`, each run in a process of its own.

In: settings and clips. Out: figures of one way to train. The same clips make up the same optimizer
steps on every side (``grouped`` shares them out by length); adapters, optimizer, precision, losses
and their weights are the same too.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from prospect import stages
from prospect.bench.config import TrainBench
from prospect.bench.meter import Meter, shares
from prospect.bench.plain import PlainNetwork, copy_weights, padded, plain_loss, selective_loss
from prospect.model.backbone import keep_adapter_input
from prospect.model.config import DecisionLoss, ModelConfig
from prospect.model.losses import Batch, counts
from prospect.model.network import Network, build
from prospect.model.precision import default_device, resolve_dtype
from prospect.samples.dataset import ClipDataset, Sample, pack
from prospect.samples.plan import group
from prospect.samples.sequence import Renderer
from prospect.train.objective import Objective
from prospect.types import Clip

Batches = list[dict[str, Tensor]]

_LR = 1e-4


class Side(NamedTuple):
    """One way to train.

    Attributes:
        network: What is trained.
        batches: Samples of an optimizer step -> what goes through the network in turn.
        loss: Batch and denominators of the step -> the batch's share of the loss.
    """

    network: nn.Module
    batches: Callable[[Sequence[Sample]], Batches]
    loss: Callable[[dict[str, Tensor], Tensor], Tensor]


def ours(settings: TrainBench, network: Network, device: torch.device, dtype: torch.dtype) -> Side:
    """Clips packed in rows, each attending to itself; logits at labelled positions."""
    keep_adapter_input(network.llm)
    objective = Objective(network, DecisionLoss(), 0, device, dtype)

    def rows(samples: Sequence[Sample]) -> Batches:
        lengths = [len(rendered.ids) for rendered, _ in samples]
        parts = group(lengths, settings.batch_size, settings.tokens_per_batch)
        return [pack([samples[at] for at in part.tolist()]) for part in parts]

    def loss(batch: dict[str, Tensor], denominators: Tensor) -> Tensor:
        shares = objective(Batch(**batch), denominators[None])[0]
        # the library takes one mean over all labelled tokens, ours is one of each kind
        kinds = denominators[:2] / denominators[:2].sum()
        total: Tensor = (shares * torch.cat([kinds, torch.ones_like(kinds)])).sum()
        return total

    return Side(network, rows, loss)


def plain(
    settings: TrainBench,
    network: PlainNetwork,
    pad_id: int,
    device: torch.device,
    dtype: torch.dtype,
    selective: bool = False,
) -> Side:
    """Padded batches in the order given; all logits, or with ``selective`` the labelled ones."""

    def rows(samples: Sequence[Sample]) -> Batches:
        starts = range(0, len(samples), settings.batch_size)
        return [padded(samples[at : at + settings.batch_size], pad_id) for at in starts]

    def loss(batch: dict[str, Tensor], denominators: Tensor) -> Tensor:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            return (selective_loss if selective else plain_loss)(network, batch, denominators)

    return Side(network, rows, loss)


def measure(name: str, settings: TrainBench, clips: Sequence[Clip]) -> dict[str, Any]:
    """Train a few steps one way, and say how fast and in how much memory.

    Args:
        name: ``ours``, ``plain`` or ``grouped``.
        settings: Of the bench.
        clips: Those of ``steps + 1`` optimizer steps, of which the first is not timed.

    Returns:
        Figures as JSON; memory in bytes, net of what was held before the first step.
    """
    device, dtype = _begin(settings)
    side, renderer = _load(name, settings, device, dtype)
    dataset = ClipDataset(clips, renderer, _vectors(settings, renderer), None)
    run = Run(side, dataset, device)
    per_step = settings.batch_size * settings.accumulation
    timed = list(range(per_step, len(clips)))
    if name == "grouped":
        timed = _by_length(timed, renderer, clips, settings)
    meter = Meter(device)
    meter.start()
    run.step(range(per_step))
    run.data_s, run.computed = 0.0, 0
    clock, cpu = meter.now_s(), time.process_time()
    losses = [run.step(timed[at : at + per_step]) for at in range(0, len(timed), per_step)]
    wall_s, cpu_s = meter.now_s() - clock, time.process_time() - cpu
    figures = {
        "peak_memory_bytes": meter.peak_bytes(),
        "loaded_memory_bytes": meter.loaded_bytes,
        "seconds": wall_s,
        "cpu_seconds": cpu_s,
        "tokens_per_cpu_s": sum(renderer.clip_len(clips[at]) for at in timed) / cpu_s,
        "data_share": run.data_s / wall_s,
        "losses": losses,
    }
    return {
        **figures,
        **_counted([dataset[at] for at in timed], run.computed, wall_s),
        "time_goes_to": shares(lambda: run.step(timed[:per_step]), device),
    }


class Run:
    """A training loop: the same for every side.

    Attributes:
        data_s: Seconds spent on samples and batches so far.
        computed: Tokens that went through the network so far, padding included.
    """

    def __init__(self, side: Side, dataset: ClipDataset, device: torch.device) -> None:
        self._side, self._dataset, self._device = side, dataset, device
        side.network.to(device).train()
        self._learned = [weight for weight in side.network.parameters() if weight.requires_grad]
        self._optimizer = torch.optim.AdamW(self._learned, lr=_LR)
        self.data_s, self.computed = 0.0, 0

    def step(self, chosen: Sequence[int]) -> float:
        """One optimizer step over the chosen clips; returns its loss."""
        loss = self.backward(chosen)
        nn.utils.clip_grad_norm_(self._learned, 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return loss

    def backward(self, chosen: Sequence[int]) -> float:
        """The gradients of the loss over the chosen clips; returns the loss."""
        begun = time.perf_counter()
        samples = [self._dataset[at] for at in chosen]
        batches = [
            {name: value.to(self._device) for name, value in batch.items()}
            for batch in self._side.batches(samples)
        ]
        self.data_s += time.perf_counter() - begun
        self.computed += sum(batch["ids"].numel() for batch in batches)
        total = torch.stack([counts(one["targets"], one["labels"]) for one in batches]).sum(0)
        shares_of_loss = []
        for batch in batches:
            loss = self._side.loss(batch, total)
            loss.backward()  # type: ignore[no-untyped-call]
            shares_of_loss.append(loss.detach())
        return float(torch.stack(shares_of_loss).sum())


def compare(settings: TrainBench, clips: Sequence[Clip]) -> dict[str, float]:
    """The loss and its gradient, ours and the plain way's, in fp32 over one step's clips.

    Dropout is off, and adapters are random instead of zero, so that they take part.

    Returns:
        Both losses, their difference, and the largest difference of a gradient of the projector
        relative to the largest gradient.
    """
    device, _ = _begin(settings)
    exact = replace(settings, dtype="float32", model=_without_dropout(settings))
    side, renderer = _load("ours", exact, device, torch.float32)
    network = side.network
    assert isinstance(network, Network)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.02)
    other = PlainNetwork(exact.model, exact.feature_dim, renderer.image_id, torch.float32)
    copy_weights(network, other)
    dataset = ClipDataset(clips, renderer, _vectors(settings, renderer), None)
    found: list[tuple[float, Tensor]] = []
    for one in (side, plain(exact, other, renderer.end_id, device, torch.float32)):
        loss = Run(one, dataset, device).backward(range(len(clips)))
        gradient = one.network.get_parameter("projector.up.weight").grad
        assert gradient is not None
        found.append((loss, gradient))
    (our_loss, our_gradient), (plain_loss_, plain_gradient) = found
    apart = (our_gradient - plain_gradient).abs().max() / plain_gradient.abs().max()
    return {
        "ours": our_loss,
        "plain": plain_loss_,
        "difference": abs(our_loss - plain_loss_),
        "gradient_difference": float(apart),
    }


def _vectors(settings: TrainBench, renderer: Renderer) -> Callable[[Clip], Tensor]:
    """Clip -> random (F, P, E) frame vectors, made once: what they say doesn't change the speed."""
    generator = torch.Generator().manual_seed(settings.seed)
    size = (settings.model.context_len, renderer.tokens_per_frame, settings.feature_dim)
    pool = torch.randn(size, generator=generator)
    return lambda clip: pool[: clip.stop_frame - clip.start_frame]


def _begin(settings: TrainBench) -> tuple[torch.device, torch.dtype]:
    if settings.num_threads is not None:
        torch.set_num_threads(settings.num_threads)
    torch.manual_seed(settings.seed)
    return default_device(), resolve_dtype(settings.dtype)


def _load(
    name: str, settings: TrainBench, device: torch.device, dtype: torch.dtype
) -> tuple[Side, Renderer]:
    if name == "ours":
        network, renderer = build(settings.model, settings.feature_dim, dtype)
        return ours(settings, network, device, dtype), renderer
    renderer = stages.load_renderer(settings.model)
    other = PlainNetwork(settings.model, settings.feature_dim, renderer.image_id, dtype)
    selective = name == "grouped"
    return plain(settings, other, renderer.end_id, device, dtype, selective), renderer


def _without_dropout(settings: TrainBench) -> ModelConfig:
    return replace(settings.model, lora=replace(settings.model.lora, dropout=0.0))


def _by_length(
    chosen: Sequence[int], renderer: Renderer, clips: Sequence[Clip], settings: TrainBench
) -> list[int]:
    """The same clips in batches of similar length, the batches shuffled."""
    ranked = sorted(chosen, key=lambda at: renderer.clip_len(clips[at]))
    size = settings.batch_size
    batches = [ranked[at : at + size] for at in range(0, len(ranked), size)]
    random.Random(settings.seed).shuffle(batches)
    return [at for batch in batches for at in batch]


def _counted(samples: Sequence[Sample], computed: int, wall_s: float) -> dict[str, float]:
    tokens = sum(len(rendered.ids) for rendered, _ in samples)
    labelled = sum(int((rendered.targets > 0).sum()) for rendered, _ in samples)
    return {
        "tokens": tokens,
        "padding_share": 1 - tokens / computed,
        "tokens_per_s": tokens / wall_s,
        "labelled_tokens_per_s": labelled / wall_s,
        "frames_per_s": sum(len(features) for _, features in samples) / wall_s,
    }
