"""Work in other processes, with the same answers in the same order as in one.

In: a function and items. Out: an iterator over its results.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

from prospect.errors import ConfigError

A = TypeVar("A")
B = TypeVar("B")


def alone(function: Callable[..., B], *arguments: Any) -> B:
    """The function's answer from a process of its own, which inherits nobody's memory."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def ordered(
    function: Callable[[A], B], items: Iterable[A], num_workers: int, chunk: int = 1
) -> Iterator[B]:
    """``map(function, items)`` in worker processes; results come in the items' order.

    Args:
        function: A module's function, or a `functools.partial` of one: it has to be sent.
        items: Sent one by one, or in chunks.
        num_workers: 1 works in this process.
        chunk: Items sent at a time.

    Raises:
        ConfigError: no worker at all.
        Exception: the first of the items' own; items not yet begun are given up.
    """
    if num_workers < 1:
        raise ConfigError(f"num_workers is {num_workers}; it must be positive")
    if num_workers == 1:
        yield from map(function, items)
        return
    # not fork: the caller may have started threads (torch does)
    with ProcessPoolExecutor(num_workers, get_context("forkserver")) as pool:
        try:
            yield from pool.map(function, items, chunksize=chunk)
        finally:
            pool.shutdown(cancel_futures=True)
