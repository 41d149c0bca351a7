"""Cut dialogues into clips that fit one context, and join clips back into streams.

In: a dialogue, its state track, the number of frames. Out: `Clip`s whose token counts are the
renderer's own. The cut is ProAssist's (arXiv 2506.05904, dataset preparation): after the last
utterance that fits; the next clip begins 5 to 20 s before its first event. Unlike there nothing is
dropped: where no utterance fits, the cut falls after the last event, else after the last frame;
`PROASSIST` is its rule with its drops.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from prospect import clock
from prospect.errors import ConfigError, DataError
from prospect.files import text_hash
from prospect.samples.config import OVERLAP_S
from prospect.samples.sequence import Renderer
from prospect.states.transitions import fold, initial_state
from prospect.types import Clip, Dialogue, Event, Prediction, State, StateTrack, Turn

RECENT_UTTERANCES = 3
"""How many utterances a new context repeats in words."""


@dataclass(frozen=True, slots=True)
class CutRule:
    """Where streams are cut, and what later clips are told.

    Attributes:
        back_s: Range, in seconds, of how long before its first event a later clip begins.
        utterances_only: ProAssist's rule. Every clip ends with an utterance; what follows the last
            one is dropped, and so is everything before an utterance that doesn't fit with it. A
            later clip decides from its first new frame on, and may look back before the stream's
            start.
        reserve_len: Tokens kept free for what follows the last frame.
        progress: The prompt tells the last summary in place of state and recent turns.
    """

    back_s: tuple[float, float] = (5.0, 20.0)
    utterances_only: bool = False
    reserve_len: int = 0
    progress: bool = False


PROSPECT = CutRule()
PROASSIST = CutRule(utterances_only=True)


def recent_turns(events: Sequence[Event], fps: float) -> tuple[Turn, ...]:
    """What a new context repeats of the talk so far: the last utterances, unanswered user turns.

    Args:
        events: All events before the new context's first decision, in order.
        fps: Of the stream, to give the turns their times.

    Returns:
        At most `RECENT_UTTERANCES` assistant turns, and the user turns after the last of them.
    """
    spoken: list[Turn] = []
    unanswered: list[Turn] = []
    for event in events:
        time_s = clock.event_time_s(event.frame, fps)
        if event.speech is not None:
            spoken.append(Turn("assistant", time_s, event.speech))
            unanswered = []
        if event.user is not None:
            unanswered.append(Turn("user", time_s, event.user))
    return (*spoken[-RECENT_UTTERANCES:], *unanswered)


def state_after(state: State, events: Sequence[Event]) -> State:
    """The state once all events' transitions are applied."""
    return fold(state, (move for event in events for move in event.transitions))


def in_time(dialogue: Dialogue, track: StateTrack, fps: float, num_frames: int) -> Dialogue:
    """The dialogue without last turns that come before the end but find no frame left.

    An event takes a frame, so at a low rate an answer half a second after its question falls on
    the next one, which a video that ends there doesn't have. Turns later than the video stay, and
    so do those before a transition that finds none: that is an error.
    """
    start = clock.first_frame(dialogue.start_s, fps)
    turns = dialogue.turns
    while turns and clock.deciding_frame(turns[-1].time_s, fps, start) < num_frames:
        last = clock.place(turns, track.transitions, fps, start)[-1]
        if last.frame < num_frames or last.transitions:
            break
        turns = turns[:-1]
    return replace(dialogue, turns=turns)


def whole_clip(dialogue: Dialogue, track: StateTrack, fps: float, num_frames: int) -> Clip:
    """The dialogue as one clip over the whole video, whatever its length.

    Raises:
        DataError: another video's track, or an event beyond the video's frames.
    """
    if dialogue.video_id != track.video_id or dialogue.task != track.task:
        raise DataError(
            f"dialogue {dialogue.dialogue_id} and the states of {track.video_id} are of different "
            "videos or tasks; label the states from the same annotations"
        )
    start = clock.first_frame(dialogue.start_s, fps)
    events = clock.place(dialogue.turns, track.transitions, fps, start)
    if events and events[-1].frame >= num_frames:
        raise DataError(
            f"{dialogue.dialogue_id}: event at frame {events[-1].frame}, but the video has "
            f"{num_frames} frames at {fps:g} fps"
        )
    return Clip(
        clip_id=f"{dialogue.dialogue_id}/0",
        dialogue_id=dialogue.dialogue_id,
        video_id=dialogue.video_id,
        dataset=dialogue.dataset,
        split=dialogue.split,
        user_type=dialogue.user_type,
        task=dialogue.task,
        task_type=dialogue.task_type,
        fps=fps,
        start_frame=start,
        stop_frame=num_frames,
        decide_from=start,
        state=initial_state(dialogue.task),
        recent=(),
        events=events,
        frames_file=dialogue.video_file,
    )


