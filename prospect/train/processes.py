"""What the processes of one run tell each other besides gradients."""

from typing import TypeVar

from torch import distributed

T = TypeVar("T")


def gathered(mine: list[T]) -> list[T]:
    """The items of all processes, in the processes' order, in each of them."""
    if not distributed.is_initialized():
        return mine
    parts: list[list[T]] = [[] for _ in range(distributed.get_world_size())]
    distributed.all_gather_object(parts, mine)
    return [item for part in parts for item in part]
