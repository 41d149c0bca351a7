"""Annotations that name no steps -> steps, by rule: stretches of the video about one thing.

In: an `Annotation` whose actions belong to no step. Out: the same with steps, visits to them, and
actions that know their visit. A stretch is about the word that its actions share; the stretches
chosen are those that explain most of the acted time for the fewest changes of subject.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from prospect.types import Action, Annotation, Step, Task

CHANGE_COST_S = 15.0
"""A change of subject has to explain so many seconds more than going on would."""
MAX_PAUSE_S = 30.0
"""Nobody is at a step for longer than this without an action."""
MAX_ACTIONS = 80
"""Longest stretch considered, which bounds the search to linear time."""

_WORD = re.compile(r"[a-z]{3,}")
_HOLLOW = frozenset({
    "the", "and", "with", "from", "into", "onto", "over", "then", "that", "this", "still", "for",
    "off", "out", "your", "their", "other", "another", "his", "her", "its", "them", "are", "was",
    "left", "right", "hand", "hands", "piece", "pieces", "some", "use", "using",
})  # fmt: skip


def grouped(annotation: Annotation) -> Annotation:
    """The annotation with steps; unchanged where its dataset names them or nothing is done.

    A step is named after the longest action of its first visit; a later stretch with the same
    name visits it again. Steps are listed in the order of their first visits, the only one known.
    """
    actions = [action for action in annotation.actions if action.kind == "action"]
    if annotation.task.steps or not actions:
        return annotation
    steps: dict[str, Step] = {}
    spans = [action for action in annotation.actions if action.kind != "action"]
    for stretch in stretches(actions):
        longest = max(stretch, key=lambda action: action.end_s - action.start_s)
        name = _name(longest.text)
        step = steps.setdefault(name, Step(f"S{len(steps) + 1}", name))
        start_s, end_s = stretch[0].start_s, max(action.end_s for action in stretch)
        spans.append(
            Action(start_s, end_s, name, "step", step.id, verb=longest.verb, noun=longest.noun)
        )
        spans += [replace(action, step_id=step.id) for action in stretch]
    spans.sort(key=lambda action: (action.start_s, action.end_s))
    task = Task(annotation.task.goal, tuple(steps.values()))
    return replace(annotation, task=task, actions=tuple(spans))


def stretches(actions: Sequence[Action]) -> list[list[Action]]:
    """Cut actions, sorted by time, into stretches about one subject each.

    Maximises the sum over stretches of the time (s) that actions with the stretch's most frequent
    word take, less `CHANGE_COST_S` for each stretch; ties go to the earlier cut. No stretch holds
    a gap above `MAX_PAUSE_S` or more than `MAX_ACTIONS` actions.
    """
    best = [0.0]  # best[n]: of the first n actions
    cut_before = [0]
    for stop in range(1, len(actions) + 1):
        about: dict[str, float] = defaultdict(float)
        choice = (-float("inf"), 0)
        for start in range(stop - 1, max(-1, stop - 1 - MAX_ACTIONS), -1):
            action = actions[start]
            if start + 1 < stop and actions[start + 1].start_s - action.end_s > MAX_PAUSE_S:
                break
            for word in _subjects(action):
                about[word] += action.end_s - action.start_s
            value = best[start] + max(about.values(), default=0.0) - CHANGE_COST_S
            choice = max(choice, (value, -start))
        best.append(choice[0])
        cut_before.append(-choice[1])
    found: list[list[Action]] = []
    stop = len(actions)
    while stop:
        found.append(list(actions[cut_before[stop] : stop]))
        stop = cut_before[stop]
    return found[::-1]


def _subjects(action: Action) -> frozenset[str]:
    """What an action is about: its noun, else the words of its text that mean something."""
    if action.noun:
        return frozenset({action.noun})
    return frozenset(_WORD.findall(action.text.lower())) - _HOLLOW


def _name(text: str) -> str:
    """The first sentence, in one line."""
    return " ".join(re.split(r"(?<=\w)[.;](?:\s|$)", text.removeprefix("still "))[0].split())
