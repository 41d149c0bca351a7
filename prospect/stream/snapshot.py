"""A session as bytes: watched on by another process as if nothing had happened.

In: a session. Out: its tokens, frame vectors and state, never its keys and values, which are
computed again. Vectors are compressed without loss, those of EfficientNet to .43 of their bytes
(toy videos).
"""

import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
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
from prospect.stream.unconstrained import Written
from prospect.types import Event, State

_ABOUT = "about"


@dataclass(frozen=True, slots=True)
class _About:
    """All of a session but its numbers.

    Attributes:
        model, weights: What it was taken with; `Checkpoint.weights`.
        num_frames: Vectors of the context; those of the overlap follow them.
        dtype: Of all vectors, as torch calls it.
    """

    model: str
    weights: str
    num_frames: int
    num_overlap: int
    dtype: str
    opening: Opening
    next_frame: int
    state: State
    events: tuple[Event, ...]
    refreshes: tuple[int, ...]
    speak: Decider
    update: Decider
    step_ends: tuple[int, ...]
    written: tuple[Written, ...]
    belief: Belief


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
    vectors = stacked([*context.frames, *session.overlap], session.engine.vector_shape)
    about = _About(
        repr(session.model.config),
        session.model.weights,
        len(context.frames),
        len(session.overlap),
        str(vectors.dtype).removeprefix("torch."),
        session.opening,
        session.next_frame,
        session.state,
        tuple(session.events),
        tuple(session.refreshes),
        session.deciders.speak,
        session.deciders.update,
        tuple(context.step_ends),
        tuple(session.written),
        session.belief,
    )
    tensors = {
        "tokens": torch.tensor(context.tokens, dtype=torch.int32),
        "frame_starts": torch.tensor(context.frame_starts, dtype=torch.int32),
        "vectors": _as_tensor(packed(vectors)),
    }
    return save(tensors | {_ABOUT: _as_tensor(json.dumps(asdict(about)).encode())})


def most_bytes(engine: Engine) -> int:
    """What the vectors of a full context take before they are compressed, if they are fp16."""
    return engine.slots.length * engine.vector_shape[1] * 2


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
    about, tensors = _read(data)
    if len(tensors["tokens"]) > engine.slots.length:
        raise DataError(
            f"the snapshot has {len(tensors['tokens'])} tokens, a slot {engine.slots.length}; "
            "raise context_len to what it was"
        )
    if about.model != repr(model.config):
        raise DataError(
            f"the snapshot is of another model ({about.model}, this one is {model.config!r}); load "
            "the checkpoint it was taken with"
        )
    if about.weights != model.weights:
        raise DataError(
            "the snapshot is of a model like this one with other weights "
            f"({_named(about.weights)}, these are {_named(model.weights)}); load the checkpoint it "
            "was taken with"
        )
    count = about.num_frames + about.num_overlap
    vectors = unpacked(
        tensors["vectors"].numpy().tobytes(), (count, *engine.vector_shape), about.dtype
    )
    session = _opened(about.opening, model, config, engine)
    session.next_frame, session.state = about.next_frame, about.state
    session.events, session.refreshes = list(about.events), list(about.refreshes)
    session.deciders = Deciders(
        _going_on(about.speak, session.deciders.speak),
        _going_on(about.update, session.deciders.update),
    )
    session.belief = session.belief and (about.belief or certain(about.state))
    session.written = list(about.written)
    session.overlap.extend(vectors[about.num_frames :])
    context = Context(
        session.context.slot, Prompt(tensors["tokens"].tolist(), list(about.step_ends))
    )
    context.frames = list(vectors[: about.num_frames])
    context.frame_starts = tensors["frame_starts"].tolist()
    session.context = context
    if session.context.frames:
        engine.run(session.rereading())
    return session


def _read(data: bytes) -> tuple[_About, dict[str, Tensor]]:
    """A snapshot's two parts, of whatever model."""
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise DataError(f"{len(data)} bytes are no snapshot of a session: {error}") from error
    if _ABOUT not in tensors:
        raise DataError(
            f"{len(data)} bytes are no snapshot of a session, but hold "
            f"{', '.join(sorted(tensors)) or 'nothing'}"
        )
    text = bytes(tensors[_ABOUT].numpy()).decode()
    return parse(json.loads(text), _About, "snapshot"), tensors


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


def packed(vectors: Tensor) -> bytes:
    """Compress vectors without loss.

    What is alike is laid side by side: how many numbers there are (int64), which of them are not
    zero, a bit each, then of these the bytes of the same weight, each number's over all frames.

    Args:
        vectors: (K, P, E) floats of any size.
    """
    numbers = vectors.cpu().flatten(1).T.flatten()
    series = numbers.view(torch.uint8).view(len(numbers), numbers.itemsize).numpy()
    filled = series.any(axis=1)
    count, mask = numbers.numel().to_bytes(8, "little"), np.packbits(filled).tobytes()
    # what isn't a run doesn't come back either: looking for it takes twice as long and finds less
    coder = zlib.compressobj(strategy=zlib.Z_RLE)
    return coder.compress(count + mask + series[filled].T.tobytes()) + coder.flush()


def unpacked(data: bytes, shape: Sequence[int], dtype: str) -> Tensor:
    """What `packed` was given.

    Args:
        data: Of `packed`.
        shape: (K, P, E).
        dtype: As torch calls it.

    Raises:
        DataError: altered, or vectors of another number or size.
    """
    count, numbers = shape[0], math.prod(shape)
    empty = torch.empty(tuple(shape), dtype=getattr(torch, dtype))
    try:
        found = zlib.decompress(data)
    except zlib.error as error:
        raise DataError(f"the snapshot's frame vectors are damaged ({error})") from error
    packed_count, rest = int.from_bytes(found[:8], "little"), np.frombuffer(found[8:], np.uint8)
    if packed_count != numbers:
        raise DataError(
            f"the snapshot's frame vectors have {packed_count} numbers, {count} frames of this "
            f"model {numbers}; it is of another model or version, begin the session anew"
        )
    planes_at = -(-numbers // 8)
    filled = np.unpackbits(rest[:planes_at], count=numbers).astype(bool)
    planes = rest[planes_at:]
    if len(planes) != empty.itemsize * filled.sum():
        raise DataError(
            f"the snapshot's frame vectors have {len(planes)} bytes, {filled.sum()} numbers of "
            f"{dtype} {empty.itemsize * filled.sum()}; it is damaged, begin the session anew"
        )
    if not numbers:
        return empty
    series = np.zeros((numbers, empty.itemsize), np.uint8)
    series[filled] = planes.reshape(empty.itemsize, -1).T
    return torch.from_numpy(series).view(empty.dtype).view(-1, count).T.reshape(empty.shape)


def _named(weights: str) -> str:
    return weights or "of no file"


def _as_tensor(data: bytes) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)
