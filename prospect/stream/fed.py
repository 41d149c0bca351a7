"""Whose words and whose state a stream is fed with, and how many streams are run.

In: streams. Out: their `Prediction`s. Fed with references a system shows what it would do with a
faultless past: the distance to what it does with its own is the drift that its mistakes cause.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch

from prospect.firing import step
from prospect.model.checkpoint import Checkpoint
from prospect.samples.clips import join
from prospect.samples.dataset import Features
from prospect.states.transitions import legal_moves
from prospect.stream.config import Feed, StreamConfig
from prospect.stream.decide import Deciders, deciders, rules
from prospect.stream.predict import (
    answered,
    live_details,
    open_session,
    predict_stream,
    seen_vectors,
)
from prospect.stream.session import Session
from prospect.stream.told import predict_teacher_forced, predict_told
from prospect.types import Clip, Event, Prediction

Run = Callable[[Checkpoint, Sequence[Clip], Features, StreamConfig, str, bool], Prediction]
"""Model, clips of one dialogue, frame vectors, settings, name, blind -> what it did."""


def predict_streams(
    model: Checkpoint,
    features: Features,
    config: StreamConfig,
    system: str,
    fed: Feed,
    blind: bool,
    streams: Sequence[Sequence[Clip]],
) -> Iterator[Prediction]:
    """One prediction a stream; arguments as in `prospect.stream.predict.predict_stream`."""
    for parts in streams:
        yield RUNS[fed](model, parts, features, config, system, blind)


def _self_fed(
    model: Checkpoint,
    parts: Sequence[Clip],
    features: Features,
    config: StreamConfig,
    system: str,
    blind: bool,
) -> Prediction:
    return predict_stream(model, join(parts), features, config, system, blind)


def _reference_dialogue(
    model: Checkpoint,
    parts: Sequence[Clip],
    features: Features,
    config: StreamConfig,
    system: str,
    blind: bool,
) -> Prediction:
    """All that happened before a frame is the reference's; at each the model would do its own."""
    found = _beside_references(model, join(parts), features, config, system, blind, own_words=False)
    return replace(found, fed="reference_dialogue")


def _reference_state(
    model: Checkpoint,
    parts: Sequence[Clip],
    features: Features,
    config: StreamConfig,
    system: str,
    blind: bool,
) -> Prediction:
    """The state before a frame is the reference's, the words its own."""
    found = _beside_references(model, join(parts), features, config, system, blind, own_words=True)
    return replace(found, fed="reference_state")


@torch.inference_mode()
def _beside_references(
    model: Checkpoint,
    stream: Clip,
    features: Features,
    config: StreamConfig,
    system: str,
    blind: bool,
    own_words: bool,
) -> Prediction:
    """Watch frame by frame: what the model does is recorded, what the references did is fed."""
    vectors = seen_vectors(model, stream, features, blind)
    session = open_session(model, stream, config)
    deciding = deciders(*rules(model.thresholds, config), model.fps)
    references = {event.frame: event for event in stream.events}
    probs: list[tuple[float, float]] = []
    events: list[Event] = []
    latency_ms: list[float] = []
    for frame, vector in enumerate(vectors, stream.start_frame):
        began = time.perf_counter()
        (result,) = session.advance(vector[None], [None])
        reference = references.get(frame, Event(frame))
        own, speak_prob, deciding = _decide(
            session,
            deciding,
            reference,
            (result.speak_prob, result.update_prob),
            tracks=stream.knowledge and stream.state_known,
        )
        spoken = own.speech if own_words else reference.speech
        if spoken is not None:
            session.tell(Event(frame, speech=spoken))
        if reference.user is not None:
            session.say(reference.user)
        probs.append((speak_prob, result.update_prob))
        own = replace(own, user=reference.user)
        events += [own] if own != Event(frame) else []
        latency_ms.append((time.perf_counter() - began) * 1000)
    return answered(
        model,
        stream,
        session,
        config,
        system,
        probs=probs,
        events=events,
        details=live_details(latency_ms, [], sum(latency_ms) / 1000, model.fps),
    )


def _decide(
    session: Session,
    deciding: Deciders,
    reference: Event,
    probs: tuple[float, float],
    tracks: bool,
) -> tuple[Event, float, Deciders]:
    """What the model would do at the last frame, with the reference's transitions told between.

    Args:
        session: Ends with the frame.
        deciding: Before it.
        reference: What happens there.
        probs: Of speaking and updating.
        tracks: Whether there is a state.

    Returns:
        Its event, the speak probability (read again after the reference's transitions where the
        model does so), and the deciders after the frame.
    """
    speak_prob, update_prob = probs
    own = Event(reference.frame)
    may_update = tracks and bool(legal_moves(session.state, session.renderer.layout.moves))
    updater, updates = step(deciding.update, update_prob, may_update)
    if updates:
        own = replace(own, transitions=session.ask())
    if reference.transitions:
        again = session.tell(Event(reference.frame, reference.transitions))
        speak_prob = speak_prob if again is None else again
    speaker, speaks = step(deciding.speak, speak_prob)
    if speaks:
        own = replace(own, speech=session.ask_speech())
    return own, speak_prob, Deciders(speaker, updater)


RUNS: Mapping[Feed, Run] = {
    "self": _self_fed,
    "reference_dialogue": _reference_dialogue,
    "reference_state": _reference_state,
    "told": predict_told,
    "teacher_forced": predict_teacher_forced,
}
