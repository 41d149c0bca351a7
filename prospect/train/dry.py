"""Two optimizer steps of a run, on its longest clips, to see that it works and what it takes.

In: what `prospect.train.run.train` takes. Out: losses, speed and memory, and the computed estimate
beside; nothing is kept.

    prospect train --dry-run --data runs/toy --out runs/x
"""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from transformers import AutoConfig

from prospect.model.config import ModelConfig
from prospect.model.precision import default_device, resolve_dtype
from prospect.pretrained import model_folder
from prospect.samples.dataset import Features
from prospect.samples.plan import Source
from prospect.train.config import TrainConfig
from prospect.train.fit import peak_bytes
from prospect.train.log import LOG, read_log
from prospect.train.memory import Estimate, estimate, shape_of
from prospect.train.run import train
from prospect.types import Clip

STEPS = 2


def dry_run(
    train_clips: Sequence[Clip],
    val_clips: Sequence[Clip],
    features: Features,
    feature_dim: int,
    model: ModelConfig,
    config: TrainConfig,
) -> str:
    """Build everything and take two steps in a temporary folder.

    Mixture weights don't matter for two steps: the longest clips of all sources are taken.

    Args:
        train_clips, val_clips, features, feature_dim: As for `prospect.train.run.train`.
        model, config: Settings.

    Returns:
        What was seen, a line each.

    Raises:
        ProspectError: what would have stopped the run.
    """
    longest = sorted(train_clips, key=lambda clip: clip.start_frame - clip.stop_frame)
    shown = longest[: STEPS * _clips_a_step(config)]
    epochs = STEPS / math.ceil(len(shown) / _clips_a_step(config))
    short = replace(
        config,
        optim=replace(config.optim, epochs=epochs),
        sources={},
        log_steps=1,
        eval_steps=STEPS,
        save_steps=STEPS,
        report_to=(),
    )
    sources = [Source("all", tuple(range(len(shown))))]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        train(shown, val_clips[:STEPS], features, feature_dim, model, short, out, sources)
        rows = [row for row in read_log(out / LOG) if "loss" in row]
    device = default_device()
    lines = [
        f"step {row['step']}: loss {row['loss']:.3f}, {row['tokens_per_s']:.0f} tokens/s"
        for row in rows
    ]
    lines.append(f"peak memory on {device.type}: {peak_bytes(device) / 1e9:.1f} GB")
    lines.append(f"estimate: {_estimate(model, config)}")
    return "\n".join(lines)


def _clips_a_step(config: TrainConfig) -> int:
    """With ``batch_size: auto`` one, which the run then finds itself."""
    optim = config.optim
    if optim.global_batch is not None:
        return optim.global_batch
    return 1 if optim.batch_size == "auto" else optim.batch_size * optim.accumulation


def _estimate(model: ModelConfig, config: TrainConfig) -> Estimate:
    settings = AutoConfig.from_pretrained(model_folder(model.llm))
    batch = 1 if config.optim.batch_size == "auto" else config.optim.batch_size
    tokens = config.tokens_per_batch if config.packing else batch * model.context_len
    number_bytes = resolve_dtype(config.dtype).itemsize
    return estimate(shape_of(settings.get_text_config()), model, config, tokens, number_bytes)
