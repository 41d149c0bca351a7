"""What goes into a session, and what comes out of it."""

from dataclasses import dataclass

from prospect.types import ClipKind, Event, State, Task, Turn


@dataclass(frozen=True, slots=True)
class FrameResult:
    """What happened at one frame.

    Attributes:
        speak_prob, update_prob: Read at the frame's last token; where the model reads speak again
            after the frame's transitions, the speak probability is that one.
        event: What was decided; None for silence.
        latency_ms: From the frame's arrival to the end of its last turn; a chunk's forward pass is
            shared evenly by the frames it kept.
        first_token_ms: Likewise to the first token of its sentence; None if it wrote none.
    """

    frame: int
    speak_prob: float
    update_prob: float
    event: Event | None
    latency_ms: float
    first_token_ms: float | None


@dataclass(frozen=True, slots=True)
class Opening:
    """What a session is told when it begins; see `Session`."""

    task: Task
    state: State
    recent: tuple[Turn, ...]
    key: str
    knowledge: bool
    state_known: bool
    start_frame: int
    kind: ClipKind
    progress: str | None
