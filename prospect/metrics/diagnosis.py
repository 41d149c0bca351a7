"""What is wrong, in words, and which setting to change.

In: scores of the main system and of the others beside it. Out: findings, a sentence or two each,
with the numbers they rest on; none where nothing stands out. The limits are rules of thumb.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prospect.metrics.decisions import DECISIONS
from prospect.types import Prediction

Values = Mapping[str, float | None]
"""metric -> pooled value."""
Finding = Callable[[Values, Mapping[str, Values], Sequence[Prediction]], list[str]]

SELDOM, OFTEN = 0.5, 2.0
GAP = 0.15
"""A difference between two scores of 0 to 1 that is worth a word."""
BLINDLY = ("periodic", "schedule", "blind")
"""Systems that know no moment: to be no better is to see nothing."""


def diagnose(
    predictions: Sequence[Prediction], pooled: Mapping[str, Mapping[str, Any]], main: str
) -> list[str]:
    """Findings on the main system, in the order in which they are worth mending.

    Args:
        predictions: The main system's.
        pooled: system -> metric -> its pooled estimate.
        main: Name of the main system.
    """
    values = {
        system: {metric: found["value"] for metric, found in metrics.items()}
        for system, metrics in pooled.items()
    }
    others = {system: found for system, found in values.items() if system != main}
    return [line for find in FINDINGS for line in find(values[main], others, predictions)]


def _above(left: float | None, right: float | None, gap: float = GAP) -> bool:
    """Whether both exist and left exceeds right by the gap."""
    return left is not None and right is not None and left - right >= gap


def rates(values: Values, others: Mapping[str, Values], _: Sequence[Prediction]) -> list[str]:
    """It never decides, too seldom or too often."""
    lines = []
    for decision, metric in (("speak", "speech_rate_ratio"), ("update", "update_rate_ratio")):
        rate = values[metric]
        if rate is None or SELDOM <= rate <= OFTEN:
            continue
        how = "never" if rate == 0 else f"{rate:.2g} times as often as the reference"
        to = "Lower" if rate < 1 else "Raise"
        lines.append(
            f"It decides to {decision} {how}. {to} {decision}_threshold, or fit it again on the "
            "validation split: the best one moves with negative_rate."
        )
    return lines


def thresholds(values: Values, others: Mapping[str, Values], _: Sequence[Prediction]) -> list[str]:
    """The probability knows the moments, the decision misses them."""
    return [
        f"Its {decision} probability ranks the right frames (average precision "
        f"{values[f'{decision}_average_precision']:.2f}), but its decisions reach only F1 "
        f"{values[f'{decision}_decision_f1']:.2f}. Fit {decision}_threshold again."
        for decision in DECISIONS
        if _above(values[f"{decision}_average_precision"], values[f"{decision}_decision_f1"])
    ]


def blind(values: Values, others: Mapping[str, Values], _: Sequence[Prediction]) -> list[str]:
    """It knows the moments no better than a system that sees nothing."""
    lines = []
    for decision in DECISIONS:
        metric = f"{decision}_decision_f1"
        scores = {name: others[name][metric] for name in BLINDLY if name in others}
        rivals = {name: score for name, score in scores.items() if score is not None}
        own = values[metric]
        if rivals and own is not None:
            best = max(rivals, key=lambda name: rivals[name])
            if own <= rivals[best]:
                lines.append(
                    f"It knows when to {decision} no better (F1 {own:.2f}) than {best} "
                    f"({rivals[best]:.2f}), which doesn't look. Train longer, raise optim.new_lr, "
                    "or check that the features belong to the frames."
                )
    return lines


def which(values: Values, others: Mapping[str, Values], _: Sequence[Prediction]) -> list[str]:
    """It knows when, not which."""
    own, listed = values["start_accuracy"], others.get("listed_order", {}).get("start_accuracy")
    if own is not None and listed is not None and not _above(own, listed, 0.05):
        return [
            f"Given the right moment, it starts the right step in {own:.2f} of cases; the next "
            f"step of the list would be right in {listed:.2f}. Its text follows the list, not the "
            "eye: set permute_steps, use more vectors_per_frame, train longer on transitions."
        ]
    return []


def timing(values: Values, others: Mapping[str, Values], _: Sequence[Prediction]) -> list[str]:
    """Right transitions, or sentences about the right thing, at wrong times."""
    lines = []
    near, far = values["transition_f1_2s"], values["transition_f1_10s"]
    if _above(far, near):
        delay = values["transition_delay_median_s"] or 0.0
        late = f"{abs(delay):.1f} s {'early' if delay < 0 else 'late'}"
        change = "Raise" if delay < 0 else "Lower"
        lines.append(
            f"Right transitions at wrong times: F1 is {far:.2f} within 10 s but {near:.2f} within "
            f"2 s; the median is {late}. {change} update_threshold."
        )
    if _above(values["speech_when_f1"], values["speech_f1"], 0.3):
        lines.append(
            f"It speaks at the right times (F1 {values['speech_when_f1']:.2f}) but says the wrong "
            f"thing (F1 {values['speech_f1']:.2f}). Raise losses.speak_gen or train longer."
        )
    return lines


def memory(values: Values, others: Mapping[str, Values], _: Sequence[Prediction]) -> list[str]:
    """The state is lost after a refresh, or one slip spoils the rest."""
    lines = []
    always, fresh = values["joint_goal_accuracy"], values["joint_goal_accuracy_refresh"]
    if _above(always, fresh, 0.1):
        lines.append(
            f"The state is lost after a refresh: right at {fresh:.2f} of the frames in the minute "
            f"after one, {always:.2f} overall. Check the policy; raise context_len or overlap_s."
        )
    if _above(values["transition_f1_5s"], always, 0.25):
        lines.append(
            f"Early slips spoil the rest: transitions reach F1 {values['transition_f1_5s']:.2f}, "
            f"but the whole state is right at only {always:.2f} of frames. A wrong start blocks "
            "its own completion: raise update_threshold, or allow reopen."
        )
    return lines


def never_started(
    values: Values, others: Mapping[str, Values], predictions: Sequence[Prediction]
) -> list[str]:
    """Steps that happen more than once (once is chance), but never happen to it."""
    happen: Counter[str] = Counter()
    noticed: set[str] = set()
    for item in predictions:
        names = {step.id: step.name for step in item.task.steps}
        for events, is_reference in ((item.references, True), (item.events, False)):
            for event in events:
                for transition in event.transitions:
                    if transition.move == "start" and is_reference:
                        happen[names[transition.step_id]] += 1
                    elif transition.move == "start":
                        noticed.add(names[transition.step_id])
    repeated = [name for name, count in happen.most_common() if count > 1]
    never = [name for name in repeated if name not in noticed]
    if not noticed or not never:
        return []
    shown = ", ".join(f"“{name}” ({happen[name]} times)" for name in never[:3])
    return [
        f"It never starts {len(never)} of the {len(repeated)} steps that happen more than once: "
        f"{shown}. Add training clips of them."
    ]


FINDINGS: tuple[Finding, ...] = (rates, thresholds, blind, which, timing, memory, never_started)
