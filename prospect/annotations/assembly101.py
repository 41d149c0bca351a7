"""Assembly101's published annotation files -> `Annotation`s.

In: a folder with ``annotations/assembly101-mistake-detection/annots``,
``annotations/coarse-annotations`` and ``annotations/fine-grained-annotations`` as published
(Sener et al., "Assembly101", CVPR 2022, https://assembly-101.github.io). Any of the three may be
absent, for one recording or for all. Frame numbers count 30 a second. Out: `Adapted`.

    prospect annotate --dataset assembly101 --root FOLDER --out runs/x

A recording shows a toy being taken apart, then put together: two videos for us, named as in the
coarse splits, ``disassembly_<sequence>`` and ``assembly_<sequence>``; all cameras see the same.
Coarse rows say when, mistake rows name the second part and say what was wrong, which is how
ProAssist combines them. Steps of an assembly are the joints a correct run makes ("attach x to y"
and "attach y to x" are one); undoing a joint visits its step again. Of a disassembly it is the
reverse. Attempts, inspections and fine actions are no visits.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from prospect.annotations.adapted import Adapted, Log, Source
from prospect.annotations.joints import (
    ATTEMPT,
    NEUTRAL,
    OPPOSITE,
    Joint,
    Kind,
    Row,
    Run,
    actions_of,
    steps_of,
)
from prospect.annotations.tables import number, read_cells, read_table
from prospect.annotations.visits import in_video, owned
from prospect.errors import DataError, MissingError
from prospect.files import Account
from prospect.types import Action, Annotation, Split, Step, Task

FPS = 30.0
LEAD_S = 2.0
"""A task begins this long before its first row: ProAssist's ``video_start_time``."""

MISTAKES = Path("annotations/assembly101-mistake-detection/annots")
COARSE = Path("annotations/coarse-annotations/coarse_labels")
SPLITS = Path("annotations/coarse-annotations/coarse_splits")
FINE = Path("annotations/fine-grained-annotations")
FINE_FILES = ("train.csv", "validation.csv")
FINE_COLUMNS = ("video", "start_frame", "end_frame", "action_cls", "verb_cls", "noun_cls")
WORN = "HMC_"
"""Prefix of the cameras worn on the head, the ones that see as the person does."""

GOALS: dict[Kind, str] = {"assembly": "assemble", "disassembly": "disassemble"}
LABELS = ("correct", "mistake", "correction")
REMARKS: dict[str, str] = {
    "previous is a mistake": "previous one is a mistake",
    "previous one is mistake": "previous one is a mistake",
    "previous one was mistake": "previous one is a mistake",
    "shouln't have happened": "shouldn't have happened",
    "worng order": "wrong order",
}
"""Spelling variants among the published remarks."""
KNOWN_REMARKS = ("wrong position", *dict.fromkeys(REMARKS.values()))
_TOY = re.compile(r"_\d+-([a-z]\d+[a-z]?)_")


@dataclass(slots=True)
class _Video:
    """One task of one recording while it is read."""

    run: Run
    sequence: str
    split: Split
    log: Log
    fine: list[Action] = field(default_factory=list)
    file: str | None = None

    @property
    def start_s(self) -> float:
        return self.run.rows[0].start_s

    @property
    def end_s(self) -> float:
        return max(row.end_s for row in self.run.rows)


def read(root: Path) -> Adapted:
    """All tasks of an Assembly101 folder.

    Rows without length, before the video, with an unknown verb or label are dropped; of fine rows
    also those in neither task and those repeated for further cameras. Videos in no split or
    without steps are dropped. Unsorted, overlapping and six-column rows and unknown remarks are
    kept. All of it is counted and listed. A tree without split files is all ``train``; that is
    listed too.

    A video's steps are the joints it makes that some run of this toy makes rightly (or only at
    the wrong time), in the order of other videos (`corpus_order`). A video ends with its last
    row: how long it really is, the annotations don't say.

    Raises:
        MissingError: neither mistake nor coarse files, or not all six split files.
        DataError: not what Assembly101 publishes: cells missing, frames that are no numbers, a
            file named otherwise, a video in two splits. Names file and line.
    """
    log = Log()
    splits, names = _splits(root, log)
    dropped = {"in no split": 0, "no steps": 0}
    videos: list[_Video] = []
    for (sequence, kind), paths in sorted(_files(root).items()):
        video_id = f"{kind}_{sequence}"
        split = "train" if splits is None else splits.get(video_id)
        rows_log = Log()
        rows = _rows(paths, rows_log)
        if split is None or not rows:
            reason = "no steps" if split else "in no split"
            dropped[reason] += 1
            log.note(video_id, f"dropped, {reason}")
            continue
        run = Run(video_id, kind, f"{GOALS[kind]} {_toy(sequence)}".strip(), rows)
        videos.append(_Video(run, sequence, split, rows_log))
    _add_fine(root, videos, log)
    annotations: list[Annotation] = []
    for video, steps in zip(videos, steps_of([video.run for video in videos]), strict=True):
        log.lines += video.log.lines
        if not steps:
            dropped["no steps"] += 1
            log.note(video.run.video_id, "dropped, no steps")
            continue
        log.kept += video.log.kept
        log.dropped = dict(Counter(log.dropped) + Counter(video.log.dropped))
        annotations.append(_annotation(video, steps, names.get(_toy(video.sequence), "")))
    return Adapted(
        tuple(annotations), Account(len(annotations), dropped), log.account(), tuple(log.lines)
    )


