"""Asking until a reply can be used, and asking for several things at once."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from prospect.dialogues.llm.config import LLMWriterConfig
from prospect.dialogues.llm.parse import Fault, read_text
from prospect.dialogues.llm.prompts import Prompt
from prospect.errors import DataError
from prospect.llm import Pending, Reply, Request

Ask = Callable[[Request], Reply]
"""One request, one reply: `prospect.llm.Client.ask`, or a table of replies in a test."""

T = TypeVar("T")


def tried(
    ask: Ask,
    prompt: Prompt,
    settings: LLMWriterConfig,
    samples: Iterable[int],
    read: Callable[[str], T | Fault],
) -> T | Fault:
    """The first reply that can be read, or the last fault.

    Args:
        samples: The sample number of each try; at least one.
    """
    found: T | Fault = Fault("not asked")
    for sample in samples:
        try:
            reply = ask(Request(prompt, settings.max_tokens, settings.temperature, sample))
        except DataError as error:  # every sample of this prompt would be rejected
            return Fault(f"the server rejects the request ({type(error).__name__})")
        text = read_text(reply)
        found = text if isinstance(text, Fault) else read(text)
        if not isinstance(found, Fault):
            break
    return found


def asked_all(calls: Iterable[Callable[[], T]]) -> list[T]:
    """All results, in order. In batch mode each call gets to collect its request.

    Raises:
        Pending: some reply comes with a later batch; raised after the last call.
    """
    results: list[T] = []
    waiting: Pending | None = None
    for call in calls:
        try:
            results.append(call())
        except Pending as pending:
            waiting = pending
    if waiting is not None:
        raise waiting
    return results
