"""One function a stage of the pipeline, each from files to files; the command line calls these.

A data folder holds ``annotations.jsonl``, ``dialogues.jsonl``, ``states.jsonl``, ``clips.jsonl``,
``videos/`` and ``features/``. Heavy imports stand inside the functions: `--help` needs none.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console

from prospect.errors import ConfigError, DataError
from prospect.files import (
    MANIFEST,
    Account,
    as_yaml,
    file_hash,
    read_json,
    read_records,
    read_text,
    text_hash,
    write_account,
    write_json,
    write_records,
    write_text,
)
from prospect.model.config import ModelConfig
from prospect.provenance import about_this_machine
from prospect.states.transitions import BASIC
from prospect.stream.config import StreamConfig
from prospect.train.config import TrainConfig
from prospect.types import Annotation, Clip, Dialogue, Move, Prediction, Split, StateTrack, UserType

if TYPE_CHECKING:
    from prospect.samples.sequence import Renderer
    from prospect.samples.vision import Vision

ToySplit = Literal["train", "seen_tasks", "unseen_tasks", "unseen_looks"]
ANNOTATIONS, DIALOGUES, STATES, CLIPS = (
    f"{name}.jsonl" for name in ("annotations", "dialogues", "states", "clips")
)
_console = Console(stderr=True, highlight=False)


def say(line: str) -> None:
    """One line for the person who watches."""
    _console.print(line, soft_wrap=True, markup=False)


def toy(
    split: ToySplit,
    num_videos: int,
    out: Path,
    seed: int = 0,
    fps: float = 2.0,
    draw_fps: float = 4.0,
    user_types: tuple[UserType, ...] = ("talk_some",),
    model: ModelConfig = ModelConfig(),  # noqa: B008  frozen
) -> None:
    """Make a folder of toy videos with everything that train, predict and score need.

    Args:
        split: Which world: training tasks, seen tasks performed anew, unseen tasks, unseen looks.
        num_videos: How many.
        out: The data folder.
        seed: Of the world and its dialogues.
        fps: Of the stream.
        draw_fps: Of the video files.
        user_types: One dialogue a video for each.
        model: Whose tokens the clips are counted in.
    """
    from prospect.toy.world import write_world

    account = write_world(out, split, num_videos, seed, draw_fps)
    say(f"{out / ANNOTATIONS}: {account}")
    dialogues(out, "scripted", user_types, seed)
    states(out)
    clips(out, fps, seed, model)


def annotate(dataset: str, root: Path, out: Path, draw: bool = False) -> None:
    """Read a dataset's published annotation files.

    Args:
        dataset: Name of an adapter, like ``holoassist``.
        root: Folder with the dataset's files, in their published layout, or the tree of datasets
            it stands in; ``bundled`` takes the few videos that come with the package.
        out: The data folder; the dataset's videos belong below it.
        draw: Draw the videos from the annotations, where the dataset's own are not at hand.
    """
    from prospect.annotations import read_dataset
    from prospect.toy.world import draw_world

    adapted = read_dataset(dataset, root)
    write_records(out / ANNOTATIONS, adapted.annotations)
    write_account(out / ANNOTATIONS, adapted.account, adapted.listed)
    say(f"{out / ANNOTATIONS}: {adapted.account}; rows: {adapted.rows}")
    if draw:
        draw_world(out)


def dialogues(
    data: Path,
    writer: str = "scripted",
    user_types: tuple[UserType, ...] = ("no_talk", "talk_some", "talk_more"),
    seed: int = 0,
) -> None:
    """Write dialogues for every annotation.

    Args:
        data: The data folder.
        writer: ``scripted``, or ``human`` for the dataset's own conversation.
        user_types: One dialogue a video for each; ``human`` writes one.
        seed: Of the writer's choices.
    """
    from prospect.dialogues import WRITERS, write_dialogues

    if writer not in WRITERS:
        raise ConfigError(f"no writer {writer!r}; there are {', '.join(WRITERS)}")
    annotations = read_records(data / ANNOTATIONS, Annotation)
    types: tuple[UserType, ...] = ("human",) if writer == "human" else user_types
    written, account = write_dialogues(annotations, WRITERS[writer], types, seed)
    write_records(data / DIALOGUES, written)
    write_account(data / DIALOGUES, account)
    say(f"{data / DIALOGUES}: {account}")


def states(data: Path, moves: tuple[Move, ...] = BASIC) -> None:
    """Label the transitions of every annotated video.

    Args:
        data: The data folder.
        moves: The vocabulary; add ``reopen`` for revisits.
    """
    from prospect.dialogues import label

    annotations = read_records(data / ANNOTATIONS, Annotation)
    count = write_records(data / STATES, (label(one, moves) for one in annotations))
    say(f"{data / STATES}: {Account(count, {})}")


def clips(
    data: Path,
    fps: float = 2.0,
    seed: int = 0,
    model: ModelConfig = ModelConfig(),  # noqa: B008  frozen
) -> None:
    """Cut the dialogues of a data folder into clips that fit the model's context.

    Args:
        data: The data folder; its dialogues, states and videos are read.
        fps: Of the stream.
        seed: Of how far clips look back.
        model: Whose tokens are counted, and whose context has to hold them.
    """
    from prospect.frames.decode import frame_total
    from prospect.samples.clips import cut, whole_clip

    renderer = load_renderer(model)
    tracks = {track.video_id: track for track in read_records(data / STATES, StateTrack)}
    made: list[Clip] = []
    missing = 0
    for dialogue in read_records(data / DIALOGUES, Dialogue):
        if dialogue.video_file is None or not (data / dialogue.video_file).is_file():
            missing += 1
            continue
        num_frames = frame_total(data / dialogue.video_file, fps)
        stream = whole_clip(dialogue, tracks[dialogue.video_id], fps, num_frames)
        made += cut(stream, renderer, model.context_len, seed)
    account = Account(len(made), {"dialogues without their video": missing})
    write_records(data / CLIPS, made)
    write_account(data / CLIPS, account)
    say(f"{data / CLIPS}: {account}")


def features(
    data: Path,
    model: ModelConfig = ModelConfig(),  # noqa: B008  frozen
    frames_root: Path | None = None,
) -> None:
    """Encode the frames of every clip's video once.

    Args:
        data: The data folder.
        model: Names the encoder and the vectors a frame.
        frames_root: Folder of ProAssist's stores, if the frames are there.
    """
    from prospect.frames.encoders import load_encoder
    from prospect.model.precision import default_device
    from prospect.samples.vision import encode_clips

    found = load_clips(data, None)
    if not found:
        raise DataError(
            f"{data / CLIPS} has no clips; see {CLIPS}.account.json for what was dropped"
        )
    encoder = load_encoder(model.encoder, model.vectors_per_frame, str(default_device()))
    account = encode_clips(found, data, frames_root, encoder)
    say(f"{data / 'features' / encoder.key}: {account}")


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
        data: The data folder.
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
    tasks = frozenset(clip.task_type for folder in seen for clip in load_clips(folder, "train"))
    found = load_clips(data, split)
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


def load_renderer(model: ModelConfig) -> "Renderer":
    """The renderer of a model that isn't loaded: its tokenizer is enough."""
    from transformers import AutoTokenizer

    from prospect.pretrained import model_folder
    from prospect.samples.sequence import Renderer

    tokenizer = AutoTokenizer.from_pretrained(model_folder(model.llm))
    return Renderer(tokenizer, model.vectors_per_frame)


def load_clips(data: Path, split: Split | None) -> list[Clip]:
    """Clips of a data folder, or of a JSONL file of clips."""
    path = data if data.suffix == ".jsonl" else data / CLIPS
    found = read_records(path, Clip)
    return [clip for clip in found if split is None or clip.split == split]


def open_features(
    data: Sequence[Path], model: ModelConfig, frames_root: Path | None
) -> tuple["Vision", int]:
    """The function that finds any clip's frame vectors in these folders, and their width."""
    from prospect.frames.encoders import load_encoder
    from prospect.samples.vision import Vision

    encoder = load_encoder(model.encoder, model.vectors_per_frame)
    folders = tuple(folder.parent if folder.suffix == ".jsonl" else folder for folder in data)
    vision = Vision(folders, frames_root, encoder.name, encoder.key, encoder.vectors)
    return vision, encoder.dim
