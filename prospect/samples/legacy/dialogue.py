"""The clips of one dialogue, computed from times and transitions alone.

In: the `Sample`s of a dialogue in clip order. Out: a `Reading` of each. Stored frames and states
are not looked at here: an event's frame comes from its time (`prospect.clock`), a clip's state
from all transitions before it. Every transition of the video is either an event of just one clip,
or part of the state of the clips after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from prospect import clock
from prospect.errors import DataError
from prospect.samples.clips import first_decision, recent_turns
from prospect.samples.legacy.checks import (
    BEYOND,
    CONTRADICTION,
    EMPTY,
    ILLEGAL,
    OUT_OF_ORDER,
    OVERLAP_ONLY,
    TOO_LONG,
    UNKNOWN_STEP,
    Invalid,
    Item,
    Limits,
    PlacedItem,
    Reading,
    Sample,
    SourceItem,
    Tally,
)
from prospect.states.transitions import apply, initial_state
from prospect.types import Clip, Event, State, TimedTransition


@dataclass(slots=True)
class _Past:
    """What the clips so far have shown.

    Attributes:
        items: Every turn and transition of theirs.
        last_s: Time of the latest of these; the next clip may repeat turns up to here.
        transitions: All that are rendered or folded into a state.
        pending: Transitions of the timeline that stand in no turn of the dialogue.
    """

    pending: list[TimedTransition]
    items: set[Item] = field(default_factory=set)
    last_s: float = -1.0
    transitions: list[TimedTransition] = field(default_factory=list)
    last_frame: int = -1
    stop_frame: int = 0
    events: list[Event] = field(default_factory=list)
    clip_idx: int = -1


def assemble(samples: Sequence[Sample], limits: Limits, tally: Tally) -> list[Reading]:
    """Compute the clips of one dialogue; a dropped sample is as if it had never been there.

    Raises:
        Invalid: a sample can't be right, and ``tally`` doesn't allow to drop it.
    """
    kept = list(samples)
    while True:
        past = _Past(_unspoken(kept))
        readings: list[Reading] = []
        for sample in kept:
            try:
                readings.append(_read(sample, kept[0], past, limits))
            except Invalid as error:
                (tally.drop if error.reason in (TOO_LONG, OVERLAP_ONLY) else tally.refuse)(error)
                kept.remove(sample)
                break
        else:
            return readings


def _unspoken(samples: Sequence[Sample]) -> list[TimedTransition]:
    """Transitions of the timeline that no turn of the dialogue makes."""
    if not samples:
        return []
    made = {
        item.transition
        for sample in samples
        for _, item in sample.items
        if isinstance(item, TimedTransition)
    }
    return [timed for timed in samples[0].timeline if timed.transition not in made]


def _read(sample: Sample, first: Sample, past: _Past, limits: Limits) -> Reading:
    _agree(sample, first)
    own, repeated = _split_repeated(sample, past)
    clip, fps = sample.clip, sample.clip.fps
    stored = limits.stored_frames(clip)
    start, stop = _range(sample, own, past, stored)
    lower = max(start, past.last_frame + 1)
    folded = [timed for timed in past.pending if _frame(timed, fps) < lower]
    derived = [timed for timed in past.pending if lower <= _frame(timed, fps) < stop]
    items = _merge(own, derived)
    if not items and repeated:
        raise Invalid(OVERLAP_ONLY, f"{sample.where()}: earlier clips have all its turns")
    decide_from = _decide_from(start, lower, items, past, fps)
    events = _place(sample, items, fps, decide_from)
    stop = max(stop, events[-1].frame + 1) if events else stop
    if stop <= decide_from:
        raise Invalid(EMPTY, f"{sample.where()}: no frames to decide on in [{decide_from}, {stop})")
    transitions = sorted([*past.transitions, *folded], key=lambda timed: timed.time_s)
    state = _state_before(sample, transitions)
    placed = _legal(sample, items, events, state)
    _check_stored(placed, stored, sample)
    clip = replace(
        clip,
        start_frame=start,
        stop_frame=stop,
        decide_from=decide_from,
        state=state,
        recent=recent_turns(past.events, fps) if sample.clip_idx == past.clip_idx + 1 else (),
        events=events,
    )
    _check_length(clip, sample, limits)
    _remember(past, sample, clip, items, folded)
    return Reading(sample, clip, tuple(placed), repeated)


def _agree(sample: Sample, first: Sample) -> None:
    for name, value, expected in (
        ("fps", sample.clip.fps, first.clip.fps),
        ("goal or steps", sample.clip.task, first.clip.task),
        ("dst times", sample.timeline, first.timeline),
    ):
        if value != expected:
            raise Invalid(
                CONTRADICTION,
                f"{sample.where()}: {name} differ from those of sample {first.index}, a clip of "
                "the same dialogue",
            )


def _split_repeated(sample: Sample, past: _Past) -> tuple[tuple[SourceItem, ...], tuple[int, ...]]:
    """Own items, and the turns that an earlier clip has supervised already."""
    own = []
    repeated = []
    for source in sample.items:
        if source.item in past.items:
            assert source.turn is not None
            repeated.append(source.turn)
            continue
        if source.item.time_s < past.last_s:
            raise Invalid(
                OUT_OF_ORDER,
                f"{sample.where(source.turn)}: field 'time': {source.item.time_s} s lies before "
                f"{past.last_s} s, where the dialogue's earlier clips end, but none has this turn",
            )
        own.append(source)
    return tuple(own), tuple(dict.fromkeys(repeated))


def _range(
    sample: Sample, own: Sequence[SourceItem], past: _Past, stored: range | None
) -> tuple[int, int]:
    """The clip's frames, wide enough for its turns and no wider than the store."""
    start, stop = sample.clip.start_frame, sample.clip.stop_frame
    if own:
        first = clock.deciding_frame(own[0].item.time_s, sample.clip.fps, past.last_frame + 1)
        if first < start and (stored is None or first in stored):
            start = first
        last = clock.deciding_frame(own[-1].item.time_s, sample.clip.fps, start)
        stop = max(stop, last + 1)
    if stored is not None:
        start = max(start, stored.start)
        if not own or last < stored.stop:  # else `_check_stored` names the turn
            stop = min(stop, stored.stop)
    return start, stop


