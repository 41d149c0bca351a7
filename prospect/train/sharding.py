"""The language model's frozen weights, shared out over the processes (FSDP2).

In: an objective on the CPU, in every process of a run. Out: the same objective, each decoder layer
of which holds one part of its frozen weights and gathers the others' just before it computes. What
learns is whole in every process and goes the way it goes without sharding (gradients are averaged,
checkpoints hold plain tensors), so a run can be resumed with another number of processes or none.

    torchrun --nproc-per-node 4 -m prospect train --training.sharding fsdp2 ...
"""

from collections.abc import Sequence

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from prospect.samples.labels import UNLABELLED
from prospect.train.objective import Objective


def shard_frozen(objective: Objective, device_type: str, processes: int) -> None:
    """Share the frozen weights of all decoder layers out; embeddings and output layer stay whole.

    Layers gather in every forward and backward pass, so from now on all processes have to make the
    same number of them.

    Args:
        objective: Of a model with ``tuning`` lora or frozen.
        device_type: ``cuda``, or ``cpu``; the layers move there.
        processes: How many share.
    """
    mesh = init_device_mesh(device_type, (processes,))
    stack = objective.network.llm.base_model
    frozen = [name for name, weight in objective.named_parameters() if not weight.requires_grad]
    whole = _frozen_bytes(stack.layers)
    for layer in stack.layers:
        # a layer gathers in one piece, of one number format: what learns is fp32
        learned = {weight for weight in layer.parameters() if weight.requires_grad}
        fully_shard(layer, mesh=mesh, reshard_after_forward=True, ignored_params=learned)
    # nothing of its own: it lets a layer gather while the one before computes
    fully_shard(stack, mesh=mesh, ignored_params=set(stack.parameters()))
    # else it would copy process 0's part of every layer to the others
    ignore = DistributedDataParallel._set_params_and_buffers_to_ignore_for_model
    ignore(objective, frozen)  # type: ignore[no-untyped-call]
    if mesh.get_rank() == 0:
        Console(stderr=True).print(
            f"sharding fsdp2: {whole:,} bytes of frozen layers, {_frozen_bytes(stack.layers):,} in "
            f"each of {processes} processes"
        )


def evened(batches: Sequence[dict[str, Tensor]], number: int) -> list[dict[str, Tensor]]:
    """This process's batches of a step, and the shortest again without labels up to ``number``."""
    shortest = min(batches, key=lambda batch: batch["ids"].numel())
    blank = {
        **shortest,
        "targets": torch.zeros_like(shortest["targets"]),
        "labels": torch.full_like(shortest["labels"], UNLABELLED),
    }
    return [*batches, *[blank] * (number - len(batches))]


def _frozen_bytes(layers: nn.Module) -> int:
    """Of the weights that don't learn, as far as this process holds them."""
    frozen = (weight.data for weight in layers.parameters() if not weight.requires_grad)
    held = (weight.to_local() if isinstance(weight, DTensor) else weight for weight in frozen)
    return sum(weight.nbytes for weight in held)
