"""How clips become samples of an epoch; free of torch, so that `--help` stays fast."""

from dataclasses import dataclass
from typing import Literal

from prospect.errors import ConfigError
from prospect.states.transitions import BASIC
from prospect.types import Move

OVERLAP_S = 5.0
"""How long a clip after the first only looks, as a stream does after a refresh of its context."""

PermuteSteps = Literal["none", "list", "ids", "both"]
"""What is drawn anew for each clip and epoch. ``list``: the order of the steps, which keep their
ids. ``ids``: their ids, while the order stays, because a scripted "Next, ..." follows it. ``both``:
the order, and ids that count in it."""


@dataclass(frozen=True)
class NegativeRate:
    """A schedule of rho, the share of silent frames that count.

    Attributes:
        kind: ``constant`` is ``start`` all the time; ``linear`` goes from ``start`` to ``stop``
            and stays there; ``adaptive`` takes the rate at which about ``ratio`` silent frames
            count for every acting one, measured over the training clips, between ``stop`` and
            ``start``.
        start, stop: In [0, 1].
        over: How long ``linear`` goes, in ``unit``; at least 1.
        unit: ``epochs``: the rate is held through an epoch; ``steps``: optimizer steps.
        ratio: Of ``adaptive``, above 0.
    """

    kind: Literal["constant", "linear", "adaptive"] = "constant"
    start: float = 0.5
    stop: float = 0.1
    over: int = 1
    unit: Literal["epochs", "steps"] = "epochs"
    ratio: float = 4.0

    def __post_init__(self) -> None:
        for name, value in (("start", self.start), ("stop", self.stop)):
            if not 0 <= value <= 1:
                raise ConfigError(f"negative_rate.{name} is {value}, must be in [0, 1]")
        if self.over < 1 or self.ratio <= 0:
            raise ConfigError(
                f"negative_rate: over ({self.over}) must be at least 1, ratio ({self.ratio}) "
                "above 0"
            )
        if self.kind == "adaptive" and self.stop > self.start:
            raise ConfigError(
                f"negative_rate: adaptive stays between stop and start, but stop ({self.stop}) is "
                f"above start ({self.start})"
            )


def rate_at(
    schedule: float | NegativeRate, epoch: int, step: int, acting: int, silent: int
) -> float:
    """rho at one moment of a training run; depends on nothing else, so a resumed run has the same.

    Args:
        schedule: A number is constant.
        epoch, step: From 0; optimizer steps count over all epochs.
        acting, silent: Frames of the training clips that act, and that carry labels but don't.
    """
    if isinstance(schedule, float | int):
        return schedule
    if schedule.kind == "constant":
        return schedule.start
    if schedule.kind == "linear":
        done = min((epoch if schedule.unit == "epochs" else step) / schedule.over, 1.0)
        return schedule.start + (schedule.stop - schedule.start) * done
    wanted = schedule.ratio * acting / max(silent, 1)
    return min(max(wanted, schedule.stop), schedule.start)


@dataclass(frozen=True)
class Layout:
    """What of a model's configuration decides how a clip is rendered.

    Attributes:
        own_headers: State and assistant turns open with tokens of their own instead of the chat
            format's header.
        token_decisions: The next token is the decision: the one that opens a turn is a target of
            the decision's loss, not of the text's.
        cascade: A frame's speak label sits at the last token of its state turn, if it has one.
        choices: Transitions are chosen among the legal ones; what there was to choose is rendered,
            and the choices are the targets of the state loss, not the tokens.
        moves: The vocabulary of transitions: what is legal to write.
    """

    own_headers: bool = False
    token_decisions: bool = False
    cascade: bool = False
    choices: bool = False
    moves: tuple[Move, ...] = BASIC
