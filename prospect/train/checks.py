"""What can be known to go wrong before data is made, encoded or read.

In: settings, and what the machine has. Out: nothing, or a `ConfigError` that says what to change.
"""

import os

import torch

from prospect.errors import ConfigError
from prospect.model.backbone import read_settings
from prospect.model.config import ModelConfig
from prospect.model.precision import default_device, resolve_dtype
from prospect.train.config import TrainConfig


def check(model: ModelConfig, config: TrainConfig, processes: int | None = None) -> None:
    """Refuse settings that exclude each other, or that this machine can't train with.

    Args:
        model, config: The settings.
        processes: Of this machine that will train; None: those that ``torchrun`` has started.

    Raises:
        ConfigError: such settings, or an LLM that can't be tuned like this.
        MissingError: the LLM, or a package that it needs, is not at hand.
    """
    resolve_dtype(config.dtype)
    gpus = torch.cuda.device_count()
    if processes is not None and 0 < gpus < processes:
        raise ConfigError(
            f"processes is {processes}, but {gpus} GPUs are visible, and each needs one of its own"
        )
    processes = processes or int(os.environ.get("WORLD_SIZE", "1"))
    if gpus > 1 and processes == 1:
        raise ConfigError(
            f"{gpus} GPUs are visible, but one process trains on one: give `prospect run` "
            f"--processes {gpus}, start `torchrun --nproc-per-node {gpus} -m prospect train ...` "
            "on finished data (docs/scale.md), or set CUDA_VISIBLE_DEVICES=0"
        )
    if config.decision_loss.pooled and model.decision == "heads":
        raise ConfigError(
            "decision_loss.pooled is one mean over next tokens, but model.decision is heads; "
            "choose decision: token, or pooled: false"
        )
    if config.slips and not model.layout.choices:
        raise ConfigError(
            f"slips is {config.slips}, but with write: generate what is told is what is learned; "
            "choose write: match or point, or slips: 0"
        )
    if config.slips and "reopen" in model.moves:
        raise ConfigError(
            f"slips is {config.slips}, but model.moves has reopen, and slips know only starts and "
            "ends; set slips to 0"
        )
    if model.write == "match" and not (config.align.steps and config.align.kind == "contrast"):
        raise ConfigError(
            f"write is match, but align is {config.align.kind} for {config.align.steps} steps, and "
            "only the alignment teaches the matcher; set training.align to {steps: 600, kind: "
            "contrast}, or choose write: point"
        )
    on_gpu = default_device().type == "cuda"
    if model.features == "on_the_fly" and config.data_workers and on_gpu:
        raise ConfigError(
            f"model.features is on_the_fly with {config.data_workers} data_workers, but a process "
            "that prepares batches can't use the encoder's GPU; set training.data_workers to 0, or "
            "features: stored"
        )
    if config.sharding == "fsdp2":
        _check_sharding(model, config, processes)
    read_settings(model)


def _check_sharding(model: ModelConfig, config: TrainConfig, processes: int) -> None:
    if processes == 1:
        raise ConfigError(
            "sharding is fsdp2, which shares weights out over processes, but there is one; give "
            "`prospect run` --processes N, start `torchrun --nproc-per-node N -m prospect train "
            "...`, or leave it out"
        )
    if model.tuning in ("full", "qlora"):
        raise ConfigError(
            f"sharding is fsdp2, which shares frozen weights out, but model.tuning is "
            f"{model.tuning}: choose lora, or leave sharding out"
        )
    if config.optim.batch_size == "auto":
        raise ConfigError(
            "sharding is fsdp2, under which processes can't try out sizes one by one as batch_size "
            "auto does; give a number"
        )
