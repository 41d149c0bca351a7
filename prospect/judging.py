"""Dialogues judged by a language model: correctness, promptness, efficiency, overall, 1 to 5.

In: predictions, and something that answers requests. Out: `JudgeScores`, as scores.json has them.
A model reads the reference dialogue and the predicted one, several times (ProAssist's way, arXiv
2506.05904; the words are ours), and `prospect.metrics.judge` reads its replies.

    prospect judge runs/demo/predictions.jsonl --out judged.json --llm.server.base_url URL ...
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import track

from prospect.dialogues.llm.parse import Fault, read_text
from prospect.dialogues.llm.prompts import spoken, steps
from prospect.errors import ConfigError, DataError
from prospect.files import text_hash
from prospect.llm import LLMConfig, Message, Mode, Pending, Reply, Request
from prospect.metrics.judge import ASPECTS, Judged, Scores, Unread, dialogue_turns, read_scores
from prospect.metrics.judge import summarize as summarize_judged
from prospect.metrics.score import by_system, main_system
from prospect.types import Prediction

TEMPLATES: dict[str, str] = {
    "system": """\
You compare assistants that guide people through hands-on tasks. Such an assistant sees the \
person's work through a camera and decides by itself when to speak and what to say. You read what \
it said, with the time of each turn in seconds, beside a dialogue of the same recording that is \
known to be good. Be strict and fair: different words or a slightly different order are no fault \
as long as the person is helped as well.""",
    "judge": """\
Goal: {goal}
Steps:
{steps}

The good dialogue:
{reference}

The dialogue to judge (the user's turns are the same):
{predicted}

Judge the assistant of the second dialogue:
{aspects}
Scores: 1 useless or harmful, 2 poor, 3 mixed, 4 good with small faults, 5 as good as the first \
dialogue.

First give your reasons in at most five sentences, then end with these four lines, each with one \
number from 1 to 5:
{form}""",
    "aspect": "- {name}: {what}.",
    "line": "{name}: <number>",
    "unlisted": "(not listed)",
}

PROMPTS_HASH = text_hash(repr((sorted(TEMPLATES.items()), list(ASPECTS.items()))))
"""16 hex digits that change with any text the judge may see; spoken turns apart."""


@dataclass(frozen=True)
class JudgeSettings:
    """Who judges, how often, and where the replies are kept.

    Attributes:
        server: Endpoint, model and limits.
        runs: Times that each dialogue is judged.
        max_tokens: Longest reply; a reply that is cut off is not used.
        temperature: None for the server's own. At 0 all runs may say the same.
        cache: File of all replies; a run that finds them there needs no server.
        mode: ``live``; ``offline`` takes cached replies only; ``batch`` writes the requests that
            are not cached as the vendor's batch files beside the scores.
        replies: Result files of such batches, read first.
    """

    server: LLMConfig
    runs: int = 3
    max_tokens: int = 1024
    temperature: float | None = 0.7
    cache: Path = Path("llm-replies.sqlite")
    mode: Mode = "live"
    replies: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        for name in ("runs", "max_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")


@dataclass(frozen=True, slots=True)
class JudgeScores:
    """What the judge found.

    Attributes:
        systems: name -> groups, streams, agreement of the runs, replies; see
            `prospect.metrics.judge.summarize`.
        differences: ``main - other`` -> aspect -> estimate.
        about: Who judged, with which prompt and settings.
    """

    systems: Mapping[str, Any]
    differences: Mapping[str, Any]
    about: Mapping[str, Any]


def judge(
    predictions: Sequence[Prediction],
    ask: Callable[[Request], Reply],
    settings: JudgeSettings,
) -> JudgeScores:
    """Judge every stream of one or more systems ``settings.runs`` times.

    A reply that is empty, cut off or unreadable is dropped and counted, never asked for again; so
    is one whose request the server rejects (a dialogue too long for the model), and a stream with
    no reference speech to judge by is not asked about. What else ``ask`` raises passes through;
    its paid replies are cached, so that a second call goes on from there.

    Args:
        predictions: As for `prospect.metrics.score.score`.
        ask: One request, one reply: `prospect.llm.Client.ask`. Called from several threads.
        settings: Of them, ``runs``, ``max_tokens``, ``temperature`` and ``server.concurrency``
            are used here.

    Raises:
        DataError: predictions that can't be compared (see `prospect.metrics.score.by_system`).
        Pending: batch mode, and some replies are not there yet; raised when all were asked for.
    """
    systems = by_system(predictions)
    todo = [
        (prompt(prediction), run)
        for found in systems.values()
        for prediction in found
        for run in range(settings.runs)
    ]
    replies = iter(_ask_all(todo, ask, settings))
    judged = {
        name: [Judged(one, tuple(next(replies) for _ in range(settings.runs))) for one in found]
        for name, found in systems.items()
    }
    main = main_system(systems)
    found = summarize_judged(judged, main)
    about = {
        "main": main,
        "judge": settings.server.model,
        "prompts": PROMPTS_HASH,
        "runs": settings.runs,
        "temperature": settings.temperature,
        "max_tokens": settings.max_tokens,
        "num_streams": len(systems[main]),
    }
    return JudgeScores(found["systems"], found["differences"], about)


def prompt(prediction: Prediction) -> tuple[Message, ...] | Unread:
    """What the judge reads about one stream, or why there is nothing to read."""
    if all(event.speech is None for event in prediction.references):
        return Unread("no reference speech")
    filled = TEMPLATES["judge"].format(
        goal=prediction.task.goal,
        steps=steps(prediction.task) or TEMPLATES["unlisted"],
        reference=spoken(dialogue_turns(prediction, prediction.references)),
        predicted=spoken(dialogue_turns(prediction, prediction.events)),
        aspects="\n".join(
            TEMPLATES["aspect"].format(name=name, what=what) for name, what in ASPECTS.items()
        ),
        form="\n".join(TEMPLATES["line"].format(name=name) for name in ASPECTS),
    )
    return Message("system", TEMPLATES["system"]), Message("user", filled)


def _ask_all(
    todo: Sequence[tuple[tuple[Message, ...] | Unread, int]],
    ask: Callable[[Request], Reply],
    settings: JudgeSettings,
) -> list[Scores | Unread]:
    """What became of each prompt and run, in order."""

    def one(item: tuple[tuple[Message, ...] | Unread, int]) -> Scores | Unread | Pending:
        messages, run = item
        if isinstance(messages, Unread):
            return messages
        try:
            reply = ask(Request(messages, settings.max_tokens, settings.temperature, run))
        except DataError:  # the server rejects this request, not the key or the model
            return Unread("the server rejects the request")
        except Pending as pending:
            return pending
        text = read_text(reply)
        return Unread(text.reason) if isinstance(text, Fault) else read_scores(text)

    with ThreadPoolExecutor(settings.server.concurrency) as pool:
        try:
            answers = track(pool.map(one, todo), description="judging", total=len(todo))
            found = list(answers)
        finally:
            pool.shutdown(cancel_futures=True)
    waiting = sum(isinstance(item, Pending) for item in found)
    if waiting:
        raise Pending(f"{waiting} of {len(found)} replies come with a batch; none is scored yet")
    return [item for item in found if not isinstance(item, Pending)]
