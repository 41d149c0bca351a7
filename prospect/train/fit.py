"""How much fits: the micro-batch of ``batch_size: auto``, and what to do when memory runs out.

On a GPU the largest micro-batch whose peak stays below the target is the fastest; on a CPU, where
more is not always faster, the fastest one below half of the free memory.
"""

import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from transformers import TrainingArguments

from prospect.errors import ConfigError
from prospect.files import parse, read_json, write_json
from prospect.model.losses import Batch
from prospect.samples.dataset import ClipDataset, collate, pack
from prospect.samples.sequence import Renderer
from prospect.train.config import TrainConfig
from prospect.train.objective import Objective, denominators
from prospect.train.processes import gathered
from prospect.train.saving import last_checkpoint
from prospect.types import Clip

_CPU_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory")
_SLOWER = 0.95  # of the best speed: beyond it larger batches only cost memory


_MOMENTS_BYTES = 8  # AdamW keeps two fp32 numbers a learned weight
_FILE = "batch.json"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many clips go through the model together, and how many make an optimizer step.

    Attributes:
        batch_size: Clips a padded forward pass.
        tokens_per_batch: Tokens of a packed row; None pads.
        global_batch: Clips an optimizer step, over all processes.
    """

    batch_size: int
    tokens_per_batch: int | None
    global_batch: int


@dataclass(frozen=True, slots=True)
class Probe:
    """One forward and backward pass.

    Attributes:
        peak_bytes: Most memory in use, weights and all.
        tokens_per_s: Speed.
    """

    peak_bytes: int
    tokens_per_s: float


def sizes_of(
    objective: Objective,
    dataset: ClipDataset,
    renderer: Renderer,
    config: TrainConfig,
    arguments: TrainingArguments,
) -> Sizes:
    """The batch sizes of a run; ``auto`` tries them out on the longest clips.

    What was found is kept in the run folder, so that a resumed run takes the same steps.

    Raises:
        ConfigError: not even one clip fits.
    """
    optim, world = config.optim, arguments.world_size
    row = config.tokens_per_batch if config.packing else None
    if optim.batch_size != "auto":
        global_batch = optim.global_batch or optim.batch_size * optim.accumulation
        return Sizes(optim.batch_size, row, global_batch)
    path = Path(str(arguments.output_dir)) / _FILE
    if path.exists():
        return parse(read_json(path), Sizes, str(path))
    most = len(dataset) if optim.global_batch is None else -(-optim.global_batch // world)
    device = arguments.device
    objective.to(device).train()
    learned = sum(p.numel() for p in objective.parameters() if p.requires_grad)
    limit = limit_bytes(device, config.memory_target) - learned * _MOMENTS_BYTES
    longest = sorted(range(len(dataset)), key=lambda at: -_frames(dataset.clips[at]))
    # dropout draws from the run's generators; trying out must not move them
    with torch.random.fork_rng():
        tried = partial(_try, objective, dataset, renderer, longest, config.packing, device)
        size, probe = largest(tried, limit, most, fastest=device.type != "cuda")
    size = min(gathered([size]))
    if config.packing:
        row = size * max(len(dataset[at][0].ids) for at in longest[:size])
    sizes = Sizes(size, row, optim.global_batch or size * optim.accumulation * world)
    if arguments.process_index == 0:
        write_json(path, asdict(sizes))
        Console(stderr=True).print(
            f"batch_size auto: {size} clips a forward pass, {sizes.global_batch} a step; peak "
            f"{probe.peak_bytes / 1e9:.1f} of {limit / 1e9:.1f} GB, {probe.tokens_per_s:.0f} tok/s"
        )
    return sizes


def _frames(clip: Clip) -> int:
    return clip.stop_frame - clip.start_frame


def _try(
    objective: Objective,
    dataset: ClipDataset,
    renderer: Renderer,
    longest: Sequence[int],
    packing: bool,
    device: torch.device,
    size: int,
) -> Probe | None:
    """Forward and backward of the ``size`` longest clips; leaves no gradient behind."""
    samples = [dataset[at] for at in longest[:size]]
    tensors = pack(samples) if packing else collate(samples, renderer.end_id)
    tokens = sum(len(rendered.ids) for rendered, _ in samples)

    def step() -> int:
        batch = Batch(**{name: value.to(device) for name, value in tensors.items()})
        counted = denominators(batch, 0).repeat(1 + objective.num_sources, 1)
        objective(batch, counted)[0].sum().backward()
        return tokens

    probe = measure(step, device)
    objective.zero_grad(set_to_none=True)
    return probe


def largest(
    probe: Callable[[int], Probe | None], limit_bytes: int, most: int, fastest: bool
) -> tuple[int, Probe]:
    """The micro-batch to train with.

    Args:
        probe: Tries a size; None where memory runs out.
        limit_bytes: The peak may not be above it.
        most: No more clips than this.
        fastest: Take the fastest size and stop trying once it gets slower; else the largest.

    Returns:
        The size and what was measured with it.

    Raises:
        ConfigError: not even one clip fits.
    """
    good: dict[int, Probe] = {}
    size, too_large = 1, most + 1
    while size < too_large:
        found = probe(size)
        if found is None or found.peak_bytes > limit_bytes:
            too_large = size
        else:
            good[size] = found
            best_speed = max(one.tokens_per_s for one in good.values())
            if fastest and found.tokens_per_s < _SLOWER * best_speed:
                break
        # doubled until it is too much, then halfway between what fits and what doesn't
        last = max(good, default=0)
        size = min(2 * last, most) if too_large > most else (last + too_large) // 2
        if size in good or size == 0:
            break
    if not good:
        raise ConfigError(
            f"batch_size auto: not even one clip fits in {limit_bytes / 1e9:.1f} GB; lower "
            "model.context_len, set training.activation_checkpointing, or take a smaller model"
        )
    chosen = max(good, key=lambda one: good[one].tokens_per_s) if fastest else max(good)
    return chosen, good[chosen]


def measure(step: Callable[[], int], device: torch.device) -> Probe | None:
    """Run ``step``, which returns its tokens, twice (the first warms up); None if out of memory."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    try:
        step()
        started = time.perf_counter()
        tokens = step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return None
    return Probe(peak_bytes(device), tokens / (time.perf_counter() - started))