def _frame(timed: TimedTransition, fps: float) -> int:
    return clock.deciding_frame(timed.time_s, fps, 0)


def _merge(own: Sequence[SourceItem], derived: Sequence[TimedTransition]) -> tuple[SourceItem, ...]:
    """Derived transitions among the turns; at equal time after the state turns, before speech."""
    items = list(own)
    for timed in derived:
        at = 0
        while at < len(items) and _precedes(items[at].item, timed):
            at += 1
        items.insert(at, SourceItem(None, timed))
    return tuple(items)


def _precedes(item: Item, timed: TimedTransition) -> bool:
    if item.time_s == timed.time_s:
        return isinstance(item, TimedTransition)
    return item.time_s < timed.time_s


def _decide_from(
    start: int, lower: int, items: Sequence[SourceItem], past: _Past, fps: float
) -> int:
    """After the previous clip's last event; after its last frame if no own event is there.

    A later clip only looks for its first seconds, like those we cut.
    """
    if past.clip_idx < 0:
        return lower
    first = past.stop_frame
    if items:
        first = clock.deciding_frame(items[0].item.time_s, fps, lower)
    return max(lower, first_decision(start, past.stop_frame, first, fps))


def _place(
    sample: Sample, items: Sequence[SourceItem], fps: float, decide_from: int
) -> tuple[Event, ...]:
    for before, after in pairwise(items):
        if after.item.time_s < before.item.time_s:
            raise Invalid(
                OUT_OF_ORDER,
                f"{sample.where(after.turn)}: field 'time': {after.item.time_s} s follows "
                f"{before.item.time_s} s; sort the turns by time",
            )
    return clock.place_items([source.item for source in items], fps, decide_from)


def _state_before(sample: Sample, transitions: Sequence[TimedTransition]) -> State:
    state = initial_state(sample.clip.task)
    for timed in transitions:
        try:
            state = apply(state, timed.transition)
        except DataError as error:
            raise Invalid(
                ILLEGAL,
                f"{sample.where()}: field 'dst': before the clip, at {timed.time_s} s: {error}",
            ) from error
    return state


def _legal(
    sample: Sample, items: Sequence[SourceItem], events: Sequence[Event], state: State
) -> list[PlacedItem]:
    """Give each item its event's frame and the state before it."""
    # an event holds a run of consecutive items, so counting them finds each item's frame
    frames = [
        event.frame
        for event in events
        for _ in range(
            len(event.transitions) + (event.speech is not None) + (event.user is not None)
        )
    ]
    placed = []
    for (turn, item), frame in zip(items, frames, strict=True):
        placed.append(PlacedItem(turn, item, frame, state))
        if isinstance(item, TimedTransition):
            try:
                state = apply(state, item.transition)
            except DataError as error:
                known = item.transition.step_id in state
                raise Invalid(
                    ILLEGAL if known else UNKNOWN_STEP,
                    f"{sample.where(turn)}: field 'content': {error}",
                ) from error
    return placed


def _check_stored(placed: Sequence[PlacedItem], stored: range | None, sample: Sample) -> None:
    for turn, item, frame, _ in placed:
        if stored is not None and frame not in stored:
            raise Invalid(
                BEYOND,
                f"{sample.where(turn)}: field 'time': {item.time_s} s is decided on frame "
                f"{frame}, but frames [{stored.start}, {stored.stop}) are stored for "
                f"{sample.clip.video_id}",
            )


def _check_length(clip: Clip, sample: Sample, limits: Limits) -> None:
    length = limits.count_tokens(clip)
    if length > limits.context_len:
        raise Invalid(
            TOO_LONG,
            f"{sample.where()}: {length} tokens, the context has {limits.context_len}; existing "
            "clips are not cut, raise context_len to keep it",
        )


def _remember(
    past: _Past,
    sample: Sample,
    clip: Clip,
    items: Sequence[SourceItem],
    folded: Sequence[TimedTransition],
) -> None:
    made = [item for _, item in items if isinstance(item, TimedTransition)]
    past.pending = [timed for timed in past.pending if timed not in folded and timed not in made]
    past.transitions = sorted([*past.transitions, *folded], key=lambda timed: timed.time_s) + made
    past.items.update(item for _, item in sample.items)
    past.last_s = max([past.last_s, *(item.time_s for _, item in sample.items)])
    past.last_frame = clip.events[-1].frame if clip.events else past.last_frame
    past.stop_frame = clip.stop_frame
    past.events = [*(past.events if sample.clip_idx == past.clip_idx + 1 else ()), *clip.events]
    past.clip_idx = sample.clip_idx
