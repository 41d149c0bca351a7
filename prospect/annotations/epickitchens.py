"""EPIC-KITCHENS-100's published annotation files -> `Annotation`s.

In: a folder with ``epic-kitchens-100-annotations`` (``EPIC_100_train.csv``,
``EPIC_100_validation.csv``, ``EPIC_100_video_info.csv``) and, for the goals,
``epic-kitchens-55-annotations/EPIC_descriptions.csv``, as published (Damen et al., "Rescaling
Egocentric Vision", IJCV 2022; "Scaling Egocentric Vision", ECCV 2018). Out: `Adapted`.

    prospect annotate --dataset epickitchens --root FOLDER --out runs/x

The dataset names no steps: all rows are actions of none.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from itertools import pairwise
from pathlib import Path

from prospect.annotations.adapted import Adapted, Log, Source
from prospect.annotations.tables import number, read_table
from prospect.annotations.verbs import base_form
from prospect.annotations.visits import in_video
from prospect.errors import DataError, MissingError
from prospect.files import Account
from prospect.types import Action, Annotation, Split, Task

FILES: dict[Split, str] = {
    "train": "epic-kitchens-100-annotations/EPIC_100_train.csv",
    "val": "epic-kitchens-100-annotations/EPIC_100_validation.csv",
}
INFO = "epic-kitchens-100-annotations/EPIC_100_video_info.csv"
DESCRIPTIONS = "epic-kitchens-55-annotations/EPIC_descriptions.csv"
VIDEO = "EPIC-KITCHENS/{}/videos/{}.MP4"
"""Where the published download script puts a video, by participant and video."""

COLUMNS = (
    "narration_id",
    "participant_id",
    "video_id",
    "start_timestamp",
    "stop_timestamp",
    "narration",
    "verb",
    "noun",
)
TASK_TYPE = "kitchen"
"""Nobody was given a task: all videos are of one kind."""
GOAL = "Work in the kitchen."
"""Of a video that has no description, or none that tells what to do."""
WORK = frozenset({
    "arrange", "bake", "boil", "check", "chop", "clean", "clear", "continue", "cook", "do", "drain",
    "drink", "eat", "empty", "finish", "fry", "make", "mix", "pack", "prepare", "put", "serve",
    "start", "take", "tidy", "toast", "unload", "unpack", "wash",
})  # fmt: skip
"""Verbs of kitchen work; those of a folder's own rows are known too."""

_BREAK = re.compile(r"([,.;]\s*(?:and |then )*|\band |\bthen )")
"""Between two clauses of a description."""
_TIME = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")


def read(root: Path) -> Adapted:
    """All videos of an EPIC-KITCHENS-100 folder.

    Rows are sorted by time. Those that end before or as they start, start beyond the end of the
    video, or have no narration are dropped; those that reach beyond its end are cut there. Rows
    that overlap, or stand unsorted, are kept. Videos that the info file doesn't know, and so
    have no length, are dropped with their rows. All of it is counted and listed.

    Args:
        root: The folder that holds ``epic-kitchens-100-annotations``.

    Raises:
        MissingError: neither ``EPIC_100_train.csv`` nor ``EPIC_100_validation.csv``, or no info
            file.
        DataError: a file is not what EPIC-KITCHENS publishes: a column is absent, a time is not
            like 00:01:02.34, a narration is named twice, a video is in both splits. Names file,
            line and column.
    """
    present = {split: root / file for split, file in FILES.items() if (root / file).is_file()}
    if not present:
        raise MissingError(f"{root}: neither {' nor '.join(FILES.values())}; check --root")
    log = Log()
    rows = {split: _rows(path) for split, path in present.items()}
    both = rows.get("train", {}).keys() & rows.get("val", {}).keys()
    if both:
        raise DataError(f"{root}: video {min(both)} is in both splits; keep one")
    lengths_s = _lengths_s(root / INFO)
    goals = _goals(root / DESCRIPTIONS, WORK | _verbs(rows.values()), log)
    kept: list[Annotation] = []
    unknown = 0
    for split, videos in rows.items():
        for name, narrated in videos.items():
            if name not in lengths_s:
                unknown += 1
                log.note(name, f"dropped with {len(narrated)} rows, not in {root / INFO}")
                continue
            if name not in goals:
                log.note(name, f"has no description to take the goal from, taken as {GOAL!r}")
            kept.append(_video(name, split, narrated, lengths_s[name], goals.get(name, GOAL), log))
    account = Account(len(kept), {f"not in {Path(INFO).name}": unknown})
    return Adapted(tuple(kept), account, log.account(), tuple(log.lines))


_Row = tuple[str, dict[str, str]]
"""``file:line`` and the cells by column."""


