"""Streams whose references are told: probabilities, and how likely the references' words are.

In: the clips of a dialogue, as training renders them. Out: `Prediction`s with
``fed: reference_dialogue``: scores of *what* without *when*, and probabilities that thresholds are
fitted to. One forward pass a clip reads everything but what is asked in between.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prospect.metrics.forced import TEXT
from prospect.model.checkpoint import Checkpoint
from prospect.model.config import Thresholds
from prospect.model.decide import SPEAK, UPDATE
from prospect.model.losses import Batch, read
from prospect.model.teacher import as_prediction
from prospect.samples.clips import join
from prospect.samples.dataset import collate
from prospect.samples.labels import ACT, UNLABELLED
from prospect.samples.sequence import SPEAK_GEN, STATE_GEN, Rendered, Renderer
from prospect.stream.decide import rules
from prospect.stream.engine import Job
from prospect.stream.predict import (
    Viewer,
    answered,
    made_by,
    open_session,
    reference_fed,
    seen_vectors,
)
from prospect.types import Clip, Event, Prediction


def reading(viewer: Viewer, parts: Sequence[Clip]) -> Job[Prediction]:
    """Every frame's probabilities with the references before it in the context; nothing is written.

    Args:
        viewer: Who reads.
        parts: Clips of one dialogue, each of which fits a context.

    Returns:
        No events; ``details`` has the numbers of `prospect.metrics.forced.TEXT`.
    """
    yield from ()  # whole clips go through the model as in training, past the engine
    return _read(viewer, parts)


def _read(viewer: Viewer, parts: Sequence[Clip]) -> Prediction:
    model, stream = viewer.model, join(parts)
    vectors = seen_vectors(viewer, stream)
    speak, update = rules(model.thresholds, viewer.config)
    limits = Thresholds(speak.threshold, update.threshold)
    probs, totals = [], Counter(dict.fromkeys(TEXT, 0.0))
    for clip in parts:
        start = clip.start_frame - stream.start_frame
        found, numbers = _forward(
            model, clip, vectors[start : clip.stop_frame - stream.start_frame], limits
        )
        probs.append((clip, found))
        totals.update(numbers)
    return replace(
        as_prediction(stream, probs, viewer.system),
        speak_threshold=limits.speak,
        update_threshold=limits.update,
        details={**made_by(model), **{name: round(totals[name], 4) for name in TEXT}},
    )


def telling(viewer: Viewer, parts: Sequence[Clip]) -> Job[Prediction]:
    """What the model writes at every reference transition, told the moment and all before it.

    Returns:
        Events at the references' frames, probabilities of a stream that the references are forced
        on, and the numbers of `reading`, whose arguments it takes.
    """
    stream = join(parts)
    vectors = seen_vectors(viewer, stream)
    probs: list[tuple[float, float]] = []
    answers: list[Event] = []
    forced = reference_fed(stream)
    done = 0
    with closing(open_session(viewer, stream)) as session:
        for event in (event for event in stream.events if event.transitions):
            # the frame itself comes without its event, which would else be in the context already
            stop = event.frame + 1 - stream.start_frame
            results = yield from session.advancing(
                vectors[done:stop], [*forced[done : stop - 1], None]
            )
            probs += [(result.speak_prob, result.update_prob) for result in results]
            moves = yield from session.asking()
            answers.append(Event(event.frame, moves))
            again = yield from session.telling(event)
            if again is not None:
                probs[-1] = (again, probs[-1][1])
            done = stop
        if done < len(vectors):
            results = yield from session.advancing(vectors[done:], forced[done:])
            probs += [(result.speak_prob, result.update_prob) for result in results]
        numbers = _read(viewer, parts).details
        found = answered(
            viewer,
            stream,
            session,
            probs=probs,
            events=answers,
            details={name: numbers[name] for name in TEXT},
        )
    return replace(found, fed="reference_dialogue")


@torch.inference_mode()
def _forward(
    model: Checkpoint, clip: Clip, vectors: Tensor, limits: Thresholds
) -> tuple[Tensor, dict[str, float]]:
    """A clip's (F, 2) probabilities, and its part of the totals."""
    rendered = model.renderer.clip(clip)
    tensors = collate([(rendered, vectors)], model.renderer.end_id)
    device = model.network.device
    batch = Batch(**{name: value.to(device) for name, value in tensors.items()})
    readout = read(model.network, batch)
    probs = readout.decisions.sigmoid().float().cpu()
    places = np.flatnonzero(rendered.targets[1:]) + 1
    losses, right = np.zeros(len(rendered.ids)), np.zeros(len(rendered.ids), bool)
    losses[places], right[places] = readout.token_losses.cpu(), readout.right.cpu() > 0
    fires = probs.numpy() > [limits.speak, limits.update]
    return probs, text_numbers(model.renderer, clip, rendered, losses, right, fires)


def text_numbers(
    renderer: Renderer,
    clip: Clip,
    rendered: Rendered,
    losses: NDArray[np.float64],
    right: NDArray[np.bool_],
    fires: NDArray[np.bool_],
) -> dict[str, float]:
    """The sums of `prospect.metrics.forced.TEXT` over a clip.

    Headers are written unasked and don't count; the end of a turn does. A turn is all that is
    decided and written after the last frame at which anybody spoke, or the state changed, up to
    the next one at which the references do either: at each frame the update, the state turn's
    tokens, speak, the sentence's tokens, in this order and as far as they are labelled.

    Args:
        renderer: Of the clip.
        clip: With its references.
        rendered: The clip, L tokens and F frames.
        losses: (L,) negative log-likelihood of the tokens that are targets, in nats.
        right: (L,) whether each of them is the most likely one.
        fires: (F, 2) whether each decision would act.
    """
    numbers = dict.fromkeys(TEXT, 0.0)
    by_frame = {event.frame: event for event in clip.events}
    correct: list[bool] = []
    for index, end in enumerate(rendered.frame_ends.tolist()):
        event = by_frame.get(clip.start_frame + index, Event(clip.start_frame + index))
        texts = _texts(renderer, event, end + 1, rendered.targets)
        for labels, column, kind in (
            (rendered.update, UPDATE, STATE_GEN),
            (rendered.speak, SPEAK, SPEAK_GEN),
        ):
            if labels[index] != UNLABELLED:
                correct.append(bool(fires[index, column] == (labels[index] == ACT)))
            correct += right[texts[kind]].tolist()
            numbers["lm_nll"] += float(losses[texts[kind]].sum())
            numbers["lm_tokens"] += len(texts[kind])
            numbers["lm_right"] += int(right[texts[kind]].sum())
        if event.transitions or event.speech is not None:
            numbers["lm_turns"] += 1
            numbers["lm_fluency"] += [*correct, False].index(False) / len(correct)
        if event != Event(event.frame):
            correct = []
    return numbers


def _texts(
    renderer: Renderer, event: Event, start: int, targets: NDArray[np.int8]
) -> dict[int, list[int]]:
    """Kind of target -> positions of an event's texts, without headers.

    A network that points is judged by its choices, which training puts on other tokens of the
    turn, the first of its header included.
    """
    headers = {
        SPEAK_GEN: len(renderer.header("assistant")),
        STATE_GEN: 0 if renderer.layout.choices else len(renderer.header("state")),
    }
    found: dict[int, list[int]] = {SPEAK_GEN: [], STATE_GEN: []}
    for tokens, kind in renderer.event(event):
        stop = start + len(tokens)
        if kind in found:
            found[kind] = [at for at in range(start + headers[kind], stop) if targets[at]]
        start = stop
    return found