def _toy(sequence: str) -> str:
    """The toy's id as it stands in the sequence: "nusar-2021_action_both_9026-b04b_9026_..."."""
    found = _TOY.search(sequence)
    return found[1] if found else ""


def _splits(root: Path, log: Log) -> tuple[dict[str, Split] | None, dict[str, str]]:
    """video_id -> split (None if there are no split files), toy's id -> name where one is given."""
    splits: dict[str, Split] = {}
    named: dict[str, set[str]] = defaultdict(set)
    if not (root / SPLITS).is_dir():
        log.note(str(root), f"has no folder {SPLITS}; everything is taken as train")
        return None, {}
    parts: tuple[Split, ...] = ("train", "val", "test")
    for kind in GOALS:
        for split in parts:
            path = root / SPLITS / f"{split}_coarse_{kind}.txt"
            for where, cells in read_cells(path, "\t"):
                video_id = cells[0].strip().removesuffix(".txt")
                if splits.setdefault(video_id, split) != split:
                    raise DataError(f"{where}: {video_id} is in {splits[video_id]} too; keep one")
                if len(cells) > 4 and cells[4].strip() not in ("", "-"):
                    named[cells[3].strip()].add(cells[4].strip())
    for toy, choices in named.items():
        if len(choices) > 1:
            log.note(str(root / SPLITS), f"toy {toy} is {' and '.join(sorted(choices))}; unnamed")
    return splits, {toy: min(choices) for toy, choices in named.items() if len(choices) == 1}


_Paths = tuple[Path | None, Path | None]


def _files(root: Path) -> dict[tuple[str, Kind], _Paths]:
    """(sequence, kind) -> its coarse file, its mistake file; mistakes are made in assemblies."""
    found: dict[tuple[str, Kind], _Paths] = {}
    for path in sorted((root / COARSE).glob("*.txt")):
        kind, _, sequence = path.stem.partition("_")
        if kind not in GOALS or not sequence:
            raise DataError(f"{path}: not named assembly_<sequence> or disassembly_<sequence>")
        found[sequence, "assembly" if kind == "assembly" else "disassembly"] = (path, None)
    for path in sorted((root / MISTAKES).glob("*.csv")):
        coarse, _ = found.get((path.stem, "assembly"), (None, None))
        found[path.stem, "assembly"] = (coarse, path)
    if not found:
        raise MissingError(
            f"{root} has neither {MISTAKES}/*.csv nor {COARSE}/*.txt; give the folder above them"
        )
    return found


def _rows(paths: _Paths, log: Log) -> tuple[Row, ...]:
    """The rows of both files, one for each action, sorted by time."""
    coarse = [] if paths[0] is None else _coarse_rows(paths[0], log)
    mistakes = [] if paths[1] is None else _mistake_rows(paths[1], log)
    log.kept += len(coarse) + len(mistakes)
    rows = sorted(_merged(coarse, mistakes, log), key=lambda row: (row.start_s, row.end_s))
    for earlier, later in pairwise(rows):
        if later.start_s < earlier.end_s:
            log.note(later.where, f"begins at {later.start_s:.2f} s, in {earlier.text!r}")
    return tuple(rows)


def _coarse_rows(path: Path, log: Log) -> list[Row]:
    rows: list[Row] = []
    for where, cells in read_cells(path, "\t"):
        if len(cells) != 3:
            raise DataError(f"{where}: {len(cells)} cells, expected start, end, action")
        attempt = ATTEMPT if cells[2].startswith(ATTEMPT) else ""
        verb, _, this = cells[2].removeprefix(ATTEMPT).strip().partition(" ")
        _keep(rows, cells[:2], Row(where, 0.0, 0.0, attempt + verb, this), log)
    return rows


def _mistake_rows(path: Path, log: Log) -> list[Row]:
    rows: list[Row] = []
    for where, cells in read_cells(path):
        if len(cells) not in (6, 7):
            raise DataError(f"{where}: {len(cells)} cells, expected 6 or 7")
        if len(cells) == 6:
            log.note(where, "six columns, taken as without remark")
        verb, this, that, label, remark = (" ".join(text.split()) for text in [*cells[2:], ""][:5])
        mistake = None
        if label == "mistake":
            mistake = REMARKS.get(remark, remark)
            if not mistake:
                mistake = f"wrong action: {verb} {this}"
                log.note(where, "a mistake without remark")
            elif mistake not in KNOWN_REMARKS:
                log.note(where, f"unknown remark {remark!r}, kept as it is")
        elif remark:
            log.note(where, f"{label} with the remark {remark!r}, which is not used")
        if label not in LABELS:
            log.drop(where, f"unknown label {label!r}")
            continue
        _keep(rows, cells[:2], Row(where, 0.0, 0.0, verb, this, that, label, mistake), log)
    return rows


