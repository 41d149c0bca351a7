"""Both decisions of a session over frames that are looked at ahead.

In: probabilities of a chunk of frames, on the assumption that all of them pass in silence. Out:
how many do, and the two deciders after exactly those: what follows the first frame that fires is
never seen by them, so a chunk gives what frame by frame gives.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from prospect.firing import Decider, DecisionRule, new, step
from prospect.model.config import Thresholds
from prospect.stream.config import StreamConfig


@dataclass(frozen=True, slots=True)
class Deciders:
    """The two decisions in mid-stream; part of a session's snapshot."""

    speak: Decider
    update: Decider


def deciders(speak: DecisionRule, update: DecisionRule, fps: float) -> Deciders:
    """Both before the first frame."""
    return Deciders(new(speak, fps), new(update, fps))


def silence(
    now: Deciders, speak: Sequence[float], update: Sequence[float], may_update: bool
) -> tuple[int, Deciders]:
    """How many frames pass before one fires.

    Args:
        now: Before the first of the frames.
        speak, update: K probabilities each.
        may_update: Whether some move is legal; silence doesn't change that.

    Returns:
        The number n of frames that pass in silence, K if all do, and both deciders after them.
        Frame n, if there is one, is the caller's, who may read speak again after a transition.
    """
    for passed, (speak_prob, update_prob) in enumerate(zip(speak, update, strict=True)):
        speaker, speaks = step(now.speak, speak_prob)
        updater, updates = step(now.update, update_prob, may_update)
        if speaks or updates:
            return passed, now
        now = Deciders(speaker, updater)
    return len(speak), now


def rules(fitted: Thresholds, config: StreamConfig) -> tuple[DecisionRule, DecisionRule]:
    """When to speak and when to update: the checkpoint's rules with what the settings override."""
    speak, update = config.speak_rule or fitted.speak_rule, config.update_rule or fitted.update_rule
    if config.speak_threshold is not None:
        speak = replace(speak, threshold=config.speak_threshold)
    if config.update_threshold is not None:
        update = replace(update, threshold=config.update_threshold)
    return speak, update


def limits(fitted: Thresholds, config: StreamConfig) -> Thresholds:
    """The checkpoint's thresholds with what the settings override."""
    speak, update = rules(fitted, config)
    decline = fitted.decline if config.decline_prob is None else config.decline_prob
    return replace(fitted, speak=speak.threshold, update=update.threshold, decline=decline)


@dataclass(frozen=True, slots=True)
class Pace:
    """How far to look ahead.

    Attributes:
        chunk: Frames to look at next.
        silent: Frames since something was done.
        mean_silent: Of such runs, the last ones counting most.
    """

    chunk: int
    silent: int
    mean_silent: float


def paced(pace: Pace, kept: int, acted: bool, max_chunk: int) -> Pace:
    """After ``kept`` frames: as far as it was lately silent, ever farther while it stays so."""
    chunk, silent, mean = 2 * pace.chunk, pace.silent + kept, pace.mean_silent
    if acted:
        mean += (silent - mean) / 4
        chunk, silent = round(mean), 0
    return Pace(min(max(chunk, 1), max_chunk), silent, mean)
