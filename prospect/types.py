"""The records that flow between the stages; each is one line of a JSONL file.

All are frozen. Times ending in ``_s`` are seconds from the start of the video; frames are
indices on the stream's clock from the start of the video; ranges are half-open ``[start, stop)``.
`prospect.files` reads and writes them, `docs/data.md` shows a line of each.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Status = Literal["not_started", "in_progress", "completed"]
Move = Literal["start", "complete", "reopen"]
Role = Literal["system", "user", "assistant"]
UserType = Literal["no_talk", "talk_some", "talk_more", "human"]
Split = Literal["train", "val", "test"]
ClipKind = Literal["dialogue", "state", "summary", "narration", "caption"]
"""What a clip teaches: the whole dialogue, transitions alone, a summary of the progress alone,
ProAssist's action narration, captions of images or short videos."""
State = Mapping[str, Status]
"""step_id -> status, over all steps of the task, in the task's order."""


@dataclass(frozen=True, slots=True)
class Step:
    """One unit of a task: ``Step("S1", "Attach the wheels to the chassis.")``."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Task:
    """A goal and its steps in listed order, which need not be the order they are done in."""

    goal: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Transition:
    """One legal move of one step, written ``S1->start``."""

    step_id: str
    move: Move


@dataclass(frozen=True, slots=True)
class TimedTransition:
    """A transition at a time of the video."""

    time_s: float
    transition: Transition


@dataclass(frozen=True, slots=True)
class Turn:
    """Somebody says something.

    Attributes:
        labels: ProAssist's ``initiative|intent[,intent...]``; empty for users.
        summary: Progress of the task up to and including this turn, in words, if written.
    """

    role: Role
    time_s: float
    text: str
    labels: str = ""
    summary: str | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """One annotated span ``[start_s, end_s)`` of a video.

    Attributes:
        kind: ``step`` (a visit to a step), ``action`` (something finer), ``pause`` (the person
            stops and does nothing).
        step_id: The step it belongs to; None if it belongs to no step.
        mistake: What is wrong with it, in words; None if it is right.
        corrects: The earlier action that this one puts right, in words; None if it corrects none.
        undoes: Whether this visit takes back what the step had reached: the wheel comes off again.
    """

    start_s: float
    end_s: float
    text: str
    kind: Literal["step", "action", "pause"]
    step_id: str | None = None
    verb: str | None = None
    noun: str | None = None
    mistake: str | None = None
    corrects: str | None = None
    undoes: bool = False


@dataclass(frozen=True, slots=True)
class Annotation:
    """What a dataset says of one video.

    Attributes:
        task: Its steps are those the dataset names; none where it names none.
        task_type: The dataset's name of the kind of task; tells seen tasks from unseen ones.
        actions: Sorted by (start_s, end_s).
        conversation: The dataset's own dialogue, sorted by time; empty where it has none.
        video_file: Path of the video relative to the folder of the annotations file, if known.
        start_s: Where the task begins in the video.
        spoken: All that is heard, as transcribed, sorted by the middle of each utterance, which is
            its time; empty where that is no more than ``conversation``.
        summary: The dataset's own account of the whole video; empty if it has none.
    """

    video_id: str
    dataset: str
    split: Split
    task: Task
    task_type: str
    duration_s: float
    actions: tuple[Action, ...]
    conversation: tuple[Turn, ...] = ()
    video_file: str | None = None
    start_s: float = 0.0
    spoken: tuple[Turn, ...] = ()
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A dialogue over one video, from the dataset or from a writer.

    Attributes:
        dialogue_id: Unique in a file: ``<video_id>/<user_type>-<n>``.
        writer: Who wrote it: ``human``, ``scripted``, or the model and prompt version.
        task: What the writer knows of the task; a model's may differ from the annotation's.
        turns: User and assistant turns sorted by time.
        quality: ProAssist's automatic score, at most 10; None if not computed.
    """

    dialogue_id: str
    video_id: str
    dataset: str
    split: Split
    user_type: UserType
    writer: str
    task: Task
    task_type: str
    duration_s: float
    turns: tuple[Turn, ...]
    video_file: str | None = None
    start_s: float = 0.0
    quality: float | None = None


