"""From clips to a model."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from prospect.dataset import preflight
from prospect.errors import ConfigError, ProspectError
from prospect.files import (
    as_yaml,
    read_text,
    text_hash,
    write_json,
    write_text,
)
from prospect.model.config import ModelConfig
from prospect.provenance import about_this_machine
from prospect.stages.shared import load_clips, open_features, say
from prospect.train.config import TrainConfig
from prospect.types import Clip

_SETTINGS = "config.yaml"


def train(
    data: tuple[Path, ...],
    out: Path,
    val: tuple[Path, ...] = (),
    model: ModelConfig = ModelConfig(),  # noqa: B008  frozen
    training: TrainConfig = TrainConfig(),  # noqa: B008  frozen
    frames_root: Path | None = None,
    dry_run: bool = False,
) -> None:
    """Train a model; started again it goes on where it stopped.

    Args:
        data: Data folders; their clips of the training split are learned.
        out: Run folder; the finished model is its ``checkpoint``.
        val: Data folders whose clips all validate; without any, `data`'s validation split does.
        model: What is trained.
        training: How.
        frames_root: Folder of ProAssist's stores, if the frames are there.
        dry_run: Take two steps on the longest clips, say what they cost, and keep nothing.
    """
    from prospect.train.dry import dry_run as try_out
    from prospect.train.mixture import mixture
    from prospect.train.run import train as run

    found = [(folder, clip) for folder in data for clip in load_clips(folder, "train")]
    sources = mixture(training.sources, [(folder, clip.kind) for folder, clip in found])
    learned = [clip for _, clip in found]
    checked = [item for folder in val for item in load_clips(folder, None)]
    if not val:
        checked = [item for folder in data for item in load_clips(folder, "val")]
    if not dry_run:
        settings = train_options(data, out, val, model, training, frames_root)
        _begin(out, settings, [*learned, *checked])
    vectors, feature_dim = open_features((*data, *val), model, frames_root)
    preflight((*data, *val), vectors)
    if dry_run:
        say(try_out(learned, checked, vectors, feature_dim, model, training))
        return
    folder = run(learned, checked, vectors, feature_dim, model, training, out, sources)
    mixed = sum(len(source.clips) for source in sources)
    left = f" ({len(learned) - mixed} fit no source)" if mixed < len(learned) else ""
    say(f"{folder}: trained on {mixed} clips{left}, validated on {len(checked)}")


def train_options(
    data: tuple[Path, ...],
    out: Path,
    val: tuple[Path, ...],
    model: ModelConfig,
    training: TrainConfig,
    frames_root: Path | None,
) -> str:
    """The options of `train` as the text of a file for its ``--config``."""
    settings = {"data": data, "out": out, "val": val, "model": model, "training": training}
    return as_yaml({**settings, "frames_root": frames_root})


def train_together(processes: int, out: Path, options: str) -> None:
    """`train` in processes of this machine, one a GPU where there are GPUs, under ``torchrun``.

    Args:
        processes: How many.
        out: Run folder.
        options: Of `train_options`, for the same folder.

    Raises:
        ProspectError: one of them ended early; it has said why.
    """
    write_text(out / _SETTINGS, options)
    started = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    told = ["-m", "prospect", "train", "--config", str(out / _SETTINGS)]
    done = subprocess.run([*started, "--nproc-per-node", str(processes), *told], check=False)
    if done.returncode:
        raise ProspectError(
            f"{out}: of {processes} processes that train, one ended with an error, which stands "
            "above; started again, the run goes on from its last checkpoint"
        )


def _begin(out: Path, settings: str, found: Sequence[Clip]) -> None:
    """Write what a run is made from; refuse to go on with a run of something else."""
    made_from = {_SETTINGS: settings, "clips.sha256": text_hash(repr(found))}
    for name, text in made_from.items():
        if (out / name).exists() and read_text(out / name) != text:
            raise ConfigError(
                f"{out} holds a run of other settings or clips ({name} differs); choose another "
                "--out, or delete it"
            )
    for name, text in made_from.items():
        write_text(out / name, text)
    write_json(out / "about.json", about_this_machine())
