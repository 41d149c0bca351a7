"""All metrics by name, and what a prediction contributes to them.

In: a `Prediction`. Out: its `Stats`; `METRICS` are functions of pooled stats. Users add a score
by adding an entry here.
"""

import math
from collections.abc import Mapping

from prospect.embeddings import Embed
from prospect.errors import DataError
from prospect.metrics import (
    adaptive,
    decisions,
    forced,
    nlg,
    segments,
    speech,
    speed,
    state,
    timing,
)
from prospect.metrics.match import Mode
from prospect.metrics.pool import Metric, Stats
from prospect.states.transitions import apply
from prospect.types import Event, Prediction

METRICS: Mapping[str, Metric] = {
    **state.METRICS,
    **segments.METRICS,
    **decisions.METRICS,
    **adaptive.METRICS,
    **speech.METRICS,
    **timing.METRICS,
    **nlg.METRICS,
    **forced.METRICS,
    **speed.METRICS,
}
"""name -> (function, higher_is_better, short doc)."""


def stats(prediction: Prediction, embed: Embed, mode: Mode = "strict") -> Stats:
    """What a stream contributes to every metric of `METRICS`."""
    heard = speech.listen(prediction, embed, mode)
    spoken = speech.stats(prediction, heard)
    parts = (
        state.stats(prediction),
        segments.stats(prediction),
        decisions.stats(prediction),
        adaptive.stats(prediction),
        spoken,
        timing.stats(prediction, heard),
        nlg.stats(spoken.texts),
        forced.stats(prediction),
        speed.stats(prediction),
    )
    return Stats(
        {name: value for part in parts for name, value in part.sums.items()},
        {name: value for part in parts for name, value in part.values.items()},
        spoken.texts,
    )


def check(prediction: Prediction) -> None:
    """Refuse a record that can't be scored; every message names dialogue, system and field.

    Raises:
        DataError: an fps or range that can't be; two events on one frame, or one outside the
            stream; probabilities or thresholds that are none, or probabilities that are not one
            a frame; transitions of unknown steps; references that are no legal sequence; numbers
            in details that are none.
    """
    where = f"{prediction.dialogue_id} by {prediction.system}"
    start, stop = prediction.start_frame, prediction.stop_frame
    if not (math.isfinite(prediction.fps) and prediction.fps > 0):
        raise DataError(f"{where}: fps is {prediction.fps}; it must be positive")
    if not 0 <= start < stop:
        raise DataError(f"{where}: frames [{start}, {stop}) are no stream")
    _check_events(f"{where}, references", prediction.references, start, stop)
    _check_events(f"{where}, events", prediction.events, start, stop)
    for name in ("speak_prob", "update_prob"):
        probs = getattr(prediction, name)
        if probs and len(probs) != stop - start:
            raise DataError(f"{where}: {len(probs)} values of {name} for {stop - start} frames")
        for frame, prob in enumerate(probs, start):
            if not 0 <= prob <= 1:  # NaN as well
                raise DataError(f"{where}, frame {frame}: {name} is {prob}, not in [0, 1]")
    for name in ("speak_threshold", "update_threshold"):
        threshold = getattr(prediction, name)
        if not 0 <= threshold <= 1:
            raise DataError(f"{where}: {name} is {threshold}, not in [0, 1]")
    for frame in prediction.refreshes:
        if not start <= frame < stop:
            raise DataError(f"{where}: refresh at frame {frame} outside [{start}, {stop})")
    forced.numbers(prediction)
    state.check_steps(prediction)
    current = dict(prediction.state)
    for event in sorted(prediction.references, key=lambda event: event.frame):
        for transition in event.transitions:
            try:
                current = apply(current, transition)
            except DataError as error:
                raise DataError(f"{where}, reference at frame {event.frame}: {error}") from error


def _check_events(where: str, events: tuple[Event, ...], start: int, stop: int) -> None:
    """Their order in the file doesn't matter, but each has a frame of its own."""
    seen: set[int] = set()
    for event in events:
        if not start <= event.frame < stop:
            raise DataError(f"{where}: frame {event.frame} is outside [{start}, {stop})")
        if event.frame in seen:
            raise DataError(f"{where}: two events at frame {event.frame}; merge them into one")
        seen.add(event.frame)
