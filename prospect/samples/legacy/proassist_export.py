"""Clips -> ProAssist's prepared JSONL, so that its code reads ours.

In: an `Import` of such a file (its lines keep what we don't recompute), or our own clips. Out:
files named as ProAssist names them; reading them back gives the same clips, as far as they can
hold them: transitions and states are left out, and times are the ends of their frames.

    prospect clips --data runs/x --to proassist-jsonl OUT

Turns alternate with the frames shown before them, ``[start, end)``, of which the last one decides.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from prospect import clock
from prospect.files import read_text, write_text
from prospect.frames.stores import store_name
from prospect.samples.legacy.checks import Import, Limits, Reading
from prospect.samples.legacy.export import PROMPT, identity, knowledge
from prospect.samples.legacy.proassist_jsonl import Checked
from prospect.types import Clip

SUMMARY_QUERY = {"role": "system", "content": "Please summarize the progress."}
"""ProAssist's request for a summary, by which its code tells the tail of a clip."""
_Placed = tuple[int | None, Mapping[str, Any]]
"""A turn and the frame it is decided on; None for what stands where the turn before it does."""


def holds(clip: Clip) -> bool:
    """Whether the format has this kind of clip."""
    return clip.kind in ("dialogue", "summary", "narration")


def write_proassist_back(imported: Import, out: Path, limits: Limits) -> list[Path]:
    """Write an imported file under its own name, with the frames that its times give.

    Args:
        imported: From `read_proassist_jsonl`; the file must still be there.
        out: The folder.
        limits: Counts the tokens of lines that change.

    Returns:
        The path written. Dropped lines and turns that an earlier clip has are left out.
    """
    stored = [line for line in read_text(imported.root).split("\n") if line.strip()]
    lines = [
        _repair(json.loads(stored[one.sample.index]), one, limits) for one in imported.readings
    ]
    path = out / imported.root.name
    _write(path, lines)
    return [path]


def write_proassist_clips(
    clips: Sequence[Clip], out: Path, limits: Limits, tokens_per_frame: int
) -> list[Path]:
    """Write our clips as ``<out>/<dataset>/prepared/<prefix>_<split>_L<max>_I<tokens>.jsonl``.

    Args:
        clips: All clips of each dialogue, in order; each must pass `holds`.
        out: The folder.
        limits: For the stored lengths, which are in our tokens.
        tokens_per_frame: Vectors a frame.

    Returns:
        The paths written: ``dialog``, with ``-klg`` where steps are told and ``-sum`` where clips
        end with a summary, ``summary`` and ``narration``.
    """
    summarized = {clip.dialogue_id for clip in clips if clip.summary is not None}
    progress: dict[str, str] = {}
    files: dict[Path, list[dict[str, Any]]] = {}
    for clip in clips:
        prefix = _prefix(clip, clip.dialogue_id in summarized)
        name = f"{prefix}_{clip.split}_L{limits.context_len}_I{tokens_per_frame}.jsonl"
        told = progress.get(clip.dialogue_id) if clip.progress is None else clip.progress
        line = _line(clip, told, limits, tokens_per_frame)
        files.setdefault(out / clip.dataset / "prepared" / name, []).append(line)
        for event in clip.events:
            if event.summary is not None:
                progress[clip.dialogue_id] = event.summary
    for path, lines in files.items():
        _write(path, lines)
    return list(files)


