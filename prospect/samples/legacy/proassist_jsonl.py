"""ProAssist's prepared JSONL -> clips.

In: one clip a line; its conversation alternates ``frames`` ranges with turns that have times.
Out: an `Import`.

    prospect clips --from proassist-jsonl FILE

Frames come from the times by our clock, and are compared with the last frame before each turn.
System turns (prompt, "Task knowledge: ...") give way to our prompt. A closing request for a
summary takes one frame on which nothing is to be decided: the frame is left out, and the summary
is also that of the last utterance. Files named ``narration...`` hold narrations.
ProAssist knows steps only as text: they become S1, S2 ... without any transition.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from prospect.files import read_text
from prospect.samples.legacy.checks import (
    MALFORMED,
    NOT_JSON,
    Deviation,
    Import,
    Invalid,
    Limits,
    Moved,
    Reading,
    Sample,
    SourceItem,
    Tally,
    group_dialogues,
    import_of,
    name_dialogue,
    numbered_steps,
    parse_known,
    place_name,
)
from prospect.samples.legacy.dialogue import assemble
from prospect.samples.legacy.records import FrameIndex, Name, Rate, Seconds
from prospect.states.transitions import initial_state
from prospect.types import Clip, ClipKind, Split, Task, Turn, UserType

_SPLIT_NAME = re.compile(r".*_(train|val|test)_L\d+_I\d+.*\.jsonl")


@dataclass(frozen=True, slots=True)
class RawTurn:
    """A turn, or with the role ``frames`` the range ``[start, end)`` shown before the next."""

    role: Literal["system", "frames", "user", "assistant"]
    content: str | None = None
    time: Seconds | None = None
    labels: str | None = None
    progress: str | None = None
    start: FrameIndex | None = None
    end: FrameIndex | None = None


@dataclass(frozen=True, slots=True)
class RawMetadata:
    """What was asked of the preparation."""

    user_type: UserType
    user_id: str
    task_goal: Name
    knowledge: str
    add_knowledge: bool
    has_summary: bool
    summary_only: bool
    progress: Any = None
    quality: Any = None


@dataclass(frozen=True, slots=True)
class RawSample:
    """One line."""

    dataset: Name
    video_uid: Name
    clip_idx: FrameIndex
    start_frame_idx: FrameIndex
    end_frame_idx: FrameIndex
    fps: Rate
    conversation: list[Any]
    metadata: Any
    frames_file: str | None = None
    seq_len: int | None = None
    max_seq_len: Any = None
    num_tokens_per_img: Any = None
    use_img_sep_token: Any = None


@dataclass(frozen=True, slots=True)
class Checked:
    """A line whose parts are all readable.

    Attributes:
        tail: The summary asked for at the end; None without one.
        positions: Turn -> last frame shown before it.
    """

    index: int
    raw: RawSample
    metadata: RawMetadata
    items: tuple[SourceItem, ...]
    tail: str | None
    positions: dict[int, int]


def read_proassist_jsonl(
    path: Path, limits: Limits, drop_invalid: bool = False, split: Split = "test"
) -> Import:
    """Read ProAssist's prepared samples.

    Args:
        path: The file; its name gives the split if it is ProAssist's (``..._val_L4096_I1.jsonl``).
        limits: Context length, token count and frame store that the clips must fit.
        drop_invalid: Count and drop what can't be right instead of raising.
        split: Where the name doesn't give it.

    Returns:
        Clips with recomputed frames, every step ``not_started``; ``knowledge`` as the file has it.

    Raises:
        MissingError: no such file.
        DataError: a sample can't be right; names file, sample (from 0), turn and field.
    """
    tally = Tally(drop_invalid)
    match = _SPLIT_NAME.fullmatch(path.name)
    named: Any = match.group(1) if match else split
    checked = list(_read_lines(path, tally))
    taken: set[str] = set()
    readings: list[Reading] = []
    for positions in group_dialogues(
        (one.raw.video_uid, one.metadata.user_id, one.raw.clip_idx) for one in checked
    ):
        first = checked[positions[0]]
        name = name_dialogue(
            first.raw.video_uid, first.metadata.user_type, first.metadata.user_id, taken
        )
        group = [_sample(checked[position], path, name, named) for position in positions]
        readings += assemble(group, limits, tally)
    readings.sort(key=lambda reading: reading.sample.index)
    return import_of(
        path,
        tally,
        readings,
        [found for reading in readings for found in _deviations(reading, limits)],
        [found for reading in readings for found in _moved(reading)],
    )


def _read_lines(path: Path, tally: Tally) -> Iterator[Checked]:
    index = 0
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield _check(_value(line, path, number), path, index, tally)
        except Invalid as error:
            tally.refuse(error)
        index += 1


def _value(line: str, path: Path, number: int) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise Invalid(NOT_JSON, f"{path}:{number}: not JSON: {error.msg}") from error


def _check(value: Any, path: Path, index: int, tally: Tally) -> Checked:
    where = place_name(path, index)
    unknown = tally.unknown_keys
    raw = parse_known(value, RawSample, where, "sample", unknown)
    metadata = parse_known(raw.metadata, RawMetadata, f"{where}: metadata", "metadata", unknown)
    turns = [
        parse_known(turn, RawTurn, place_name(path, index, number), "turn", unknown)
        for number, turn in enumerate(raw.conversation)
    ]
    tail = _tail(turns)
    if metadata.summary_only and tail is None:
        raise Invalid(
            MALFORMED, f"{where}: metadata: 'summary_only', but no summary at the end to learn from"
        )
    talk = turns if tail is None else turns[:-3]
    items = [
        SourceItem(number, _turn(turn, place_name(path, index, number)))
        for number, turn in enumerate(talk)
        if turn.role in ("user", "assistant")
    ]
    return Checked(
        index=index,
        raw=raw,
        metadata=metadata,
        items=tuple(_with_summary(items, tail)),
        tail=tail,
        positions=_positions(talk, raw.start_frame_idx, path, index),
    )


def _tail(turns: list[RawTurn]) -> str | None:
    """The summary at the end, told by its shape: a request, one frame, an answer without a time."""
    if [turn.role for turn in turns[-3:]] == ["system", "frames", "assistant"]:
        answer = turns[-1]
        if answer.time is None:
            return answer.content
    return None


def _turn(turn: RawTurn, where: str) -> Turn:
    if turn.time is None or not turn.content:
        raise Invalid(MALFORMED, f"{where}: a {turn.role} turn needs 'time' and 'content'")
    if turn.role == "user":
        return Turn("user", turn.time, turn.content)
    return Turn("assistant", turn.time, turn.content, turn.labels or "", turn.progress)


def _with_summary(items: list[SourceItem], tail: str | None) -> list[SourceItem]:
    """Give the last utterance the closing summary if it has none of its own."""
    for at in reversed(range(len(items))):
        number, item = items[at]
        if isinstance(item, Turn) and item.role == "assistant":
            if item.summary is None and tail is not None:
                items[at] = SourceItem(number, replace(item, summary=tail))
            break
    return items


def _positions(turns: list[RawTurn], start: int, path: Path, index: int) -> dict[int, int]:
    """Last frame shown before each turn."""
    shown = start
    found = {}
    for number, turn in enumerate(turns):
        if turn.role == "frames":
            if turn.start != shown or turn.end is None or turn.end < turn.start:
                raise Invalid(
                    MALFORMED,
                    f"{place_name(path, index, number)}: frames [{turn.start}, {turn.end}) don't "
                    f"continue at frame {shown}",
                )
            shown = turn.end
        elif turn.role != "system":
            found[number] = shown - 1
    return found


def _sample(one: Checked, path: Path, dialogue_id: str, split: Split) -> Sample:
    raw, metadata = one.raw, one.metadata
    task = Task(metadata.task_goal, numbered_steps(metadata.knowledge))
    clip = Clip(
        clip_id=f"{dialogue_id}/{raw.clip_idx}",
        dialogue_id=dialogue_id,
        video_id=raw.video_uid,
        dataset=raw.dataset,
        split=split,
        user_type=metadata.user_type,
        task=task,
        task_type=metadata.task_goal,
        fps=raw.fps,
        start_frame=raw.start_frame_idx,
        # the frame shown with the request for a summary carries no decision
        stop_frame=raw.end_frame_idx - (one.tail is not None),
        decide_from=raw.start_frame_idx,
        state=initial_state(task),
        recent=(),
        events=(),
        frames_file=raw.frames_file,
        state_known=False,
        knowledge=metadata.add_knowledge,
        kind=_kind(metadata, path),
        summary=one.tail,
    )
    return Sample(path, one.index, raw.clip_idx, clip, one.items, (), one)


def _kind(metadata: RawMetadata, path: Path) -> ClipKind:
    if metadata.summary_only:
        return "summary"
    return "narration" if path.name.startswith("narration") else "dialogue"


def _moved(reading: Reading) -> Iterator[Moved]:
    checked: Checked = reading.sample.raw
    for turn, item, frame, _ in reading.items:
        if turn is not None and isinstance(item, Turn) and checked.positions[turn] != frame:
            yield Moved(
                file=str(reading.sample.file),
                sample=checked.index,
                turn=turn,
                role=item.role,
                time_s=item.time_s,
                before=checked.positions[turn],
                after=frame,
            )


def _deviations(reading: Reading, limits: Limits) -> Iterator[Deviation]:
    checked: Checked = reading.sample.raw
    clip, drawn = reading.clip, reading.sample.clip
    spoken = [item.summary for _, item, _, _ in reading.items if isinstance(item, Turn)]
    summaries = [summary for summary in spoken if summary is not None]
    rows: list[tuple[int | None, str, Any, Any]] = [
        (None, "start_frame_idx", drawn.start_frame, clip.start_frame),
        (None, "end_frame_idx", drawn.stop_frame, clip.stop_frame),
        (None, "metadata.has_summary", checked.metadata.has_summary, checked.tail is not None),
    ]
    if checked.raw.seq_len is not None:
        rows.append((None, "seq_len", checked.raw.seq_len, limits.count_tokens(clip)))
    if checked.tail is not None and clip.kind == "dialogue":
        rows.append((None, "summary", checked.tail, summaries[-1] if summaries else None))
    rows += [(move.turn, "frames", move.before, move.after) for move in _moved(reading)]
    rows += [
        (turn, "turn", "stands in an earlier clip too", "not supervised again")
        for turn in reading.repeated
    ]
    for turn, field, stored, recomputed in rows:
        if stored != recomputed:
            yield Deviation(
                str(reading.sample.file), checked.index, turn, field, stored, recomputed
            )
