"""What scores without looking: baselines as predictions, to stand beside every system.

In: predictions (for their references and streams) and training clips. Out: predictions of the
same streams by systems that never see a frame.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from statistics import fmean

from prospect.clock import deciding_frame, event_time_s
from prospect.errors import DataError
from prospect.states.transitions import apply, is_legal
from prospect.types import Clip, Event, Move, Prediction, State, Transition

BLIND = "blind"
"""Name of the trained model on constant frames: a baseline that `predict` makes, not this file."""
ORACLE = "oracle"


@dataclass(frozen=True, slots=True)
class Training:
    """What the training clips tell without frames.

    Attributes:
        speech_rate, update_rate: Utterances and updates a second.
        sentence: The most frequent sentence; None if nobody speaks.
        sentence_at: Kind of moment (`kind_of`) -> its most frequent sentence.
        by_name: (step name, move) -> mean seconds after the start of the stream.
        by_place: (place in the list, from 0, move) -> the same, for steps never seen.
    """

    speech_rate: float
    update_rate: float
    sentence: str | None
    sentence_at: Mapping[str, str]
    by_name: Mapping[tuple[str, Move], float]
    by_place: Mapping[tuple[int, Move], float]


def kind_of(transitions: tuple[Transition, ...]) -> str:
    """The kind of a speaking moment: its moves, like ``complete,start``; ``""`` for none."""
    return ",".join(item.move for item in transitions)


def training_statistics(clips: Sequence[Clip]) -> Training:
    """Read rates, sentences and mean times off training clips.

    Raises:
        DataError: no clips.
    """
    if not clips:
        raise DataError("no training clips to take baselines from")
    seconds = 0.0
    num_updates = 0
    said: Counter[str] = Counter()
    said_at: dict[str, Counter[str]] = defaultdict(Counter)
    names: dict[tuple[str, Move], list[float]] = defaultdict(list)
    places: dict[tuple[int, Move], list[float]] = defaultdict(list)
    ordered = sorted(clips, key=lambda clip: (clip.dialogue_id, clip.start_frame))
    for _, group in groupby(ordered, key=lambda clip: clip.dialogue_id):
        parts = list(group)
        fps, first, steps = parts[0].fps, parts[0].start_frame, parts[0].task.steps
        seconds += (max(clip.stop_frame for clip in parts) - first) / fps
        place = {step.id: (index, step.name) for index, step in enumerate(steps)}
        for event in (event for clip in parts for event in clip.events):
            num_updates += bool(event.transitions)
            if event.speech is not None:
                said[event.speech] += 1
                said_at[kind_of(event.transitions)][event.speech] += 1
            time_s = event_time_s(event.frame - first, fps)
            for item in event.transitions:
                index, name = place[item.step_id]
                names[name, item.move].append(time_s)
                places[index, item.move].append(time_s)
    return Training(
        speech_rate=said.total() / seconds,
        update_rate=num_updates / seconds,
        sentence=_most_frequent(said),
        sentence_at={kind: sentences.most_common(1)[0][0] for kind, sentences in said_at.items()},
        by_name={key: fmean(times) for key, times in names.items()},
        by_place={key: fmean(times) for key, times in places.items()},
    )


def _most_frequent(said: Counter[str]) -> str | None:
    return said.most_common(1)[0][0] if said else None


Baseline = Callable[[Prediction, Training], Prediction]


def _silent(stream: Prediction, training: Training) -> tuple[Event, ...]:
    """Never does anything."""
    return ()


def _always(stream: Prediction, training: Training) -> tuple[Event, ...]:
    """Speaks at every frame, and updates while a move is left."""
    moves = _next_moves(stream.state)
    return tuple(
        Event(frame, _take(moves, 1), training.sentence)
        for frame in range(stream.start_frame, stream.stop_frame)
    )


def _periodic(stream: Prediction, training: Training) -> tuple[Event, ...]:
    """Speaks and updates at the rates of training: the usual sentence, the next legal move."""
    moves = _next_moves(stream.state)
    events: dict[int, Event] = {}
    for frame in _every(stream, training.update_rate):
        if found := _take(moves, 1):
            events[frame] = Event(frame, found)
    for frame in _every(stream, training.speech_rate):
        events[frame] = replace(events.get(frame, Event(frame)), speech=training.sentence)
    return tuple(events[frame] for frame in sorted(events))


def _schedule(stream: Prediction, training: Training) -> tuple[Event, ...]:
    """Each listed step at its mean time in training, with the usual sentence of that moment."""
    due: list[tuple[float, Transition]] = []
    for place, step in enumerate(stream.task.steps):
        for move in ("start", "complete"):
            times = (training.by_name.get((step.name, move)), training.by_place.get((place, move)))
            known = [time_s for time_s in times if time_s is not None]
            if known:
                due.append((known[0], Transition(step.id, move)))
    state: State = stream.state
    chosen: dict[int, list[Transition]] = defaultdict(list)
    start_s = stream.start_frame / stream.fps
    for time_s, transition in sorted(due, key=lambda item: item[0]):
        frame = deciding_frame(start_s + time_s, stream.fps, stream.start_frame)
        if frame < stream.stop_frame and is_legal(state, transition):
            state = apply(state, transition)
            chosen[frame].append(transition)
    return tuple(_with_sentence(frame, tuple(chosen[frame]), training) for frame in sorted(chosen))


def _listed_order(stream: Prediction, training: Training) -> tuple[Event, ...]:
    """Told every moment: the step in progress completes, else the next listed one starts."""
    moves = _next_moves(stream.state)
    events = []
    for event in stream.references:
        found = _take(moves, len(event.transitions))
        told = _with_sentence(event.frame, found, training)
        events.append(told if event.speech is not None else replace(told, speech=None))
    return tuple(event for event in events if event.transitions or event.speech is not None)


def _without(stream: Prediction, system: str) -> Prediction:
    """The stream and its references, without what its own system did."""
    return replace(
        stream,
        system=system,
        fed="self",
        events=(),
        speak_prob=(),
        update_prob=(),
        speak_threshold=0.5,
        update_threshold=0.5,
        refreshes=(),
        details={},
    )


def _baseline(name: str, act: Callable[[Prediction, Training], tuple[Event, ...]]) -> Baseline:
    return lambda stream, training: replace(_without(stream, name), events=act(stream, training))


def _oracle(stream: Prediction, training: Training) -> Prediction:
    """The references replayed, with probabilities 0 and 1: the best value of every metric."""
    events = tuple(
        replace(event, user=None)
        for event in stream.references
        if event.transitions or event.speech is not None
    )
    speaks = {event.frame for event in events if event.speech is not None}
    updates = {event.frame for event in events if event.transitions}
    frames = range(stream.start_frame, stream.stop_frame)
    return replace(
        _without(stream, ORACLE),
        fed="oracle",
        events=events,
        speak_prob=tuple(float(frame in speaks) for frame in frames),
        update_prob=tuple(float(frame in updates) for frame in frames),
    )


BASELINES: dict[str, Baseline] = {
    "silent": _baseline("silent", _silent),
    "always": _baseline("always", _always),
    "periodic": _baseline("periodic", _periodic),
    "schedule": _baseline("schedule", _schedule),
    "listed_order": _baseline("listed_order", _listed_order),
    ORACLE: _oracle,
}
"""name -> function of a stream (any system's prediction on it) and `training_statistics`."""


def _next_moves(state: State) -> Iterator[Transition]:
    """The moves of somebody who does the rest of the list in order, one step at a time."""
    for step_id, status in state.items():
        if status == "in_progress":
            yield Transition(step_id, "complete")
    for step_id, status in state.items():
        if status == "not_started":
            yield Transition(step_id, "start")
            yield Transition(step_id, "complete")


def _take(moves: Iterator[Transition], count: int) -> tuple[Transition, ...]:
    return tuple(islice(moves, count))


def _every(stream: Prediction, rate: float) -> list[int]:
    """Frames at the multiples of ``1 / rate`` seconds from the start of the stream."""
    if rate == 0:
        return []
    period = max(stream.fps / rate, 1.0)  # frames
    count = int((stream.stop_frame - stream.start_frame) / period)
    return [stream.start_frame + int((index + 1) * period) - 1 for index in range(count)]


def _with_sentence(frame: int, transitions: tuple[Transition, ...], training: Training) -> Event:
    sentence = training.sentence_at.get(kind_of(transitions), training.sentence)
    return Event(frame, transitions, sentence)
