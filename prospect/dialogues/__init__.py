"""Annotations -> dialogues and transitions.

In: `Annotation`s. Out: `Dialogue`s by a writer of `WRITERS`, `StateTrack`s by `label`.

    prospect dialogues --data runs/x --writer scripted
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from prospect.dialogues import human, scripted
from prospect.dialogues.label import label
from prospect.files import Account
from prospect.llm import Pending
from prospect.types import Annotation, Dialogue, UserType

__all__ = ["WRITERS", "Writer", "label", "write_dialogues"]

Writer = Callable[[Annotation, UserType, int], Dialogue | str]
"""(annotation, user type, seed) -> a dialogue, or why there is none."""

WRITERS: dict[str, Writer] = {"human": human.write, "scripted": scripted.write}


def write_dialogues(
    annotations: Iterable[Annotation],
    writer: Writer,
    user_types: Sequence[UserType],
    seed: int,
    num_threads: int = 1,
) -> tuple[list[Dialogue], Account]:
    """One dialogue a video and user type, in that order; those that can't be written are counted.

    Args:
        seed: Of the first dialogue of a user type; a type named again gets the next seed.
        num_threads: For writers that wait for a server; any number writes the same.

    Raises:
        ConfigError: a user type the writer doesn't know.
        DataError: an annotation that can't be labelled.
    """
    seeds = [seed + user_types[:at].count(kind) for at, kind in enumerate(user_types)]
    todo = [
        (annotation, user_type, number)
        for annotation in annotations
        for user_type, number in zip(user_types, seeds, strict=True)
    ]

    def write(item: tuple[Annotation, UserType, int]) -> Dialogue | str:
        try:
            return writer(*item)
        except Pending:
            return "waits for the replies of a batch"

    if num_threads == 1:
        written = [write(item) for item in todo]
    else:
        with ThreadPoolExecutor(num_threads) as pool:
            try:
                written = list(pool.map(write, todo))
            finally:
                pool.shutdown(cancel_futures=True)
    kept = [dialogue for dialogue in written if isinstance(dialogue, Dialogue)]
    return kept, Account(len(kept), Counter(why for why in written if isinstance(why, str)))
