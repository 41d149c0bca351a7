"""Labels changed by hand: what may be saved, and who changed what.

In: a data folder, a video's transitions and turns as somebody wants them. Out: ``states.jsonl`` and
``dialogues.jsonl`` with them, and one `Edit` a change at the end of ``edits.jsonl``.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from prospect.errors import DataError
from prospect.files import read_records, text_hash, write_records
from prospect.states.transitions import fold, initial_state
from prospect.types import Dialogue, Edit, StateTrack, TimedTransition, Turn

STATES, DIALOGUES, EDITS = "states.jsonl", "dialogues.jsonl", "edits.jsonl"
_LABELS = re.compile(
    r"(initiative|responsive)\|(instruction|correction|info_sharing|feedback|other)"
    r"(,(instruction|correction|info_sharing|feedback|other))*"
)

Item = TimedTransition | Turn
T = TypeVar("T", TimedTransition, Turn)


@dataclass(frozen=True, slots=True)
class Sheet:
    """The labels of one video, as they are edited.

    Attributes:
        duration_s: Labels lie in ``[0, duration_s]``.
        video_file: Relative to the data folder; None if unknown.
        version: Changes with every saved change; who saves has to name the one he read.
    """

    track: StateTrack
    dialogues: tuple[Dialogue, ...]
    duration_s: float
    video_file: str | None
    version: str


def read_sheets(data: Path) -> dict[str, Sheet]:
    """video_id -> its labels, for every video that has transitions and a dialogue.

    Raises:
        MissingError: the folder has no states or no dialogues.
        DataError: a line that can't be read.
    """
    spoken: dict[str, list[Dialogue]] = {}
    for dialogue in read_records(data / DIALOGUES, Dialogue):
        spoken.setdefault(dialogue.video_id, []).append(dialogue)
    return {
        track.video_id: _sheet(track, spoken[track.video_id])
        for track in read_records(data / STATES, StateTrack)
        if track.video_id in spoken
    }


def _sheet(track: StateTrack, dialogues: Sequence[Dialogue]) -> Sheet:
    version = text_hash(repr((track, dialogues)))
    first = dialogues[0]
    return Sheet(track, tuple(dialogues), first.duration_s, first.video_file, version)


def edited_videos(data: Path) -> frozenset[str]:
    """Videos whose labels were changed by hand: no stage may write over them."""
    if not (data / EDITS).exists():
        return frozenset()
    return frozenset(edit.video_id for edit in read_records(data / EDITS, Edit))


def save(
    data: Path,
    video_id: str,
    transitions: Sequence[TimedTransition],
    turns: dict[str, Sequence[Turn]],
    author: str,
    version: str,
) -> tuple[Edit, ...]:
    """Replace a video's labels; they are sorted by time, which keeps the order of equal times.

    Args:
        turns: dialogue_id -> all its turns; dialogues not named stay as they are.
        author: Who changed them.
        version: Of the `Sheet` that was edited.

    Returns:
        The changes, which are in ``edits.jsonl`` now; none if nothing differs.

    Raises:
        DataError: no author; labels that somebody else changed meanwhile; an illegal transition;
            a turn without text or with unknown labels; a time outside of the video. Nothing is
            written then.
    """
    sheets = read_sheets(data)
    sheet = sheets.get(video_id)
    if sheet is None:
        raise DataError(f"{data}: no labels of a video {video_id!r}")
    if sheet.version != version:
        raise DataError(f"{video_id}: somebody changed these labels meanwhile; load them again")
    if not author.strip():
        raise DataError("who makes these changes? a name is needed")
    track = replace(sheet.track, transitions=_sorted(sheet, transitions))
    try:
        fold(initial_state(track.task), (item.transition for item in track.transitions))
    except DataError as error:
        raise DataError(f"{video_id}: {error}") from error
    spoken = {one.dialogue_id: one for one in sheet.dialogues}
    changed: dict[str, Dialogue] = {}
    for dialogue_id, said in turns.items():
        if dialogue_id not in spoken:
            raise DataError(f"{video_id}: no dialogue {dialogue_id!r}")
        for turn in said:
            _check_turn(turn, dialogue_id)
        changed[dialogue_id] = replace(spoken[dialogue_id], turns=_sorted(sheet, said))
    edits = tuple(_edits(sheet, track, changed, author.strip()))
    if edits:
        earlier = read_records(data / EDITS, Edit) if (data / EDITS).exists() else []
        write_records(data / EDITS, [*earlier, *edits])
        tracks = read_records(data / STATES, StateTrack)
        write_records(data / STATES, [track if t.video_id == video_id else t for t in tracks])
        dialogues = read_records(data / DIALOGUES, Dialogue)
        write_records(data / DIALOGUES, [changed.get(d.dialogue_id, d) for d in dialogues])
    return edits


def _sorted(sheet: Sheet, items: Sequence[T]) -> tuple[T, ...]:
    for item in items:
        if not 0 <= item.time_s <= sheet.duration_s:
            raise DataError(
                f"{sheet.track.video_id}: {item.time_s} s is outside of the video, "
                f"[0, {sheet.duration_s}] s"
            )
    return tuple(sorted(items, key=lambda item: item.time_s))


def _check_turn(turn: Turn, dialogue_id: str) -> None:
    where = f"{dialogue_id}, {turn.time_s} s"
    if not turn.text.strip() or "\n" in turn.text:
        raise DataError(f"{where}: a turn is one line of text, not {turn.text!r}")
    if turn.role == "system":
        raise DataError(f"{where}: turns are the user's or the assistant's")
    labelled = turn.role == "assistant" and turn.labels
    if turn.labels and not (labelled and _LABELS.fullmatch(turn.labels)):
        raise DataError(
            f"{where}: labels {turn.labels!r}; an assistant's are like 'initiative|instruction', "
            "a user has none"
        )


def _edits(
    sheet: Sheet, track: StateTrack, changed: dict[str, Dialogue], author: str
) -> Iterator[Edit]:
    pairs: list[tuple[str | None, Sequence[Item], Sequence[Item]]] = [
        (None, sheet.track.transitions, track.transitions)
    ]
    pairs += [
        (one.dialogue_id, one.turns, changed[one.dialogue_id].turns)
        for one in sheet.dialogues
        if one.dialogue_id in changed
    ]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for dialogue_id, before, after in pairs:
        for was, became in differences(before, after):
            yield Edit(now, author, track.video_id, dialogue_id, was, became)


def differences(
    before: Sequence[Item], after: Sequence[Item]
) -> list[tuple[Item | None, Item | None]]:
    """(was, is) of every change: moved in time, reworded, removed (no is), added (no was)."""
    gone = list((Counter(before) - Counter(after)).elements())
    new = list((Counter(after) - Counter(before)).elements())
    found: list[tuple[Item | None, Item | None]] = []
    for same in (_content, _place):  # what was moved keeps its content, what was reworded its place
        for was in list(gone):
            match = next((item for item in new if same(item) == same(was)), None)
            if match is not None:
                gone.remove(was)
                new.remove(match)
                found.append((was, match))
    return [*found, *((was, None) for was in gone), *((None, item) for item in new)]


def _content(item: Item) -> object:
    return item.transition if isinstance(item, TimedTransition) else (item.role, item.text)


def _place(item: Item) -> object:
    who = item.transition.step_id if isinstance(item, TimedTransition) else item.role
    return item.time_s, who