def _keep(rows: list[Row], frames: Sequence[str], row: Row, log: Log) -> None:
    """Add the row with its times, or drop it."""
    verb = row.verb.removeprefix(ATTEMPT)
    span = _span(row.where, frames, log)
    if span is None:
        return
    if verb not in OPPOSITE and verb not in NEUTRAL:
        log.drop(row.where, f"unknown verb {verb!r}")
    elif not row.this:
        log.drop(row.where, "no part")
    else:
        if row.that and verb not in ("attach", "detach"):
            log.note(row.where, f"verb {verb!r}, neither attach nor detach")
        made = replace(row, start_s=span[0], end_s=span[1])
        if rows and made.start_s < rows[-1].start_s:
            log.note(row.where, "begins before the row above it; sorted")
        rows.append(made)


def _span(where: str, frames: Sequence[str], log: Log) -> tuple[float, float] | None:
    """Seconds of two frame numbers; None where the row has to be dropped."""
    start = number(frames[0], "start_frame", where)
    span = in_video(start / FPS, number(frames[1], "end_frame", where) / FPS, math.inf)
    if isinstance(span, str):
        log.drop(where, span)
        return None
    return span


def _merged(coarse: list[Row], mistakes: list[Row], log: Log) -> list[Row]:
    """Mistake rows give their second part and label to the coarse row of the same action."""
    rows = list(coarse)
    free = set(range(len(rows)))
    for mistake in mistakes:
        same = [at for at in sorted(free) if rows[at].brief == mistake.brief]
        best = max(same, key=lambda at: _shared_s(rows[at], mistake), default=None)
        if best is not None and _shared_s(rows[best], mistake) > 0:
            free.remove(best)
            rows[best] = replace(mistake, start_s=rows[best].start_s, end_s=rows[best].end_s)
        else:
            if coarse:
                log.note(mistake.where, "not among the coarse labels, kept with its own times")
            rows.append(mistake)
    return rows


def _shared_s(one: Row, other: Row) -> float:
    return min(one.end_s, other.end_s) - max(one.start_s, other.start_s)


def _add_fine(root: Path, videos: Iterable[_Video], log: Log) -> None:
    """Give each video the fine actions that lie in it, as one worn camera shows them.

    The rows are the same for every camera; of the worn ones the last by name is taken.
    """
    tasks: dict[str, list[_Video]] = defaultdict(list)
    for video in videos:
        tasks[video.sequence].append(video)
    cameras: dict[str, dict[str, list[tuple[str, dict[str, str]]]]] = defaultdict(dict)
    for path in (root / FINE / name for name in FINE_FILES):
        for where, cells in read_table(path, FINE_COLUMNS) if path.is_file() else ():
            sequence = cells["video"].partition("/")[0]
            cameras[sequence].setdefault(cells["video"], []).append((where, cells))
    for sequence, views in sorted(cameras.items()):
        if sequence not in tasks:
            log.note(sequence, "has fine actions alone; they are not used")
            continue
        chosen = max(views, key=lambda view: (f"/{WORN}" in view, view))
        first = tasks[sequence][0]
        again = sum(len(rows) for rows in views.values()) - len(views[chosen])
        if again:
            first.log.dropped["fine row of another camera"] = again
            first.log.note(sequence, f"dropped, {again} fine rows of other cameras than {chosen}")
        for video in tasks[sequence]:
            video.file = chosen
        for where, cells in views[chosen]:
            _place_fine(where, cells, tasks[sequence], first.log)


def _place_fine(where: str, cells: Mapping[str, str], tasks: list[_Video], log: Log) -> None:
    span = _span(where, (cells["start_frame"], cells["end_frame"]), log)
    if span is None:
        return
    for video in tasks:
        if video.start_s <= span[0] and span[1] <= video.end_s:
            verb, noun = cells["verb_cls"].strip() or None, cells["noun_cls"].strip() or None
            text = " ".join(cells["action_cls"].split())
            video.fine.append(Action(*span, text, "action", verb=verb, noun=noun))
            video.log.kept += 1
            return
    log.drop(where, "fine row outside of the task")


def _annotation(video: _Video, steps: Mapping[Joint, Step], name: str) -> Annotation:
    run = video.run
    actions = actions_of(run, steps)
    visits = [action for action in actions if action.kind == "step"]
    actions += [owned(action, visits) for action in video.fine]
    return Annotation(
        video_id=run.video_id,
        dataset="assembly101",
        split=video.split,
        task=Task(f"{GOALS[run.kind]} toy {name}".strip(), tuple(steps.values())),
        task_type=run.task_type,
        duration_s=video.end_s,
        actions=tuple(sorted(actions, key=lambda action: (action.start_s, action.end_s))),
        video_file=video.file,
        start_s=max(0.0, run.rows[0].start_s - LEAD_S),
    )


SOURCE = Source(read, "assembly101", "CC BY-NC 4.0")
