"""Whose words and whose state a stream is fed with, and how many streams are run.

In: streams. Out: their `Prediction`s. Fed with references a system shows what it would do with a
faultless past: the distance to what it does with its own is the drift that its mistakes cause.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial

from prospect.errors import ProspectError
from prospect.firing import step
from prospect.samples.clips import join
from prospect.states.transitions import legal_moves
from prospect.stream.config import Feed
from prospect.stream.decide import Deciders, deciders, rules
from prospect.stream.engine import Job
from prospect.stream.predict import (
    Viewer,
    answered,
    live_details,
    open_session,
    seen_vectors,
    watching,
)
from prospect.stream.session import Session
from prospect.stream.told import reading, telling
from prospect.types import Clip, Event, Prediction

Run = Callable[[Viewer, Sequence[Clip]], Job[Prediction]]
"""Who watches, clips of one dialogue -> what it did."""


def predict_streams(
    viewer: Viewer, fed: Feed, streams: Sequence[Sequence[Clip]]
) -> Iterator[Prediction]:
    """One prediction a stream, as they are done; as many at once as the engine has slots.

    Raises:
        ProspectError: what streams ended with, after all others are done; names each of them. Of
            the kind of them all if they are of one.
    """
    jobs = (partial(RUNS[fed], viewer, parts) for parts in streams)
    failed: dict[str, ProspectError] = {}
    for index, made in viewer.engine.run_all(jobs):
        if isinstance(made, ProspectError):
            first = streams[index][0]
            failed[f"{first.dialogue_id} from frame {first.start_frame} on"] = made
        else:
            yield made
    if failed:
        kinds = {type(error) for error in failed.values()}
        reasons = "".join(f"\n  {name}: {error}" for name, error in failed.items())
        raise (kinds.pop() if len(kinds) == 1 else ProspectError)(
            f"{len(failed)} of {len(streams)} streams failed; all others are done.{reasons}"
        )


def _reference_dialogue(viewer: Viewer, parts: Sequence[Clip]) -> Job[Prediction]:
    """All that happened before a frame is the reference's; at each the model would do its own."""
    found = yield from _beside_references(viewer, join(parts), own_words=False)
    return replace(found, fed="reference_dialogue")


def _reference_state(viewer: Viewer, parts: Sequence[Clip]) -> Job[Prediction]:
    """The state before a frame is the reference's, the words its own."""
    found = yield from _beside_references(viewer, join(parts), own_words=True)
    return replace(found, fed="reference_state")


def _beside_references(viewer: Viewer, stream: Clip, own_words: bool) -> Job[Prediction]:
    """Watch frame by frame: what the model does is recorded, what the references did is fed."""
    vectors = seen_vectors(viewer, stream)
    model = viewer.model
    deciding = deciders(*rules(model.thresholds, viewer.config), model.fps)
    references = {event.frame: event for event in stream.events}
    probs: list[tuple[float, float]] = []
    events: list[Event] = []
    latency_ms: list[float] = []
    with closing(open_session(viewer, stream)) as session:
        for frame, vector in enumerate(vectors, stream.start_frame):
            began = time.perf_counter()
            (result,) = yield from session.advancing(vector[None], [None])
            reference = references.get(frame, Event(frame))
            own, speak_prob, deciding = yield from _decide(
                session,
                deciding,
                reference,
                (result.speak_prob, result.update_prob),
                tracks=stream.knowledge and stream.state_known,
            )
            spoken = own.speech if own_words else reference.speech
            if spoken is not None:
                yield from session.telling(Event(frame, speech=spoken))
            if reference.user is not None:
                session.say(reference.user)
            probs.append((speak_prob, result.update_prob))
            own = replace(own, user=reference.user)
            events += [own] if own != Event(frame) else []
            latency_ms.append((time.perf_counter() - began) * 1000)
        numbers = live_details(latency_ms, [], sum(latency_ms) / 1000, model.fps)
        return answered(viewer, stream, session, probs=probs, events=events, details=numbers)


def _decide(
    session: Session,
    deciding: Deciders,
    reference: Event,
    probs: tuple[float, float],
    tracks: bool,
) -> Job[tuple[Event, float, Deciders]]:
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
        moves = yield from session.asking(session.thresholds.decline)
        own = replace(own, transitions=moves)
        if not moves:
            updater, _ = step(deciding.update, update_prob, False)
    if reference.transitions:
        again = yield from session.telling(Event(reference.frame, reference.transitions))
        speak_prob = speak_prob if again is None else again
    speaker, speaks = step(deciding.speak, speak_prob)
    if speaks:
        said = yield from session.asking_speech()
        own = replace(own, speech=said)
    return own, speak_prob, Deciders(speaker, updater)


RUNS: Mapping[Feed, Run] = {
    "self": watching,
    "reference_dialogue": _reference_dialogue,
    "reference_state": _reference_state,
    "told": telling,
    "teacher_forced": reading,
}
