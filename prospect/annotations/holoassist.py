"""HoloAssist's published annotation files -> `Annotation`s.

In: a folder with ``data-annotation-trainval-v1_1.json``, ``train-v1_2.txt`` and ``val-v1_2.txt``
as published (Wang et al., "HoloAssist", ICCV 2023, https://holoassist.github.io). Out: `Adapted`.

    prospect annotate --dataset holoassist --root FOLDER --out runs/x

Coarse actions are visits to steps: one sentence is one step, said again it is visited again.
Fine actions belong to the visit that holds most of them. The instructor is the assistant, the
student the user.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from prospect.annotations.adapted import Adapted, Log, Source
from prospect.annotations.tables import get, seconds
from prospect.annotations.visits import in_video, owned
from prospect.errors import DataError
from prospect.files import Account, read_json, read_text
from prospect.types import Action, Annotation, Role, Split, Step, Task, Turn

T = TypeVar("T")

ANNOTATIONS = "data-annotation-trainval-v1_1.json"
SPLITS: dict[Split, str] = {"train": "train-v1_2.txt", "val": "val-v1_2.txt"}
NARRATION = "Narration"
SUMMARY = "Long form description"
COARSE = "Coarse grained action"
FINE = "Fine grained action"
SPEECH = "Conversation"
VIDEO = "{}/Export_py/Video_pitchshift.mp4"
"""Where the published archive of videos keeps one, below the folder it is unpacked in."""

INTENTS: dict[str, str] = {
    "adjusting to capture better quality video": "other",
    "closing remarks": "other",
    "confirming past or future action": "feedback",
    "confirming the previous action": "feedback",
    "correct the wrong action": "correction",
    "describing high-level instruction": "instruction",
    "follow-up instruction": "instruction",
    "opening remarks": "other",
    "other": "other",
}
"""What an instructor speaks for, the end of "Conversation Purpose" -> ProAssist's intent."""

SPEAKERS: dict[str, tuple[Role, str]] = {
    "instructor-start-conversation": ("assistant", "initiative"),
    "instructor-reply-to-student": ("assistant", "responsive"),
    "student-start-conversation": ("user", ""),
}
"""The beginning of "Conversation Purpose" -> role and ProAssist's initiativity."""

RIGHT = "Correct Action"
WRONG = (
    "Wrong Action, corrected by instructor verbally",
    "Wrong Action, corrected by student",
    "Wrong Action, not corrected",
)
UNDECIDED = "otherwise"

_UNHEARD = re.compile(r"\*\s*un\w*\s*\*", re.IGNORECASE)
_ARTICLE = re.compile(r"\b(setup|assemble|disassemble|change|fix|with) ")


def read(root: Path) -> Adapted:
    """All videos of a HoloAssist folder that a split names.

    Rows that end before or as they start, lie outside of the video, or lack an attribute are
    dropped; rows that reach beyond its end are cut there. Steps may overlap. Videos without
    steps, or in no split, are dropped. All of it is counted and listed.

    Args:
        root: The folder with the three published files.

    Raises:
        MissingError: one of the files is not there.
        DataError: the file is not what HoloAssist publishes: no list of videos, a field of a
            video or an event is absent, an unknown kind of row, a video named twice or in two
            splits. Names file, video, row and field.
    """
    path = root / ANNOTATIONS
    splits = _splits(root)
    log = Log()
    videos: dict[str, Annotation] = {}
    dropped = {"in no split": 0, "no steps": 0}
    for number, record in enumerate(_list(read_json(path), path)):
        name = get(record, "video_name", str, f"{path}: video {number}")
        if name in videos:
            raise DataError(f"{path}: video {name} stands twice; keep one of them")
        if name not in splits:
            dropped["in no split"] += 1
            log.note(name, f"dropped, named in none of {', '.join(SPLITS.values())}")
            continue
        rows = Log()
        annotation = _video(record, name, splits[name], f"{path}: video {name}", rows)
        log.lines += rows.lines
        if not annotation.task.steps:
            dropped["no steps"] += 1
            log.note(name, "dropped, no steps")
            continue
        videos[name] = annotation
        log.add(rows)
    absent = len(splits.keys() - videos.keys())
    if absent:
        log.note(str(root), f"the splits name {absent} videos that have no annotation or no steps")
    kept = tuple(videos.values())
    return Adapted(kept, Account(len(kept), dropped), log.account(), tuple(log.lines))


