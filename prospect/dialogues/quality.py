"""How well a dialogue is timed, as one number, and which dialogues are worth keeping.

In: dialogues, annotations, tracks. Out: `Quality`; and with `filtered` the dialogues to learn from
and to score against, with an account of the rest.

The score and its thresholds are ProAssist's (arXiv 2506.05904, automatic evaluation and filtering
of generated dialogues). Mode ``proassist`` repeats two faults of its code, for comparison with its
values: a substep counts if its *step* is relevant, and a share below 1 keeps the *worst*.
"""

import math
import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Literal

from prospect.dialogues.faults import contradictions, text_problems
from prospect.errors import ConfigError, DataError
from prospect.files import Account
from prospect.types import Annotation, Dialogue, StateTrack, Turn, UserType

Mode = Literal["strict", "proassist"]

ANSWER_S = 2.0
NO_ANSWER_PENALTY = 0.1
BEST = 10.0
ESSENTIAL = "essential"
RATIOS: Mapping[str, float] = {
    "ego4d": 1.0,
    "holoassist": 0.5,
    "egoexolearn": 1.0,
    "epickitchens": 2.0,
    "wtag": 2.0,
    "assembly101": 1.0,
}
"""ProAssist's share of the training dialogues that it keeps, by dataset."""

# "[97.2s-106.8s] text" and "[110.7s] text", as ProAssist prints the steps of a video
_PRINTED = re.compile(r"\[(\d+(?:\.\d+)?)s(?:-(\d+(?:\.\d+)?)s)?\]")


@dataclass(frozen=True, slots=True)
class Moments:
    """The times (s) that a dialogue should be close to: where steps start, and start or end."""

    starts_s: tuple[float, ...]
    times_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Quality:
    """ProAssist's automatic score of a dialogue and its parts.

    Attributes:
        avg_time_diff_p: Mean distance (s) of the turns to the nearest start or end of a step.
        avg_time_diff_r: Mean distance (s) of the starts of steps to the nearest turn.
        no_resp_penalty: 0.1 for every question that no assistant answers at once.
        final_score: 10 less all three; at most 10, without a lower limit.
    """

    avg_time_diff_p: float
    avg_time_diff_r: float
    no_resp_penalty: float
    final_score: float


def annotated_moments(annotation: Annotation, mode: Mode = "strict") -> Moments:
    """Starts and ends of what is done in a video, in tenths of a second as ProAssist prints them.

    These are visits and actions, and of a dataset that names steps only those that belong to one.
    ``proassist`` takes all, and every turn of the dataset's own conversation as a step without
    length, since it prints them among the steps; Goal-Step is another matter, see
    `proassist_moments`.
    """
    spans = [
        (one.start_s, one.end_s)
        for one in annotation.actions
        if one.kind != "pause"
        and (mode == "proassist" or one.step_id is not None or not annotation.task.steps)
    ]
    if mode == "proassist":
        spans += [(turn.time_s, turn.time_s) for turn in annotation.conversation]
    return _moments(spans)


def proassist_moments(parsed: Mapping[str, Any], mode: Mode = "strict") -> Moments:
    """The same of a ``parsed_video_anns`` record in ProAssist's dialogue files.

    Goal-Step's times come from its segments, of which only the essential ones count; a substep
    needs an essential step around it and, if ``strict``, has to be essential itself. Those of all
    other datasets are read off the printed steps.

    Raises:
        DataError: a field is missing; names it.
    """
    try:
        if parsed["dataset"] != "ego4d-goalstep":
            printed = _PRINTED.findall(parsed["all_step_descriptions"])
            return _moments([(float(start), float(end or start)) for start, end in printed])
        spans = []
        for step in parsed["original_ann"]["segments"]:
            if step.get("is_relevant") != ESSENTIAL:
                continue
            spans.append((step["start_time"], step["end_time"]))
            spans += [
                (substep["start_time"], substep["end_time"])
                for substep in step["segments"]
                if mode == "proassist" or substep.get("is_relevant") == ESSENTIAL
            ]
    except KeyError as error:
        raise DataError(
            f"video {parsed.get('video_uid')}: the parsed annotation has no field {error}"
        ) from error
    return _moments(spans)


def _moments(spans: Sequence[tuple[float, float]]) -> Moments:
    rounded = [(round(start_s, 1), round(end_s, 1)) for start_s, end_s in spans]
    return Moments(
        tuple(start_s for start_s, _ in rounded), tuple(t for span in rounded for t in span)
    )


def quality(turns: Sequence[Turn], moments: Moments) -> Quality | None:
    """ProAssist's score of a dialogue; None without turns or without steps.

    A question is a user turn that ends with "?"; it is answered if the very next turn is the
    assistant's and comes within 2 s. The last turn of a dialogue needs no answer.
    """
    if not turns or not moments.starts_s:
        return None
    spoken_s = [turn.time_s for turn in turns]
    to_steps = _mean_distance(spoken_s, sorted(moments.times_s))
    to_turns = _mean_distance(moments.starts_s, sorted(spoken_s))
    ignored = sum(
        turn.role == "user"
        and turn.text.endswith("?")
        and (following.role != "assistant" or following.time_s - turn.time_s > ANSWER_S)
        for turn, following in pairwise(turns)
    )
    penalty = NO_ANSWER_PENALTY * ignored
    return Quality(to_steps, to_turns, penalty, BEST - (to_steps + to_turns + penalty))


def scored(dialogue: Dialogue, annotation: Annotation, mode: Mode = "strict") -> Dialogue:
    """The dialogue with its `Dialogue.quality`; None where there is nothing to compare."""
    found = quality(dialogue.turns, annotated_moments(annotation, mode))
    return replace(dialogue, quality=found.final_score if found else None)


