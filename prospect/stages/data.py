"""From datasets, or a toy world, to clips and features: the stages that make a data folder."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from functools import cache, partial
from pathlib import Path
from typing import Literal, TypeVar, get_args

from prospect.clock import frame_count
from prospect.dataset import write_dataset_manifest
from prospect.dialogues.align import AlignConfig
from prospect.dialogues.edits import edited_videos
from prospect.dialogues.llm import LLMSettings
from prospect.dialogues.quality import Rules
from prospect.errors import ConfigError, DataError
from prospect.files import Account, read_records, write_account, write_records
from prospect.model.config import ModelConfig
from prospect.parallel import ordered
from prospect.stages.shared import (
    ANNOTATIONS,
    CLIPS,
    DIALOGUES,
    STATES,
    asking,
    load_clips,
    load_renderer,
    say,
)
from prospect.states.transitions import BASIC
from prospect.types import Annotation, Clip, Dialogue, Move, Split, StateTrack, UserType

NARRATION = "narration"
"""The variant that is made of annotations, not of dialogues."""

T = TypeVar("T", Dialogue, StateTrack)
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


def annotate(
    dataset: str,
    root: Path,
    out: Path,
    draw: bool = False,
    group: bool = True,
    splits: str = "given",
    num_videos: Mapping[Split, int] | None = None,
) -> None:
    """Read a dataset's published annotation files.

    Args:
        dataset: Name of an adapter, like ``holoassist``.
        root: Folder with the dataset's files, in their published layout, or the tree of datasets
            it stands in; ``bundled`` takes the few videos that come with the package.
        out: The data folder; the dataset's videos belong below it.
        draw: Draw the videos from the annotations, where the dataset's own are not at hand.
        group: Where the dataset names no steps, group its actions into steps by rule; without, a
            model has to write the knowledge of the task.
        splits: ``given`` by the dataset; ``by_video`` halves its validation videos for the test;
            ``by_task`` keeps the kinds of task apart, so that those tested on are unseen.
        num_videos: Split -> at most so many of its videos, drawn by their names; None takes all.
    """
    from prospect.annotations import read_dataset
    from prospect.annotations.group import grouped
    from prospect.dialogues.splits import SPLITTERS, fewest
    from prospect.toy.world import draw_world

    if splits not in SPLITTERS:
        raise ConfigError(f"no splits {splits!r}; there are {', '.join(SPLITTERS)}")
    for split, count in (num_videos or {}).items():
        if split not in get_args(Split) or count < 1:
            raise ConfigError(
                f"num_videos: {split}: {count}; name {', '.join(get_args(Split))}, each with at "
                "least 1"
            )
    adapted = read_dataset(dataset, root)
    whole = SPLITTERS[splits]([grouped(one) if group else one for one in adapted.annotations])
    made = fewest(whole, num_videos or {})
    beyond = sorted({one.video_id for one in whole} - {one.video_id for one in made})
    account = adapted.account
    if beyond:
        dropped = {**account.dropped, "beyond num_videos": len(whole) - len(made)}
        account = Account(len(made), dropped)
    write_records(out / ANNOTATIONS, made)
    listed = [*adapted.listed, *(f"{video_id}: beyond num_videos" for video_id in beyond)]
    write_account(out / ANNOTATIONS, account, listed)
    say(f"{out / ANNOTATIONS}: {account}; rows: {adapted.rows}")
    if draw:
        draw_world(out)


def dialogues(
    data: Path,
    writer: str = "scripted",
    user_types: tuple[UserType, ...] = ("no_talk", "talk_some", "talk_more"),
    seed: int = 0,
    llm: LLMSettings | None = None,
) -> None:
    """Write dialogues for every annotation, each with ProAssist's automatic score.

    Args:
        data: The data folder.
        writer: ``scripted``; ``human`` for the dataset's own conversation; ``llm`` asks a model.
        user_types: One dialogue a video for each; a type may be named several times. ``human``
            writes one.
        seed: Of the writer's choices.
        llm: Whom the ``llm`` writer asks.
    """
    from prospect.dialogues import WRITERS, write_dialogues
    from prospect.dialogues.quality import scored
    from prospect.dialogues.splits import near_duplicates

    if (writer == "llm") != (llm is not None):
        raise ConfigError("the writer llm and its settings --llm... belong together")
    if llm is None and writer not in WRITERS:
        raise ConfigError(f"no writer {writer!r}; there are llm, {', '.join(WRITERS)}")
    edited = edited_videos(data)
    annotations = read_records(data / ANNOTATIONS, Annotation)
    todo = [one for one in annotations if one.video_id not in edited]
    if llm is None:
        types: tuple[UserType, ...] = ("human",) if writer == "human" else user_types
        written, account = write_dialogues(todo, WRITERS[writer], types, seed)
    else:
        written, account = _ask_llm(todo, user_types, seed, llm, data)
    of = {one.video_id: one for one in annotations}
    made = [scored(one, of[one.video_id]) for one in written]
    write_records(data / DIALOGUES, [*_kept(data / DIALOGUES, Dialogue, edited), *made])
    alike = [
        f"{one.first} and {one.second} are alike ({one.similarity:.2f}), in different splits"
        for one in near_duplicates(made)
    ]
    write_account(data / DIALOGUES, account, alike)
    say(f"{data / DIALOGUES}: {account}; {len(alike)} pairs alike across splits")


def _ask_llm(
    annotations: Sequence[Annotation],
    user_types: Sequence[UserType],
    seed: int,
    llm: LLMSettings,
    data: Path,
) -> tuple[list[Dialogue], Account]:
    from prospect.dialogues import write_dialogues
    from prospect.dialogues.llm import llm_writer

    with asking(llm, data) as client:
        write = llm_writer(client.ask, llm.writing, llm.server.model)
        return write_dialogues(annotations, write, user_types, seed, llm.server.concurrency)


def states(
    data: Path,
    moves: tuple[Move, ...] = BASIC,
    align: AlignConfig = AlignConfig(),  # noqa: B008  frozen
) -> None:
    """Label the transitions of every annotated video.

    Where a dialogue's writer knows the task by other steps than the dataset, what the dataset says
    is aligned with the writer's steps.

    Args:
        data: The data folder.
        moves: The vocabulary; add ``reopen`` for revisits.
        align: How blocks and steps are matched.
    """
    from prospect.dialogues import label
    from prospect.dialogues.align import aligned
    from prospect.embeddings import embedder

    edited = edited_videos(data)
    spoken = read_records(data / DIALOGUES, Dialogue) if (data / DIALOGUES).exists() else []
    tasks = {one.video_id: one.task for one in spoken}
    embed = cache(embedder)  # only if some task needs it
    made = []
    for one in read_records(data / ANNOTATIONS, Annotation):
        if one.video_id in edited:
            continue
        task = tasks.get(one.video_id, one.task)
        known = one if task == one.task else aligned(one, task, embed(), align)
        made.append(label(known, moves))
    count = write_records(data / STATES, [*_kept(data / STATES, StateTrack, edited), *made])
    say(f"{data / STATES}: {Account(count, {})}")


def _kept(path: Path, cls: type[T], edited: Set[str]) -> list[T]:
    """The records of videos that were edited by hand: they are kept as they are."""
    if not edited:
        return []
    say(f"{path}: {len(edited)} videos keep the labels that were edited by hand")
    return [one for one in read_records(path, cls) if one.video_id in edited]


def clips(
    data: Path,
    fps: float = 2.0,
    seed: int = 0,
    model: ModelConfig = ModelConfig(),  # noqa: B008  frozen
    without_videos: bool = False,
    variants: tuple[str, ...] = ("dialogue",),
    rules: Rules | None = None,
    num_workers: int = 2,
) -> None:
    """Cut the dialogues of a data folder into clips that fit the model's context.

    Args:
        data: The data folder; its dialogues, states and videos are read.
        fps: Of the stream.
        seed: Of how far clips look back.
        model: Whose tokens are counted, and whose context has to hold them.
        without_videos: Trust the annotated durations; the videos need not be at hand yet.
        variants: What is made of each dialogue: ``dialogue``, ``no_state``, ``no_knowledge``,
            ``state``, ``summarized``, ``proassist``, ``summary``; and ``narration`` of each
            annotation.
        rules: Which dialogues are good enough; None takes all.
        num_workers: Processes; any number makes the same clips.
    """
    from prospect.dialogues.quality import filtered
    from prospect.samples.variants import VARIANTS

    unknown = sorted({*variants} - {*VARIANTS, NARRATION})
    if unknown:
        raise ConfigError(
            f"no variants {', '.join(unknown)}; there are {', '.join([*VARIANTS, NARRATION])}"
        )
    tracks = {track.video_id: track for track in read_records(data / STATES, StateTrack)}
    spoken = read_records(data / DIALOGUES, Dialogue)
    account, listed = Account(0, {}), list[str]()
    if rules is not None:
        spoken, account, listed = filtered(spoken, tracks, rules)
    todo: list[_Item] = [
        (name, (one, tracks[one.video_id]))
        for one in spoken
        for name in variants
        if name != NARRATION
    ]
    if NARRATION in variants:
        todo += [(NARRATION, one) for one in read_records(data / ANNOTATIONS, Annotation)]
    cut = partial(_cut, data, fps, seed, model, without_videos)
    made: list[Clip] = []
    dropped = Counter(account.dropped)
    for found, reasons in ordered(cut, todo, min(num_workers, len(todo)) or 1, chunk=8):
        made += found
        dropped += reasons
    account = Account(len(made), dropped)
    write_records(data / CLIPS, made)
    write_account(data / CLIPS, account, listed)
    write_dataset_manifest(data)
    say(f"{data / CLIPS}: {account}")


_Item = tuple[str, Annotation | tuple[Dialogue, StateTrack]]
"""A variant and what it is made of."""


def _cut(
    data: Path, fps: float, seed: int, model: ModelConfig, without_videos: bool, item: _Item
) -> tuple[list[Clip], Counter[str]]:
    """The clips of one dialogue or narration, and what was dropped."""
    from prospect.frames.decode import frame_total
    from prospect.samples.clips import in_time, whole_clip
    from prospect.samples.variants import VARIANTS, narrated, narration

    name, source = item
    about = source if isinstance(source, Annotation) else source[0]
    if without_videos:
        num_frames = frame_count(about.duration_s, fps)
    elif about.video_file is None or not (data / about.video_file).is_file():
        return [], Counter({"without their video": 1})
    else:
        num_frames = frame_total(data / about.video_file, fps)
    if isinstance(source, Annotation):
        lost = "narrations beyond the end of their video"
        stream, beyond = narrated(source, fps, num_frames)
        made = narration(stream, load_renderer(model), model.context_len, seed)
    else:
        lost = "turns that find no frame before the end of their video"
        spoken, track = source
        kept = in_time(spoken, track, fps, num_frames)
        beyond = len(spoken.turns) - len(kept.turns)
        stream = whole_clip(kept, track, fps, num_frames)
        made = VARIANTS[name](stream, load_renderer(model), model.context_len, seed)
    dropped = Counter({lost: beyond} if beyond else {})
    return ([], dropped + Counter([made])) if isinstance(made, str) else (made, dropped)


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
    write_dataset_manifest(data, frames_root, encoder.name)
    say(f"{data / 'features' / encoder.key}: {account}")
