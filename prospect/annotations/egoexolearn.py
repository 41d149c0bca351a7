"""EgoExoLearn's published annotation files -> `Annotation`s.

In: a folder laid out as published (Huang et al., "EgoExoLearn", CVPR 2024,
https://github.com/OpenGVLab/EgoExoLearn): coarse steps in ``annotations/l1``, narrated fine actions
in ``annotations/fine_annotation_trainval_en.csv``, verbs and nouns of fine segments in the action
anticipation benchmark; each of the three may be absent. Out: `Adapted`.

    prospect annotate --dataset egoexolearn --root FOLDER --out runs/x

A coarse record is a visit to its class, a step; its text is the sub-steps as narrated. Records of
the class "Other", or of none, belong to no step and become actions. Fine actions belong to the
visit that holds most of them. The steps of a video are the classes it visits, listed in the order
of the other videos of its task (`prospect.annotations.order`).
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from prospect.annotations.adapted import Adapted, Log, Source
from prospect.annotations.order import corpus_order
from prospect.annotations.tables import get, number, read_table, seconds
from prospect.annotations.visits import in_video, owned, visited, with_steps
from prospect.errors import DataError, MissingError
from prospect.files import Account, read_json, read_text
from prospect.types import Action, Annotation, Split, Task

COARSE = "annotations/l1"
FINE = "annotations/fine_annotation_trainval_en.csv"
SEGMENTS = (
    "action_anticipation_planning_benchmark/anticpation_annotation/balanced_full_annotation/"
    "ego_{}_valid.csv"
)
"""The published folder is spelt like this. Its splits divide the segments of each video."""
TAXONOMY = "annotations/narration_{}_taxonomy.csv"
CLASSES = "temporal_action_segmentation_benchmark/tas_annotation/semantic_en.json"
BUNDLES = "temporal_action_segmentation_benchmark/tas_annotation/splits/{}_{}_annotations.bundle"
METADATA = "video_meta_downsampled.json"

VIEWS = ("ego", "exo")
"""Views that are kept. ProAssist keeps ego alone; exo videos are demonstrations of the same tasks
filmed from outside, told apart in the account's list."""
SPLITS: tuple[Split, ...] = ("test", "val", "train")
"""A video that several splits name goes to the first of these, so that training never sees it."""
DEFAULT_SPLIT: Split = "train"
"""Where videos go that neither a bundle nor the column ``subset`` gives a split; all are listed."""

GOALS: dict[str, str] = {
    "task1": "Cook twice-cooked pork.",
    "task2": "Cook tofu skin with hot pepper.",
    "task3": "Cook stir-fried potato, eggplant and green pepper.",
    "task4": "Cook moo shu pork.",
    "task5": "Cook tomato dough drop soup.",
    "task6": "Synthesize a peptide on a solid phase.",
    "task7": "Extract the total protein of cells.",
    "task8": "Subculture cells.",
}
"""ProAssist's names of the eight tasks; the metadata only number them."""
UNKNOWN_TASK, UNKNOWN_GOAL = "unknown", "Finish the task."

OTHER = ("Other", "")
"""Classes that name no step."""
NO_TEXT = "no narration in English"
NARRATIONS = ("narration_en_no_hand_prompt", "narration_en", "narration_en_hand_prompt")
"""Columns with a fine action's text; the first that isn't empty counts (ProAssist reads the first
alone)."""

_NUMBERED = re.compile(r"\s*[0-9]+\.")
# left over from the machine translation of the narrations: excuses, and lines it didn't translate
_FOREIGN = re.compile(r"\btranslat|[\u3040-\u30ff\u3400-\u9fff\uff00-\uffef]", re.IGNORECASE)
_IDS = re.compile(r"\[(?:[0-9]{1,6}(?:, ?[0-9]{1,6})*)?\]")


