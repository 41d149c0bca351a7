"""A session as bytes: watched on by another process as if nothing had happened.

In: a session. Out: its tokens, frame vectors and state, never its keys and values, which are
computed again. With vectors of fp16 a context of 1,900 frames of 1,280 numbers is 4.9 MB.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from prospect.errors import ConfigError, DataError
from prospect.files import parse
from prospect.firing import Decider
from prospect.model.checkpoint import Checkpoint
from prospect.samples.sequence import Prompt
from prospect.stream.belief import Belief, certain
from prospect.stream.config import StreamConfig
from prospect.stream.context import Context, stacked
from prospect.stream.decide import Deciders
from prospect.stream.engine import Engine
from prospect.stream.records import Opening
from prospect.stream.session import Session
from prospect.types import Event, State

_ABOUT = "about"


@dataclass(frozen=True, slots=True)
class _About:
    """All of a session but its numbers."""

    model: str
    opening: Opening
    next_frame: int
    state: State
    events: tuple[Event, ...]
    refreshes: tuple[int, ...]
    speak: Decider
    update: Decider
    step_ends: tuple[int, ...]
    belief: Belief = ()


def snapshot(session: Session) -> bytes:
    """What `restore` needs.

    Raises:
        ConfigError: the context holds keys of tokens that saw what was dropped since, which
            nothing can compute again.
    """
    config, context = session.config, session.context
    if config.policy == "drop_middle" and config.positions != "recompute" and session.refreshes:
        raise ConfigError(
            f"a session that has dropped its middle with positions {config.positions} can't be "
            "computed again; choose positions recompute, or another policy"
        )
    about = _About(
        repr(session.model.config),
        session.opening,
        session.next_frame,
        session.state,
        tuple(session.events),
        tuple(session.refreshes),
        session.deciders.speak,
        session.deciders.update,
        tuple(context.step_ends),
        session.belief,
    )
    shape = session.engine.vector_shape
    tensors = {
        "tokens": torch.tensor(context.tokens, dtype=torch.int32),
        "frame_starts": torch.tensor(context.frame_starts, dtype=torch.int32),
        "frames": stacked(context.frames, shape),
        "overlap": stacked(session.overlap, shape),
    }
    return save(tensors | {_ABOUT: _as_tensor(json.dumps(asdict(about)))})


def restore(data: bytes, model: Checkpoint, config: StreamConfig, engine: Engine) -> Session:
    """The session as it was.

    Args:
        data: Of `snapshot`.
        model: The same model as then.
        config: The same settings; what differs applies from now on.
        engine: Gives it a slot.

    Raises:
        DataError: no snapshot, one of another model, or one that is longer than a slot.
    """
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise DataError(f"{len(data)} bytes are no snapshot of a session: {error}") from error
    if _ABOUT not in tensors:
        raise DataError(
            f"{len(data)} bytes are no snapshot of a session, but hold "
            f"{', '.join(sorted(tensors)) or 'nothing'}"
        )
    if len(tensors["tokens"]) > engine.slots.length:
        raise DataError(
            f"the snapshot has {len(tensors['tokens'])} tokens, a slot {engine.slots.length}; "
            "raise context_len to what it was"
        )
    text = bytes(tensors[_ABOUT].numpy()).decode()
    about = parse(json.loads(text), _About, "snapshot")
    if about.model != repr(model.config):
        raise DataError(
            f"the snapshot is of another model ({about.model}, this one is {model.config!r}); load "
            "the checkpoint it was taken with"
        )
    session = _opened(about.opening, model, config, engine)
    session.next_frame, session.state = about.next_frame, about.state
    session.events, session.refreshes = list(about.events), list(about.refreshes)
    session.deciders = Deciders(
        _going_on(about.speak, session.deciders.speak),
        _going_on(about.update, session.deciders.update),
    )
    session.belief = session.belief and (about.belief or certain(about.state))
    session.overlap.extend(tensors["overlap"])
    session.context = _context(session.context.slot, tensors, about.step_ends)
    if session.context.frames:
        engine.run(session.rereading())
    return session


def _going_on(saved: Decider, fresh: Decider) -> Decider:
    """What was saved, unless the settings now say another rule, which begins anew."""
    return saved if saved.rule == fresh.rule else fresh


def _opened(told: Opening, model: Checkpoint, config: StreamConfig, engine: Engine) -> Session:
    return Session(
        model,
        config,
        told.task,
        state=told.state,
        recent=told.recent,
        key=told.key,
        knowledge=told.knowledge,
        state_known=told.state_known,
        start_frame=told.start_frame,
        kind=told.kind,
        progress=told.progress,
        engine=engine,
    )


def _context(slot: int, tensors: dict[str, Tensor], step_ends: Sequence[int]) -> Context:
    context = Context(slot, Prompt(tensors["tokens"].tolist(), list(step_ends)))
    context.frames = list(tensors["frames"])
    context.frame_starts = tensors["frame_starts"].tolist()
    return context


def _as_tensor(text: str) -> Tensor:
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)
