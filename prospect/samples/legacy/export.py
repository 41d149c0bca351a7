"""Clips -> PROSPECT's training JSON, so that others' readers get right labels.

In: an `Import` (the repaired file keeps its layout and keys), or our own clips. Out: the files,
each written whole or not at all; reading them back gives the same clips and no deviation.

    prospect clips --from prospect-json ROOT --to prospect-json OUT

A turn's ``start_frame`` is the frame it is decided on and ``end_frame`` the next one; ``dst_state``
is the state of every step before the turn, ``initial_dst_state`` the one before the clip.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from prospect import clock
from prospect.errors import DataError
from prospect.files import read_json, write_json
from prospect.samples.legacy.checks import Import, Item, Limits, PlacedItem, Reading
from prospect.samples.legacy.compare import sparse_counts
from prospect.samples.legacy.sparse import flags
from prospect.states.transitions import apply
from prospect.types import Clip, Step, TimedTransition, Transition, Turn

PROMPT = "You watch a person do a task, keep track of its steps and help at the right moment."
"""The system turn of written files; it tells nothing of the state."""
MOVED_FILE = "moved.json"

Times = Mapping[Transition, float]


def holds(clip: Clip) -> bool:
    """Whether the format has this kind of clip: a dialogue with its states, nothing else."""
    return clip.kind == "dialogue" and clip.state_known and clip.progress is None


def write_prospect_json(imported: Import, out: Path, limits: Limits) -> list[Path]:
    """Write an import's files back, repaired, and ``moved.json`` with every label that moved.

    Args:
        imported: From `read_prospect_json`; the files it was read from must still be there.
        out: Folder for the same layout below it, or for the one file under its own name.
        limits: Its token count replaces the stored one.

    Returns:
        The paths written, ``moved.json`` last. Dropped samples are left out; a file without any
        kept sample is not written.
    """
    times = _dialogue_times(
        (reading.clip.dialogue_id, reading.items) for reading in imported.readings
    )
    paths = []
    for file, group in groupby(imported.readings, key=lambda reading: reading.sample.file):
        source = read_json(file)
        samples = source if isinstance(source, list) else [source]
        repaired = [
            _repair(samples[reading.sample.index], reading, times, limits) for reading in group
        ]
        path = out / (file.name if file == imported.root else file.relative_to(imported.root))
        write_json(path, repaired if isinstance(source, list) else repaired[0])
        paths.append(path)
    moved = out / MOVED_FILE
    write_json(moved, [asdict(move) for move in imported.moved])
    return [*paths, moved]


def write_clips(
    clips: Sequence[Clip], out: Path, limits: Limits, tokens_per_frame: int
) -> list[Path]:
    """Write our clips as ``<out>/<dataset>/<split>_training.json``.

    Args:
        clips: All clips of each dialogue, in order, named ``<dialogue_id>/<index>``.
        out: The folder.
        limits: For the stored lengths; clips are not checked against it.
        tokens_per_frame: Vectors a frame, for the stored field.

    Returns:
        The paths written, one for each dataset and split. Steps that never start or complete have
        null times; a step's second visit is in the turns alone.

    Raises:
        DataError: a dialogue begins at frame 0 with steps already started.
    """
    placed = [(clip, tuple(_place(clip))) for clip in clips]
    times = _dialogue_times((clip.dialogue_id, items) for clip, items in placed)
    first: dict[str, Clip] = {}
    for clip in clips:
        first.setdefault(clip.dialogue_id, clip)
    for dialogue_id, clip in first.items():
        times[dialogue_id] = {**_before(clip), **times[dialogue_id]}
    files: dict[Path, list[dict[str, Any]]] = {}
    for clip, items in placed:
        path = out / clip.dataset / f"{clip.split}_training.json"
        sample = _sample(clip, items, times[clip.dialogue_id], limits, tokens_per_frame)
        files.setdefault(path, []).append(sample)
    for path, samples in files.items():
        write_json(path, samples)
    return list(files)


def _dialogue_times(
    parts: Iterable[tuple[str, Sequence[PlacedItem]]],
) -> dict[str, dict[Transition, float]]:
    """When each step of a dialogue first starts and completes by its turns."""
    times: dict[str, dict[Transition, float]] = {}
    for dialogue_id, items in parts:
        of_dialogue = times.setdefault(dialogue_id, {})
        for _, item, _, _ in items:
            if isinstance(item, TimedTransition):
                of_dialogue.setdefault(item.transition, item.time_s)
    return times


def _repair(
    stored: Mapping[str, Any], reading: Reading, times: Mapping[str, Times], limits: Limits
) -> dict[str, Any]:
    """The stored sample with every field that we recompute."""
    clip = reading.clip
    sample = {**stored, **_recomputed(clip, limits)}
    if stored.get("seq_len") is None:  # an optional key that the file doesn't have stays out
        sample.pop("seq_len")
    counts = sparse_counts(clip)
    sample.update((key, counts[key]) for key in counts if stored.get(key) is not None)
    if stored.get("inferred_knowledge") is not None:
        sample["inferred_knowledge"] = knowledge(clip)
    metadata = stored.get("metadata") or {}
    sample["metadata"] = {**metadata, **identity(clip)}
    if metadata.get("initial_dst_state") is not None:
        sample["metadata"]["initial_dst_state"] = dict(clip.state)
    made = times[clip.dialogue_id]
    sample["dst"] = [_step_times(step, made) for step in stored["dst"]]
    sample["conversation"] = _conversation(clip, reading.items, stored["conversation"])
    return sample


def _step_times(step: Mapping[str, Any], made: Times) -> dict[str, Any]:
    start = made.get(Transition(step["id"], "start"), step["start_ts"])
    return {
        **step,
        "start_ts": start,
        "end_ts": made.get(Transition(step["id"], "complete"), step["end_ts"]),
    }


def _sample(
    clip: Clip, items: Sequence[PlacedItem], times: Times, limits: Limits, tokens_per_frame: int
) -> dict[str, Any]:
    return {
        "video_uid": clip.video_id,
        "inferred_goal": clip.task.goal,
        "inferred_knowledge": knowledge(clip),
        "video_labels": {},
        "conversation": _conversation(clip, items, ()),
        "dst": [_step(step, times) for step in clip.task.steps],
        "frames_file": clip.frames_file,
        **_recomputed(clip, limits),
        "clip_idx": int(clip.clip_id.rpartition("/")[2]),
        "max_seq_len": limits.context_len,
        "num_tokens_per_img": tokens_per_frame,
        "fps": clip.fps,
        "quality": None,
        "metadata": {**identity(clip), "add_knowledge": clip.knowledge},
    }


def _step(step: Step, times: Times) -> dict[str, Any]:
    return {
        "type": "step",
        "id": step.id,
        "start_ts": times.get(Transition(step.id, "start")),
        "end_ts": times.get(Transition(step.id, "complete")),
        "name": step.name,
    }


def _recomputed(clip: Clip, limits: Limits) -> dict[str, Any]:
    return {
        "dataset": clip.dataset,
        "start_frame_idx": clip.start_frame,
        "end_frame_idx": clip.stop_frame,
        "seq_len": limits.count_tokens(clip),
        "initial_dst_state": dict(clip.state),
    }


def knowledge(clip: Clip) -> str:
    """The goal, then the steps on numbered lines."""
    lines = [f"{number}. {step.name}" for number, step in enumerate(clip.task.steps, start=1)]
    return "\n".join([clip.task.goal, *lines])


def identity(clip: Clip) -> dict[str, str]:
    """User type and id, from which a reader makes the same dialogue id."""
    name = clip.dialogue_id.rpartition("/")[2]
    return {"user_type": clip.user_type, "user_id": "_".join(name.rsplit("-", 1))}


def _conversation(
    clip: Clip, items: Sequence[PlacedItem], stored: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """System turn, then all own turns; a stored turn keeps the keys that we don't recompute."""
    sparse = any("speaking" in turn or "dst_update" in turn for turn in stored)
    opening = {"role": "system", "content": PROMPT, "labels": "system|generic"}
    turns = [{**opening, "start_frame": clip.start_frame, "end_frame": clip.start_frame + 1}]
    for group in _by_turn(items):
        number, _, frame, before = group[0]
        turns.append(
            {
                **({} if number is None else stored[number]),
                **_words([item for _, item, _, _ in group]),
                "start_frame": frame,
                "end_frame": frame + 1,
                "dst_state": dict(before),
            }
        )
    return [{**turn, **flags(str(turn["role"]))} if sparse else turn for turn in turns]


