"""One person's task being watched: decide at every frame, write, keep the state.

In: frame vectors in order, and what the user says. Out: events. Nothing later than the current
frame is ever used; frames ahead may be looked at in one pass on the assumption of silence, and
are taken back when it fails, with the same result as one by one.
"""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from prospect.errors import ConfigError, DataError
from prospect.firing import DecisionRule, step
from prospect.model.checkpoint import Checkpoint
from prospect.model.config import Thresholds
from prospect.model.decide import SPEAK, UPDATE
from prospect.samples.clips import recent_turns
from prospect.samples.sequence import STATE_GEN
from prospect.states.transitions import fold, initial_state, legal_moves
from prospect.stream.config import StreamConfig
from prospect.stream.context import Context
from prospect.stream.decide import Deciders, deciders, silence
from prospect.stream.write import Sight, write_sentence, write_transitions
from prospect.types import Event, State, Task, Transition, Turn

_TURNS_LEN = 48  # a frame's transitions and all turn headers; sentence and user turn come on top


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


class Session:
    """See `prospect.stream.assistant.Assistant.open`, which makes these.

    Attributes:
        state: Status of every step now.
        events: All events so far, the user's words included.
        refreshes: Frames before which the context was rebuilt.
        context: What the model sees now.
    """

    def __init__(
        self,
        model: Checkpoint,
        config: StreamConfig,
        task: Task,
        *,
        state: State | None = None,
        recent: Sequence[Turn] = (),
        key: str = "",
        knowledge: bool = True,
        state_known: bool = True,
        start_frame: int = 0,
    ) -> None:
        self._network = model.network
        self._renderer = model.renderer
        speak, update = _rules(model.thresholds, config)
        self._thresholds = replace(model.thresholds, speak=speak.threshold, update=update.threshold)
        self._deciders = deciders(speak, update, model.fps)
        self._config = config
        reserve = config.max_new_tokens + config.max_user_tokens + _TURNS_LEN
        self._limit = (config.context_len or model.config.context_len) - reserve
        self._task = task
        self._key = key
        self._knowledge = knowledge
        self._tracks = knowledge and state_known
        self._state_known = state_known
        self._fps = model.fps
        self._chunk = 1
        self._frame_hidden = torch.empty(0)
        self._overlap: deque[Tensor] = deque(maxlen=round(config.overlap_s * model.fps))
        self.next_frame = start_frame
        self.state: State = state if state is not None else initial_state(task)
        self.events: list[Event] = []
        self.refreshes: list[int] = []
        self._open(recent)

    @property
    def thresholds(self) -> Thresholds:
        """What it acts above."""
        return self._thresholds

    @torch.inference_mode()
    def advance(self, vectors: Tensor, forced: Sequence[Event | None] = ()) -> list[FrameResult]:
        """Watch frames.

        Args:
            vectors: (K, P, E) of the next K frames.
            forced: Empty to decide for itself; else for each frame what happens there instead
                (None: nothing), as when references are fed.

        Returns:
            K results, one a frame.
        """
        if forced and len(forced) != len(vectors):
            raise DataError(f"{len(forced)} forced events for {len(vectors)} frames")
        results: list[FrameResult] = []
        while (done := len(results)) < len(vectors):
            arrived = time.perf_counter()
            room = self._make_room()
            # forced events are known ahead, so nothing looked at is taken back but after one
            chunk = self._config.max_chunk if forced else self._chunk
            ahead = vectors[done : done + min(room, chunk)]
            hidden = self.context.look(ahead)
            probs = self._network.decisions(hidden).sigmoid().tolist()
            wanted = forced[done : done + len(ahead)] if forced else None
            if wanted:
                silent = next((i for i, e in enumerate(wanted) if e is not None), len(ahead))
            else:
                silent = self._pass(probs)
            kept = min(silent + 1, len(ahead))
            rejected = (len(ahead) - kept) * self._renderer.tokens_per_frame
            self.context.rewind(len(self.context.tokens) - rejected)
            self._overlap.extend(ahead[:kept])
            self._frame_hidden = hidden[kept - 1]
            looked_ms = (time.perf_counter() - arrived) * 1000 / kept
            results += [self._result(prob, None, looked_ms, None) for prob in probs[: kept - 1]]
            event = wanted[kept - 1] if wanted else None
            first_s: float | None = None
            if event is not None:
                self._force(event, probs[kept - 1])
            elif not wanted and silent < len(ahead):
                event, first_s = self._act(probs[kept - 1])
            before_ms = arrived * 1000 + looked_ms * (kept - 1)
            wrote_ms = time.perf_counter() * 1000 - before_ms
            first_ms = None if first_s is None else first_s * 1000 - before_ms
            results.append(self._result(probs[kept - 1], event, wrote_ms, first_ms))
            self._chunk = 1 if event else min(2 * self._chunk, self._config.max_chunk)
        return results

    @torch.inference_mode()
    def ask(self) -> tuple[Transition, ...]:
        """What would be written if the state changed at the last frame; nothing is changed.

        Returns:
            At least one legal move; none if no move is legal.
        """
        if not legal_moves(self.state):
            return ()
        length = len(self.context.tokens)
        moves = self._write_transitions()
        self.context.rewind(length)
        return moves

    def tell(self, event: Event) -> None:
        """Let something happen at the last frame, as references do."""
        self._force(event, [0.0, 0.0])
        self.events.append(event)

    def say(self, text: str) -> None:
        """The user says something after the last frame.

        Raises:
            DataError: longer than the context's reserve, or the second turn after one frame.
        """
        tokens = self._renderer.turn("user", text)
        if len(tokens) > self._config.max_user_tokens:
            raise DataError(
                f"the user's turn has {len(tokens)} tokens, at most {self._config.max_user_tokens} "
                "are allowed; shorten it or raise max_user_tokens"
            )
        frame = self.next_frame - 1
        if self.events and self.events[-1].frame == frame:
            if self.events[-1].user is not None:
                raise DataError(f"two user turns after frame {frame}; keep the second for the next")
            self.events[-1] = replace(self.events[-1], user=text)
        else:
            self.events.append(Event(frame, user=text))
        self.context.add(tokens)

    @torch.inference_mode()
    def restate(self, overlap: Sequence[Tensor]) -> None:
        """Open a new context: prompt with the tracked state and recent words, then these frames.

        Args:
            overlap: (P, E) vectors of the last frames; their decisions stay as they were.

        Raises:
            ConfigError: the new context is full from the start.
        """
        self.refreshes.append(self.next_frame)
        self._open(recent_turns(self.events, self._fps))
        if overlap:
            self._frame_hidden = self.context.look(torch.stack(list(overlap)))[-1]
        if len(self.context.tokens) + self._renderer.tokens_per_frame > self._limit:
            raise ConfigError(
                f"the restated context has {len(self.context.tokens)} tokens of {self._limit} "
                "usable; raise context_len, or lower overlap_s, max_new_tokens or max_user_tokens"
            )

    @torch.inference_mode()
    def _open(self, recent: Sequence[Turn]) -> None:
        """A new context that holds the prompt alone."""
        state = self.state if self._state_known else None
        prompt = self._renderer.prompt(self._task, state, recent, self._knowledge, self._key)
        self.context = Context(self._network, self._renderer, prompt.ids)
        if self._network.pointer is not None:
            self._steps_hidden = self.context.read()[prompt.step_ends]

    def _make_room(self) -> int:
        """Frames that fit the context now; refreshes it if none does."""
        size = self._renderer.tokens_per_frame
        if len(self.context.tokens) + size > self._limit:
            if self._config.policy == "none":
                raise ConfigError(
                    f"the context of {self._limit} usable tokens is full at frame "
                    f"{self.next_frame}; choose policy restate"
                )
            self.restate(list(self._overlap))
        return (self._limit - len(self.context.tokens)) // size

    def _pass(self, probs: Sequence[Sequence[float]]) -> int:
        """Let the first frames that decide nothing pass; how many they are."""
        speak, update = [p[SPEAK] for p in probs], [p[UPDATE] for p in probs]
        passed, self._deciders = silence(self._deciders, speak, update, self._may_update())
        return passed

    def _may_update(self) -> bool:
        return self._tracks and bool(legal_moves(self.state))

    def _act(self, probs: list[float]) -> tuple[Event, float | None]:
        """Write what the last frame calls for: transitions first, then speech, begun when."""
        event = Event(self.next_frame)
        first_s: float | None = None
        updater, updates = step(self._deciders.update, probs[UPDATE], self._may_update())
        if updates:
            moves = self._write_transitions()
            event = replace(event, transitions=moves)
            self.state = fold(self.state, moves)
            self._decide_again(probs)
        speaker, speaks = step(self._deciders.speak, probs[SPEAK])
        self._deciders = Deciders(speaker, updater)
        if speaks:
            text, first_s = write_sentence(
                self.context, self._network, self._renderer, self._config.max_new_tokens
            )
            event = replace(event, speech=text)
        return event, first_s

    def _write_transitions(self) -> tuple[Transition, ...]:
        points = self._network.pointer is not None
        sight = Sight(self._frame_hidden, self._steps_hidden) if points else None
        return write_transitions(self.context, self._network, self._renderer, self.state, sight)

    def _decide_again(self, probs: list[float]) -> None:
        """Read speak again after a state turn, if the model does so, and put it in its place."""
        if self._renderer.layout.cascade:
            odds = self._network.decisions(self.context.last_hidden())
            probs[SPEAK] = odds[SPEAK].sigmoid().item()

    def _force(self, event: Event, probs: list[float]) -> None:
        """Write a given event instead."""
        for tokens, target in self._renderer.event(event):
            self.context.add(tokens)
            if target == STATE_GEN:
                self._decide_again(probs)
        self.state = fold(self.state, event.transitions)

    def _result(
        self, probs: Sequence[float], event: Event | None, ms: float, first_ms: float | None
    ) -> FrameResult:
        result = FrameResult(self.next_frame, probs[SPEAK], probs[UPDATE], event, ms, first_ms)
        if event is not None:
            self.events.append(event)
        self.next_frame += 1
        return result


def _rules(fitted: Thresholds, config: StreamConfig) -> tuple[DecisionRule, DecisionRule]:
    """The checkpoint's rules with what the configuration overrides."""
    speak, update = config.speak_rule or fitted.speak_rule, config.update_rule or fitted.update_rule
    if config.speak_threshold is not None:
        speak = replace(speak, threshold=config.speak_threshold)
    if config.update_threshold is not None:
        update = replace(update, threshold=config.update_threshold)
    return speak, update
