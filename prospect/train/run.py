"""Train a model on clips.

In: training and validation clips, their frame vectors, configurations. Out: a run folder with
``config.yaml``'s settings applied, ``metrics.jsonl``, the last checkpoints, ``best``, the weights
with the best validation, and ``checkpoint``, the finished model, each with thresholds fitted on the
validation clips. Several processes (``torchrun``) share every optimizer step.

    prospect train --data runs/toy --out runs/x --config presets/toy.yaml
    torchrun --nproc-per-node 2 -m prospect train --data runs/toy --out runs/x
"""

import math
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor
from transformers import TrainingArguments, set_seed

from prospect.errors import DataError
from prospect.model.backbone import checkpoint_activations, compile_layers, keep_adapter_input
from prospect.model.config import ModelConfig
from prospect.model.network import Network, build
from prospect.model.precision import resolve_dtype
from prospect.samples.dataset import ClipDataset, DrawnDataset, Features, SampleConfig
from prospect.samples.labels import check_clips
from prospect.samples.plan import Source, epoch_size
from prospect.samples.sequence import Renderer
from prospect.train.align import align
from prospect.train.checks import check
from prospect.train.config import TrainConfig
from prospect.train.fit import memory_advice, sizes_of
from prospect.train.log import LOG, read_log, trim_log
from prospect.train.objective import Objective
from prospect.train.progress import shown
from prospect.train.saving import BEST, last_checkpoint, step_of
from prospect.train.setup import arguments_of
from prospect.train.sharding import shard_frozen
from prospect.train.trainer import FourLossTrainer, Job
from prospect.train.watch import Watch
from prospect.types import Clip

_STATISTICS_CLIPS = 64  # about 25,000 frames: enough for means and deviations


def train(
    train_clips: Sequence[Clip],
    val_clips: Sequence[Clip],
    features: Features,
    feature_dim: int,
    model: ModelConfig,
    config: TrainConfig,
    out: Path,
    sources: Sequence[Source] = (),
) -> Path:
    """Train, or go on with what an interrupted run left in ``out``.

    Args:
        train_clips, val_clips: Each at least one; validation fits the thresholds.
        features: Frame vectors of a clip.
        feature_dim: Their width E.
        model, config: Settings.
        out: Run folder.
        sources: The mixture; none takes every training clip once an epoch.

    Returns:
        The folder of the finished checkpoint.

    Raises:
        DataError: no clips, clips of several frame rates, or features of another encoder.
        MissingError: a package that the settings need is not installed.
        ConfigError: settings that exclude each other, or memory or disk don't suffice.
    """
    fps = _checked(train_clips, val_clips, model, config)
    mixture = tuple(sources) or (Source("all", tuple(range(len(train_clips)))),)
    out.mkdir(parents=True, exist_ok=True)
    arguments = arguments_of(config, out, dtype := resolve_dtype(config.dtype))
    set_seed(config.seed)
    network, renderer = _network(train_clips, features, feature_dim, model, config, out, dtype)
    objective = _objective(network, config, len(mixture), arguments, dtype)
    drawn = SampleConfig(config.negative_rate, config.permute_steps, config.seed, config.slips)
    dataset = ClipDataset(train_clips, renderer, features, drawn)
    sizes = sizes_of(objective, dataset, renderer, config, arguments)
    validation = ClipDataset(val_clips, renderer, features, None)
    steps_per_epoch = math.ceil(epoch_size(mixture) / sizes.global_batch)
    total_steps = math.ceil(steps_per_epoch * config.optim.epochs)
    rho = partial(_negative_rate, dataset, steps_per_epoch)
    about = {"train_clips": len(train_clips)}
    watch = Watch(objective, renderer, validation, model, config, rho, fps, about, arguments, out)
    with shown(Console(stderr=True, quiet=arguments.process_index > 0), total_steps) as show:
        job = Job(
            objective=objective,
            dataset=DrawnDataset(dataset, _source_of(mixture)),
            sources=mixture,
            clip_frames=[clip.stop_frame - clip.start_frame for clip in train_clips],
            sizes=sizes,
            pad_id=renderer.end_id,
            config=config,
            watch=watch,
            show=show,
            out=out,
        )
        _run(trainer := FourLossTrainer(job, arguments), model)
    return _finish(trainer)


