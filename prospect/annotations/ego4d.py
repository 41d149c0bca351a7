"""Ego4D Goal-Step's published annotation files -> `Annotation`s.

In: a folder with ``v2/annotations/goalstep_train.json`` and ``goalstep_val.json``, or one of them,
as published (Song et al., "Ego4D Goal-Step", NeurIPS 2023). Out: `Adapted`.

    prospect annotate --dataset ego4d --root FOLDER --out runs/x

A segment of the first level is a visit to a step, unless it is irrelevant to the goal; steps are
the categories of these segments. Deeper segments are actions of the step they are nested in.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prospect.annotations.adapted import Adapted, Log, Source
from prospect.annotations.order import corpus_order
from prospect.annotations.tables import get, seconds
from prospect.annotations.verbs import base_form
from prospect.annotations.visits import in_video
from prospect.errors import DataError, MissingError
from prospect.files import Account, read_json
from prospect.types import Action, Annotation, Split, Step, Task

FILES: dict[Split, str] = {
    "train": "v2/annotations/goalstep_train.json",
    "val": "v2/annotations/goalstep_val.json",
}
VIDEO = "v2/full_scale/{}.mp4"
"""Where the Ego4D download tool puts a video."""
GROUP = "grp-"
"""Begins the id of several Ego4D videos that were joined before they were annotated; ProAssist
(dataset preparation) finds the frames of the joined video under the id without it."""

RELEVANT = ("essential", "optional", "unsure")
IRRELEVANT = "irrelevant"


def read(root: Path) -> Adapted:
    """All videos of an Ego4D Goal-Step folder.

    Segments that end before or as they start, lie outside of the video, or have an unknown
    relevance or no words are dropped; those that reach beyond its end are cut there. Overlaps,
    substeps that leave their step, a relevance that isn't given (taken as relevant) and joined
    videos are kept. Videos without a visit are dropped. All of it is counted and listed.

    Steps are listed in the order of the *other* videos of the folder (`corpus_order`, with
    ``goal_category`` as the task): the list says nothing of the order in the video itself. The
    goal is the category's, or the description's where the category is a general one (`goal`).

    Args:
        root: The folder that holds ``v2``.

    Raises:
        MissingError: neither of the two files is there.
        DataError: a file is not what Goal-Step publishes: a field is absent or of another type,
            a video is named twice. Names file, video, segment and field.
    """
    present = {split: root / file for split, file in FILES.items() if (root / file).is_file()}
    if not present:
        raise MissingError(f"{root}: neither {' nor '.join(FILES.values())}; check --root")
    log = Log()
    videos: dict[str, _Video] = {}
    for split, path in present.items():
        for number, record in enumerate(get(read_json(path), "videos", list, str(path))):
            video = _video(record, split, f"{path}: video {number}", log)
            if video.id in videos:
                raise DataError(f"{path}: video {video.id} stands twice; keep one of them")
            videos[video.id] = video
    kept = {video.id: video for video in videos.values() if video.visited}
    for video in videos.values():
        if video.visited:
            log.kept += len(video.rows)
        else:
            log.note(video.id, "dropped, no steps")
    order = corpus_order({v.id: (v.task_type, v.visited) for v in kept.values()})
    verbs = frozenset(_verbs(kept.values()))
    annotations = tuple(_annotation(video, order[video.id], verbs) for video in kept.values())
    account = Account(len(kept), {"no steps": len(videos) - len(kept)})
    return Adapted(annotations, account, log.account(), tuple(log.lines))


@dataclass(frozen=True, slots=True)
class _Row:
    """One segment, its times within the video; ``step`` is a category, None for no step."""

    start_s: float
    end_s: float
    text: str
    depth: int
    step: str | None


@dataclass(frozen=True, slots=True)
class _Video:
    id: str
    split: Split
    task_type: str
    description: str
    start_s: float
    duration_s: float
    rows: tuple[_Row, ...]

    @property
    def visited(self) -> tuple[str, ...]:
        """The categories of the visits in order of time."""
        return tuple(row.step for row in self.rows if row.depth == 0 and row.step is not None)


def _video(record: Any, split: Split, where: str, log: Log) -> _Video:
    name = get(record, "video_uid", str, where)
    where = f"{where} ({name})"
    start_s, end_s = seconds(record, "start_time", where), seconds(record, "end_time", where)
    if not 0 <= start_s < end_s:
        raise DataError(f"{where}: lasts from {start_s} s to {end_s} s, expected 0 <= start < end")
    if name.startswith(GROUP):
        log.note(where, f"several videos joined, expected as {_video_file(name)}")
    rows = Log()
    segments = get(record, "segments", list, where)
    found = sorted(_rows(segments, None, end_s, where, rows), key=lambda row: row[0])
    made = tuple(row for _, row in found)
    if any(row.depth == 0 and row.step is not None for row in made):
        for reason, count in rows.dropped.items():
            log.dropped[reason] = log.dropped.get(reason, 0) + count
        _note_overlaps(made, where, rows)
    log.lines += rows.lines
    return _Video(
        id=name,
        split=split,
        task_type=get(record, "goal_category", str, where),
        description=get(record, "goal_description", str, where),
        start_s=start_s,
        duration_s=end_s,
        rows=made,
    )


_Key = tuple[float, float, int]


def _rows(
    segments: list[Any], parent: _Row | None, duration_s: float, where: str, log: Log
) -> Iterator[tuple[_Key, _Row]]:
    """The segments and those nested in them, each with its key for sorting."""
    depth = 0 if parent is None else parent.depth + 1
    for number, segment in enumerate(segments):
        here = f"{where}: {'segment' if parent is None else 'substep'} {number}"
        row = _row(segment, parent, duration_s, here, log)
        if isinstance(row, str):
            log.drop(here, row)
        else:
            yield (row.start_s, row.end_s, depth), row
        if "segments" in segment:
            # what is nested in a dropped segment was still done, but in no step
            above = _Row(0.0, duration_s, "", depth, None) if isinstance(row, str) else row
            nested = get(segment, "segments", list, here)
            yield from _rows(nested, above, duration_s, here, log)


def _row(segment: Any, parent: _Row | None, duration_s: float, where: str, log: Log) -> _Row | str:
    """One segment, or why it is dropped."""
    start_s, end_s = seconds(segment, "start_time", where), seconds(segment, "end_time", where)
    text = " ".join(get(segment, "step_description", str, where).split())
    category = " ".join(get(segment, "step_category", str, where).split())
    if "is_relevant" in segment:
        relevance = get(segment, "is_relevant", str, where)
    else:
        relevance = RELEVANT[0]
        log.note(where, f"relevance not given, taken as {relevance}")
    if relevance not in (*RELEVANT, IRRELEVANT):
        return f"relevance {relevance!r}"
    span = in_video(start_s, end_s, duration_s)
    if isinstance(span, str):
        return span
    if not text:
        return "no description"
    if parent is None and not phrase(category):
        return "no category"
    if end_s > duration_s:
        log.note(where, f"cut at the end of the video, {duration_s} s instead of {end_s} s")
    if parent is not None and (span[0] < parent.start_s or span[1] > parent.end_s):
        log.note(where, f"leaves its step, {parent.start_s} s to {parent.end_s} s")
    step = category if parent is None else parent.step
    return _Row(
        *span,
        text,
        0 if parent is None else parent.depth + 1,
        None if relevance == IRRELEVANT else step,
    )


def _note_overlaps(rows: Iterable[_Row], where: str, log: Log) -> None:
    latest: _Row | None = None
    for row in rows:
        if row.depth > 0:
            continue
        if latest is not None and row.start_s < latest.end_s:
            log.note(where, f"{row.text!r} begins at {row.start_s} s, in {latest.text!r}")
        if latest is None or row.end_s > latest.end_s:
            latest = row


def _annotation(video: _Video, categories: tuple[str, ...], verbs: frozenset[str]) -> Annotation:
    ids = {category: f"S{number}" for number, category in enumerate(categories, start=1)}
    return Annotation(
        video_id=video.id,
        dataset="ego4d",
        split=video.split,
        task=Task(
            goal(video.task_type, video.description, verbs),
            tuple(
                Step(ids[c], name) for c, name in zip(categories, _names(categories), strict=True)
            ),
        ),
        task_type=video.task_type,
        duration_s=video.duration_s,
        actions=tuple(
            Action(
                start_s=row.start_s,
                end_s=row.end_s,
                text=row.text,
                kind="step" if row.depth == 0 and row.step is not None else "action",
                step_id=None if row.step is None else ids[row.step],
            )
            for row in video.rows
        ),
        video_file=_video_file(video.id),
        start_s=video.start_s,
    )


def _video_file(video_id: str) -> str:
    return VIDEO.format(video_id.removeprefix(GROUP))


def _names(categories: tuple[str, ...]) -> list[str]:
    """The phrases of the categories; a phrase that two share has the category's head before it."""
    phrases = [phrase(category) for category in categories]
    return [
        words if phrases.count(words) == 1 else category
        for words, category in zip(phrases, categories, strict=True)
    ]


