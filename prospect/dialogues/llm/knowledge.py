"""Does a video suit, and what is its task? Both by several samples of a language model.

In: an annotation and its description. Out: the `Task` its dialogues are written with, or a
`Fault`. Requests depend on nothing else, so all dialogues of a video share their replies.
"""

from collections import Counter
from functools import partial

from prospect.dialogues.llm import prompts
from prospect.dialogues.llm.asking import Ask, asked_all, tried
from prospect.dialogues.llm.config import LLMWriterConfig
from prospect.dialogues.llm.parse import Fault, read_task, read_verdict
from prospect.types import Annotation, Task


def find_task(
    ask: Ask, settings: LLMWriterConfig, annotation: Annotation, description: str
) -> Task | Fault:
    """The task to write with, or why the video is left out.

    More than half of the votes must say that the video suits. The task is the annotation's where
    the dataset names the steps people follow; otherwise one answer is chosen in view of those
    proposals that could be read.
    """
    unsuitable = _voted_out(ask, settings, annotation, description)
    if unsuitable is not None:
        return unsuitable
    about = prompts.requirements(annotation.dataset)
    if about.steps_given and annotation.task.steps:
        return annotation.task
    number = settings.knowledge_samples
    inferring = prompts.inferring(about, annotation.task.goal, description)
    answers = asked_all(
        partial(
            tried, ask, inferring, settings, _samples(at, number, settings.max_tries), read_task
        )
        for at in range(number)
    )
    proposals = [answer for answer in answers if isinstance(answer, Task)]
    if not proposals:
        return Fault(f"knowledge: {next(x.reason for x in answers if isinstance(x, Fault))}")
    choosing = prompts.choosing(about, description, proposals)
    chosen = tried(ask, choosing, settings, range(settings.max_tries), read_task)
    return Fault(f"knowledge: {chosen.reason}") if isinstance(chosen, Fault) else chosen


def _voted_out(
    ask: Ask, settings: LLMWriterConfig, annotation: Annotation, description: str
) -> Fault | None:
    """Why the video does not suit; None if it does. A vote that can't be read counts as none."""
    number = settings.filter_samples
    if not number:
        return None
    prompt = prompts.filtering(prompts.requirements(annotation.dataset), description)
    votes = asked_all(
        partial(
            tried, ask, prompt, settings, _samples(at, number, settings.max_tries), read_verdict
        )
        for at in range(number)
    )
    counts = Counter("unreadable" if isinstance(vote, Fault) else vote.name for vote in votes)
    name, count = counts.most_common(1)[0]
    if 2 * count <= number:
        return Fault("video filter: no majority")
    return None if name == "suitable" else Fault(f"video filter: {name}")


def _samples(at: int, number: int, tries: int) -> range:
    """Sample numbers of one of ``number`` askers, none shared with another."""
    return range(at, at + number * tries, number)
