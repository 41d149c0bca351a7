"""The order in which a video's steps are listed, learned from the other videos alone.

In: the steps each video visits. Out: the same steps, listed in the order other people do them,
so that the list tells nothing of the order in the video itself.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction

__all__ = ["corpus_order"]


def corpus_order(
    visits: Mapping[str, tuple[str, Sequence[str]]],
) -> dict[str, tuple[str, ...]]:
    """List the steps of every video in the mean order of the other videos.

    The position of a step in a video is ``(i + 1/2) / n``, in (0, 1), for the ``i``-th of its
    ``n`` steps in order of first visit. A step is listed by its mean position over the other
    videos of the same task; where it occurs in none of them, over all other videos; where it
    occurs in no other video, at the end. Ties are listed alphabetically. Nothing depends on the
    order of ``visits``.

    Args:
        visits: video_id -> (task, names of the steps visited in order of time); a name that
            comes again counts once, where it comes first. May be empty, as may the names.

    Returns:
        video_id -> its names, each once.
    """
    first = {video: (task, tuple(dict.fromkeys(names))) for video, (task, names) in visits.items()}
    totals: dict[tuple[str | None, str], _Total] = defaultdict(_Total)
    for task, names in first.values():
        for name, position in _positions(names).items():
            totals[task, name].add(position)
            totals[None, name].add(position)
    return {video: _listed(task, names, totals) for video, (task, names) in first.items()}


class _Total:
    """Sum and count of positions; exact, so that taking one out again leaves no rounding."""

    def __init__(self) -> None:
        self.total = Fraction(0)
        self.count = 0

    def add(self, position: Fraction) -> None:
        self.total += position
        self.count += 1

    def mean_without(self, position: Fraction) -> Fraction | None:
        return (self.total - position) / (self.count - 1) if self.count > 1 else None


def _positions(names: Sequence[str]) -> dict[str, Fraction]:
    return {name: Fraction(2 * i + 1, 2 * len(names)) for i, name in enumerate(names)}


def _listed(
    task: str, names: Sequence[str], totals: Mapping[tuple[str | None, str], _Total]
) -> tuple[str, ...]:
    def key(item: tuple[str, Fraction]) -> tuple[Fraction, str]:
        name, own = item
        mean = totals[task, name].mean_without(own)
        if mean is None:
            mean = totals[None, name].mean_without(own)
        return (Fraction(1) if mean is None else mean, name)

    return tuple(name for name, _ in sorted(_positions(names).items(), key=key))
