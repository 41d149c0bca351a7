"""The renderer: the one place that knows how a clip becomes tokens.

In: a tokenizer, and clips or their pieces. Out: token ids, and which positions are targets of
what. Training renders whole clips; streaming asks for the same pieces one by one.

    [system] prompt, task, steps, state, recent <end>
    <frame>*P  <frame>*P  [user] text <end>  <frame>*P  [state] S1->start <end>  [assistant] ...
    <frame>*P  [user] request for a summary <end>  [assistant] summary <end>

A frame's decisions are read at its last token; its turns follow that token. What a clip teaches
(its kind) is told by the first line of its prompt, and decides which frames carry labels.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from prospect.errors import DataError
from prospect.files import text_hash
from prospect.samples.choices import Choices, choices, no_choices
from prospect.samples.config import Layout
from prospect.samples.labels import ACT, UNLABELLED, check_clips, frame_labels
from prospect.samples.markers import SequenceRole, find_markers
from prospect.states.notation import SEPARATOR, format_state, format_transition
from prospect.types import Clip, ClipKind, Event, State, Task, Transition, Turn

NONE, SPEAK_GEN, STATE_GEN = 0, 1, 2
"""What a token is a target of: nothing, the speech loss, the state loss."""

PROMPTS: Mapping[ClipKind, tuple[str, ...]] = {
    "dialogue": (
        "You watch a person work through a camera at eye level. Track the steps of the task and "
        "help at the right moment.",
        "You are a proactive assistant. Follow what the person does, keep the state of every step, "
        "and speak when it helps.",
        "Help the person with the task in view. Note each step as it starts and as it is "
        "completed; speak only when there is something to say.",
        "Observe the task as it happens. Update the steps, answer questions, and point out "
        "mistakes early.",
        "You guide a person through a task. Watch every frame, know what is done and what is left, "
        "and say the right thing in time.",
        "Keep track of the task in front of the camera and support the person without being asked.",
    ),
    "state": (
        "Watch the task and keep the state of its steps; say nothing.",
        "Note each step as it starts and as it is completed, without a word to the person.",
    ),
    "summary": (
        "Watch the person work and remember what is done.",
        "Follow the task; its progress will be asked for at the end.",
    ),
    "narration": (
        "Say what the person does, each action as it ends.",
        "Narrate the actions of the person behind the camera as they happen.",
        "Report every action in a few words once it is done.",
    ),
    "caption": (
        "Describe each picture or short video in a few words.",
        "Say in a few words what is shown, one after the other.",
    ),
}
"""First line of the prompt by what a clip teaches."""
SUMMARY_REQUEST = "Summarize the progress of the task so far."
"""What the user asks after the last frame of a clip that has a summary."""
_BARE: frozenset[ClipKind] = frozenset({"narration", "caption"})
"""Kinds whose prompt tells nothing of a task."""


class Prompt(NamedTuple):
    """The system turn that opens a context, and where in it each step's line ends."""

    ids: list[int]
    step_ends: list[int]


@dataclass(frozen=True, slots=True)
class Rendered:
    """One clip as tokens.

    Attributes:
        ids: (L,) int64 token ids; every frame is P times the image token.
        targets: (L,) int8, what the token *at* this position is a target of (not yet shifted).
        frame_ends: (F,) int64, position of each frame's last token.
        speak_ends: (F,) int64, where each frame's speak label sits: at the frame's last token, with
            `Layout.cascade` at that of its state turn if it has one.
        step_ends: (S,) int64, position of the last token of each step's line in the prompt.
        speak, update: (F,) int8, `ACT`, `SILENT` or `UNLABELLED`.
        choices: Of its transitions, with `Layout.choices`; else none. The token after the one that
            chooses is the target then, not the state turn's text.
    """

    ids: NDArray[np.int64]
    targets: NDArray[np.int8]
    frame_ends: NDArray[np.int64]
    speak_ends: NDArray[np.int64]
    step_ends: NDArray[np.int64]
    speak: NDArray[np.int8]
    update: NDArray[np.int8]
    choices: Choices


