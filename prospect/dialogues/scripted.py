"""A dialogue written by rule from what is annotated: no model, no network, the same every time.

In: an `Annotation` with visits to steps, perhaps mistakes and pauses. Out: a `Dialogue` in which
the user states the goal, and the assistant gives the first instruction, speaks at the ends (and
some of the starts) of steps, at mistakes and in long pauses, and answers what the user asks.
It knows the state at the time and the mistake at hand, never what the person will do next.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from prospect.dialogues import phrases
from prospect.dialogues.english import brief, imperative, to_user
from prospect.dialogues.label import label
from prospect.dialogues.phrases import Line, Pick
from prospect.dialogues.progress import Standing, as_dialogue, standing
from prospect.errors import ConfigError
from prospect.files import text_hash
from prospect.types import Annotation, Dialogue, StateTrack, Turn, UserType

QUESTION_EVERY_S: dict[UserType, float | None] = {
    "no_talk": None,
    "talk_some": 60.0,
    "talk_more": 30.0,
}
"""How often each type of user asks something after stating the goal; None is never."""

FEEDBACK_RATE = 0.75
NEXT_RATE = 0.6
ACKNOWLEDGE_RATE = 0.3
CORRECT_AFTER_S = 1.5
PAUSE_S = 6.0
IDLE_S = 12.0
REPLY_S = 0.5
MIN_GAP_S = 1.0
MIN_NUDGE_GAP_S = 10.0
QUESTION_GAP_S = 2.0
JUST_NOW_S = 5.0
CORRECTION_WORDS = 12

Cause = Literal["completed", "correction", "started", "nudge"]
_PRIORITY: tuple[Cause, ...] = ("completed", "correction", "started", "nudge")


@dataclass(frozen=True, slots=True)
class _Moment:
    """A reason to speak unasked: the step or the mistake it is about, as a phrase."""

    time_s: float
    cause: Cause
    about: str = ""


def write(annotation: Annotation, user_type: UserType, seed: int) -> Dialogue | str:
    """The scripted dialogue of one video, or why there is none.

    Turn times are rounded to 0.1 s, as ProAssist's are, but for feedback and acknowledgements:
    those have the time of their transition, so that both are decided on one frame. An answer
    comes 0.5 s after what it answers. All lie in ``[start_s, duration_s]``.

    Args:
        seed: Together with the video and the user type it decides wording and occasions.

    Raises:
        ConfigError: no such scripted user type.
        DataError: visits that name no step of the task.
    """
    if user_type not in QUESTION_EVERY_S:
        raise ConfigError(
            f"no scripted user {user_type!r}; there are {', '.join(QUESTION_EVERY_S)}"
        )
    if not annotation.task.steps:
        return "no steps"
    rng = random.Random(int(text_hash(f"{annotation.video_id}/{user_type}/{seed}"), 16))
    track = label(annotation)
    turns = _opening(annotation, track, rng)
    if not turns:
        return "nothing said by an assistant"
    turns += _unasked(annotation, track, turns[-1].time_s, rng)
    turns += _exchanges(annotation, track, turns, QUESTION_EVERY_S[user_type], rng)
    turns.sort(key=lambda turn: turn.time_s)
    return as_dialogue(annotation, track, turns, user_type, "scripted", seed)


def _picker(rng: random.Random) -> Pick:
    # random() is the only method whose sequence Python promises to keep between versions
    return lambda options: options[int(rng.random() * len(options))]


def _opening(annotation: Annotation, track: StateTrack, rng: random.Random) -> list[Turn]:
    """The goal 1-3 s after the start and the answer to it; empty if the video ends before."""
    pick = _picker(rng)
    asked_s = round(annotation.start_s + 1 + 2 * rng.random(), 1)
    replied_s = round(asked_s + REPLY_S, 1)
    if replied_s > annotation.duration_s:
        return []
    line = phrases.opening(standing(track, replied_s), pick)
    wish = phrases.goal(imperative(annotation.task.goal), pick)
    return [Turn("user", asked_s, wish), _said(replied_s, line)]


def _said(time_s: float, line: Line) -> Turn:
    return Turn("assistant", time_s, line.text, line.labels)


def _unasked(
    annotation: Annotation, track: StateTrack, after_s: float, rng: random.Random
) -> list[Turn]:
    """What the assistant says on its own, at least `MIN_GAP_S` apart and after ``after_s``."""
    moments = [*_at_steps(track, rng), *_at_mistakes(annotation), *_at_pauses(annotation, rng)]
    moments.sort(key=lambda moment: (_PRIORITY.index(moment.cause), moment.time_s))
    chosen: list[_Moment] = []
    taken = [after_s]
    for moment in moments:
        apart = all(abs(moment.time_s - time_s) >= MIN_GAP_S for time_s in taken)
        if after_s < moment.time_s <= annotation.duration_s and apart:
            chosen.append(moment)
            taken.append(moment.time_s)
    chosen.sort(key=lambda moment: moment.time_s)
    lines = ((moment, _line(moment, standing(track, moment.time_s), rng)) for moment in chosen)
    return [_said(moment.time_s, line) for moment, line in lines if line is not None]


def _line(moment: _Moment, now: Standing, rng: random.Random) -> Line | None:
    pick = _picker(rng)
    if moment.cause == "completed":
        return phrases.completed(now, moment.about, rng.random() < NEXT_RATE, pick)
    if moment.cause == "started":
        return phrases.started(moment.about, pick)
    if moment.cause == "correction":
        return phrases.correction(moment.about, pick)
    return phrases.nudge(now, pick)


def _at_steps(track: StateTrack, rng: random.Random) -> Iterator[_Moment]:
    """Some of the transitions, and always the one that completes the task."""
    names = {step.id: imperative(step.name) for step in track.task.steps}
    for time_s, group in groupby(track.transitions, key=lambda item: item.time_s):
        done = [item for item in group if item.transition.move == "complete"]
        now = standing(track, time_s)
        all_done = not now.in_progress and not now.not_started
        if done and (all_done or rng.random() < FEEDBACK_RATE):
            yield _Moment(time_s, "completed", names[done[-1].transition.step_id])
    for item in track.transitions:
        if item.transition.move == "start" and rng.random() < ACKNOWLEDGE_RATE:
            yield _Moment(item.time_s, "started", names[item.transition.step_id])


def _at_mistakes(annotation: Annotation) -> Iterator[_Moment]:
    """Soon after a wrong action begins and before it ends; the same remark once in 10 s."""
    said: dict[str, float] = {}
    for action in annotation.actions:
        if action.mistake is None:
            continue
        wrong = _told(action.mistake)
        after_s = min(CORRECT_AFTER_S, 0.8 * (action.end_s - action.start_s))
        time_s = round(action.start_s + after_s, 1)
        time_s = min(max(time_s, action.start_s), action.end_s)  # rounding may leave a short one
        if time_s - said.get(wrong, -math.inf) >= MIN_NUDGE_GAP_S:
            said[wrong] = time_s
            yield _Moment(time_s, "correction", wrong)


def _told(mistake: str) -> str:
    return brief(to_user(mistake), CORRECTION_WORDS)


def _at_pauses(annotation: Annotation, rng: random.Random) -> Iterator[_Moment]:
    """`PAUSE_S` into an annotated pause, or `IDLE_S` into a time without any action."""
    waits = [
        (span.start_s + PAUSE_S, span.end_s) for span in annotation.actions if span.kind == "pause"
    ]
    waits += [(start_s + IDLE_S, end_s) for start_s, end_s in _idle(annotation)]
    previous_s = -math.inf
    for from_s, end_s in sorted(waits):
        time_s = math.ceil(10 * (from_s + 2 * rng.random())) / 10
        if time_s < end_s and time_s - previous_s >= MIN_NUDGE_GAP_S:
            previous_s = time_s
            yield _Moment(time_s, "nudge")


def _idle(annotation: Annotation) -> Iterator[tuple[float, float]]:
    """Spans between actions of any kind but pauses, from the start of the task to the end."""
    free_s = annotation.start_s
    for action in annotation.actions:
        if action.kind != "pause":
            if action.start_s > free_s:
                yield free_s, action.start_s
            free_s = max(free_s, action.end_s)
    if annotation.duration_s > free_s:
        yield free_s, annotation.duration_s


def _exchanges(
    annotation: Annotation,
    track: StateTrack,
    turns: Sequence[Turn],
    every_s: float | None,
    rng: random.Random,
) -> list[Turn]:
    """Questions about every ``every_s`` seconds with their answers, clear of all other turns."""
    if every_s is None:
        return []
    pick = _picker(rng)
    taken = [turn.time_s for turn in turns]
    exchanges: list[Turn] = []
    for number in range(int((annotation.duration_s - annotation.start_s) / every_s) + 1):
        first_s = annotation.start_s + every_s * (number + 0.25 + 0.5 * rng.random())
        asked_s = _free_time(first_s, first_s + every_s / 2, annotation.duration_s, taken)
        if asked_s is None:
            continue
        replied_s = round(asked_s + REPLY_S, 1)
        question, answer = _exchange(
            standing(track, replied_s), _wrong(annotation, asked_s), rng, pick
        )
        exchanges += [Turn("user", asked_s, question), _said(replied_s, answer)]
        taken += [asked_s, replied_s]
    return exchanges


def _free_time(
    first_s: float, last_s: float, duration_s: float, taken: Sequence[float]
) -> float | None:
    """The first time clear of all turns, in steps of a second; None if there is none."""
    for shift_s in range(math.ceil(last_s - first_s)):
        asked_s = round(first_s + shift_s, 1)
        around = (asked_s - QUESTION_GAP_S, asked_s + REPLY_S + QUESTION_GAP_S)
        clear = not any(around[0] <= time_s <= around[1] for time_s in taken)
        if clear and asked_s + REPLY_S <= duration_s:
            return asked_s
    return None


def _wrong(annotation: Annotation, time_s: float) -> str | None:
    """The last mistake that is going on or has just ended."""
    recent = [
        action.mistake
        for action in annotation.actions
        if action.mistake is not None
        and action.start_s + CORRECT_AFTER_S <= time_s <= action.end_s + JUST_NOW_S
    ]
    return _told(recent[-1]) if recent else None


def _exchange(now: Standing, wrong: str | None, rng: random.Random, pick: Pick) -> tuple[str, Line]:
    fitting = [made for ask in phrases.QUESTIONS if (made := ask(now, wrong, pick)) is not None]
    return fitting[int(rng.random() * len(fitting))]
