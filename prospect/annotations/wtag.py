"""WTaG's published annotation files -> `Annotation`s.

In: a folder as published (Bao et al., "Can Foundation Models Watch, Talk and Guide You Step by Step
to Make a Cake?", EMNLP 2023 Findings, https://github.com/sled-group/Watch-Talk-and-Guide): a folder
a video with the spans of its steps and what user and instructor say, all in ticks, and
``assets/recipe_*.txt``. Out: `Adapted`.

    prospect annotate --dataset wtag --root FOLDER --out runs/x

A row of the step file is a visit to the step it names; "Start" and "Done" are what happens before
and after the task and become actions. The task begins where "Start" ends. The instructor is the
assistant.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

from prospect.annotations.adapted import Adapted, Log, Source
from prospect.annotations.order import corpus_order
from prospect.annotations.tables import read_cells
from prospect.annotations.visits import in_video, visited, with_steps
from prospect.errors import DataError, MissingError
from prospect.files import Account, read_text
from prospect.types import Action, Annotation, Role, Split, Task, Turn

TICKS_PER_S = 10_000_000
TIMING = "Video/VideoMpegTiming.txt"
STEPS = "StepDetection/StepDetection.txt"
SPEECH: dict[str, Role] = {
    "TextASR/InstructorAnnotations_intent.txt": "assistant",
    "TextASR/UserAnnotations_intent.txt": "user",
}
VIDEO = "{}/Video/Video.mpeg"
ASSETS = "assets"
BEFORE, AFTER = "start", "done"
"""Rows that are no steps, in small letters."""

GOALS: dict[str, str] = {
    "pinwheel": "Make pinwheels.",
    "coffee": "Make pour-over coffee.",
    "cake": "Make a mug cake.",
}
"""``recipe_<name>.txt`` -> what its reader wants."""
UNKNOWN_RECIPE, UNKNOWN_GOAL = "unknown", "Follow the recipe."

VAL = frozenset(f"T{number}" for number in (*range(5, 10), *range(46, 55)))
"""WTaG has no splits. ProAssist trains on the first 40 of T1 to T54 in alphabetical order and
evaluates on these; its T55a and T55b, left out there, are for training here."""

INTENTS: dict[str, str] = {
    "mistake": "correction",
    "instruction": "instruction",
    "confirmation": "feedback",
    "answer": "info_sharing",
    "question": "other",
    "other": "other",
}
"""First of these words in the columns after an instructor's text -> ProAssist's intent."""

SAYS_RECIPE: dict[str, str] = {"repeat": "continue", "display": "plate"}
"""Words of step names -> the words that the recipes use."""

_TICK = re.compile(r"-?[0-9]{1,18}")
_WORD = re.compile(r"[a-z]{3,}")
_STEM_LETTERS = 4


def read(root: Path) -> Adapted:
    """All videos of a WTaG folder, sorted by name.

    The recipe of a video is the one whose steps share most words with the names of its steps. They
    are listed in the order of the recipe, those it doesn't mention at the end, in the order of the
    other videos (`prospect.annotations.order`); so are all where no recipe fits best.

    Spans that end before or as they start, rows that lie outside of the video, have no text or
    are speech before the task begins are dropped; spans that reach beyond its end are cut there.
    Folders without a step file, and videos without steps, are dropped. All of it is counted and
    listed.

    Args:
        root: The folder of the videos' folders, named ``T1`` and so on.

    Raises:
        MissingError: no video in the folder, or one without the file with its timing.
        DataError: ticks that are no whole numbers, a row of less than two columns, a video of no
            length, a recipe without steps. Names file and line.
    """
    folders = [path for path in sorted(root.iterdir()) if path.is_dir() and path.name != ASSETS]
    if not any((path / STEPS).is_file() for path in folders):
        raise MissingError(f"no video in {root}: none of its folders has a {STEPS}")
    recipes = {
        path.stem.removeprefix("recipe_"): _recipe(path)
        for path in sorted((root / ASSETS).glob("recipe_*.txt"))
    }
    log, found = Log(), []
    if not recipes:
        log.note(str(root), f"no recipes in {ASSETS}, tasks unknown")
    dropped = {"no step file": 0, "no steps": 0}
    for folder in folders:
        if not (folder / STEPS).is_file():
            dropped["no step file"] += 1
            log.note(str(folder), f"dropped, no file {STEPS}")
            continue
        own = Log()
        annotation = _video(folder, recipes, own)
        log.lines += own.lines
        if not any(action.kind == "step" for action in annotation.actions):
            dropped["no steps"] += 1
            log.note(str(folder), "dropped, no steps")
            continue
        found.append(annotation)
        log.add(own)
    order = corpus_order({one.video_id: (one.task_type, visited(one)) for one in found})
    kept = tuple(
        with_steps(
            one,
            # sorting is stable: equal places stay in the order of the other videos
            sorted(order[one.video_id], key=_place(recipes.get(one.task_type, []))),
        )
        for one in found
    )
    return Adapted(kept, Account(len(kept), dropped), log.account(), tuple(log.lines))


def _recipe(path: Path) -> list[frozenset[str]]:
    """The words of every step of a recipe: the numbered lines, and those that continue them."""
    _, _, steps = read_text(path).partition("\nSteps\n")
    parts = re.split(r"^[0-9]+\. ", steps, flags=re.MULTILINE)[1:]
    if not parts:
        raise DataError(f"{path}: no numbered steps below a line 'Steps'")
    return [_words(part) for part in parts]


def _words(text: str) -> frozenset[str]:
    """The beginnings of its words, so that "Insert" is found in "inserting"."""
    words = (SAYS_RECIPE.get(word, word) for word in _WORD.findall(text.lower()))
    return frozenset(word[:_STEM_LETTERS] for word in words)


@dataclass(frozen=True, slots=True)
class _Row:
    """A line with times in seconds of the video."""

    where: str
    start_s: float
    end_s: float
    text: str
    intent: str


def _rows(path: Path, start_tick: int) -> Iterator[_Row]:
    for where, cells in read_cells(path, "\t"):
        if len(cells) < 2:
            raise DataError(f"{where}: {len(cells)} columns, expected start, end and text")
        start_s, end_s = ((_tick(cell, where) - start_tick) / TICKS_PER_S for cell in cells[:2])
        text = " ".join(cells[2].split()) if len(cells) > 2 else ""
        yield _Row(where, start_s, end_s, text, " ".join(cells[3:]).lower())


def _tick(text: str, where: str) -> int:
    if not _TICK.fullmatch(text.strip()):
        raise DataError(f"{where}: {text!r:.80} is no time in ticks of {TICKS_PER_S} a second")
    return int(text)


def _timing(path: Path) -> tuple[int, float]:
    """The tick at which the video starts, and how many seconds it takes."""
    ticks = [_tick(cells[0], where) for where, cells in read_cells(path, "\t")]
    if len(ticks) != 2 or ticks[1] <= ticks[0]:
        raise DataError(f"{path}: expected two lines, the ticks at which the video starts and ends")
    return ticks[0], (ticks[1] - ticks[0]) / TICKS_PER_S


def _video(folder: Path, recipes: Mapping[str, Sequence[frozenset[str]]], log: Log) -> Annotation:
    """A video whose visits name their step in place of its id, and whose task has no steps."""
    start_tick, duration_s = _timing(folder / TIMING)
    actions = sorted(_actions(folder / STEPS, start_tick, duration_s, log), key=_span)
    begins_s = next((a.end_s for a in actions if a.text.lower() == BEFORE), 0.0)
    names = [action.text for action in actions if action.kind == "step"]
    recipe = _followed(names, recipes)
    if recipe is None:
        log.note(str(folder), "follows none of the recipes more than the others")
    for earlier, later in pairwise(actions):
        if later.start_s < earlier.end_s:
            log.note(
                str(folder), f"{later.text!r} begins at {later.start_s} s, in {earlier.text!r}"
            )
    turns = _turns(folder, start_tick, begins_s, duration_s, log)
    log.kept += len(actions) + len(turns)
    split: Split = "val" if folder.name in VAL else "train"
    goal = UNKNOWN_GOAL if recipe is None else GOALS.get(recipe, f"Make {recipe}.")
    return Annotation(
        video_id=folder.name,
        dataset="wtag",
        split=split,
        task=Task(goal, ()),
        task_type=recipe or UNKNOWN_RECIPE,
        duration_s=duration_s,
        actions=tuple(actions),
        conversation=tuple(turns),
        video_file=VIDEO.format(folder.name),
        start_s=begins_s,
    )


def _span(action: Action) -> tuple[float, float]:
    return action.start_s, action.end_s


def _actions(path: Path, start_tick: int, duration_s: float, log: Log) -> Iterator[Action]:
    for row in _rows(path, start_tick):
        span = in_video(row.start_s, row.end_s, duration_s) if row.text else "no step name"
        if isinstance(span, str):
            log.drop(row.where, span)
            continue
        if span[1] < row.end_s:
            log.note(row.where, f"cut at the end of the video, {span[1]} s, not {row.end_s} s")
        outside = row.text.lower() in (BEFORE, AFTER)
        kind: Literal["step", "action"] = "action" if outside else "step"
        yield Action(*span, row.text, kind, None if outside else row.text)


def _turns(
    folder: Path, start_tick: int, begins_s: float, duration_s: float, log: Log
) -> list[Turn]:
    """What is said in the task: users are understood when they end, assistants begin to speak."""
    said: list[tuple[Turn, str]] = []
    for name, role in SPEECH.items():
        if not (folder / name).is_file():
            log.note(str(folder), f"no file {name}, nothing said by the {role}")
            continue
        for row in _rows(folder / name, start_tick):
            wrong = _unsaid(row, begins_s, duration_s)
            if wrong is not None:
                log.drop(row.where, wrong)
                continue
            time_s = row.start_s if role == "assistant" else row.end_s
            said.append((Turn(role, time_s, row.text), row.intent))
    said.sort(key=lambda item: item[0].time_s)
    roles = [turn.role for turn, _ in said]
    return [
        replace(turn, labels=_labels(intent, before == "user"))
        if turn.role == "assistant"
        else turn
        for before, (turn, intent) in zip([None, *roles], said, strict=False)
    ]


def _unsaid(row: _Row, begins_s: float, duration_s: float) -> str | None:
    """Why an utterance is dropped; one that takes no time is all right."""
    if not row.text:
        return "no text"
    if row.end_s < row.start_s:
        return "ends before it starts"
    if row.start_s < 0 or row.end_s > duration_s:
        return "speech outside of the video"
    return "speech before the task begins" if row.start_s < begins_s else None


def _labels(intent: str, answers: bool) -> str:
    """ProAssist's labels; empty where the files don't tell the intent."""
    known = next((label for word, label in INTENTS.items() if word in intent), None)
    return "" if known is None else f"{'responsive' if answers else 'initiative'}|{known}"


def _followed(names: Sequence[str], recipes: Mapping[str, Sequence[frozenset[str]]]) -> str | None:
    """The recipe that the steps are from; None if none is mentioned, or two just as much."""
    scores = Counter(
        {
            recipe: sum(max(len(_words(name) & step) for step in steps) for name in set(names))
            for recipe, steps in recipes.items()
        }
    ).most_common(2)
    if not scores or scores[0][1] == 0 or (len(scores) > 1 and scores[0][1] == scores[1][1]):
        return None
    return scores[0][0]


def _place(recipe: Sequence[frozenset[str]]) -> Callable[[str], int]:
    """Name of a step -> first step of the recipe that shares most words with it; last if none."""

    def place(name: str) -> int:
        shared = [len(_words(name) & step) for step in recipe]
        return shared.index(max(shared)) if any(shared) else len(recipe)

    return place


SOURCE = Source(read, "WTaG", "MIT")