def _rows(path: Path) -> dict[str, list[_Row]]:
    """video_id -> its rows, in file order."""
    found: dict[str, list[_Row]] = defaultdict(list)
    seen: dict[str, str] = {}
    for where, cells in read_table(path, COLUMNS):
        first = seen.setdefault(cells["narration_id"], where)
        if first != where:
            raise DataError(f"{where}: narration {cells['narration_id']!r} stands at {first} too")
        found[cells["video_id"]].append((where, cells))
    return found


def _lengths_s(path: Path) -> dict[str, float]:
    lengths: dict[str, float] = {}
    for where, cells in read_table(path, ("video_id", "duration")):
        length_s = number(cells["duration"], "duration", where)
        if length_s <= 0:
            raise DataError(f"{where}: column 'duration' is {length_s}, expected seconds > 0")
        lengths[cells["video_id"]] = length_s
    return lengths


def _verbs(splits: Iterable[Mapping[str, list[_Row]]]) -> set[str]:
    """ "put-down" is a form of "put"."""
    return {
        cells["verb"].partition("-")[0]
        for videos in splits
        for narrated in videos.values()
        for _, cells in narrated
    }


def _goals(path: Path, verbs: Set[str], log: Log) -> dict[str, str]:
    """video_id -> goal, for the videos whose description tells one."""
    if not path.is_file():
        log.note(str(path), f"not there, all goals are taken as {GOAL!r}")
        return {}
    found = {
        cells["video_id"]: goal(cells["description"], verbs)
        for _, cells in read_table(path, ("video_id", "description"))
    }
    return {name: wish for name, wish in found.items() if wish is not None}


def goal(description: str, verbs: Set[str]) -> str | None:
    """What somebody did as a wish: "washed dishes, made tea" -> "Wash dishes, make tea.".

    Verbs are turned where a clause begins. None if the first word is no form of a verb.

    Args:
        description: Free text of one or more clauses.
        verbs: Base forms in lower case.
    """
    clauses = _BREAK.split(" ".join(description.split()).strip(" .,;"))
    first = clauses[0].partition(" ")[0]
    if base_form(first, verbs) is None:
        return None
    endings = tuple(ending for ending in ("ed", "ing") if first.lower().endswith(ending))
    for at in range(0, len(clauses), 2):
        verb, _, rest = clauses[at].partition(" ")
        # a later clause goes on in the form of the first; "and fried rice" is rarely a clause
        base = base_form(verb, verbs) if at == 0 or verb.endswith(endings) else None
        clauses[at] = f"{base or verb} {rest}".rstrip(" ") + (
            " " if clauses[at].endswith(" ") else ""
        )
    wish = "".join(clauses).replace(". ", ", ")
    return wish[:1].upper() + wish[1:] + "."


def _video(
    name: str, split: Split, narrated: list[_Row], length_s: float, wish: str, log: Log
) -> Annotation:
    actions: list[Action] = []
    starts: list[float] = []
    for where, cells in narrated:
        action = _action(where, cells, length_s, log)
        if isinstance(action, str):
            log.drop(where, action)
            continue
        if starts and action.start_s < starts[-1]:
            log.note(where, f"begins at {action.start_s} s, before the row above it; sorted")
        starts.append(action.start_s)
        actions.append(action)
    actions.sort(key=lambda action: (action.start_s, action.end_s))
    for earlier, later in pairwise(actions):
        if later.start_s < earlier.end_s:
            log.note(name, f"{later.text!r} begins at {later.start_s} s, in {earlier.text!r}")
    log.kept += len(actions)
    return Annotation(
        video_id=name,
        dataset="epickitchens",
        split=split,
        task=Task(wish, ()),
        task_type=TASK_TYPE,
        duration_s=length_s,
        actions=tuple(actions),
        video_file=VIDEO.format(narrated[0][1]["participant_id"], name),
    )


def _action(where: str, cells: Mapping[str, str], length_s: float, log: Log) -> Action | str:
    """One row, or why it is dropped."""
    start_s = _time_s(cells, "start_timestamp", where)
    stop_s = _time_s(cells, "stop_timestamp", where)
    text = " ".join(cells["narration"].split())
    span = in_video(start_s, stop_s, length_s)
    if isinstance(span, str):
        return span
    if not text:
        return "no narration"
    if stop_s > length_s:
        log.note(where, f"cut at the end of the video, {length_s} s instead of {stop_s} s")
    verb, noun = cells["verb"].strip() or None, cells["noun"].strip() or None
    return Action(*span, text, "action", None, verb, noun)


def _time_s(cells: Mapping[str, str], column: str, where: str) -> float:
    match = _TIME.fullmatch(cells[column])
    if match is None:
        raise DataError(
            f"{where}: column {column!r} is {cells[column]!r:.80}, not like 00:01:02.34"
        )
    hours, minutes, rest = match.groups()
    return round(int(hours) * 3600 + int(minutes) * 60 + float(rest), 3)


SOURCE = Source(read, "epic-kitchens", "CC BY-NC 4.0")
