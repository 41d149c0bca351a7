"""ProAssist's adjustment of turn times, as its files show it."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from prospect.types import Turn

SHIFT_S = 1.0


def adjusted(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """Move turns that do not come after the one before them.

    Found by comparing ProAssist's replies with its finished dialogues, where only the rounds of
    EPIC-KITCHENS overlap: a turn at or before the previous one is put 1.0 s after it (25.0 after
    27.9 becomes 28.9), and an answer keeps its distance to the user's turn (both 131.0 after an
    assistant's 131.0 become 132.0). All other times are the model's own. That the user speaks
    first, when the first step begins, and is answered at once (0 or 0.1 s later) is asked for in
    the prompt there, as it is here.

    Returns:
        The turns in the same order, times (s) never falling, equal only for a user's turn and its
        answer. Adjusting them again changes nothing.
    """
    moved = list(turns[:1])
    for before, turn in pairwise(turns):
        distance_s = round(turn.time_s - before.time_s, 3)
        answers = (before.role, turn.role) == ("user", "assistant")
        time_s = turn.time_s
        if answers and 0 <= distance_s < SHIFT_S:
            if moved[-1].time_s != before.time_s:
                time_s = round(moved[-1].time_s + distance_s, 3)
        elif time_s <= moved[-1].time_s:
            time_s = round(moved[-1].time_s + SHIFT_S, 3)
        moved.append(replace(turn, time_s=time_s))
    return tuple(moved)