def _splits(root: Path) -> dict[str, Split]:
    """video name -> split, from one name a line."""
    found: dict[str, Split] = {}
    for split, file in SPLITS.items():
        for name in read_text(root / file).split():
            if found.get(name, split) != split:
                raise DataError(f"{root / file}: {name} is in {found[name]} too; keep one")
            found[name] = split
    return found


@dataclass(frozen=True, slots=True)
class _Row:
    """One event of a video, its times within the video."""

    where: str
    label: str
    start_s: float
    end_s: float
    attributes: dict[str, Any]

    def text(self, name: str) -> str:
        """An attribute, tidied; empty where it is absent or "none"."""
        return _tidy(_verbatim(self.attributes, name, self.where))


def _video(record: Any, name: str, split: Split, where: str, log: Log) -> Annotation:
    task_type = get(record, "taskType", str, where)
    duration_s = _duration_s(record, where)
    rows = sorted(_rows(record, duration_s, where, log), key=lambda row: (row.start_s, row.end_s))
    steps: dict[str, Step] = {}
    visits = _kept(rows, COARSE, lambda row: _visit(row, steps), log)
    actions = _kept(rows, FINE, _action, log)
    turns = _kept(rows, SPEECH, _turn, log)
    spoken = [turn for row in rows if row.label == SPEECH and (turn := _heard(row)) is not None]
    for earlier, later in pairwise(visits):
        if later.start_s < earlier.end_s:
            log.note(where, f"{later.text!r} begins at {later.start_s} s, in {earlier.text!r}")
    spans = [*visits, *(owned(action, visits) for action in actions)]
    return Annotation(
        video_id=name,
        dataset="holoassist",
        split=split,
        task=Task(goal(task_type), tuple(steps.values())),
        task_type=task_type,
        duration_s=duration_s,
        actions=tuple(sorted(spans, key=lambda action: (action.start_s, action.end_s))),
        conversation=tuple(sorted(turns, key=lambda turn: turn.time_s)),
        video_file=VIDEO.format(name),
        spoken=tuple(sorted(spoken, key=lambda turn: turn.time_s)),
        summary=_summary(record, where),
    )


def goal(task_type: str) -> str:
    """A task's type as a wish: "setup gopro" -> "Set up the gopro."."""
    phrase = _ARTICLE.sub(r"\1 the ", _tidy(task_type)).replace("setup", "set up")
    return phrase[:1].upper() + phrase[1:] + "."


def _duration_s(record: Any, where: str) -> float:
    """The length as written to the hundredth (``raw``), else in whole seconds (``seconds``)."""
    metadata = get(record, "videoMetadata", dict, where)
    duration = get(metadata, "duration", dict, f"{where}: videoMetadata")
    if "raw" not in duration:
        return seconds(duration, "seconds", f"{where}: videoMetadata.duration")
    raw = get(duration, "raw", str, f"{where}: videoMetadata.duration")
    match = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", raw)
    if match is None:
        raise DataError(f"{where}: duration {raw!r} is not like '00:06:46.21'")
    hours, minutes, rest = match.groups()
    return round(int(hours) * 3600 + int(minutes) * 60 + float(rest), 3)


def _rows(record: Any, duration_s: float, where: str, log: Log) -> Iterator[_Row]:
    """The events that lie in the video, but for narrations: see `_summary`."""
    for number, event in enumerate(get(record, "events", list, where)):
        here = f"{where}: event {number}"
        kind = get(event, "label", str, here)
        if kind == NARRATION:
            continue
        if kind not in (COARSE, FINE, SPEECH):
            raise DataError(f"{here}: unknown label {kind!r}; known: {COARSE}, {FINE}, {SPEECH}")
        start_s, end_s = seconds(event, "start", here), seconds(event, "end", here)
        span = in_video(start_s, end_s, duration_s)
        if isinstance(span, str):
            log.drop(here, span)
            continue
        if end_s > duration_s:
            log.note(here, f"cut at the end of the video, {duration_s} s instead of {end_s} s")
        yield _Row(here, kind, *span, get(event, "attributes", dict, here))


