"""What a run goes on from: complete checkpoints, the best weights, room on the disk."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from prospect.errors import ConfigError, DataError, MissingError
from prospect.files import check_manifest
from prospect.train.config import EVAL_METRICS

_CONSOLE = Console(stderr=True)
BEST = "best"
"""Folder of the best weights so far, in the run folder."""
_HEADROOM = 1.1  # optimizer states grow a little in the first steps


def step_of(checkpoint: Path) -> int:
    """Optimizer steps done in ``checkpoint-<step>``."""
    return int(checkpoint.name.split("-")[1])


def checkpoints(out: Path) -> list[Path]:
    """All ``checkpoint-<step>`` of a run folder, complete or not, the newest first."""
    return sorted(out.glob("checkpoint-*"), key=step_of, reverse=True)


def last_checkpoint(out: Path) -> Path | None:
    """The newest complete ``checkpoint-<step>`` of a run folder; damaged ones are said aloud."""
    for folder in checkpoints(out):
        try:
            check_manifest(folder)
        except (MissingError, DataError) as error:
            _CONSOLE.print(f"not resuming from {folder.name}: {error}")
        else:
            return folder
    return None


def drop_old(out: Path, keep: int) -> None:
    """Delete all but the ``keep`` newest checkpoints; call it once the newest is complete."""
    for folder in checkpoints(out)[keep:]:
        shutil.rmtree(folder)


def make_room(out: Path, estimate_bytes: int) -> None:
    """Make sure that a checkpoint fits on the disk before one is begun.

    Args:
        out: The run folder.
        estimate_bytes: Of the first checkpoint; later ones are as large as the one before.

    Raises:
        ConfigError: it doesn't; those there are stay as they are.
    """
    before = checkpoints(out)
    size = _bytes(before[0]) if before else estimate_bytes
    free = shutil.disk_usage(out).free
    if free < _HEADROOM * size:
        kept = f"; {before[0].name} is kept" if before else ""
        raise ConfigError(
            f"{out} has {free / 1e9:.2f} GB of disk left and a checkpoint takes "
            f"{size / 1e9:.2f}{kept}: free space or lower keep_checkpoints, then start the same "
            "command again to go on"
        )


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def stale(rows: Sequence[Mapping[str, Any]], metric: str) -> int:
    """Validations since the best one, of a log's rows in order: 0 if the last is the best.

    A tie is no improvement.

    Raises:
        ConfigError: validation has no such metric with these clips.
    """
    values = [row.get(f"eval_{metric}") for row in rows if "eval_loss" in row]
    if None in values:
        raise ConfigError(f"these validation clips have no {metric}; choose another metric")
    sign = 1 if EVAL_METRICS[metric] else -1
    ranked = [sign * value for value in values if value is not None]
    return len(ranked) - 1 - ranked.index(max(ranked))