@dataclass(frozen=True, slots=True)
class StateTrack:
    """All transitions of one video, sorted by time and legal from "nothing started"."""

    video_id: str
    task: Task
    transitions: tuple[TimedTransition, ...]


@dataclass(frozen=True, slots=True)
class Edit:
    """Somebody changed one label of a video by hand.

    Attributes:
        time: When, ISO 8601 in UTC.
        author: Who.
        dialogue_id: Whose turn it was; None for a transition.
        before: As it was; None if it was added.
        after: As it is; None if it was removed.
    """

    time: str
    author: str
    video_id: str
    dialogue_id: str | None
    before: TimedTransition | Turn | None
    after: TimedTransition | Turn | None


@dataclass(frozen=True, slots=True)
class Event:
    """What is decided at one frame, then what the user says before the next one.

    In a sequence the order is: frame, transitions, speech, user. See `prospect.clock.place`.
    """

    frame: int
    transitions: tuple[Transition, ...] = ()
    speech: str | None = None
    user: str | None = None
    labels: str = ""
    summary: str | None = None


@dataclass(frozen=True, slots=True)
class Clip:
    """Contiguous frames ``[start_frame, stop_frame)`` of a video that fit one context.

    Attributes:
        clip_id: ``<dialogue_id>/<index>``.
        task_type: The dataset's kind of task, to tell seen from unseen tasks.
        decide_from: First frame that carries decisions; those before repeat the previous clip's
            last seconds, so that a refresh of the context is something the model has seen.
        state: The state before ``decide_from``: all transitions not rendered in this clip.
        recent: Last utterances and unanswered user turns before ``decide_from``, oldest first.
        events: Sorted by frame, all in ``[decide_from, stop_frame)``, at most one a frame.
        frames_file: Video, arrow file or feature store relative to the frames root; None means
            the store named after ``video_id``.
        store_id: Name of a feature store that holds this clip's frames alone, from
            ``store_start`` on, if the source has one.
        knowledge: Whether the prompt lists the steps; without them no state is tracked.
        state_known: False for data without transitions, like ProAssist's: neither the prompt nor
            the labels say anything of the state.
        kind: What the clip teaches; the prompt says it.
        progress: A summary in words that stands in the prompt in place of state and recent turns,
            ProAssist's way; None for ours.
        summary: What the model answers when asked for the progress after the last frame; None if
            it is not asked.
    """

    clip_id: str
    dialogue_id: str
    video_id: str
    dataset: str
    split: Split
    user_type: UserType
    task: Task
    task_type: str
    fps: float
    start_frame: int
    stop_frame: int
    decide_from: int
    state: State
    recent: tuple[Turn, ...]
    events: tuple[Event, ...]
    frames_file: str | None = None
    store_id: str | None = None
    store_start: int = 0
    knowledge: bool = True
    state_known: bool = True
    kind: ClipKind = "dialogue"
    progress: str | None = None
    summary: str | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a system did on one stream, with the references it is scored against.

    Attributes:
        system: Who predicted: a checkpoint's name or a baseline's.
        fed: Whose context it had: its own, the reference dialogue, the reference state.
        state: The state before ``start_frame``, given to both.
        references: The reference events; `events` what the system did, same form.
        speak_prob, update_prob: One value a frame of ``[start_frame, stop_frame)``, rounded to
            4 digits; empty for systems that have none.
        speak_threshold, update_threshold: The system acted where prob > threshold.
        refreshes: Frames at which the context was rebuilt.
        seen_task: Whether the task's kind was in the training data; None if unknown.
        details: Mode, chunk length, versions, latencies: whatever a reader needs to repeat it.
    """

    dialogue_id: str
    video_id: str
    dataset: str
    split: Split
    user_type: UserType
    task: Task
    fps: float
    start_frame: int
    stop_frame: int
    state: State
    references: tuple[Event, ...]
    system: str
    events: tuple[Event, ...]
    fed: Literal["self", "reference_dialogue", "reference_state", "oracle"] = "self"
    speak_prob: tuple[float, ...] = ()
    update_prob: tuple[float, ...] = ()
    speak_threshold: float = 0.5
    update_threshold: float = 0.5
    refreshes: tuple[int, ...] = ()
    seen_task: bool | None = None
    details: dict[str, str | int | float | bool | None] = field(default_factory=dict)