def _network(
    clips: Sequence[Clip],
    features: Features,
    feature_dim: int,
    model: ModelConfig,
    config: TrainConfig,
    out: Path,
    dtype: torch.dtype,
) -> tuple[Network, Renderer]:
    """The model as training begins: fitted to the vectors, aligned unless that was done."""
    network, renderer = build(model, feature_dim, dtype)
    network.fit(_sampled_vectors(clips, features, feature_dim))
    if config.align.steps and last_checkpoint(out) is None:
        align(network, renderer, clips, features, config.align, config.seed)
    if config.adapter_input == "native":
        keep_adapter_input(network.llm)
    if config.activation_checkpointing:
        checkpoint_activations(network.llm)
    if config.compile:
        compile_layers(network.llm)
    return network, renderer


def _objective(
    network: Network,
    config: TrainConfig,
    num_sources: int,
    arguments: TrainingArguments,
    dtype: torch.dtype,
) -> Objective:
    """Model and losses, this process's part of them if they are sharded."""
    objective = Objective(network, config.decision_loss, num_sources, arguments.device, dtype)
    if config.sharding == "fsdp2":
        shard_frozen(objective, arguments.device.type, arguments.world_size)
    return objective


def _run(trainer: FourLossTrainer, model: ModelConfig) -> None:
    """All steps that are left."""
    job, arguments = trainer.job, trainer.args
    resume = last_checkpoint(job.out)
    if arguments.process_index == 0:
        trim_log(job.out / LOG, step_of(resume) if resume else 0)
    elif resume is None:
        # dropout differs between processes; a checkpoint holds each one's generators
        torch.manual_seed(arguments.seed + arguments.process_index)
    with memory_advice(
        job.config, job.sizes.batch_size, model.context_len, arguments.device, job.out
    ):
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)


def _finish(trainer: FourLossTrainer) -> Path:
    """Validate the last weights unless that was done, and write the finished model."""
    job, step = trainer.job, trainer.state.global_step
    folder = job.out / "checkpoint"
    rows = read_log(job.out / LOG)
    if any(row["step"] == step and "eval_loss" in row for row in rows):
        found = job.watch.measure()
    else:
        found = trainer.validate()
    if job.config.patience is None:
        job.watch.save(found, step, folder)
    elif trainer.is_world_process_zero():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(job.out / BEST, folder)
    trainer.accelerator.wait_for_everyone()
    return folder


def _negative_rate(dataset: ClipDataset, steps_per_epoch: int, step: int) -> float:
    """rho of the last of ``step`` optimizer steps."""
    last = max(step - 1, 0)
    return dataset.negative_rate(last // steps_per_epoch, last)


def _checked(
    train_clips: Sequence[Clip], val_clips: Sequence[Clip], model: ModelConfig, config: TrainConfig
) -> float:
    """The clips' frame rate, if settings and clips can work."""
    check(model, config)
    check_clips(model.layout, [*train_clips, *val_clips])
    if not train_clips or not val_clips:
        raise DataError(
            f"{len(train_clips)} training and {len(val_clips)} validation clips; need both"
        )
    rates = sorted({clip.fps for clip in (*train_clips, *val_clips)})
    if len(rates) > 1:
        raise DataError(f"clips of {rates} frames/s; a model has one rate: cut them at the same")
    return rates[0]


def _source_of(sources: Sequence[Source]) -> dict[int, int]:
    """Number of each clip's source."""
    return {index: number for number, source in enumerate(sources) for index in source.clips}


def _sampled_vectors(clips: Sequence[Clip], features: Features, feature_dim: int) -> Tensor:
    """(N, E) vectors of up to `_STATISTICS_CLIPS` clips, evenly taken from all."""
    every = math.ceil(len(clips) / _STATISTICS_CLIPS)
    found = []
    for clip in clips[::every]:
        vectors = features(clip)
        if vectors.shape[-1] != feature_dim:
            raise DataError(
                f"{clip.clip_id}: its features are {vectors.shape[-1]} wide, the model's encoder "
                f"gives {feature_dim}; encode the folder with this model's encoder"
            )
        found.append(vectors.flatten(0, 1))
    return torch.cat(found)
