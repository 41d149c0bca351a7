"""The library's front door: a trained assistant that watches.

assistant = Assistant.from_pretrained("demo")
session = assistant.open(task)
for image in read_frames(path, fps=assistant.fps):
    for event in session.step(image):
        print(event)

Several people at once: ``assistant.step([(session, image), (other, its_image)])``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from prospect import clock
from prospect.errors import DataError, ProspectError
from prospect.frames.decode import Image
from prospect.frames.encoders import Encoder, load_encoder
from prospect.frames.features import stored
from prospect.model.checkpoint import Checkpoint, load_checkpoint
from prospect.model.config import Thresholds
from prospect.model.precision import default_device, resolve_dtype
from prospect.shipped import checkpoint_folder
from prospect.stream.config import StreamConfig
from prospect.stream.engine import Engine, Job, make_engine
from prospect.stream.records import FrameResult
from prospect.stream.session import Session
from prospect.stream.snapshot import most_bytes, restore, snapshot
from prospect.types import State, Task, Transition


@dataclass(frozen=True, slots=True)
class StateChange:
    """The assistant noticed transitions.

    Attributes:
        time_s: End of the frame that showed them.
        probability: That the state changes at this frame.
        latency_ms: From the frame's arrival to the decision being written.
    """

    time_s: float
    transitions: tuple[Transition, ...]
    probability: float
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Utterance:
    """The assistant says something; attributes as in `StateChange`."""

    time_s: float
    text: str
    probability: float
    latency_ms: float


class LiveSession:
    """A `Session` that takes images one by one.

    Attributes:
        encoder: Of the images.
        fps: Frames a second it expects.
    """

    def __init__(self, session: Session, encoder: Encoder, fps: float) -> None:
        self._session = session
        self.encoder = encoder
        self.fps = fps

    @property
    def engine(self) -> Engine:
        """Of the assistant that opened it."""
        return self._session.engine

    @property
    def state(self) -> State:
        """Status of every step now."""
        return self._session.state

    @property
    def thresholds(self) -> Thresholds:
        """What it acts above."""
        return self._session.thresholds

    def say(self, text: str) -> None:
        """The user says something; see `Session.say`."""
        self._session.say(text)

    def skip(self, num_frames: int) -> None:
        """Time passes without anybody looking: the next frame is so many later."""
        self._session.next_frame += num_frames

    def look(self, frame: Image | Tensor) -> FrameResult:
        """Watch the next frame: `step` with the probabilities, for silent frames too.

        Args:
            frame: An image as for `step`, or its vectors (P, E) from `encoder`.

        Raises:
            DataError: an image that is not square, or vectors of another shape.
            ConfigError: an image that is not uint8 RGB.
        """
        return self._session.engine.run(self.looking(frame))

    def looking(self, frame: Image | Tensor) -> Job[FrameResult]:
        """`look` as a job of the assistant's engine."""
        frame = stored(frame if isinstance(frame, Tensor) else self._encoded(frame))
        expected = (self.encoder.vectors, self.encoder.dim)
        if frame.shape != expected:
            raise DataError(
                f"a frame's vectors have shape {tuple(frame.shape)}, the model takes {expected} of "
                f"{self.encoder.name}; encode its video again"
            )
        (result,) = yield from self._session.advancing(frame[None])
        return result

    def _encoded(self, image: Image) -> Tensor:
        """(P, E) of an image."""
        if image.ndim != 3 or image.shape[0] != image.shape[1] or not image.size:
            raise DataError(
                f"a frame has shape {image.shape}; the model takes square RGB crops (H, H, 3), as "
                "prospect.frames.decode.fit cuts them"
            )
        # mirrored pictures and BGR turned to RGB are views that torch doesn't take
        rgb = torch.from_numpy(np.ascontiguousarray(image[None]))
        return self.encoder.encode(rgb)[0]

    def snapshot(self) -> bytes:
        """The session as bytes; see `prospect.stream.snapshot` and `Assistant.restore`."""
        return snapshot(self._session)

    def close(self) -> None:
        """Give its slot back; nothing can be watched any longer."""
        self._session.close()

    def step(self, image: Image) -> list[StateChange | Utterance]:
        """Watch the next frame.

        Args:
            image: (H, W, 3) RGB, the square crop that the encoder expects.

        Returns:
            See `events_of`.
        """
        return events_of(self.look(image), self.fps)