def _by_turn(items: Sequence[PlacedItem]) -> Iterator[list[PlacedItem]]:
    """Transitions of one stored turn together; every other item for itself."""
    for number, group in groupby(items, key=lambda item: item.turn):
        if number is None:
            yield from ([item] for item in group)
        else:
            yield list(group)


def _words(items: Sequence[Item]) -> dict[str, Any]:
    """Role, content, time and labels of a turn; several items are transitions of one turn."""
    first = items[0]
    if isinstance(first, Turn):
        words: dict[str, Any] = {"role": first.role, "content": first.text, "time": first.time_s}
        if first.role == "assistant":
            words["labels"] = first.labels
        if first.summary is not None:
            words["progress"] = first.summary
        return words
    moves = [item.transition for item in items if isinstance(item, TimedTransition)]
    kinds = {"start": "dst_start", "complete": "dst_complete", "reopen": "dst_state_change"}
    kind = kinds[moves[0].move] if len(moves) == 1 else "dst_multiple"
    return {
        "role": "DST_UPDATE",
        "content": [{"id": move.step_id, "transition": move.move} for move in moves],
        "time": first.time_s,
        "labels": f"initiative|dst_update,{kind},steps_{len({move.step_id for move in moves})}",
    }


def _place(clip: Clip) -> Iterator[PlacedItem]:
    """Our events as items at the ends of their frames; their state turns stay separate."""
    state = clip.state
    for event in clip.events:
        time_s = clock.event_time_s(event.frame, clip.fps)
        for move in event.transitions:
            yield PlacedItem(None, TimedTransition(time_s, move), event.frame, state)
            state = apply(state, move)
        if event.speech is not None:
            said = Turn("assistant", time_s, event.speech, event.labels, event.summary)
            yield PlacedItem(None, said, event.frame, state)
        if event.user is not None:
            yield PlacedItem(None, Turn("user", time_s, event.user), event.frame, state)


def _before(first: Clip) -> dict[Transition, float]:
    """Times for what is done before a dialogue's first clip: the end of the frame before it."""
    time_s = first.start_frame / first.fps
    made = {}
    for step_id, status in first.state.items():
        if status != "not_started":
            made[Transition(step_id, "start")] = time_s
        if status == "completed":
            made[Transition(step_id, "complete")] = time_s
    if made and first.start_frame == 0:
        raise DataError(
            f"{first.clip_id}: steps {', '.join(sorted({move.step_id for move in made}))} are "
            "started before frame 0, which has no time; export the dialogue's first clip too"
        )
    return made