def read(root: Path) -> Adapted:
    """All videos of an EgoExoLearn folder, sorted by id.

    Rows that end before or as they start, begin outside of the video, have an unknown class or no
    text are dropped; those that reach beyond its end are cut there. Segments of a video with
    narrated actions are dropped, since both tell of the same. A visit without an English text is
    called by its class. Steps may overlap. All of it is counted and listed, and so are unsorted
    files and videos in two splits, in none, or without metadata (as long as annotated, of an
    unknown task).

    Args:
        root: The folder; at least one kind of annotations must be there.

    Raises:
        MissingError: no annotations, or a file that those found refer to is not there.
        DataError: a field or column is absent or of the wrong type, an unknown split, a video
            described twice. Names file, and line or record.
    """
    metadata, splits, log = _metadata(root / METADATA), _splits(root), Log()
    found: list[Annotation] = []
    dropped = {"nothing annotated": 0, "unknown view": 0}
    for video_id, rows in sorted(_all_rows(root).items()):
        about = metadata.get(video_id) or _undescribed(rows)
        where = f"{root}: {about.view} video {video_id}"
        if about.view not in VIEWS:
            dropped["unknown view"] += 1
            log.note(where, "dropped, unknown view")
            continue
        own = Log()
        split = _split(splits.get(video_id) or {row.split for row in rows if row.split}, where, own)
        annotation = _video(video_id, about, split, rows, where, own)
        log.lines += own.lines
        if not annotation.actions:
            dropped["nothing annotated"] += 1
            log.note(where, "dropped, nothing annotated")
            continue
        found.append(annotation)
        log.add(own)
    order = corpus_order({one.video_id: (one.task_type, visited(one)) for one in found})
    kept = tuple(with_steps(one, order[one.video_id]) for one in found)
    return Adapted(kept, Account(len(kept), dropped), log.account(), tuple(log.lines))


@dataclass(frozen=True, slots=True)
class _About:
    """What the metadata say of a video."""

    view: str
    task: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class _Row:
    """One annotated span as written; `step` is the class of a visit, None for an action.

    `wrong` is why it must be dropped, `odd` what is listed if it is kept.
    """

    source: Literal["coarse", "narrated", "segment"]
    where: str
    start_s: float
    end_s: float
    text: str
    step: str | None = None
    verb: str | None = None
    noun: str | None = None
    wrong: str | None = None
    odd: tuple[str, ...] = ()
    split: Split | None = None
    view: str = "ego"


def _metadata(path: Path) -> dict[str, _About]:
    """video_id -> what is known of it; nothing of any where the file is absent."""
    found: dict[str, _About] = {}
    for index, record in enumerate(_list(path) if path.is_file() else []):
        where = f"{path}: record {index}"
        video_id = get(record, "video_uid", str, where)
        if video_id in found:
            raise DataError(f"{where}: video {video_id} stands twice; keep one of them")
        num_frames, fps = seconds(record, "num_frames", where), seconds(record, "fps", where)
        duration_s = round(num_frames / fps, 6) if fps > 0 else math.nan
        if not 0 < duration_s < math.inf:
            raise DataError(f"{where}: {num_frames} frames at {fps} fps are no length of a video")
        view, task = get(record, "view", str, where), get(record, "task", str, where)
        found[video_id] = _About(view, task, duration_s)
    return found


def _undescribed(rows: Sequence[_Row]) -> _About:
    """A video the metadata don't know: as long as annotated."""
    return _About(rows[0].view, UNKNOWN_TASK, max(0.0, *(row.end_s for row in rows)))


def _splits(root: Path) -> dict[str, set[Split]]:
    """video_id -> the splits that name it, from one ``<video_id>.txt`` a line."""
    found: dict[str, set[Split]] = defaultdict(set)
    for view in VIEWS:
        for split in SPLITS:
            path = root / BUNDLES.format(view, split)
            for name in read_text(path).split() if path.is_file() else []:
                found[name.removesuffix(".txt")].add(split)
    return dict(found)


def _split(named: set[Split], where: str, log: Log) -> Split:
    chosen = next((split for split in SPLITS if split in named), None)
    if chosen is None:
        log.note(where, f"in no split, taken for {DEFAULT_SPLIT}")
        return DEFAULT_SPLIT
    if len(named) > 1:
        log.note(where, f"in the splits {', '.join(sorted(named))}, taken for {chosen}")
    return chosen


