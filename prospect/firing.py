"""When a probability becomes a decision; nothing else knows.

In: the probability of speaking, or of updating, at one frame after another. Out: the frames at
which it fires. Streaming steps through the frames (`step`), sweeps ask for a whole stream at once
(`fire`); both give the same frames. Nothing looks ahead.
"""

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from prospect.errors import ConfigError

Kind = Literal["level", "rise", "rate"]

RATE_STEP = 0.5
"""Log-odds by which each decision of a ``rate`` rule raises its level. On teacher-forced toy
streams .25 to 1 scored alike; 2 let single decisions swing the level."""
_LOWEST = -7.0  # log-odds, .0009: hours without a decision are not made up for


@dataclass(frozen=True)
class DecisionRule:
    """What a frame's probability must do to become a decision.

    Attributes:
        kind: ``level`` fires where the probability exceeds `threshold`. ``rise`` fires where it
            exceeds that of the frame before by more than `threshold`: ProAssist's difference mode
            (code of arXiv 2506.05904, which stops with an error at the first frame; here the first
            frame never fires, since nothing is known to have risen). ``rate`` fires above a level
            that begins at `threshold` and moves so that `per_minute` decisions are made: it needs
            no validation data.
        threshold: In [0, 1]; for ``rate`` inside of it.
        min_gap_s: Least time from one decision to the next, >= 0.
        rearm: None: it may fire at any frame. Else a share in [0, 1]: having fired, it first has to
            fall to ``rearm * threshold`` or less. 1 fires once for each run above the threshold.
        per_minute: Decisions a minute that are expected, for ``rate`` alone.

    The level of a ``rate`` rule, in log-odds, takes one step a frame, up if it fired:

        level += RATE_STEP * (fired - per_minute / 60 / fps)

    (adaptive conformal inference, Gibbs and Candes 2021, arXiv 2106.00170, equation 2, with
    decisions for errors). In the long run decisions then never come faster than expected, and as
    fast wherever the probabilities allow it at all; where nothing happens for minutes the level
    sinks until something fires.
    """

    threshold: float = 0.5
    kind: Kind = "level"
    min_gap_s: float = 0.0
    rearm: float | None = None
    per_minute: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ConfigError(f"threshold is {self.threshold}; it must be in [0, 1]")
        if self.min_gap_s < 0:
            raise ConfigError(f"min_gap_s is {self.min_gap_s}; it must be at least 0")
        if self.rearm is not None and not 0 <= self.rearm <= 1:
            raise ConfigError(f"rearm is {self.rearm}; it is a share of the threshold, in [0, 1]")
        if (self.kind == "rate") != (self.per_minute is not None):
            raise ConfigError("per_minute belongs to kind rate: give both or neither")
        if self.per_minute is not None:
            if not 0 < self.threshold < 1:
                raise ConfigError(f"threshold is {self.threshold}; kind rate needs it in (0, 1)")
            if self.per_minute <= 0 or self.per_minute * self.min_gap_s >= 60:
                raise ConfigError(
                    f"per_minute is {self.per_minute}; it must be above 0, and fit decisions "
                    f"{self.min_gap_s:g} s apart"
                )


@dataclass(frozen=True, slots=True)
class Decider:
    """A rule in mid-stream; small and immutable, so frames are taken back by keeping the old one.

    Attributes:
        rule: What it follows.
        fps: Frames a second of the stream.
        wait: Frames that the minimum gap still keeps silent.
        armed: Whether it has fallen far enough since it last fired.
        previous: Probability of the frame before; None at the first.
        level: Log-odds that a ``rate`` rule fires above.
    """

    rule: DecisionRule
    fps: float
    wait: int
    armed: bool
    previous: float | None
    level: float


def new(rule: DecisionRule, fps: float) -> Decider:
    """A decider before the first frame of a stream of ``fps`` frames a second."""
    level = _log_odds(rule.threshold) if rule.kind == "rate" else 0.0
    return Decider(rule, fps, 0, True, None, level)


def step(decider: Decider, prob: float, allowed: bool = True) -> tuple[Decider, bool]:
    """Go on by one frame.

    Args:
        decider: After the frame before.
        prob: In [0, 1].
        allowed: False where there is nothing to decide, as when no move is legal: it keeps silent
            and may fire later.

    Returns:
        The decider after this frame, and whether it fires.
    """
    rule = decider.rule
    signal, bar = prob, rule.threshold
    if rule.kind == "rise":
        signal = 0.0 if decider.previous is None else prob - decider.previous
    elif rule.kind == "rate":
        bar = _probability(decider.level)
    fires = allowed and decider.armed and not decider.wait and signal > bar
    wait = _gap(rule, decider.fps) - 1 if fires else max(decider.wait - 1, 0)
    armed = rule.rearm is None or (not fires and (decider.armed or signal <= rule.rearm * bar))
    level = decider.level
    if rule.per_minute is not None:
        moved = level + RATE_STEP * (fires - rule.per_minute / 60 / decider.fps)
        level = max(moved, _LOWEST)
    return Decider(rule, decider.fps, wait, armed, prob, level), fires


def fire(probs: npt.NDArray[np.float64], rule: DecisionRule, fps: float) -> npt.NDArray[np.bool_]:
    """Where a rule fires in a whole stream: `step` over all frames.

    Args:
        probs: (F,) in [0, 1]; F may be 0.
        rule: To follow.
        fps: Frames a second.

    Returns:
        (F,).
    """
    if rule.kind == "rate":
        return _stepped(probs, rule, fps)
    signal = np.diff(probs, prepend=probs[:1]) if rule.kind == "rise" else probs
    above = signal > rule.threshold
    gap = _gap(rule, fps)
    if gap == 1 and rule.rearm is None:
        return above
    ups = np.flatnonzero(above).tolist()
    calm = []
    if rule.rearm is not None:
        calm = np.flatnonzero(signal <= rule.rearm * rule.threshold).tolist()
    fired = np.zeros(len(probs), bool)
    place = 0
    while place < len(ups):
        frame = ups[place]
        fired[frame] = True
        free = frame + gap
        if rule.rearm is not None:
            fallen = bisect_right(calm, frame)
            free = max(free, calm[fallen]) if fallen < len(calm) else len(probs)
        place = bisect_left(ups, free, place + 1)
    return fired


def _stepped(
    probs: npt.NDArray[np.float64], rule: DecisionRule, fps: float
) -> npt.NDArray[np.bool_]:
    decider = new(rule, fps)
    fired = np.zeros(len(probs), bool)
    for frame, prob in enumerate(probs.tolist()):
        decider, fired[frame] = step(decider, prob)
    return fired


def _gap(rule: DecisionRule, fps: float) -> int:
    """Frames from one decision to the next, at least 1."""
    return max(1, math.ceil(rule.min_gap_s * fps - 1e-6))  # 1e-6: as in `prospect.clock`


def _log_odds(prob: float) -> float:
    return math.log(prob / (1 - prob))


def _probability(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))
