"""What every reader of existing files shares: limits, findings, and the form of an import.

In: raw JSON values. Out: checked records, or `Invalid` naming file, sample, turn and field.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from prospect.errors import DataError
from prospect.files import Account, parse
from prospect.types import Clip, State, Step, TimedTransition, Turn

T = TypeVar("T")
Item = Turn | TimedTransition

MALFORMED = "malformed field"
EMPTY = "no frames"
BEYOND = "event beyond the stored frames"
ILLEGAL = "illegal transition"
UNKNOWN_STEP = "unknown step"
OUT_OF_ORDER = "turns out of order"
CONTRADICTION = "contradicts its dialogue"
SPARSE_A = "sparse form without a conversation"
NOT_JSON = "not JSON"
TOO_LONG = "longer than the context"
OVERLAP_ONLY = "nothing but turns of earlier clips"

_NUMBERED = re.compile(r"\d+\.\s+(.*)")
_USER_ID = re.compile(r".*_(\d+)(\+\w+)?")


@dataclass(frozen=True, slots=True)
class Limits:
    """What an imported clip must fit.

    Attributes:
        count_tokens: Length of the rendered clip.
        context_len: Tokens the model may see; a longer clip is dropped, never cut.
        stored_frames: Frame indices that the frame store holds for the clip; None where no frames
            are at hand, and then nothing is compared with them.
    """

    count_tokens: Callable[[Clip], int]
    context_len: int
    stored_frames: Callable[[Clip], range | None]


@dataclass(frozen=True, slots=True)
class Deviation:
    """A stored value that differs from the one recomputed from times and transitions.

    Attributes:
        sample: Position in the file from 0.
        turn: Position in the sample's conversation from 0; None for a value of the whole sample.
    """

    file: str
    sample: int
    turn: int | None
    field: str
    stored: Any
    recomputed: Any


@dataclass(frozen=True, slots=True)
class Moved:
    """A turn whose label is on another frame than the file says; ``before`` is the file's."""

    file: str
    sample: int
    turn: int
    role: str
    time_s: float
    before: int
    after: int


class SourceItem(NamedTuple):
    """A turn or transition, and the turn of the file it comes from; None if derived."""

    turn: int | None
    item: Item


class PlacedItem(NamedTuple):
    """A `SourceItem` with the frame it is decided on and the state before it."""

    turn: int | None
    item: Item
    frame: int
    before: State


@dataclass(frozen=True, slots=True)
class Sample:
    """One clip as its file has it, each field checked for itself.

    Attributes:
        clip: With the file's frame range; state, recent and events are still to be computed.
        items: All user, assistant and state turns in file order.
        timeline: Every transition of the video that the file knows of, by time.
        raw: The format's own record, for the comparison.
    """

    file: Path
    index: int
    clip_idx: int
    clip: Clip
    items: tuple[SourceItem, ...]
    timeline: tuple[TimedTransition, ...]
    raw: Any

    def where(self, turn: int | None = None) -> str:
        """How errors name a place: file, sample, turn."""
        return place_name(self.file, self.index, turn)


@dataclass(frozen=True, slots=True)
class Reading:
    """A kept clip and where it comes from; ``items`` are its own turns in file order.

    Attributes:
        repeated: Turns of the file that an earlier clip has, and that are not supervised again.
    """

    sample: Sample
    clip: Clip
    items: tuple[PlacedItem, ...]
    repeated: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Import:
    """What a reader hands over.

    Attributes:
        root: The file or folder that was read.
        dropped: One line for each dropped sample.
        unknown_keys: ``turn.<key>`` or the like -> how often it was ignored.
    """

    root: Path
    readings: tuple[Reading, ...]
    account: Account
    dropped: tuple[str, ...]
    deviations: tuple[Deviation, ...]
    moved: tuple[Moved, ...]
    unknown_keys: Mapping[str, int]

    @property
    def clips(self) -> tuple[Clip, ...]:
        """The clips in file order."""
        return tuple(reading.clip for reading in self.readings)

    def deviating_fields(self) -> dict[str, int]:
        """Field -> number of deviations, the most frequent first."""
        return dict(Counter(deviation.field for deviation in self.deviations).most_common())


