"""What can be made of one stream besides its clips: less knowledge, the state alone, summaries.

In: the whole clip of a dialogue (`prospect.samples.clips.whole_clip`). Out: clips that fit the
context, or the reason why there are none. `narrated` makes a stream of an annotation's actions.

Variants of one dialogue may stand in one file: each has its name in its dialogue id.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from prospect import clock
from prospect.samples.clips import PROASSIST, CutRule, cut, state_after
from prospect.samples.sequence import Renderer
from prospect.states.transitions import initial_state
from prospect.types import Action, Annotation, Clip, Event, Turn

Variant = Callable[[Clip, Renderer, int, int], list[Clip] | str]
"""(stream, renderer, context_len, seed) -> clips, or why there are none."""

MAX_SUMMARY_LEN = 768
"""Longest closing summary in tokens, its request included (ProAssist: prepare_dialogs)."""
NARRATION = CutRule(back_s=(1.0, 3.0), utterances_only=True)
"""How narrated streams are cut (ProAssist: prepare_ego4d_narrations)."""


def dialogue(stream: Clip, renderer: Renderer, context_len: int, seed: int) -> list[Clip] | str:
    """The dialogue as it is: knowledge, state, talk."""
    return cut(stream, renderer, context_len, seed)


def no_knowledge(stream: Clip, renderer: Renderer, context_len: int, seed: int) -> list[Clip] | str:
    """The talk alone: neither steps nor states are told or asked."""
    bare = replace(_without_moves(_named(stream, "no_knowledge")), knowledge=False)
    return _exact(cut(bare, renderer, context_len, seed), stream)


def no_state(stream: Clip, renderer: Renderer, context_len: int, seed: int) -> list[Clip] | str:
    """The talk, the steps told in the prompt as a plain list; no state is told or asked."""
    bare = replace(_without_moves(_named(stream, "no_state")), state_known=False)
    return _exact(cut(bare, renderer, context_len, seed), stream)


def state_only(stream: Clip, renderer: Renderer, context_len: int, seed: int) -> list[Clip] | str:
    """The transitions alone; nobody says anything, and speech is not learned."""
    moves = tuple(Event(e.frame, e.transitions) for e in stream.events if e.transitions)
    if not moves:
        return "no transitions"
    silent = replace(_named(stream, "state"), kind="state", events=moves)
    return cut(silent, renderer, context_len, seed)


def with_summary(stream: Clip, renderer: Renderer, context_len: int, seed: int) -> list[Clip] | str:
    """The dialogue, and at the end of each clip a request for the progress with its answer.

    Every clip ends with an utterance, so that its summary is up to date; what follows the last
    one, or doesn't fit, is dropped as by ProAssist.
    """
    return _summarized(_named(stream, "summarized"), renderer, context_len, seed, PROASSIST)


def proassist(stream: Clip, renderer: Renderer, context_len: int, seed: int) -> list[Clip] | str:
    """ProAssist's own samples: a summary in place of the state, in the prompt and at the end."""
    named = replace(_without_moves(_named(stream, "proassist")), state_known=False)
    rule = replace(PROASSIST, progress=True)
    clips = _summarized(named, renderer, context_len, seed, rule)
    return clips if isinstance(clips, str) else _exact(clips, stream)


def summary_only(stream: Clip, renderer: Renderer, context_len: int, seed: int) -> list[Clip] | str:
    """Frames, what the user says, and the summary at the end; nothing is decided on the way.

    Cut as `proassist`, then without its utterances. Unlike ProAssist's, a later clip is told the
    progress so far: nothing in its own frames shows it.
    """
    named = replace(
        _without_moves(_named(stream, "summary")),
        kind="summary",
        knowledge=False,
        state_known=False,
    )
    clips = _summarized(named, renderer, context_len, seed, replace(PROASSIST, progress=True))
    if isinstance(clips, str):
        return clips
    asked = [replace(clip, events=_heard(clip)) for clip in clips if clip.summary is not None]
    return _exact(asked, stream)


