"""What a set of clips holds: counts, lengths, the balance of both decisions, legality.

In: clips and the renderer that counts their tokens. Out: `Statistics`, for `prospect inspect`.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from prospect.errors import DataError
from prospect.samples.clips import state_after
from prospect.samples.labels import ACT, SILENT
from prospect.samples.sequence import Rendered, Renderer
from prospect.types import Clip

GROUPS: Mapping[str, Callable[[Clip], str]] = {
    "kind": lambda clip: clip.kind,
    "user type": lambda clip: clip.user_type,
    "dataset": lambda clip: clip.dataset,
    "split": lambda clip: clip.split,
}
"""What clips are counted by."""


@dataclass(frozen=True, slots=True)
class Balance:
    """Labelled frames of one decision; ``act + silent`` of all frames, the others don't count."""

    act: int
    silent: int

    @property
    def share(self) -> float | None:
        """Of labelled frames that act, in [0, 1]; None without labels."""
        labelled = self.act + self.silent
        return self.act / labelled if labelled else None


@dataclass(frozen=True, slots=True)
class Count:
    """One group of clips.

    Attributes:
        hours: Of the frames, each counted as often as it is shown.
        tokens: Shortest, median and longest clip.
    """

    name: str
    clips: int
    dialogues: int
    videos: int
    frames: int
    hours: float
    tokens: tuple[int, int, int]
    speak: Balance
    update: Balance


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of all clips, and of each group of `GROUPS`.

    Attributes:
        groups: What is counted by -> its groups, by name.
        moves: Transitions by move.
        illegal: One line for each clip whose transitions can't follow its state.
    """

    total: Count
    groups: Mapping[str, tuple[Count, ...]]
    moves: Mapping[str, int]
    illegal: tuple[str, ...]


def count(clips: Sequence[Clip], renderer: Renderer) -> Statistics:
    """Render every clip and count.

    Raises:
        DataError: no clips, or one with events outside of its frames.
    """
    if not clips:
        raise DataError("there are no clips to count")
    measured = [_measure(clip, renderer.clip(clip)) for clip in clips]
    groups = {}
    for title, of in GROUPS.items():
        names = [of(clip) for clip in clips]
        groups[title] = tuple(
            _count(name, [m for m, own in zip(measured, names, strict=True) if own == name])
            for name in sorted(set(names))
        )
    moves = Counter(
        move.move for clip in clips for event in clip.events for move in event.transitions
    )
    illegal = tuple(why for clip in clips if (why := _illegal(clip)) is not None)
    return Statistics(_count("all", measured), groups, dict(sorted(moves.items())), illegal)


@dataclass(frozen=True, slots=True)
class _Measure:
    """One clip, measured: labels are let go, so that any number of clips fits in memory."""

    clip: Clip
    tokens: int
    speak: Balance
    update: Balance


def _measure(clip: Clip, rendered: Rendered) -> _Measure:
    speak, update = (
        Balance(int((labels == ACT).sum()), int((labels == SILENT).sum()))
        for labels in (rendered.speak, rendered.update)
    )
    return _Measure(clip, len(rendered.ids), speak, update)


def _count(name: str, measured: Sequence[_Measure]) -> Count:
    clips = [one.clip for one in measured]
    tokens = [one.tokens for one in measured]
    return Count(
        name=name,
        clips=len(clips),
        dialogues=len({clip.dialogue_id for clip in clips}),
        videos=len({clip.video_id for clip in clips}),
        frames=sum(clip.stop_frame - clip.start_frame for clip in clips),
        hours=sum((clip.stop_frame - clip.start_frame) / clip.fps for clip in clips) / 3600,
        tokens=(min(tokens), round(median(tokens)), max(tokens)),
        speak=_sum([one.speak for one in measured]),
        update=_sum([one.update for one in measured]),
    )


def _sum(parts: Sequence[Balance]) -> Balance:
    return Balance(sum(part.act for part in parts), sum(part.silent for part in parts))


def _illegal(clip: Clip) -> str | None:
    try:
        state_after(clip.state, clip.events)
    except DataError as error:
        return f"{clip.clip_id}: {error}"
    return None