def _mean_distance(times_s: Sequence[float], sorted_s: Sequence[float]) -> float:
    """Mean distance of each time to the nearest of the sorted ones; neither is empty."""
    total = 0.0
    for time_s in times_s:
        at = bisect_left(sorted_s, time_s)
        total += min(abs(time_s - other) for other in sorted_s[max(0, at - 1) : at + 1])
    return total / len(times_s)


@dataclass(frozen=True)
class Rules:
    """Which dialogues are kept; ProAssist's values, but for the shares (see `RATIOS`).

    Attributes:
        min_train, min_eval: Least score in training, and in validation and test.
        ratios: dataset -> share of a video's dialogues of each user type to train on, at most 1;
            or how often to repeat them, a whole number. Datasets not named keep each one once.
        user_types: A video that validates or tests needs a dialogue of each, and gives its best.
    """

    min_train: float = 3.0
    min_eval: float = 5.0
    ratios: Mapping[str, float] = field(default_factory=dict)
    user_types: tuple[UserType, ...] = ("no_talk", "talk_some", "talk_more")

    def __post_init__(self) -> None:
        for dataset, ratio in self.ratios.items():
            if not (0 < ratio <= 1 or (ratio > 1 and ratio == int(ratio))):
                raise ConfigError(
                    f"ratio of {dataset} is {ratio}; a share in (0, 1] or a whole number of copies"
                )


def filtered(
    dialogues: Sequence[Dialogue],
    tracks: Mapping[str, StateTrack],
    rules: Rules = Rules(),
    mode: Mode = "strict",
) -> tuple[list[Dialogue], Account, list[str]]:
    """Dialogues without faults that score well enough, the best of each video and user type.

    Args:
        dialogues: Scored ones, as by `scored`.
        tracks: video_id -> its transitions.
        rules: What is enough.
        mode: ``proassist`` looks for no faults, and keeps the worst where a share is kept.

    Returns:
        The kept ones in their order, a repeated one followed by its copies (ids end in ``~2`` and
        so on); how many were dropped for each reason; a line for every dialogue dropped.

    Raises:
        DataError: a dialogue's video has no track.
    """
    reasons: dict[str, str] = {}
    passed = []
    for one in dialogues:
        reason = _unfit(one, tracks, rules, mode)
        if reason is None:
            passed.append(one)
        else:
            reasons[one.dialogue_id] = reason
    groups: dict[tuple[str, UserType], list[Dialogue]] = defaultdict(list)
    for one in passed:
        groups[one.video_id, one.user_type].append(one)
    for (video_id, _), group in groups.items():
        if group[0].split == "train":
            reasons |= _surplus(group, rules.ratios.get(group[0].dataset, 1.0), mode)
        else:
            lacking = [kind for kind in rules.user_types if (video_id, kind) not in groups]
            reasons |= _not_best(group, lacking, rules.user_types)
    kept = [
        copy
        for one in passed
        if one.dialogue_id not in reasons
        for copy in _copies(one, rules.ratios.get(one.dataset, 1.0))
    ]
    listed = [f"{dialogue_id}: {reason}" for dialogue_id, reason in reasons.items()]
    return kept, Account(len(kept), Counter(reasons.values())), listed


def _unfit(one: Dialogue, tracks: Mapping[str, StateTrack], rules: Rules, mode: Mode) -> str | None:
    """Why a dialogue is dropped whatever the others are like."""
    if mode == "strict":
        if one.video_id not in tracks:
            raise DataError(f"{one.dialogue_id}: video {one.video_id} has no states; label it")
        found = [*text_problems(one.turns), *contradictions(one, tracks[one.video_id])]
        if found:
            return found[0].reason
    least = rules.min_train if one.split == "train" else rules.min_eval
    if one.quality is None:
        return "no score"
    return None if one.quality >= least else f"score below {least:g} ({one.split})"


def _surplus(group: list[Dialogue], ratio: float, mode: Mode) -> dict[str, str]:
    """dialogue_id -> why; all but a share of a group, the best; equal ones in their order."""
    sign = 1 if mode == "proassist" else -1
    ranked = sorted(group, key=lambda one: sign * _score(one))
    rest = ranked[math.ceil(len(group) * min(ratio, 1.0)) :]
    return dict.fromkeys(_ids(rest), f"not in the share of {ratio:g} kept")


def _not_best(
    group: list[Dialogue], lacking: list[UserType], user_types: Sequence[UserType]
) -> dict[str, str]:
    """dialogue_id -> why; all but the best of a group, or all of it."""
    if group[0].user_type not in user_types:
        return dict.fromkeys(_ids(group), "not of a user type asked for")
    if lacking:
        return dict.fromkeys(_ids(group), "its video lacks a user type")
    best = max(group, key=_score)  # the first of equal ones
    return dict.fromkeys(
        _ids(one for one in group if one is not best), "another of its user type is better"
    )


def _score(one: Dialogue) -> float:
    assert one.quality is not None  # those without were dropped
    return one.quality


def _ids(dialogues: Iterable[Dialogue]) -> list[str]:
    return [one.dialogue_id for one in dialogues]


def _copies(one: Dialogue, ratio: float) -> list[Dialogue]:
    """A dialogue to train on as often as asked, each under its own id."""
    times = int(ratio) if one.split == "train" and ratio > 1 else 1
    return [one, *(replace(one, dialogue_id=f"{one.dialogue_id}~{n}") for n in range(2, times + 1))]
