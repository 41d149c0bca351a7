"""What a run is set up with: the library's arguments, the optimizer and its schedule."""

import importlib.util
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from transformers import TrainingArguments, get_cosine_schedule_with_warmup

from prospect.errors import ConfigError, MissingError
from prospect.files import read_json
from prospect.model.network import Network
from prospect.train.config import OptimConfig, TrainConfig


def arguments_of(config: TrainConfig, out: Path, dtype: torch.dtype) -> TrainingArguments:
    """The library's arguments.

    Raises:
        MissingError: a package that `TrainConfig.report_to` or `sharding` needs isn't installed.
        DataError: the sharding file is no JSON.
        ConfigError: or not DeepSpeed's.
    """
    for tracker in config.report_to:
        if importlib.util.find_spec(tracker) is None:
            raise MissingError(
                f"report_to: {tracker} is not installed; pip install 'prospect-assistant[track]', "
                "or leave it out"
            )
    gpu = torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(out),
        num_train_epochs=config.optim.epochs,
        max_grad_norm=config.optim.max_grad_norm,
        logging_steps=config.log_steps,
        logging_nan_inf_filter=False,
        eval_strategy="steps",
        eval_steps=config.eval_steps,
        save_steps=config.save_steps,
        seed=config.seed,
        bf16=dtype == torch.bfloat16,
        fp16=dtype == torch.float16,
        use_cpu=not gpu,
        # a batch without any transition uses none of what only transitions use
        ddp_find_unused_parameters=True,
        remove_unused_columns=False,
        label_names=[],
        report_to=list(config.report_to) or "none",
        run_name=out.name,
        disable_tqdm=True,
        **deepspeed_options(config.sharding),
    )


def deepspeed_options(path: Literal["fsdp2"] | Path | None) -> dict[str, Any]:
    """Nothing unless ``sharding`` names a file."""
    if not isinstance(path, Path):
        return {}
    settings = read_json(path)
    if "zero_optimization" not in settings:
        raise ConfigError(
            f"{path} has no zero_optimization, so it is no configuration of DeepSpeed; for FSDP2 "
            "set training.sharding to fsdp2, which needs no file"
        )
    if importlib.util.find_spec("deepspeed") is None:
        raise MissingError(
            f"{path} is for DeepSpeed, which is not installed; pip install deepspeed"
        )
    return {"deepspeed": settings}


def optimizer_of(network: Network, optim: OptimConfig) -> torch.optim.AdamW:
    """AdamW; the LLM and new layers have their own rates."""
    return torch.optim.AdamW(_groups(network, optim))


def schedule_of(
    optimizer: torch.optim.Optimizer, optim: OptimConfig, total_steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Linear warm-up, then cosine decay to 0."""
    warmup = optim.warmup_steps
    if warmup is None:
        warmup = round(optim.warmup_share * total_steps)
    schedule: torch.optim.lr_scheduler.LambdaLR = get_cosine_schedule_with_warmup(
        optimizer, warmup, total_steps
    )
    return schedule


def _groups(network: Network, optim: OptimConfig) -> list[dict[str, object]]:
    """The LLM and new layers with their own rates; weight decay on matrices only."""
    pretrained = set(network.llm.parameters())
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in network.parameters():
        if parameter.requires_grad:
            lr = optim.lr if parameter in pretrained else optim.new_lr
            decay = optim.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((lr, decay), []).append(parameter)
    return [
        {"params": params, "lr": lr, "weight_decay": decay}
        for (lr, decay), params in groups.items()
    ]
