"""Where a task stands at a time, as phrases, and in words as ProAssist's progress summaries.

In: an annotation, its `StateTrack`, turns. Out: a `Standing`, or a `Dialogue` with summaries.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from prospect.dialogues.english import count, imperative
from prospect.states.transitions import fold, initial_state
from prospect.types import Annotation, Dialogue, StateTrack, Status, Turn, UserType


@dataclass(frozen=True, slots=True)
class Standing:
    """The state at a time, each step as a request ("attach the wheels"), in listed order."""

    completed: tuple[str, ...]
    in_progress: tuple[str, ...]
    not_started: tuple[str, ...]


def standing(track: StateTrack, time_s: float) -> Standing:
    """The state with all transitions up to and including ``time_s``."""
    moves = (item.transition for item in track.transitions if item.time_s <= time_s)
    state = fold(initial_state(track.task), moves)

    def having(status: Status) -> tuple[str, ...]:
        return tuple(imperative(step.name) for step in track.task.steps if state[step.id] == status)

    return Standing(having("completed"), having("in_progress"), having("not_started"))


def as_dialogue(
    annotation: Annotation,
    track: StateTrack,
    turns: Sequence[Turn],
    user_type: UserType,
    writer: str,
    number: int,
) -> Dialogue:
    """The dialogue of these turns, each of the assistant's with a summary of the progress so far.

    A summary opens with the elapsed time as ProAssist's do (its dialogue files, field
    ``progress``), then tells the goal, what is completed, in progress and left, the last mistake
    pointed out and the user's last remark.

    Args:
        turns: User and assistant turns, sorted by time.
        number: Tells apart several dialogues of one video and user type.
    """
    return Dialogue(
        dialogue_id=f"{annotation.video_id}/{user_type}-{number}",
        video_id=annotation.video_id,
        dataset=annotation.dataset,
        split=annotation.split,
        user_type=user_type,
        writer=writer,
        task=annotation.task,
        task_type=annotation.task_type,
        duration_s=annotation.duration_s,
        turns=_with_summaries(annotation, track, turns),
        video_file=annotation.video_file,
        start_s=annotation.start_s,
    )


def _with_summaries(
    annotation: Annotation, track: StateTrack, turns: Sequence[Turn]
) -> tuple[Turn, ...]:
    told: list[Turn] = []
    for turn in turns:
        summary = None
        if turn.role == "assistant":
            summary = _summary(annotation, track, [*told, turn])
        told.append(replace(turn, summary=summary))
    return tuple(told)


def elapsed(since_start_s: float) -> str:
    """The sentence that opens a summary; ``since_start_s`` below 0 counts as 0."""
    return f"The time elapsed since the start of the task is {max(0.0, since_start_s):.1f} seconds."


def _summary(annotation: Annotation, track: StateTrack, turns: Sequence[Turn]) -> str:
    now_s = turns[-1].time_s
    now = standing(track, now_s)
    sentences = [
        elapsed(now_s - annotation.start_s),
        f"The user wants to {imperative(annotation.task.goal)}.",
        f"Completed: {'; '.join(now.completed) or 'nothing yet'}.",
    ]
    if now.in_progress:
        sentences.append(f"In progress: {'; '.join(now.in_progress)}.")
    left = len(now.not_started)
    sentences.append(f"{count(left, 'step')} to start." if left else "No other step is left.")
    corrections = [turn.text for turn in turns if "correction" in turn.labels]
    if corrections:
        sentences.append(f'Pointed out {count(len(corrections), "mistake")}: "{corrections[-1]}"')
    remarks = [turn.text for turn in turns if turn.role == "user"][1:]
    if remarks:
        sentences.append(f'The user last said: "{remarks[-1]}"')
    return " ".join(sentence[:1].upper() + sentence[1:] for sentence in sentences)
