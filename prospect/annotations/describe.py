"""`Annotation` -> the timed lines that a language model reads of a video.

In: an annotation. Out: text like

    [11.0s-28.2s] The user grabs the GoPro.
     - [11.0s-12.2s] approach gopro
     - [13.7s] assistant: "Okay."

in the form that ProAssist prints for each of its datasets (arXiv 2506.05904, the records'
``all_step_descriptions``), so that prompts and replies can be compared. Times are seconds from the
start of the video, rounded to a tenth.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from prospect.annotations.visits import holder
from prospect.types import Action, Annotation, Turn

__all__ = ["describe"]


@dataclass(frozen=True, slots=True)
class _Style:
    """How the lines of one dataset differ; the defaults are the plain form.

    Attributes:
        bullet: Begins the lines below a step.
        strays: An action of no step has a line of its own, stands below the step begun last, or
            is left out.
        ends: Whether an action below a step is printed with its end, too.
        wrong: The word before what is wrong with an action below a step.
        repeats: An action below a step that was just printed, or was printed before in this
            step, can be left out.
        without: Verbs of actions below a step that are left out.
        unsaid: Words that are left out of the text of actions below a step.
        lower: Whether texts are printed in small letters.
        late: Whether a step begins with the first action below it.
        bare_last: Whether the last step is printed without the lines below it.
        lead: Whether an action before the task is printed as a moment in its middle.
        person: Word for who does it -> the one that is printed.
    """

    bullet: str = " - "
    strays: Literal["line", "below", "none"] = "line"
    ends: bool = False
    wrong: str = "mistake"
    repeats: Literal["print", "skip_next", "skip_all"] = "print"
    without: tuple[str, ...] = ()
    unsaid: tuple[str, ...] = ()
    lower: bool = False
    late: bool = False
    bare_last: bool = False
    lead: bool = False
    person: tuple[str, str] | None = None


_PLAIN = _Style()
_STYLES: dict[str, _Style] = {
    "ego4d": _Style(strays="none", repeats="skip_next", lower=True, late=True),
    "holoassist": _Style(
        strays="below",
        ends=True,
        wrong="ERROR",
        repeats="skip_all",
        without=("hold", "inspect", "rotate", "touch"),
        unsaid=("wrong",),
        bare_last=True,
        person=("student", "user"),
    ),
    "wtag": _Style(bullet="- ", lead=True),
}
"""Datasets that aren't printed plainly, as read off ProAssist's records."""


@dataclass(slots=True)
class _Block:
    """A line with those below it."""

    head: Action
    below: list[Action | Turn]


def describe(annotation: Annotation) -> str:
    """The timed lines of one video, without a line break at the end.

    Lines that have one of their own: visits to steps, and (but see `_Style.strays`) actions that
    lie in no visit to their step. Other actions stand below the visit to their step that holds
    most of them. What is said (all that is heard, where that is more than the conversation)
    stands below the line begun last; before the first line it is left out. A summary is the last
    line. Empty for no actions and no summary.
    """
    style = _STYLES.get(annotation.dataset, _PLAIN)
    blocks = _blocks(annotation, style)
    lines: list[str] = []
    for number, block in enumerate(blocks, start=1):
        bare = style.bare_last and number == len(blocks)
        below = [] if bare else _chosen(sorted(block.below, key=_time_s), style)
        lines.append(_head(block.head, below, annotation.start_s, style))
        lines += [style.bullet + _below(item, style) for item in below]
    if annotation.summary:
        lines.append(f"Summary: {_words(annotation.summary, style)}")
    return "\n".join(lines)


def _blocks(annotation: Annotation, style: _Style) -> list[_Block]:
    visits = [_Block(action, []) for action in annotation.actions if action.kind == "step"]
    lines: list[_Block] = []
    loose: list[Action | Turn] = list(annotation.spoken or annotation.conversation)
    for action in annotation.actions:
        if action.kind != "action":
            continue
        same = [visit for visit in visits if visit.head.step_id == action.step_id]
        at = holder(action, [visit.head for visit in same])
        if at is not None:
            same[at].below.append(action)
        elif style.strays == "line":
            lines.append(_Block(action, []))
        elif style.strays == "below":
            loose.append(action)
    blocks = sorted([*visits, *lines], key=lambda block: (block.head.start_s, block.head.end_s))
    for item in loose:
        begun = [block for block in blocks if block.head.start_s <= _time_s(item)]
        if begun:
            begun[-1].below.append(item)
    return blocks


def _chosen(items: Sequence[Action | Turn], style: _Style) -> list[Action | Turn]:
    """The items below a step that are printed."""
    chosen: list[Action | Turn] = []
    printed: list[str] = []
    for item in items:
        if isinstance(item, Action):
            text = _below_text(item, style)
            seen = {"print": [], "skip_next": printed[-1:], "skip_all": printed}[style.repeats]
            if text in seen or item.verb in style.without:
                continue
            printed.append(text)
        chosen.append(item)
    return chosen


def _head(
    action: Action, below: Sequence[Action | Turn], task_start_s: float, style: _Style
) -> str:
    if style.lead and action.end_s <= task_start_s:
        middle_s = (action.start_s + action.end_s) / 2
        return f"- [{middle_s:.1f}s] {action.text.lower()}"
    start_s = action.start_s
    if style.late:
        start_s = min((_time_s(item) for item in below), default=start_s)
    text = _words(action.text, style)
    return f"[{start_s:.1f}s-{action.end_s:.1f}s] {text}{_remark(action, 'mistake', style)}"


def _below(item: Action | Turn, style: _Style) -> str:
    if isinstance(item, Turn):
        return f'[{item.time_s:.1f}s] {item.role}: "{item.text}"'
    end = f"-{item.end_s:.1f}s" if style.ends else ""
    remark = _remark(item, style.wrong, style)
    return f"[{item.start_s:.1f}s{end}] {_below_text(item, style)}{remark}"


def _below_text(action: Action, style: _Style) -> str:
    words = _words(action.text, style).split(" ")
    return " ".join(word for word in words if word not in style.unsaid)


def _remark(action: Action, word: str, style: _Style) -> str:
    """What is wrong with an action and what it puts right, in brackets."""
    wrong = f" ({word}: {_words(action.mistake, style)})" if action.mistake else ""
    return wrong + (f' (correction of "{action.corrects}")' if action.corrects else "")


def _words(text: str, style: _Style) -> str:
    text = text.replace("_", " ")
    if style.person is not None:
        text = re.sub(rf"\b{style.person[0]}", style.person[1], text)
    return text.lower() if style.lower else text


def _time_s(item: Action | Turn) -> float:
    return item.time_s if isinstance(item, Turn) else item.start_s