def events_of(result: FrameResult, fps: float) -> list[StateChange | Utterance]:
    """What was decided at a frame: at most one state change and one utterance, in that order."""
    events: list[StateChange | Utterance] = []
    if result.event is None:
        return events
    time_s = clock.event_time_s(result.frame, fps)
    if result.event.transitions:
        events.append(
            StateChange(time_s, result.event.transitions, result.update_prob, result.latency_ms)
        )
    if result.event.speech is not None:
        events.append(Utterance(time_s, result.event.speech, result.speak_prob, result.latency_ms))
    return events


class Assistant:
    """A loaded model that opens sessions, as many at once as `StreamConfig.num_slots` says."""

    def __init__(self, model: Checkpoint, config: StreamConfig) -> None:
        self._model = model
        self._config = config
        self._encoder = load_encoder(model.config.encoder, model.config.vectors_per_frame)
        self._engine = make_engine(model, config, config.num_slots)

    @classmethod
    def from_pretrained(
        cls, name: str | Path, config: StreamConfig | None = None, dtype: str = "auto"
    ) -> "Assistant":
        """Load a checkpoint.

        Args:
            name: Its folder, or the name of one that comes with the package: ``demo``.
            config: How sessions watch.
            dtype: auto, bfloat16, float16 or float32.

        Raises:
            ProspectError: as `prospect.model.checkpoint.load_checkpoint`.
        """
        model = load_checkpoint(checkpoint_folder(name), resolve_dtype(dtype))
        model.network.to(default_device())
        model.network.merge_adapters()
        return cls(model, config or StreamConfig())

    @property
    def fps(self) -> float:
        """Frames a second that sessions expect; what the model was trained at."""
        return self._model.fps

    @property
    def snapshot_bytes(self) -> int:
        """About the most that `LiveSession.snapshot` takes: a full context of random vectors.

        Those of pictures are compressed to about half of it.
        """
        return most_bytes(self._engine)

    def open(self, task: Task, state: State | None = None, knowledge: bool = True) -> LiveSession:
        """Begin to watch somebody do ``task``.

        Args:
            task: Goal and steps.
            state: Where it stands; None means nothing is started.
            knowledge: False doesn't tell the model the steps; no state is tracked then.

        Raises:
            ConfigError: all slots are taken.
            DataError: no task, or a state of other steps, or of the same in another order.
        """
        if not isinstance(task, Task):
            raise DataError(
                f"the task is {task!r}; give a prospect.types.Task with a goal and its steps"
            )
        steps = [step.id for step in task.steps]
        if state is not None and list(state) != steps:
            raise DataError(
                f"the state is of {', '.join(state) or 'no steps'}; it needs one status for each "
                f"of {', '.join(steps)}, in this order"
            )
        session = Session(
            self._model,
            self._config,
            task,
            state=state,
            knowledge=knowledge,
            key=task.goal,
            engine=self._engine,
        )
        return LiveSession(session, self._encoder, self.fps)

    def restore(self, data: bytes) -> LiveSession:
        """Go on with a session that was saved, here or elsewhere, with the same model.

        Args:
            data: Of `LiveSession.snapshot`.

        Raises:
            DataError: no snapshot, or one of another model.
        """
        session = restore(data, self._model, self._config, self._engine)
        return LiveSession(session, self._encoder, self.fps)

    def step(
        self, frames: Sequence[tuple[LiveSession, Image | Tensor]]
    ) -> list[list[StateChange | Utterance] | ProspectError]:
        """Watch the next frame of several sessions at once.

        Args:
            frames: Sessions of this assistant, each once, with their images or vectors.

        Returns:
            What was decided in each, or why its frame could not be watched; one that fails doesn't
            disturb the others.

        Raises:
            DataError: a session stands twice, or is another assistant's.
        """
        if len({id(session) for session, _ in frames}) < len(frames):
            raise DataError("a session stands twice among the frames; watch them one after another")
        if any(session.engine is not self._engine for session, _ in frames):
            raise DataError(
                "a session among the frames was opened by another assistant; step it there"
            )
        jobs = (partial(session.looking, frame) for session, frame in frames)
        found = dict(self._engine.run_all(jobs))
        return [
            result if isinstance(result, ProspectError) else events_of(result, self.fps)
            for result in (found[index] for index in range(len(frames)))
        ]