class Renderer:
    """Tokenizer and layout of one model.

    Args:
        tokenizer: Of a chat model with the turns of ChatML, Llama 3 or SmolVLM2.
        tokens_per_frame: Vectors a frame, P >= 1.
        layout: What of the model's configuration decides how clips are rendered.

    Raises:
        ConfigError: the tokenizer has none of these, or no token to stand for an image or, if
            ``layout`` asks for them, to open a turn.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        tokens_per_frame: int,
        layout: Layout = Layout(),  # noqa: B008  frozen
    ) -> None:
        markers = find_markers(tokenizer, layout.own_headers)
        self._tokenizer = tokenizer
        self._header = markers.header
        self._own = markers.own_headers
        self.begin: list[int] = self._special(markers.begin)
        self.tokens_per_frame = tokens_per_frame
        self.layout = layout
        self.image_id: int = markers.image_id
        self.end_id: int = markers.end_id
        added = tokenizer.added_tokens_decoder.items()
        special = {token_id for token_id, t in added if t.special}
        self.special_ids: list[int] = sorted(special | set(self._own.values()))

    def prompt(
        self,
        task: Task,
        state: State | None,
        recent: Sequence[Turn],
        knowledge: bool,
        key: str,
        kind: ClipKind = "dialogue",
        progress: str | None = None,
    ) -> Prompt:
        """The system turn that opens a context.

        Args:
            task: Goal and steps.
            state: Of every step, before the first decision of this context; None if unknown.
            recent: `prospect.samples.clips.recent_turns` before it; may be empty.
            knowledge: False leaves steps and state out.
            key: The dialogue; chooses one of `PROMPTS`, so that all its contexts share one.
            kind: What is taught; narration and captions have no task, state or recent turns.
            progress: Told in place of state and recent turns, if given.
        """
        lines = [PROMPTS[kind][int(text_hash(key), 16) % len(PROMPTS[kind])]]
        listed = slice(0)
        if kind not in _BARE:
            lines.append(f"Task: {task.goal}")
            if knowledge:
                lines.append("Steps:")
                listed = slice(len(lines), len(lines) + len(task.steps))
                lines += [f"- {step.id}: {step.name}" for step in task.steps]
            if progress is not None:
                lines.append(f"Progress: {_one_line(progress)}")
            else:
                if knowledge and state is not None:
                    lines.append(f"State: {format_state(state)}")
                if recent:
                    lines += ["Recent:", *(f"- {t.role}: {_one_line(t.text)}" for t in recent)]
        stops = list(accumulate(len(line) + 1 for line in lines))[listed]
        encoded = self._tokenizer(
            "\n".join(lines),
            add_special_tokens=False,
            split_special_tokens=True,
            return_offsets_mapping=True,
        )
        opening = self.begin + self.header("system")
        starts = [start for start, _ in encoded["offset_mapping"]]
        # the token that holds the line's last character; some vocabularies join it with the break
        step_ends = [len(opening) + bisect_left(starts, stop - 1) - 1 for stop in stops]
        return Prompt([*opening, *encoded["input_ids"], self.end_id], step_ends)

    def frame(self) -> list[int]:
        """The tokens of one frame; the model puts the frame's vectors in their place."""
        return [self.image_id] * self.tokens_per_frame

    def header(self, role: SequenceRole) -> list[int]:
        """What opens a turn."""
        if role in self._own:
            return [self._own[role]]
        return self._special(self._header.format(role=role, Role=role.capitalize()))

    def text(self, text: str) -> list[int]:
        """Tokens of plain text; markers inside it stay text, so nobody can forge a turn."""
        return list(
            self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        )

    def line_breaks(self) -> list[int]:
        """Tokens that end a line; how a byte-level vocabulary writes a break, or another one."""
        vocabulary = self._tokenizer.get_vocab()
        return sorted(i for word, i in vocabulary.items() if "\u010a" in word or "\n" in word)

    def turn(self, role: SequenceRole, text: str) -> list[int]:
        """Header, text, end of turn."""
        return [*self.header(role), *self.text(text), self.end_id]

    def move(self, transition: Transition) -> list[int]:
        """Tokens of one transition; `separator` stands between two of the same frame."""
        return self.text(format_transition(transition))

    @property
    def separator(self) -> list[int]:
        """Tokens between two transitions."""
        return self.text(SEPARATOR)

    def state_turn(self, transitions: Sequence[Transition]) -> list[int]:
        """The turn that writes one or more transitions.

        Moves are tokenized one by one, so that a constrained decoder over single moves writes
        exactly these tokens.
        """
        ids = self.header("state")
        for index, transition in enumerate(transitions):
            ids += (self.separator if index else []) + self.move(transition)
        return [*ids, self.end_id]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of generated tokens, without the end of turn."""
        return str(self._tokenizer.decode([i for i in ids if i != self.end_id])).strip()

    def event(self, event: Event) -> list[tuple[list[int], int]]:
        """(tokens, what they are targets of) of everything that follows the event's frame."""
        parts = []
        if event.transitions:
            parts.append((self.state_turn(event.transitions), STATE_GEN))
        if event.speech is not None:
            parts.append((self.turn("assistant", event.speech), SPEAK_GEN))
        if event.user is not None:
            parts.append((self.turn("user", event.user), NONE))
        return parts

    def summary_turns(self, summary: str | None) -> list[tuple[list[int], int]]:
        """What follows a clip's last frame: the request for a summary and its answer; or nothing.

        The user asks, so there is nothing to decide: no frame is labelled for it.
        """
        if summary is None:
            return []
        return [
            (self.turn("user", SUMMARY_REQUEST), NONE),
            (self.turn("assistant", summary), SPEAK_GEN),
        ]

    def clip_prompt(self, clip: Clip) -> list[int]:
        """The system turn of a clip."""
        return self._clip_prompt(clip).ids

    def _clip_prompt(self, clip: Clip) -> Prompt:
        state = clip.state if clip.state_known else None
        return self.prompt(
            clip.task,
            state,
            clip.recent,
            clip.knowledge,
            clip.dialogue_id,
            clip.kind,
            clip.progress,
        )

    def clip(self, clip: Clip) -> Rendered:
        """The whole clip with its targets.

        A frame before a user turn has no speak label unless something is said there; frames
        before ``decide_from`` have none at all; where steps or states are unknown no update is
        labelled. State clips label the update alone, narrations speech alone, summaries and
        captions neither: they are learned as text.

        Raises:
            DataError: an event outside ``[decide_from, stop_frame)``, or two at one frame.
            ConfigError, DataError: see `prospect.samples.labels.check_clips`.
        """
        check_clips(self.layout, [clip])
        by_frame = {event.frame: event for event in clip.events}
        inside = range(clip.decide_from, clip.stop_frame)
        if len(by_frame) < len(clip.events) or not all(frame in inside for frame in by_frame):
            raise DataError(
                f"{clip.clip_id}: events at {[event.frame for event in clip.events]}; each needs a "
                f"frame of its own in [{clip.decide_from}, {clip.stop_frame})"
            )
        ids, step_ends = self._clip_prompt(clip)
        targets = [NONE] * len(ids)
        ends = np.zeros(clip.stop_frame - clip.start_frame, np.int64)
        speak_ends = np.zeros_like(ends)
        for index in range(len(ends)):
            ids += self.frame()
            targets += [NONE] * self.tokens_per_frame
            ends[index] = speak_ends[index] = len(ids) - 1
            event = by_frame.get(clip.start_frame + index)
            for tokens, target in self.event(event) if event else ():
                ids += tokens
                targets += [target] * len(tokens)
                if target == STATE_GEN and self.layout.cascade:
                    speak_ends[index] = len(ids) - 1
        for tokens, target in self.summary_turns(clip.summary):
            ids += tokens
            targets += [target] * len(tokens)
        speak, update = frame_labels(clip)
        rendered = Rendered(
            np.array(ids),
            np.array(targets, np.int8),
            ends,
            speak_ends,
            np.array(step_ends, np.int64),
            speak,
            update,
            no_choices(),
        )
        if self.layout.token_decisions:
            rendered = self._decided_by_token(clip, rendered)
        return self._chosen(clip, rendered) if self.layout.choices else rendered

    def _decided_by_token(self, clip: Clip, rendered: Rendered) -> Rendered:
        """The token that opens a labelled turn counts in the decision's loss alone.

        A frame that only the user speaks after decides nothing: the next token is the user's.
        """
        update = rendered.update.copy()
        for event in clip.events:
            if event.user is not None and event.speech is None and not event.transitions:
                update[event.frame - clip.start_frame] = UNLABELLED
        targets = rendered.targets.copy()
        targets[rendered.speak_ends[rendered.speak == ACT] + 1] = NONE
        targets[rendered.frame_ends[update == ACT] + 1] = NONE
        return replace(rendered, targets=targets, update=update)

    def _chosen(self, clip: Clip, rendered: Rendered) -> Rendered:
        """Choices are the targets of the state loss; what is written follows from them."""
        targets = np.where(rendered.targets == STATE_GEN, NONE, rendered.targets).astype(np.int8)
        header, separator = len(self.header("state")), len(self.separator)
        written = []
        for event in clip.events:
            if event.transitions and (rendered.update == ACT).any():
                end = int(rendered.frame_ends[event.frame - clip.start_frame])
                sizes = accumulate(len(self.move(move)) + separator for move in event.transitions)
                moves_end = [end + header - separator + size for size in sizes]
                written.append(([end, *moves_end], event.transitions))
        # without knowledge no line of a step is there to be chosen
        made = choices(clip.state, written, self.layout.moves) if clip.knowledge else no_choices()
        targets[made.ends + 1] = STATE_GEN
        return replace(rendered, targets=targets, choices=made)

    @property
    def own_roles(self) -> tuple[SequenceRole, ...]:
        """Roles whose header is one token of their own."""
        return tuple(self._own)

    @property
    def openers(self) -> tuple[int, int]:
        """The tokens that open an assistant turn and a state turn."""
        return self.header("assistant")[0], self.header("state")[0]

    def clip_len(self, clip: Clip) -> int:
        """Tokens of the rendered clip."""
        turns = [tokens for event in clip.events for tokens, _ in self.event(event)]
        turns += [tokens for tokens, _ in self.summary_turns(clip.summary)]
        return (
            len(self.clip_prompt(clip))
            + (clip.stop_frame - clip.start_frame) * self.tokens_per_frame
            + sum(map(len, turns))
        )

    def _special(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))


def _one_line(text: str) -> str:
    """Text for the prompt; on several lines a user could write a state into the system turn."""
    return " ".join(text.split())
