"""From clips to a model, its predictions, their scores and the report."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from prospect.dataset import preflight
from prospect.errors import ConfigError
from prospect.files import (
    MANIFEST,
    as_yaml,
    file_hash,
    read_json,
    read_records,
    read_text,
    text_hash,
    write_json,
    write_records,
    write_text,
)
from prospect.model.config import ModelConfig
from prospect.provenance import about_this_machine
from prospect.stages.shared import load_clips, open_features, say
from prospect.stream.config import StreamConfig
from prospect.train.config import TrainConfig
from prospect.types import Clip, Prediction, Split


def train(
    data: tuple[Path, ...],
    out: Path,
    val: tuple[Path, ...] = (),
    model: ModelConfig = ModelConfig(),  # noqa: B008  frozen
    training: TrainConfig = TrainConfig(),  # noqa: B008  frozen
    frames_root: Path | None = None,
) -> None:
    """Train a model; started again it goes on where it stopped.

    Args:
        data: Data folders; their clips of the training split are learned.
        out: Run folder; the finished model is its ``checkpoint``.
        val: Data folders whose clips all validate; without any, `data`'s validation split does.
        model: What is trained.
        training: How.
        frames_root: Folder of ProAssist's stores, if the frames are there.
    """
    from prospect.train.run import train as run

    learned = [item for folder in data for item in load_clips(folder, "train")]
    checked = [item for folder in val for item in load_clips(folder, None)]
    if not val:
        checked = [item for folder in data for item in load_clips(folder, "val")]
    settings = {"data": data, "out": out, "val": val, "model": model, "training": training}
    _begin(out, as_yaml({**settings, "frames_root": frames_root}), [*learned, *checked])
    vectors, feature_dim = open_features((*data, *val), model, frames_root)
    preflight((*data, *val), vectors)
    folder = run(learned, checked, vectors, feature_dim, model, training, out)
    say(f"{folder}: trained on {len(learned)} clips, validated on {len(checked)}")


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


def score(
    predictions: tuple[Path, ...],
    out: Path,
    baselines_from: tuple[Path, ...] = (),
    mode: Literal["strict", "proassist"] = "strict",
) -> None:
    """Score predictions of one or more systems; the first is the one that the headline is of.

    Args:
        predictions: JSONL files.
        out: JSON of scores.
        baselines_from: Data folders of the training data. With them the baselines answer the same
            references, are scored beside, and written to ``<out>.baselines.jsonl``.
        mode: ``proassist`` repeats its matching faults, for comparison with its tables.
    """
    from prospect.metrics.baselines import BASELINES, training_statistics
    from prospect.metrics.score import score as run

    records = [record for path in predictions for record in read_records(path, Prediction)]
    if baselines_from:
        learned = [clip for folder in baselines_from for clip in load_clips(folder, "train")]
        statistics = training_statistics(learned)
        streams = [record for record in records if record.system == records[0].system]
        answers = [make(one, statistics) for make in BASELINES.values() for one in streams]
        write_records(out.with_suffix(".baselines.jsonl"), answers)
        records += answers
    write_json(out, run(records, mode))
    say(f"{out}: {len(records)} streams scored")


def report(
    scores: Path,
    predictions: tuple[Path, ...],
    out: Path,
    data: tuple[Path, ...] = (),
    run: Path | None = None,
) -> None:
    """Write one self-contained HTML page.

    Args:
        scores: From `score`.
        predictions: The files that were scored.
        out: The page.
        data: Data folders of the predicted videos, for pictures of the timeline.
        run: Run folder of the training, for its curves and configuration.
    """
    from prospect.report.page import write_report
    from prospect.report.pictures import thumbnails
    from prospect.train.log import read_log

    records = [record for path in predictions for record in read_records(path, Prediction)]
    training = read_log(run / "metrics.jsonl") if run else None
    about: dict[str, Any] = {}
    if run:
        about = read_json(run / "about.json") | {"configuration": read_text(run / "config.yaml")}
    write_report(out, read_json(scores), records, training, thumbnails(data), about)
    say(f"{out}: the report of {len(records)} streams")


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