def _write(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    text = (json.dumps(line, ensure_ascii=False, allow_nan=False) for line in lines)
    write_text(path, "".join(f"{line}\n" for line in text))


def _repair(stored: Mapping[str, Any], reading: Reading, limits: Limits) -> dict[str, Any]:
    checked: Checked = reading.sample.raw
    clip, turns = reading.clip, stored["conversation"]
    frames = {item.turn: item.frame for item in reading.items}
    tail = len(turns) - 3 if checked.tail is not None else len(turns)
    placed: list[_Placed] = [
        (frames.get(number), turn)
        for number, turn in enumerate(turns[:tail])
        if turn["role"] == "system" or number in frames
    ]
    if checked.tail is not None:
        placed += _closing(clip, turns[-3], turns[-1])
    conversation = _alternate(clip, placed)
    same = conversation == turns
    return {
        **stored,
        "start_frame_idx": clip.start_frame,
        "end_frame_idx": _end(clip),
        "conversation": conversation,
        # a length in ProAssist's own tokens stays as long as nothing else changes
        "seq_len": stored.get("seq_len") if same else limits.count_tokens(clip),
    }


def _line(
    clip: Clip, progress: str | None, limits: Limits, tokens_per_frame: int
) -> dict[str, Any]:
    known = clip.frames_file is not None and clip.frames_file.endswith(".arrow")
    name = f"frames/{store_name(clip.dataset, clip.video_id)}.arrow"
    return {
        "dataset": clip.dataset,
        "video_uid": clip.video_id,
        "clip_idx": int(clip.clip_id.rpartition("/")[2]),
        "frames_file": clip.frames_file if known else name,
        "max_seq_len": limits.context_len,
        "seq_len": limits.count_tokens(clip),
        "num_tokens_per_img": tokens_per_frame,
        "use_img_sep_token": False,
        "start_frame_idx": clip.start_frame,
        "end_frame_idx": _end(clip),
        "conversation": _alternate(clip, [*_opening(clip, progress), *_talk(clip)]),
        "fps": clip.fps,
        "metadata": {
            **identity(clip),
            "task_goal": clip.task.goal,
            "knowledge": knowledge(clip),
            "progress": clip.summary,
            "add_knowledge": clip.knowledge,
            "has_summary": clip.summary is not None,
            "summary_only": clip.kind == "summary",
            "quality": None,
        },
    }


def _opening(clip: Clip, progress: str | None) -> Iterator[_Placed]:
    """The system turn; after the first clip it tells the progress and the steps."""
    words = [PROMPT]
    if progress is not None:
        words += [progress, *([_task_knowledge(clip)] if clip.knowledge else [])]
    yield None, {"role": "system", "content": " ".join(words)}


def _talk(clip: Clip) -> Iterator[_Placed]:
    """The clip's turns; the steps follow the first user turn of the first clip."""
    untold = clip.knowledge and clip.clip_id.endswith("/0")
    for event in clip.events:
        time_s = clock.event_time_s(event.frame, clip.fps)
        if event.speech is not None:
            said = {"role": "assistant", "time": time_s, "content": event.speech}
            summary = {} if event.summary is None else {"progress": event.summary}
            yield event.frame, {**said, "labels": event.labels, **summary}
        if event.user is not None:
            said = {"role": "user", "time": time_s, "content": event.user}
            yield event.frame, {**said, "labels": ""}
            if untold:
                yield None, {"role": "system", "content": _task_knowledge(clip)}
                untold = False
    if clip.summary is not None:
        yield from _closing(clip, SUMMARY_QUERY, {"role": "assistant", "content": clip.summary})


def _closing(clip: Clip, query: Mapping[str, Any], answer: Mapping[str, Any]) -> list[_Placed]:
    """The request for a summary, the one frame ProAssist shows with it, and the answer."""
    return [(clip.stop_frame - 1, query), (clip.stop_frame, answer)]


def _alternate(clip: Clip, turns: Sequence[_Placed]) -> list[Mapping[str, Any]]:
    """Turns with the frames before each, up to the clip's end."""
    shown = clip.start_frame
    conversation: list[Mapping[str, Any]] = []
    for frame, turn in [*turns, (_end(clip) - 1, None)]:
        if frame is not None and frame + 1 > shown:
            conversation.append({"role": "frames", "start": shown, "end": frame + 1})
            shown = frame + 1
        if turn is not None:
            conversation.append(turn)
    return conversation


def _end(clip: Clip) -> int:
    return clip.stop_frame + (clip.summary is not None)


def _task_knowledge(clip: Clip) -> str:
    return f"Task knowledge: {knowledge(clip)}"


def _prefix(clip: Clip, summarized: bool) -> str:
    if clip.kind == "dialogue":
        return "dialog" + "-klg" * clip.knowledge + "-sum" * summarized
    return clip.kind