def _all_rows(root: Path) -> dict[str, list[_Row]]:
    """video_id -> its rows in the order of the files."""
    found: dict[str, list[_Row]] = defaultdict(list)
    folder, narrations = root / COARSE, root / FINE
    segments = [path for split in SPLITS if (path := root / SEGMENTS.format(split)).is_file()]
    if not folder.is_dir() and not narrations.is_file() and not segments:
        raise MissingError(f"no annotations in {root}: neither {COARSE}, {FINE} nor {SEGMENTS}")
    if folder.is_dir():
        classes = _classes(root / CLASSES)
        for path in sorted(folder.glob("*.json")):
            for index, record in enumerate(_list(path)):
                found[path.stem].append(_visit(record, classes, f"{path}: record {index}"))
    if narrations.is_file():
        for video_id, row in _narrated(narrations):
            found[video_id].append(row)
    for path in segments:
        for video_id, row in _segments(path, root):
            found[video_id].append(row)
    return found


def _classes(path: Path) -> dict[str, str]:
    """number of a class -> its name, spelt as published ("Prepare sause")."""
    found: dict[str, str] = {}
    for index, record in enumerate(_list(path)):
        where = f"{path}: record {index}"
        value = get(record, "value", str, where)
        if value in found:
            raise DataError(f"{where}: class {value!r} stands twice; keep one of them")
        found[value] = get(record, "key", str, where)
    return found


def _visit(record: object, classes: dict[str, str], where: str) -> _Row:
    """A coarse record; ``duration`` and ``type`` are not needed."""
    number_of = get(record, "attribute", str, where)
    name = classes.get(number_of, "")
    wrong = None if name or not number_of else f"unknown class {number_of!r}"
    parts, num_left = sub_steps(get(record, "textAttribute_en", str, where))
    odd: list[str] = []
    if num_left:
        odd.append(f"{num_left} lines that are no English narration left out")
    text = " ".join(parts)
    if name in OTHER:
        odd.append("of no class that is a step, kept as an action")
        wrong = wrong or (None if text else NO_TEXT)
    elif not text:
        odd.append("no narration in English, called by its class")
    return _Row(
        "coarse",
        where,
        seconds(record, "start", where),
        seconds(record, "end", where),
        text or name,
        step=None if name in OTHER else name,
        wrong=wrong,
        odd=tuple(odd),
    )


def sub_steps(text: str) -> tuple[tuple[str, ...], int]:
    """A numbered list of narrated sub-steps -> each as a sentence, and how many lines are none.

    Lines in Chinese and excuses of the machine translation ("I'm ready to translate ...") are no
    sub-steps; blank lines don't count.
    """
    lines = [" ".join(line.replace("\u200b", "").split()) for line in text.split("\n")]
    lines = [line for line in lines if line]
    english = [_NUMBERED.sub("", line).strip(" ,;") for line in lines if not _FOREIGN.search(line)]
    sentences = [part if part[-1] in ".!?" else part + "." for part in english if part]
    return tuple(sentences), len(lines) - len(english)


def _narrated(path: Path) -> Iterator[tuple[str, _Row]]:
    """Fine actions with a text."""
    columns = ("video_uid", "subset", "view", "start_sec", "end_sec")
    for where, cells in read_table(path, columns):
        texts = (" ".join(cells.get(column, "").split()) for column in NARRATIONS)
        text = next((text for text in texts if text and not _FOREIGN.search(text)), "")
        split = next((split for split in SPLITS if split == cells["subset"]), None)
        if split is None:
            raise DataError(f"{where}: column 'subset' is {cells['subset']!r}, expected {SPLITS}")
        yield (
            cells["video_uid"],
            _Row(
                "narrated",
                where,
                number(cells["start_sec"], "start_sec", where),
                number(cells["end_sec"], "end_sec", where),
                text,
                wrong=None if text else NO_TEXT,
                split=split,
                view=cells["view"],
            ),
        )


