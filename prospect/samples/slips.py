"""Histories that went wrong, so that a model learns to go on from its own slips.

In: a clip, whose transitions are all true. Out: the clip as a stream may have told it, with some
transitions missed, made too early or of another step, and what is to be written at each frame all
the same. Trained on true histories alone, a model reads from the state whether the next move is a
start or an end, and after one slip turns every start into an end.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from prospect.samples.choices import STOP, Choices, column, options
from prospect.samples.labels import ACT, SILENT, UNLABELLED
from prospect.samples.sequence import NONE, STATE_GEN, Rendered, Renderer
from prospect.states.transitions import fold, legal_moves
from prospect.types import Clip, Event, State, Transition

_SHARE = 0.7  # of the clips; the others stay true
_EARLY_S = 8.0
_OWN_RATE = 0.3  # of the starts made too early, those of the right step
_LATE_RATE = 0.7  # of what was missed or of another step, what is told a little later
_LATE_S = 6.0


@dataclass(frozen=True, slots=True)
class Slipped:
    """A clip that went wrong.

    Attributes:
        clip: Its events are what was told.
        wanted: Frame -> transitions that should have been written there, given what was told
            before; none where something was told that should not, or nothing is left to tell,
            which a model that chooses learns to decline. What was missed is wanted at every frame
            until it is told, so that it is told soon.
    """

    clip: Clip
    wanted: Mapping[int, tuple[Transition, ...]]


def slip(clip: Clip, rate: float, rng: np.random.Generator) -> Slipped:
    """Draw slips.

    Args:
        clip: True, and its state known.
        rate: In [0, 0.5], probability of each kind of slip at each event with transitions: one of
            them made too early, all missed, or a start of another step in their place.
        rng: Of the draws.
    """
    if rng.random() >= _SHARE:
        return Slipped(clip, {e.frame: e.transitions for e in clip.events if e.transitions})
    told = true = clip.state
    events: list[Event] = []
    wanted: dict[int, tuple[Transition, ...]] = {}
    last = clip.decide_from - 1
    frames = [*(event.frame for event in clip.events), clip.stop_frame]
    for event, next_frame in zip(clip.events, frames[1:], strict=True):
        late: Event | None = None
        if event.transitions:
            if rng.random() < rate and (early := _early(clip, event, last, told, rng)):
                events.append(early)
                wanted[early.frame] = ()
                told = fold(told, early.transitions)
            true = fold(true, event.transitions)
            wants = wanted[event.frame] = _catch_up(told, true, event.transitions)
            made = _made(wants, told, rate, rng)
            # a sentence that follows another transition would tell what it should have been
            speech = event.speech if made == wants else None
            told = fold(told, made)
            if made != wants and (wants := _catch_up(told, true, event.transitions)):
                late = _late(clip, event, next_frame, wants, rng)
            if late is not None:
                told = fold(told, wants)
                wanted |= dict.fromkeys(range(event.frame + 1, late.frame + 1), wants)
            event = replace(event, transitions=made, speech=speech)
        last = event.frame
        if event != Event(event.frame):
            events.append(event)
        if late is not None:
            events.append(late)
            last = late.frame
    return Slipped(replace(clip, events=tuple(events)), wanted)


def _early(
    clip: Clip, event: Event, last: int, told: State, rng: np.random.Generator
) -> Event | None:
    """A start, perhaps of another step, in the seconds before; or an end anywhere in the step."""
    move = event.transitions[0]
    first = last + 1
    if move.move == "start":
        first = max(first, event.frame - round(_EARLY_S * clip.fps))
    likely = [one for one in legal_moves(told) if one.move == move.move]
    if first >= event.frame or not likely:
        return None
    if (move.move == "start" and rng.random() >= _OWN_RATE) or move not in likely:
        move = likely[rng.integers(len(likely))]
    return Event(int(rng.integers(first, event.frame)), (move,))


def _late(
    clip: Clip,
    event: Event,
    next_frame: int,
    wants: tuple[Transition, ...],
    rng: np.random.Generator,
) -> Event | None:
    """What is still to be told, some frames later but before anything else happens."""
    stop = min(next_frame, event.frame + 1 + round(_LATE_S * clip.fps))
    if event.frame + 1 >= stop or rng.random() >= _LATE_RATE:
        return None
    return Event(int(rng.integers(event.frame + 1, stop)), wants)


def _catch_up(told: State, true: State, happened: tuple[Transition, ...]) -> tuple[Transition, ...]:
    """End what is told to go on but is done, then bring the steps at hand to their true status."""
    at_hand = dict.fromkeys(move.step_id for move in happened)
    moves = [
        Transition(step, "complete")
        for step, status in told.items()
        if status == "in_progress" and true[step] == "completed" and step not in at_hand
    ]
    for step in at_hand:
        if told[step] == "not_started":
            moves.append(Transition(step, "start"))
        if told[step] != "completed" and true[step] == "completed":
            moves.append(Transition(step, "complete"))
    return tuple(moves)


def _made(
    wants: tuple[Transition, ...], told: State, rate: float, rng: np.random.Generator
) -> tuple[Transition, ...]:
    """What is told where these are wanted: nothing, the start of another step, or just these."""
    drawn = rng.random()
    if drawn < rate:
        return ()
    if drawn < 2 * rate and wants and wants[0].move == "start":
        others = [m for m in legal_moves(told) if m.move == "start" and m not in wants]
        if others:
            return (others[rng.integers(len(others))],)
    return wants


def render_slipped(renderer: Renderer, clip: Clip, slipped: Slipped) -> Rendered:
    """The clip as it was told, with the labels and choices of what is wanted.

    Args:
        renderer: Of a model that chooses its transitions (`Layout.choices`).
        clip: As it was before slips.
        slipped: Of this clip.

    Returns:
        No speak label where a sentence was left out; where something else was told than is wanted,
        the first transition alone, or to decline, is a choice.
    """
    told = renderer.clip(slipped.clip)
    speak, update = told.speak.copy(), told.update.copy()
    made = {event.frame: event for event in slipped.clip.events}
    for event in clip.events:
        told_event = made.get(event.frame)
        if event.speech is not None and (told_event is None or told_event.speech is None):
            speak[event.frame - clip.start_frame] = UNLABELLED
    step_ids = list(clip.state)
    found = told.choices
    frames = np.searchsorted(told.frame_ends, found.ends, side="right") - 1
    kept = np.ones(len(found.ends), bool)
    added: list[tuple[int, NDArray[np.bool_], int]] = []
    state = clip.state
    for frame, wants in sorted(slipped.wanted.items()):
        index = frame - clip.start_frame
        update[index] = ACT if wants else SILENT
        moves = made[frame].transitions if frame in made else ()
        if moves != wants or not wants:
            kept[frames == index] = False
            end, legal = int(told.frame_ends[index]), legal_moves(state, renderer.layout.moves)
            # nothing is predicted from the clip's last token
            if legal and end + 1 < len(told.ids):
                taken = column(wants[0], step_ids) if wants else STOP
                added.append((end, options(legal, step_ids), taken))
        state = fold(state, moves)
    ends = np.concatenate([found.ends[kept], [end for end, _, _ in added]]).astype(np.int64)
    rows = np.concatenate([found.options[kept], *(row[None] for _, row, _ in added)])
    chosen = np.concatenate([found.chosen[kept], [taken for _, _, taken in added]])
    order = np.argsort(ends)
    choices = Choices(ends[order], rows[order], chosen[order].astype(np.int64))
    targets = np.where(told.targets == STATE_GEN, NONE, told.targets).astype(np.int8)
    targets[choices.ends + 1] = STATE_GEN
    return replace(told, speak=speak, update=update, targets=targets, choices=choices)