def cut(
    stream: Clip, renderer: Renderer, context_len: int, seed: int, rule: CutRule = PROSPECT
) -> list[Clip]:
    """Cut a stream into clips of at most ``context_len`` tokens.

    Args:
        stream: From `whole_clip`.
        renderer: Counts the tokens.
        context_len: Tokens the model may see.
        seed: With the clip's id it decides how far a clip reaches back before its first event.
        rule: `PROSPECT` drops nothing, `PROASSIST` does.

    Returns:
        Clips in order. By `PROSPECT` every event is in exactly one of them, and every frame is
        decided on in one unless it is silent and lies between a cut and where the next clip's
        first `OVERLAP_S` seconds end.

    Raises:
        ConfigError: one frame with its event doesn't fit.
    """
    clips: list[Clip] = []
    start = stream.start_frame
    while start < stream.stop_frame:
        clip = _open(stream, start, len(clips), seed, rule)
        stop = _stop(clip, renderer, context_len - rule.reserve_len, rule)
        if stop is not None:
            events = tuple(event for event in clip.events if event.frame < stop)
            clips.append(replace(clip, stop_frame=stop, events=events))
            start = stop
        elif (skipped := _next_utterance(clip, rule)) is None:
            break
        elif skipped > start:
            start = skipped
        else:
            raise ConfigError(
                f"{clip.clip_id}: {context_len - rule.reserve_len} tokens don't hold the prompt "
                f"({len(renderer.clip_prompt(clip))}), the repeated frames and frame "
                f"{clip.decide_from} with its turns; raise context_len"
            )
    return clips


def first_decision(start_frame: int, cut_frame: int, first_frame: int, fps: float) -> int:
    """From where a clip after the first decides.

    Args:
        start_frame: Where it begins.
        cut_frame: Where the clip before it stops.
        first_frame: Frame of its first event; the cut if it has none.
        fps: Of the stream.

    Returns:
        `OVERLAP_S` seconds from its start, as after a refresh; not before the cut, and not after
        the first event.
    """
    return min(max(cut_frame, start_frame + round(OVERLAP_S * fps)), first_frame)


def _open(stream: Clip, cut_frame: int, index: int, seed: int, rule: CutRule) -> Clip:
    """The rest of the stream from ``cut_frame`` on, and what it looks back on."""
    clip_id = f"{stream.dialogue_id}/{index}"
    before = tuple(event for event in stream.events if event.frame < cut_frame)
    after = tuple(event for event in stream.events if event.frame >= cut_frame)
    start = decide_from = cut_frame
    if cut_frame > stream.start_frame:
        back_s = random.Random(text_hash(f"{seed} {clip_id}")).uniform(*rule.back_s)
        first = after[0].frame if after else cut_frame
        earliest = 0 if rule.utterances_only else stream.start_frame
        start = max(earliest, first + 1 - round(back_s * stream.fps))
        decide_from = (
            max(start, cut_frame)
            if rule.utterances_only
            else first_decision(start, cut_frame, first, stream.fps)
        )
    summaries = [event.summary for event in before if event.summary is not None]
    return replace(
        stream,
        clip_id=clip_id,
        start_frame=start,
        decide_from=decide_from,
        state=state_after(stream.state, before),
        recent=() if rule.progress else recent_turns(before, stream.fps),
        progress=summaries[-1] if rule.progress and summaries else stream.progress,
        events=after,
    )


def _stop(clip: Clip, renderer: Renderer, room: int, rule: CutRule) -> int | None:
    """Where to cut: the exclusive frame after the last utterance, event or frame that fits.

    None if nothing fits that the rule lets a clip end with.
    """
    length = len(renderer.clip_prompt(clip))
    length += (clip.decide_from - clip.start_frame) * renderer.tokens_per_frame
    by_frame = {event.frame: event for event in clip.events}
    last_frame = last_event = last_speech = clip.decide_from
    for frame in range(clip.decide_from, clip.stop_frame):
        event = by_frame.get(frame, Event(frame))
        length += renderer.tokens_per_frame
        length += sum(len(tokens) for tokens, _ in renderer.event(event))
        if length > room:
            break
        last_frame = frame + 1
        if event != Event(frame):
            last_event = frame + 1
        if event.speech is not None:
            last_speech = frame + 1
    stops = [last_speech]
    if not rule.utterances_only:
        stops += [last_event, last_frame]
        if last_frame == clip.stop_frame:
            stops = [last_frame]
    return next((stop for stop in stops if stop > clip.decide_from), None)


def _next_utterance(clip: Clip, rule: CutRule) -> int | None:
    """Frame of the first utterance, to which ProAssist's rule skips; None if there is none."""
    if not rule.utterances_only:
        return clip.decide_from
    return next((event.frame for event in clip.events if event.speech is not None), None)


def by_dialogue(clips: Sequence[Clip]) -> list[list[Clip]]:
    """Clips grouped by dialogue, in order; a dropped clip in the middle parts a group."""
    groups: list[list[Clip]] = []
    for clip in sorted(clips, key=lambda clip: (clip.dialogue_id, _index(clip))):
        last = groups[-1][-1] if groups else None
        if last and last.dialogue_id == clip.dialogue_id and _index(last) + 1 == _index(clip):
            groups[-1].append(clip)
        else:
            groups.append([clip])
    return groups


def _index(clip: Clip) -> int:
    return int(clip.clip_id.rsplit("/", 1)[1])


def join(parts: Sequence[Clip]) -> Clip:
    """The clips of one dialogue, in order, as one stream: first start to last stop, all events."""
    events = tuple(event for part in parts for event in part.events)
    return replace(parts[0], stop_frame=parts[-1].stop_frame, events=events)


def without_answers(stream: Clip, system: str) -> Prediction:
    """A stream's references as a record that a system's answers are put into."""
    return Prediction(
        dialogue_id=stream.dialogue_id,
        video_id=stream.video_id,
        dataset=stream.dataset,
        split=stream.split,
        user_type=stream.user_type,
        task=stream.task,
        fps=stream.fps,
        start_frame=stream.start_frame,
        stop_frame=stream.stop_frame,
        state=stream.state,
        references=stream.events,
        system=system,
        events=(),
    )
