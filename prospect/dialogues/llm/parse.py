"""Replies of a language model -> turns, goals, votes, summaries, or a `Fault` that says why not.

Nothing is repaired. Three habits of real replies are read as meant: markdown bold is left out, runs
of white space are one space, and one line that ends in a colon ("Here is the dialogue:") may come
first. A fault's reason has no numbers or names in it, so that equal faults count together.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from prospect.llm import Reply
from prospect.types import Role, Step, Task, Turn

INITIATIVES = ("initiative", "responsive")
INTENTS = ("instruction", "correction", "info_sharing", "feedback", "other")
"""ProAssist's labels and the order in which its files list the intents."""

VERDICTS = ("suitable", "several_tasks", "no_goal", "too_vague")
MAX_TURN_WORDS = 120
MAX_STEPS = 50
SUMMARY_WORDS = (6, 250)

_TURN = re.compile(r"\[([0-9]{1,6}(?:\.[0-9]{1,3})?)s\] ?(user|assistant): ?(.*)", re.IGNORECASE)
_MARKER = re.compile(r"\[[0-9.]+s\]|\b(?:User|Assistant):")
_BRACKET = re.compile(r"(.*?) ?\[([^\[\]]*)\]")
_STEP = re.compile(r"(?:step )?([0-9]{1,3})[.):] (.+)", re.IGNORECASE)
_LIST = re.compile(r"[-*•] ")
_ANSWER = re.compile(r"answer: ?\[?([a-z_]+)\]?\.?", re.IGNORECASE)
_TITLE = re.compile(r"(?:#+ |(?:goal|title|task): ?)*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a reply can't be used."""

    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a video suits: one of `VERDICTS`."""

    name: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What has happened so far, without the opening that tells the time."""

    text: str


def read_text(reply: Reply) -> str | Fault:
    """The text of a reply that is whole: not empty, not cut off, valid Unicode, nothing leaked."""
    if reply.finish_reason == "length":
        return Fault("cut off at max_tokens")
    if not reply.text.strip():
        return Fault("empty")
    if any("\ud800" <= letter <= "\udfff" for letter in reply.text):
        return Fault("no valid Unicode")
    if "<|" in reply.text:
        return Fault("special tokens in the text")
    return reply.text


def read_turns(text: str, labelled: bool) -> tuple[Turn, ...] | Fault:
    """Lines ``[12.3s] User: ...`` and ``[12.4s] Assistant: ...`` as turns in the reply's order.

    Args:
        labelled: Whether assistant turns end in ``[initiative|instruction, info_sharing]``; if
            not, no turn may end in brackets. User turns never do.
    """
    turns: list[Turn] = []
    lead = stray = False
    for line in _lines(text):
        match = _TURN.fullmatch(line)
        if match is None:
            if not turns and not lead and line.endswith(":"):
                lead = True
                continue
            if not turns:
                return Fault("text before the turns")
            if line.startswith("["):
                return Fault("a line that is no turn")
            stray = True
            continue
        if stray:
            return Fault("text among the turns")
        turn = _turn(match, labelled)
        if isinstance(turn, Fault):
            return turn
        turns.append(turn)
    if stray:
        return Fault("closing remark")
    return tuple(turns) or Fault("no turns")


def _turn(match: re.Match[str], labelled: bool) -> Turn | Fault:
    role: Role = "user" if match[2].lower() == "user" else "assistant"
    said, labels = match[3], ""
    bracket = _BRACKET.fullmatch(said)
    if role == "assistant" and labelled:
        if bracket is None:
            return Fault("assistant turn without labels")
        said = bracket[1]
        known = read_labels(bracket[2])
        if isinstance(known, Fault):
            return known
        labels = known
    elif bracket is not None:
        return Fault("brackets after a turn that has no labels")
    if not any(letter.isalnum() for letter in said):
        return Fault("a turn without words")
    if _MARKER.search(said):
        return Fault("two turns on a line")
    if len(said.split()) > MAX_TURN_WORDS:
        return Fault("a turn too long")
    return Turn(role, float(match[1]), said, labels)


def read_labels(text: str) -> str | Fault:
    """``initiative|feedback, instruction`` -> ``initiative|instruction,feedback``."""
    initiative, bar, listed = text.lower().partition("|")
    intents = {intent.strip() for intent in listed.split(",")}
    if initiative.strip() not in INITIATIVES or not bar or not intents <= {*INTENTS}:
        return Fault("unknown label")
    return f"{initiative.strip()}|{','.join(name for name in INTENTS if name in intents)}"


def read_task(text: str) -> Task | Fault:
    """A title and numbered steps; a step may go on over lines, and sections may stand before them.

    The title loses brackets, hashes and a word like "Goal:". What stands between it and the first
    step (ingredients, tools) is no part of a `Task`.
    """
    lines = _lines(text, keep_blank=True)
    numbered = [at for at, line in enumerate(lines) if _STEP.fullmatch(line)]
    if not numbered:
        return Fault("no numbered steps")
    head = [line for line in lines[: numbered[0]] if line]
    if len(head) > 1 and head[0].endswith(":"):
        head = head[1:]
    goal = head[0][_title_start(head[0]) :].strip("[]\"' ").rstrip(".:") if head else ""
    if not any(letter.isalnum() for letter in goal):
        return Fault("no title above the steps")
    names = _step_names(lines[numbered[0] :])
    if isinstance(names, Fault):
        return names
    return Task(goal, tuple(Step(f"S{at}", name) for at, name in enumerate(names, start=1)))


def _title_start(line: str) -> int:
    match = _TITLE.match(line)
    return match.end() if match else 0


def _step_names(lines: Sequence[str]) -> list[str] | Fault:
    """The steps' texts, numbered from 1; blank lines may stand between, nothing else."""
    names: list[str] = []
    blank = False
    for line in lines:
        match = _STEP.fullmatch(line)
        if match and int(match[1]) == len(names) + 1:
            names.append(match[2])
        elif match:
            return Fault("steps misnumbered")
        elif line and (blank or _LIST.match(line)):
            return Fault("text among or after the steps")
        elif line:  # printed recipes break words at a hyphen: "1/2-" + "inch"
            names[-1] += line if names[-1].endswith("-") else f" {line}"
        blank = not line
    if not 2 <= len(names) <= MAX_STEPS:
        return Fault("too few or too many steps")
    return names


def read_verdict(text: str) -> Verdict | Fault:
    """The last line that reads ``ANSWER: <one of VERDICTS>``; thoughts may come before."""
    answers = [match[1].lower() for line in _lines(text) if (match := _ANSWER.fullmatch(line))]
    if not answers:
        return Fault("no answer line")
    if answers[-1] not in VERDICTS:
        return Fault("unknown answer")
    return Verdict(answers[-1])


def read_summary(text: str) -> Summary | Fault:
    """One paragraph of whole sentences that does not tell the time itself."""
    lines = _lines(text)
    if len(lines) != 1:
        return Fault("not one paragraph")
    told = lines[0]
    fewest, most = SUMMARY_WORDS
    if told.lower().startswith("the time elapsed"):
        return Fault("tells the time twice")
    if len(told.split()) < fewest or told[-1] not in ".!?\"')":
        return Fault("not a whole sentence")
    if len(told.split()) > most:
        return Fault("too long")
    return Summary(told)


def _lines(text: str, keep_blank: bool = False) -> list[str]:
    lines = [" ".join(line.replace("**", "").split()) for line in text.split("\n")]
    return lines if keep_blank else [line for line in lines if line]