VARIANTS: Mapping[str, Variant] = {
    "dialogue": dialogue,
    "no_state": no_state,
    "no_knowledge": no_knowledge,
    "state": state_only,
    "summarized": with_summary,
    "proassist": proassist,
    "summary": summary_only,
}


def narrated(annotation: Annotation, fps: float, num_frames: int) -> tuple[Clip, int]:
    """ProAssist's action narration: each action is told when it ends.

    Actions are those of the finest level the dataset has: its actions, or its steps if it has no
    actions; pauses are none. Cut the stream with `NARRATION`.

    Args:
        annotation: Of EPIC-KITCHENS, Goal-Step or any other dataset.
        fps: Of the stream.
        num_frames: Of the video.

    Returns:
        The stream, without steps or state, and how many narrations fall beyond its last frame.
    """
    finest: Sequence[Action] = [a for a in annotation.actions if a.kind == "action"]
    if not finest:
        finest = [a for a in annotation.actions if a.kind == "step"]
    told = sorted(
        (Turn("assistant", action.end_s, action.text) for action in finest),
        key=lambda turn: turn.time_s,
    )
    start = clock.first_frame(annotation.start_s, fps)
    placed = clock.place(told, (), fps, start)
    events = tuple(event for event in placed if event.frame < num_frames)
    dialogue_id = f"{annotation.video_id}/narration-0"
    stream = Clip(
        clip_id=f"{dialogue_id}/0",
        dialogue_id=dialogue_id,
        video_id=annotation.video_id,
        dataset=annotation.dataset,
        split=annotation.split,
        user_type="no_talk",
        task=annotation.task,
        task_type=annotation.task_type,
        fps=fps,
        start_frame=start,
        stop_frame=num_frames,
        decide_from=start,
        state=initial_state(annotation.task),
        recent=(),
        events=events,
        frames_file=annotation.video_file,
        knowledge=False,
        state_known=False,
        kind="narration",
    )
    return stream, len(placed) - len(events)


def narration(stream: Clip, renderer: Renderer, context_len: int, seed: int) -> list[Clip] | str:
    """Clips of a `narrated` stream; its prompt repeats nothing, so a clip knows no past."""
    if not stream.events:
        return "nothing to narrate"
    clips = cut(stream, renderer, context_len, seed, NARRATION)
    return [replace(clip, recent=()) for clip in clips]


def _summarized(
    stream: Clip, renderer: Renderer, context_len: int, seed: int, rule: CutRule
) -> list[Clip] | str:
    """Cut with room for the longest summary, and let each clip end with its own."""
    lengths = [
        sum(len(tokens) for tokens, _ in renderer.summary_turns(event.summary))
        for event in stream.events
    ]
    reserve_len = max(lengths, default=0)
    if reserve_len == 0:
        return "no summaries"
    if reserve_len > MAX_SUMMARY_LEN:
        return f"a summary of more than {MAX_SUMMARY_LEN} tokens"
    clips = cut(stream, renderer, context_len, seed, replace(rule, reserve_len=reserve_len))
    return [replace(clip, summary=clip.events[-1].summary) for clip in clips]


def _named(stream: Clip, variant: str) -> Clip:
    dialogue_id = f"{stream.dialogue_id}+{variant}"
    return replace(stream, dialogue_id=dialogue_id, clip_id=f"{dialogue_id}/0")


def _without_moves(stream: Clip) -> Clip:
    kept = (replace(event, transitions=()) for event in stream.events)
    return replace(stream, events=tuple(e for e in kept if e != Event(e.frame)))


def _heard(clip: Clip) -> tuple[Event, ...]:
    return tuple(Event(e.frame, user=e.user) for e in clip.events if e.user is not None)


def _exact(clips: Sequence[Clip], stream: Clip) -> list[Clip]:
    """The same clips with the state of the stream they were made of, transitions and all."""
    return [
        replace(
            clip,
            state=state_after(
                stream.state, [e for e in stream.events if e.frame < clip.decide_from]
            ),
        )
        for clip in clips
    ]
