"""From datasets, or a toy world, to clips and features: the stages that make a data folder."""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Literal

from prospect.clock import frame_count
from prospect.errors import ConfigError, DataError
from prospect.files import Account, read_records, write_account, write_records
from prospect.model.config import ModelConfig
from prospect.parallel import ordered
from prospect.stages.shared import (
    ANNOTATIONS,
    CLIPS,
    DIALOGUES,
    STATES,
    load_clips,
    load_renderer,
    say,
)
from prospect.states.transitions import BASIC
from prospect.types import Annotation, Clip, Dialogue, Move, StateTrack, UserType

ToySplit = Literal["train", "seen_tasks", "unseen_tasks", "unseen_looks"]


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


def annotate(dataset: str, root: Path, out: Path, draw: bool = False, group: bool = True) -> None:
    """Read a dataset's published annotation files.

    Args:
        dataset: Name of an adapter, like ``holoassist``.
        root: Folder with the dataset's files, in their published layout, or the tree of datasets
            it stands in; ``bundled`` takes the few videos that come with the package.
        out: The data folder; the dataset's videos belong below it.
        draw: Draw the videos from the annotations, where the dataset's own are not at hand.
        group: Where the dataset names no steps, group its actions into steps by rule; without, a
            model has to write the knowledge of the task.
    """
    from prospect.annotations import read_dataset
    from prospect.annotations.group import grouped
    from prospect.toy.world import draw_world

    adapted = read_dataset(dataset, root)
    made = [grouped(one) if group else one for one in adapted.annotations]
    write_records(out / ANNOTATIONS, made)
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
    without_videos: bool = False,
    num_workers: int = 2,
) -> None:
    """Cut the dialogues of a data folder into clips that fit the model's context.

    Args:
        data: The data folder; its dialogues, states and videos are read.
        fps: Of the stream.
        seed: Of how far clips look back.
        model: Whose tokens are counted, and whose context has to hold them.
        without_videos: Trust the annotated durations; the videos need not be at hand yet.
        num_workers: Processes; any number makes the same clips.
    """
    tracks = {track.video_id: track for track in read_records(data / STATES, StateTrack)}
    todo = [(one, tracks[one.video_id]) for one in read_records(data / DIALOGUES, Dialogue)]
    cut = partial(_cut, data, fps, seed, model, without_videos)
    cuts = list(ordered(cut, todo, min(num_workers, len(todo)) or 1, chunk=8))
    made = [clip for found in cuts if not isinstance(found, str) for clip in found]
    account = Account(len(made), Counter(why for why in cuts if isinstance(why, str)))
    write_records(data / CLIPS, made)
    write_account(data / CLIPS, account)
    say(f"{data / CLIPS}: {account}")


def _cut(
    data: Path,
    fps: float,
    seed: int,
    model: ModelConfig,
    without_videos: bool,
    item: tuple[Dialogue, StateTrack],
) -> list[Clip] | str:
    """The clips of one dialogue, or why there are none."""
    from prospect.frames.decode import frame_total
    from prospect.samples.clips import cut, whole_clip

    dialogue, states = item
    if without_videos:
        num_frames = frame_count(dialogue.duration_s, fps)
    elif dialogue.video_file is None or not (data / dialogue.video_file).is_file():
        return "dialogues without their video"
    else:
        num_frames = frame_total(data / dialogue.video_file, fps)
    stream = whole_clip(dialogue, states, fps, num_frames)
    return cut(stream, load_renderer(model), model.context_len, seed)


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
