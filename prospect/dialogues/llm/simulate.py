"""The turns of a dialogue: drafted window by window, each edited and labelled, then summarised.

In: an annotation, its description, the task, a type of user. Out: turns with labels and
summaries, or a `Fault`.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from prospect.dialogues.llm import prompts
from prospect.dialogues.llm.asking import Ask, asked_all, tried
from prospect.dialogues.llm.config import SAMPLES_A_DIALOGUE, LLMWriterConfig
from prospect.dialogues.llm.parse import Fault, Summary, read_summary, read_turns
from prospect.dialogues.llm.timing import adjusted
from prospect.dialogues.llm.windows import Window, until, windows
from prospect.dialogues.progress import elapsed
from prospect.types import Annotation, Task, Turn, UserType

ROUNDING_S = 0.05
"""Prompts show times to 0.1 s, so a reply may miss a window's end by this much."""


@dataclass(frozen=True, slots=True)
class _Round:
    """What one window's turns are held against."""

    window: Window
    opens: bool
    user_type: UserType
    recent: tuple[Turn, ...]


def write_turns(
    ask: Ask,
    settings: LLMWriterConfig,
    annotation: Annotation,
    description: str,
    task: Task,
    user_type: UserType,
    seed: int,
) -> tuple[Turn, ...] | Fault:
    """All turns of a dialogue with their summaries; times in ``[start_s, duration_s]``.

    Args:
        seed: Dialogues of other seeds are written from other samples.
    """
    about = prompts.requirements(annotation.dataset)
    first = seed * SAMPLES_A_DIALOGUE
    samples = range(first, first + settings.max_tries)
    told: tuple[Turn, ...] = ()
    cut = windows(
        description,
        annotation.start_s,
        annotation.duration_s,
        settings.window_lines,
        settings.window_s,
    )
    for at, window in enumerate(cut):
        now = _Round(window, at == 0, user_type, told[max(0, len(told) - settings.recent_turns) :])
        drafting = prompts.drafting(about, task, user_type, window, now.opens, now.recent)
        draft = tried(ask, drafting, settings, samples, partial(_read_draft, now))
        if isinstance(draft, Fault):
            return Fault(f"draft: {draft.reason}")
        refining = prompts.refining(about, task, draft, now.recent)
        read = partial(_read_refined, now, draft, settings.max_repeats)
        refined = tried(ask, refining, settings, samples, read)
        if isinstance(refined, Fault):
            return Fault(f"refined: {refined.reason}")
        told = adjusted((*told, *refined))
    if told[-1].time_s > annotation.duration_s:
        return Fault("no room for the last turns")
    return _summarised(ask, settings, annotation, description, task, told, samples)


def _read_draft(now: _Round, text: str) -> tuple[Turn, ...] | Fault:
    turns = read_turns(text, labelled=False)
    return turns if isinstance(turns, Fault) else _in_window(now, turns)


def _read_refined(
    now: _Round, draft: Sequence[Turn], max_repeats: int, text: str
) -> tuple[Turn, ...] | Fault:
    read = read_turns(text, labelled=True)
    turns = read if isinstance(read, Fault) else _in_window(now, read)
    if isinstance(turns, Fault):
        return turns
    before, after = _num_user(draft), _num_user(turns)
    if before != after:
        return Fault("user turns dropped" if after < before else "user turns added")
    if (turns[0].role, _words(turns[0])) in [(turn.role, _words(turn)) for turn in now.recent]:
        return Fault("begins with what was said before")
    said = Counter(_words(turn) for turn in (*now.recent, *turns) if turn.role == "assistant")
    if max(said.values()) > max_repeats:
        return Fault("the same said many times")
    return turns


def _in_window(now: _Round, turns: tuple[Turn, ...]) -> tuple[Turn, ...] | Fault:
    """The turns, their times clamped by at most `ROUNDING_S`; or what is wrong with them."""
    from_s, to_s = now.window.from_s, now.window.to_s
    times = [turn.time_s for turn in turns]
    if times != sorted(times):
        return Fault("times not in order")
    if times[0] < from_s - ROUNDING_S or times[-1] > to_s + ROUNDING_S:
        return Fault("times outside the window")
    if now.opens and turns[0].role != "user":
        return Fault("the user does not begin")
    if now.user_type == "no_talk" and _num_user(turns) > now.opens:
        return Fault("a silent user talks")
    if _num_user(turns) == len(turns):
        return Fault("nothing said by the assistant")
    return tuple(replace(turn, time_s=min(max(turn.time_s, from_s), to_s)) for turn in turns)


def _num_user(turns: Sequence[Turn]) -> int:
    return sum(turn.role == "user" for turn in turns)


def _words(turn: Turn) -> str:
    return "".join(letter for letter in turn.text.casefold() if letter.isalnum())


def _summarised(
    ask: Ask,
    settings: LLMWriterConfig,
    annotation: Annotation,
    description: str,
    task: Task,
    told: tuple[Turn, ...],
    samples: range,
) -> tuple[Turn, ...] | Fault:
    """The turns, each of the assistant's with a summary that tells nothing of what comes later."""
    about = prompts.requirements(annotation.dataset)

    def summary_of(at: int) -> Summary | Fault:
        seen = until(description, told[at].time_s)
        prompt = prompts.summarizing(about, task, seen, told[: at + 1])
        return tried(ask, prompt, settings, samples, read_summary)

    spoken = [at for at, turn in enumerate(told) if turn.role == "assistant"]
    calls: list[Callable[[], Summary | Fault]] = [partial(summary_of, at) for at in spoken]
    turns = list(told)
    for at, summary in zip(spoken, asked_all(calls), strict=True):
        if isinstance(summary, Fault):
            return Fault(f"summary: {summary.reason}")
        opening = elapsed(told[at].time_s - annotation.start_s)
        turns[at] = replace(told[at], summary=f"{opening} {summary.text}")
    return tuple(turns)