def _segments(path: Path, root: Path) -> Iterator[tuple[str, _Row]]:
    """Fine actions as verbs and nouns; the first of each becomes `Action.verb` and ``noun``."""
    verbs, nouns = (_labels(root / TAXONOMY.format(kind)) for kind in ("verb", "noun"))
    for where, cells in read_table(path, ("video_id", "start_sec", "end_sec", "verb", "noun")):
        verb = _words(cells["verb"], verbs, f"{where}: column 'verb'")
        noun = _words(cells["noun"], nouns, f"{where}: column 'noun'")
        wrong = "unknown verb or noun" if verb is None or noun is None else None
        verb, noun = verb or [], noun or []
        yield (
            cells["video_id"],
            _Row(
                "segment",
                where,
                number(cells["start_sec"], "start_sec", where),
                number(cells["end_sec"], "end_sec", where),
                " ".join(" and ".join(words) for words in (verb, noun) if words),
                verb=verb[0] if verb else None,
                noun=noun[0] if noun else None,
                wrong=wrong or (None if verb else "no verb"),
            ),
        )


def _labels(path: Path) -> list[str]:
    """Words in the order of their numbers: "turn_off_(turn_off,_switch_off)" -> "turn off"."""
    return [
        cells["label"].partition("_(")[0].replace("_", " ")
        for _, cells in read_table(path, ("label",))
    ]


def _words(cell: str, labels: list[str], where: str) -> list[str] | None:
    """The words of a list of numbers like ``[66, 12]``; None if one has no word."""
    if not _IDS.fullmatch(cell):
        raise DataError(f"{where} is {cell!r:.80}, expected a list of numbers like [66, 12]")
    numbers = [int(part) for part in re.findall("[0-9]+", cell)]
    return [labels[n] for n in numbers] if max(numbers, default=0) < len(labels) else None


def _video(
    video_id: str, about: _About, split: Split, rows: Sequence[_Row], where: str, log: Log
) -> Annotation:
    """A video whose visits name their class in place of a step, and whose task has no steps."""
    goal = GOALS.get(about.task)
    if goal is None:
        log.note(where, f"task {about.task!r} has no known goal")
    starts = [row.start_s for row in rows if row.source == "coarse"]
    if starts != sorted(starts):
        log.note(where, "coarse records not in order of time, sorted")
    narrated = any(row.source == "narrated" for row in rows)
    made = [(row, action) for row in rows if (action := _action(row, about, narrated, log))]
    log.kept += len(made)
    visits = sorted((action for row, action in made if row.step is not None), key=_span)
    actions = [action if row.source == "coarse" else owned(action, visits) for row, action in made]
    for earlier, later in pairwise(visits):
        if later.start_s < earlier.end_s:
            log.note(where, f"{later.step_id} begins at {later.start_s} s, in {earlier.step_id}")
    return Annotation(
        video_id=video_id,
        dataset="egoexolearn",
        split=split,
        task=Task(goal or UNKNOWN_GOAL, ()),
        task_type=about.task,
        duration_s=about.duration_s,
        actions=tuple(sorted(actions, key=_span)),
    )


def _span(action: Action) -> tuple[float, float]:
    return action.start_s, action.end_s


def _action(row: _Row, about: _About, narrated: bool, log: Log) -> Action | None:
    """A row cut to the video; None if it is dropped."""
    span = in_video(row.start_s, row.end_s, about.duration_s)
    if row.source == "segment" and narrated:
        span = "segment of a narrated video"
    if row.wrong is not None and not isinstance(span, str):
        span = row.wrong
    if isinstance(span, str):
        log.drop(row.where, span)
        return None
    for what in row.odd:
        log.note(row.where, what)
    start_s, end_s = span
    if end_s < row.end_s:
        log.note(row.where, f"cut at the end of the video, {end_s} s instead of {row.end_s} s")
    kind: Literal["step", "action"] = "action" if row.step is None else "step"
    return Action(start_s, end_s, row.text, kind, row.step, row.verb, row.noun)


def _list(path: Path) -> list[object]:
    value = read_json(path)
    if not isinstance(value, list):
        raise DataError(f"{path}: expected a list, found {type(value).__name__}")
    return value


SOURCE = Source(read, "EgoExoLearn", "MIT")
