"""From clips to a model, its predictions, their scores and the report."""

from collections.abc import Sequence
from pathlib import Path

from prospect.dataset import preflight
from prospect.errors import ConfigError
from prospect.files import (
    MANIFEST,
    as_yaml,
    file_hash,
    read_text,
    text_hash,
    write_json,
    write_text,
)
from prospect.model.config import ModelConfig
from prospect.provenance import about_this_machine
from prospect.stages.shared import load_clips, open_features, say
from prospect.stream.config import StreamConfig
from prospect.train.config import TrainConfig
from prospect.types import Clip, Split


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
    if dry_run:
        vectors, feature_dim = open_features((*data, *val), model, frames_root)
        say(try_out(learned, checked, vectors, feature_dim, model, training))
        return
    settings = {"data": data, "out": out, "val": val, "model": model, "training": training}
    _begin(out, as_yaml({**settings, "frames_root": frames_root}), [*learned, *checked])
    vectors, feature_dim = open_features((*data, *val), model, frames_root)
    preflight((*data, *val), vectors)
    folder = run(learned, checked, vectors, feature_dim, model, training, out, sources)
    mixed = sum(len(source.clips) for source in sources)
    left = f" ({len(learned) - mixed} fit no source)" if mixed < len(learned) else ""
    say(f"{folder}: trained on {mixed} clips{left}, validated on {len(checked)}")


def predict(
    checkpoint: Path,
    data: Path,
    out: Path,
    system: str = "prospect",
    split: Split | None = None,
    stream: StreamConfig = StreamConfig(),  # noqa: B008  frozen
    blind: bool = False,
    dtype: str = "auto",
    frames_root: Path | None = None,
    seen: tuple[Path, ...] = (),
) -> None:
    """Stream every video of a data folder through a model.

    Args:
        checkpoint: Folder of a finished model.
        data: The data folder; its clips that only ask for a summary or a caption are no streams.
        out: JSONL of predictions.
        system: Name to score them under.
        split: Only clips of this split; None takes all.
        stream: How streams are watched.
        blind: Show the first frame all the time.
        dtype: Of weights and arithmetic: auto, bfloat16, float16 or float32.
        frames_root: Folder of ProAssist's stores, if the frames are there.
        seen: Data folders of the training data, to tell seen tasks from unseen ones.
    """
    from prospect.model.checkpoint import load_checkpoint
    from prospect.model.precision import default_device, resolve_dtype
    from prospect.stream.predict import predict as run

    model = load_checkpoint(checkpoint, resolve_dtype(dtype))
    model.network.to(default_device())
    model.network.merge_adapters()
    vectors, _ = open_features((data,), model.config, frames_root)
    preflight((data,), vectors)
    tasks = frozenset(clip.task_type for folder in seen for clip in load_clips(folder, "train"))
    found = [clip for clip in load_clips(data, split) if clip.kind not in ("summary", "caption")]
    made_from = (file_hash(checkpoint / MANIFEST), found, stream, system, blind, dtype)
    count = run(
        model,
        found,
        vectors,
        stream,
        system,
        out,
        key=text_hash(repr(made_from)),
        seen_tasks=tasks,
        blind=blind,
    )
    say(f"{out}: {count} streams")


def _begin(out: Path, settings: str, found: Sequence[Clip]) -> None:
    """Write what a run is made from; refuse to go on with a run of something else."""
    made_from = {"config.yaml": settings, "clips.sha256": text_hash(repr(found))}
    for name, text in made_from.items():
        if (out / name).exists() and read_text(out / name) != text:
            raise ConfigError(
                f"{out} holds a run of other settings or clips ({name} differs); choose another "
                "--out, or delete it"
            )
    for name, text in made_from.items():
        write_text(out / name, text)
    write_json(out / "about.json", about_this_machine())