def phrase(category: str) -> str:
    """What a step's category says to do: "Peel and cut ingredients: Cut meat" -> "Cut meat"."""
    head, _, tail = category.partition(":")
    return tail.strip() or head.strip()


def goal(category: str, description: str, verbs: frozenset[str]) -> str:
    """A wish: "COOKING:MAKE_STEW_OR_SOUP" -> "Make stew or soup.".

    Categories are curated, descriptions often tell only a part ("Using cellphone", while pasta is
    made). A general category ("COOKING:COOKING_GENERAL") says too little: there the description
    is taken if it is one line that begins with a form of one of ``verbs``.

    Args:
        category: ``KIND:VERB_AND_THINGS``.
        description: One line, or several.
        verbs: Base forms in lower case; "making" and "makes" become "make" if that is one.
    """
    tail = re.sub(r"\(.*?\)", "", phrase(category)).replace("_", " ").lower()
    wish = tail.removesuffix(" general")
    if wish != tail and "\n" not in description.strip():
        described = " ".join(description.split()).strip(" .,;`'\"")
        if base_form(described.partition(" ")[0], verbs) is not None:
            wish = described.removesuffix(" general")
    first, _, rest = " ".join(wish.split()).partition(" ")
    wish = f"{base_form(first, verbs) or first} {rest}".strip()
    return wish[:1].upper() + wish[1:] + "."


def _verbs(videos: Iterable[_Video]) -> Iterator[str]:
    """The first words of all categories: the taxonomy's own verbs, in their base form."""
    for video in videos:
        for category in (video.task_type, *video.visited):
            verb = re.split(r"[ _(]", phrase(category).lower())[0]
            if verb and not verb.endswith("ing"):
                yield verb


SOURCE = Source(read, "ego4d_track2", "MIT (Ego4D Goal-Step)")
