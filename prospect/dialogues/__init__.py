"""Annotations -> dialogues and transitions.

In: `Annotation`s. Out: `Dialogue`s by a writer of `WRITERS`, `StateTrack`s by `label`.

    prospect dialogues --data runs/x --writer scripted
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from prospect.dialogues import human, scripted
from prospect.dialogues.label import label
from prospect.files import Account
from prospect.types import Annotation, Dialogue, UserType

__all__ = ["WRITERS", "Writer", "label", "write_dialogues"]

Writer = Callable[[Annotation, UserType, int], Dialogue | str]
"""(annotation, user type, seed) -> a dialogue, or why there is none."""

WRITERS: dict[str, Writer] = {"human": human.write, "scripted": scripted.write}


def write_dialogues(
    annotations: Iterable[Annotation], writer: Writer, user_types: Sequence[UserType], seed: int
) -> tuple[list[Dialogue], Account]:
    """One dialogue a video and user type, in that order; those that can't be written are counted.

    Args:
        seed: Of the first dialogue of a user type; a type named again gets the next seed.

    Raises:
        ConfigError: a user type the writer doesn't know.
        DataError: an annotation that can't be labelled.
    """
    seeds = [seed + user_types[:at].count(kind) for at, kind in enumerate(user_types)]
    written = [
        writer(annotation, user_type, number)
        for annotation in annotations
        for user_type, number in zip(user_types, seeds, strict=True)
    ]
    kept = [dialogue for dialogue in written if isinstance(dialogue, Dialogue)]
    return kept, Account(len(kept), Counter(why for why in written if isinstance(why, str)))