class Invalid(DataError):
    """A sample that can't be used; ``reason`` is what it is counted under when dropped."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(slots=True)
class Tally:
    """Counts while reading: drops and ignored keys."""

    drop_invalid: bool
    reasons: Counter[str] = field(default_factory=Counter)
    dropped: list[str] = field(default_factory=list)
    unknown_keys: Counter[str] = field(default_factory=Counter)

    def refuse(self, error: Invalid) -> None:
        """Count a sample that can't be right, or raise the error."""
        if not self.drop_invalid:
            raise error
        self.drop(error)

    def drop(self, error: Invalid) -> None:
        """Count a sample that is right but can't be used."""
        self.reasons[error.reason] += 1
        self.dropped.append(str(error))


def place_name(file: Path, sample: int, turn: int | None = None) -> str:
    """``train_training.json: sample 3, turn 5``."""
    return f"{file}: sample {sample}" + ("" if turn is None else f", turn {turn}")


def parse_known(value: Any, cls: type[T], where: str, kind: str, unknown: Counter[str]) -> T:
    """Check the known keys of a JSON object; count the others under ``<kind>.<key>``.

    Raises:
        Invalid: not an object, a missing key or a wrong type; names the place and the field.
    """
    if not isinstance(value, dict):
        raise Invalid(MALFORMED, f"{where}: a {kind} must be an object, got {str(value)[:80]!r}")
    names = {item.name for item in fields(cls)}  # type: ignore[arg-type]  # cls is a dataclass
    unknown.update(f"{kind}.{key}" for key in value if key not in names)
    try:
        return parse({key: value[key] for key in value if key in names}, cls, where)
    except DataError as error:
        raise Invalid(MALFORMED, str(error)) from error


def numbered_lines(text: str) -> tuple[str, ...]:
    """The texts after ``1. ``, ``2. `` ...; a line below continues its step up to a blank line."""
    names: list[str] = []
    open_step = False
    for line in text.split("\n"):
        match = _NUMBERED.match(line.strip())
        if match:
            names.append(match.group(1).strip())
        elif open_step and line.strip():
            names[-1] += " " + line.strip()
        open_step = bool(match) or (open_step and bool(line.strip()))
    return tuple(names)


def numbered_steps(text: str) -> tuple[Step, ...]:
    """`numbered_lines` as steps S1, S2 ..."""
    return tuple(Step(f"S{n}", name) for n, name in enumerate(numbered_lines(text), start=1))


def group_dialogues(keys: Iterable[tuple[str, str | None, int]]) -> list[list[int]]:
    """Which samples are clips of one dialogue.

    Args:
        keys: (video, user id or None, clip index) of each sample in file order.

    Returns:
        Positions, dialogue by dialogue in order of appearance. Samples of the same video and user
        id belong together as long as their clip index rises: user ids are not unique in old files.
    """
    groups: list[list[int]] = []
    latest: dict[tuple[str, str | None], tuple[int, list[int]]] = {}
    for position, (video_id, user_id, clip_idx) in enumerate(keys):
        previous = latest.get((video_id, user_id))
        if previous is not None and clip_idx > previous[0]:
            group = previous[1]
        else:
            group = []
            groups.append(group)
        group.append(position)
        latest[video_id, user_id] = (clip_idx, group)
    return groups


def name_dialogue(video_id: str, user_type: str, user_id: str | None, taken: set[str]) -> str:
    """A dialogue id with the user id's number, or the next free one; adds it to ``taken``.

    A variant's name (``talk_some_0+summary``) is kept.
    """
    match = _USER_ID.fullmatch(user_id or "")
    number = int(match.group(1)) if match else 0
    variant = (match.group(2) if match else None) or ""
    while f"{video_id}/{user_type}-{number}{variant}" in taken:
        number += 1
    name = f"{video_id}/{user_type}-{number}{variant}"
    taken.add(name)
    return name


def import_of(
    root: Path,
    tally: Tally,
    readings: Sequence[Reading],
    deviations: Iterable[Deviation],
    moved: Iterable[Moved],
) -> Import:
    """Everything found, in file order."""
    ordered = sorted(readings, key=lambda reading: (reading.sample.file, reading.sample.index))
    return Import(
        root=root,
        readings=tuple(ordered),
        account=Account(len(ordered), dict(tally.reasons)),
        dropped=tuple(tally.dropped),
        deviations=tuple(deviations),
        moved=tuple(moved),
        unknown_keys=dict(sorted(tally.unknown_keys.items())),
    )