def limit_bytes(device: torch.device, memory_target: float) -> int:
    """What `largest` may fill: that share of the GPU, or of half of what this computer has free."""
    if device.type == "cuda":
        return int(memory_target * torch.cuda.get_device_properties(device).total_memory)
    return peak_bytes(device) + int(memory_target * free_bytes() / 2)


def free_bytes() -> int:
    """Memory that this computer could still give (Linux), else of all it has."""
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        fields = dict(row.split(":") for row in meminfo.read_text().splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024
    return _physical_bytes()


def _physical_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def peak_bytes(device: torch.device) -> int:
    """Most memory this process has used so far: on the GPU, or resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    # kilobytes, on macOS bytes
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out; torch's CPU allocator has no class for it."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(
        text in str(error) for text in _CPU_OUT_OF_MEMORY
    )


@contextmanager
def memory_advice(
    config: TrainConfig, batch_size: int, context_len: int, device: torch.device, out: Path
) -> Iterator[None]:
    """Turn an out-of-memory error into numbers and the settings to change.

    Args:
        config: Of the run.
        batch_size: Clips a forward pass, as used.
        context_len: Of the model.
        device: Of the model.
        out: The run folder.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        total = (
            torch.cuda.get_device_properties(device).total_memory
            if device.type == "cuda"
            else _physical_bytes()
        )
        row = (
            f"training.tokens_per_batch (now {config.tokens_per_batch})"
            if config.packing
            else f"training.optim.batch_size (now {batch_size})"
        )
        third = (
            "model.lora.rank"
            if config.activation_checkpointing
            else "set training.activation_checkpointing (now off)"
        )
        kept = last_checkpoint(out)
        since = (
            f"{kept.name} is kept, the same command goes on from it" if kept else "nothing saved"
        )
        raise ConfigError(
            f"out of memory on {device.type}: {peak_bytes(device) / 1e9:.1f} of "
            f"{total / 1e9:.1f} GB were in use; lower {row} or model.context_len (now "
            f"{context_len}), or {third}; {since}"
        ) from error