def _visit(row: _Row, steps: dict[str, Step]) -> Action | str:
    sentence = row.text("Action sentence")
    if not sentence:
        return "no action sentence"
    step = steps.setdefault(sentence, Step(f"S{len(steps) + 1}", sentence))
    verb, noun = row.text("Verb") or None, row.text("Noun") or None
    return Action(row.start_s, row.end_s, sentence, "step", step.id, verb, noun)


def _action(row: _Row) -> Action | str:
    verb, noun = row.text("Verb"), row.text("Noun")
    if not verb or not noun:
        return "no verb or noun"
    correctness = row.text("Action Correctness")
    if correctness not in (RIGHT, UNDECIDED, *WRONG):
        return f"action correctness {correctness!r}"
    text = " ".join(word.replace("_", " ") for word in (verb, row.text("Adjective"), noun) if word)
    mistake = None
    if correctness in WRONG:
        mistake = row.text("Incorrect Action Explanation") or f"wrong action: {text}"
    return Action(row.start_s, row.end_s, text, "action", None, verb, noun, mistake)


def _turn(row: _Row) -> Turn | str:
    """Assistants decide to speak where they begin; what users say is known when they end."""
    text = row.text("Transcription")
    if not text:
        return "no transcription"
    if _UNHEARD.search(text):
        return "unintelligible"
    speaker, _, purpose = row.text("Conversation Purpose").partition("_")
    if speaker not in SPEAKERS:
        return f"unknown speaker {speaker!r}"
    role, initiative = SPEAKERS[speaker]
    if role == "user":
        return Turn(role, row.end_s, text)
    if purpose not in INTENTS:
        return f"unknown purpose {purpose!r}"
    return Turn(role, row.start_s, text, f"{initiative}|{INTENTS[purpose]}")


def _heard(row: _Row) -> Turn | None:
    """An utterance as transcribed, blanks and all, but for what could not be made out of it.

    None if nothing else is left, or its speaker isn't known.
    """
    speaker = row.text("Conversation Purpose").partition("_")[0]
    heard = _UNHEARD.sub("", _verbatim(row.attributes, "Transcription", row.where))
    if speaker not in SPEAKERS or not heard.strip():
        return None
    return Turn(SPEAKERS[speaker][0], (row.start_s + row.end_s) / 2, heard)


def _summary(record: Any, where: str) -> str:
    """What the narrations say, each of which tells the whole video."""
    return "".join(
        _verbatim(get(event, "attributes", dict, where), SUMMARY, where)
        for event in get(record, "events", list, where)
        if event["label"] == NARRATION
    )


def _kept(rows: list[_Row], label: str, read: Callable[[_Row], T | str], log: Log) -> list[T]:
    """What ``read`` makes of the rows with this label; a text is its reason for dropping one."""
    kept: list[T] = []
    for row in rows:
        if row.label != label:
            continue
        made = read(row)
        if isinstance(made, str):
            log.drop(row.where, made)
            continue
        kept.append(made)
        if row.text("Action Correctness") == UNDECIDED:
            log.note(row.where, f"neither right nor wrong ({UNDECIDED!r}), taken as right")
    log.kept += len(kept)
    return kept


def _verbatim(attributes: dict[str, Any], name: str, where: str) -> str:
    """An attribute as written; empty where it is absent or "none"."""
    value = attributes.get(name, "none")
    if not isinstance(value, str):
        raise DataError(f"{where}: attribute {name!r} is {value!r}, expected text")
    return "" if value.strip() == "none" else value


def _tidy(text: str) -> str:
    return " ".join(text.split())


def _list(value: Any, where: Path) -> list[Any]:
    if not isinstance(value, list):
        raise DataError(f"{where}: expected a list, found {type(value).__name__}")
    return value


SOURCE = Source(read, "holoassist", "CDLA-Permissive-2.0")
