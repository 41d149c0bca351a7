"""One person's task being watched: decide at every frame, write, keep the state.

In: frame vectors in order, and what the user says. Out: events. Nothing later than the current
frame is ever used; frames ahead may be looked at in one pass on the assumption of silence, and
are taken back when it fails, with the same result as one by one.
"""

import time
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from prospect.errors import ConfigError, DataError
from prospect.firing import step
from prospect.model.checkpoint import Checkpoint
from prospect.model.config import Thresholds
from prospect.model.decide import SPEAK, UPDATE
from prospect.samples.sequence import STATE_GEN, Prompt
from prospect.states.transitions import fold, initial_state, legal_moves
from prospect.stream.belief import Belief, View, believing, certain, change_prob, quiet
from prospect.stream.config import StreamConfig
from prospect.stream.context import Context
from prospect.stream.decide import Deciders, Pace, deciders, limits, paced, rules, silence
from prospect.stream.engine import Ask, Engine, Job, make_engine
from prospect.stream.policies import POLICIES
from prospect.stream.records import FrameResult, Opening
from prospect.stream.unconstrained import Written, write_freely
from prospect.stream.write import Sight, last, listed_by_sight, write_sentence, write_transitions
from prospect.types import ClipKind, Event, State, Task, Transition, Turn


class Session:
    """See `prospect.stream.assistant.Assistant.open`, which makes these.

    What ends in ``ing`` is a job for an engine that runs many; its namesake runs it alone.

    Args:
        model: In evaluation mode on its device.
        config: How to watch.
        task: Goal and steps.
        state: Of every step before the first frame; None: nothing is started.
        recent: What was said before it.
        key: The dialogue; see `prospect.samples.sequence.Renderer.prompt`.
        knowledge: Whether the model is told the steps; it tracks no state otherwise.
        state_known: Whether it is told the state; likewise.
        start_frame: Number of the first frame.
        kind, progress: Of the prompt, as trained.
        engine: Runs it beside others; None makes one of its own.

    Attributes:
        state: Status of every step now.
        events: All events so far, the user's words included.
        refreshes: Frames before which the context was rebuilt.
        written: State turns that were written without constraint.
        context: What the model sees now.
        overlap: Vectors of the last seconds of frames, which a new context may repeat.
        opening: What it was told when it began.
        belief: What the state may be; empty unless configured.
        deciders: Where its decisions stand.
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
        kind: ClipKind = "dialogue",
        progress: str | None = None,
        engine: Engine | None = None,
    ) -> None:
        self.engine = engine or make_engine(model, config, 1)
        self.model = model
        self.config = config
        self.renderer = model.renderer
        self.fps = model.fps
        self._network = model.network
        self._thresholds = limits(model.thresholds, config)
        self.deciders = deciders(*rules(model.thresholds, config), model.fps)
        self._limit = self.engine.slots.length - config.reserve_len
        self.state: State = state if state is not None else initial_state(task)
        words = tuple(recent)
        self.opening = Opening(
            task, self.state, words, key, knowledge, state_known, start_frame, kind, progress
        )
        self._tracks = knowledge and state_known and kind in ("dialogue", "state")
        self._moves = model.renderer.layout.moves
        self.belief: Belief = ()
        if config.belief is not None and self._tracks:
            change_prob(0.5, self.deciders.update.rule)  # refuses a rule it can't read
            self.belief = certain(self.state)
        self._pace = Pace(min(8, config.max_chunk), 0, config.max_chunk)
        self._frame_hidden = self._steps_hidden = torch.empty(0)
        self.overlap: deque[Tensor] = deque(maxlen=round(config.overlap_s * model.fps))
        self.next_frame = start_frame
        self.events: list[Event] = []
        self.refreshes: list[int] = []
        self.written: list[Written] = []
        self.first_prompt = self.prompt(recent, progress)
        slot = self.engine.take()
        self.context = Context(slot, self.first_prompt)
        # a session that nobody holds any longer must not keep its slot
        self._release = weakref.finalize(self, self.engine.release, slot)

    def close(self) -> None:
        """Give the slot back; nothing can be watched any longer."""
        self._release()

    def _check_open(self) -> None:
        if not self._release.alive:
            raise DataError("the session is closed and its slot another's; open a new one")

    @property
    def thresholds(self) -> Thresholds:
        """What it acts above."""
        return self._thresholds

    def prompt(self, recent: Sequence[Turn], progress: str | None = None) -> Prompt:
        """What a context that begins now is told."""
        told = self.opening
        state = self.state if told.state_known else None
        return self.renderer.prompt(
            told.task, state, recent, told.knowledge, told.key, told.kind, progress
        )

    def advance(self, vectors: Tensor, forced: Sequence[Event | None] = ()) -> list[FrameResult]:
        """Watch frames.

        Args:
            vectors: (K, P, E) of the next K frames.
            forced: Empty to decide for itself; else for each frame what happens there instead
                (None: nothing), as when references are fed.

        Returns:
            K results, one a frame.
        """
        return self.engine.run(self.advancing(vectors, forced))

    def advancing(
        self, vectors: Tensor, forced: Sequence[Event | None] = ()
    ) -> Job[list[FrameResult]]:
        """`advance` as a job."""
        if forced and len(forced) != len(vectors):
            raise DataError(f"{len(forced)} forced events for {len(vectors)} frames")
        self.engine.check(vectors)
        self._check_open()
        results: list[FrameResult] = []
        while (done := len(results)) < len(vectors):
            arrived = time.perf_counter()
            room = yield from self._make_room()
            # forced events are known ahead, so nothing looked at is taken back but after one
            chunk = self.config.max_chunk if forced else self._pace.chunk
            ahead = vectors[done : done + min(room, chunk)]
            length = len(self.context.tokens)
            hidden = yield from self._look(ahead)
            probs = self._network.decisions(hidden).sigmoid().tolist()
            wanted = forced[done : done + len(ahead)] if forced else None
            if wanted:
                silent = next((i for i, e in enumerate(wanted) if e is not None), len(ahead))
            else:
                silent = self._pass(probs)
            kept = min(silent + 1, len(ahead))
            self.context.rewind(length + kept * self.renderer.tokens_per_frame)
            self.overlap.extend(ahead[:kept])
            self._frame_hidden = hidden[kept - 1]
            looked_ms = (time.perf_counter() - arrived) * 1000 / kept
            results += [self._result(prob, None, looked_ms, None) for prob in probs[: kept - 1]]
            event = wanted[kept - 1] if wanted else None
            first_s: float | None = None
            if event is not None:
                again = yield from self._force(event)
                probs[kept - 1][SPEAK] = probs[kept - 1][SPEAK] if again is None else again
            elif not wanted and silent < len(ahead):
                event, first_s = yield from self._act(probs[kept - 1])
            before_ms = arrived * 1000 + looked_ms * (kept - 1)
            wrote_ms = time.perf_counter() * 1000 - before_ms
            first_ms = None if first_s is None else first_s * 1000 - before_ms
            results.append(self._result(probs[kept - 1], event, wrote_ms, first_ms))
            self._pace = paced(self._pace, kept, silent < len(ahead), self.config.max_chunk)
        return results

    def ask(self) -> tuple[Transition, ...]:
        """What would be written if the state changed at the last frame; nothing is changed.

        Returns:
            At least one legal move; none if no move is legal.
        """
        return self.engine.run(self.asking())

    def asking(self, decline_prob: float = 1.0) -> Job[tuple[Transition, ...]]:
        """`ask` as a job; a model that points may decline (`Thresholds.decline`)."""
        self._check_open()
        if not legal_moves(self.state, self._moves):
            return ()
        length = len(self.context.tokens)
        context, sight = self.context, self._sight
        moves = yield from write_transitions(
            context, self._network, self.renderer, self.state, sight, decline_prob
        )
        self.context.rewind(length)
        return moves

    def asking_speech(self) -> Job[str]:
        """What would be said at the last frame; nothing is changed."""
        self._check_open()
        length = len(self.context.tokens)
        text, _ = yield from self._write_sentence()
        self.context.rewind(length)
        return text

    def tell(self, event: Event) -> float | None:
        """Let something happen at the last frame, as references do.

        Returns:
            The speak probability, where the model reads it again after the event's transitions.
        """
        return self.engine.run(self.telling(event))

    def telling(self, event: Event) -> Job[float | None]:
        """`tell` as a job."""
        self._check_open()
        again = yield from self._force(event)
        self.events.append(event)
        return again

    def say(self, text: str) -> None:
        """The user says something after the last frame.

        Raises:
            DataError: longer than the context's reserve, or the second turn after one frame.
        """
        self._check_open()
        tokens = self.renderer.turn("user", text)
        if len(tokens) > self.config.max_user_tokens:
            raise DataError(
                f"the user's turn has {len(tokens)} tokens, at most {self.config.max_user_tokens} "
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

    def reopen(self, prompt: Prompt, overlap: Sequence[Tensor]) -> None:
        """Open a new context in place of this one.

        Args:
            prompt: What it begins with.
            overlap: (P, E) vectors of frames that follow; their decisions stay as they were.
        """
        self.context = Context(self.context.slot, prompt)
        if overlap:
            self.context.add_frames(torch.stack(list(overlap)), self.renderer.frame())

    def rereading(self) -> Job[None]:
        """Read the whole context, which has frames, as if it had just been seen."""
        steps = self.context.step_ends if self._network.pointer is not None else []
        end = self.context.frame_starts[-1] + self.renderer.tokens_per_frame - 1
        hidden = yield Ask(self.context, [*steps, end])
        self._steps_hidden, self._frame_hidden = hidden[:-1], hidden[-1]

    def _look(self, vectors: Tensor) -> Job[Tensor]:
        """(K, D) hidden states at the last tokens of K more frames."""
        fresh = self.context.num_read == 0
        ends = self.context.add_frames(vectors, self.renderer.frame())
        steps = self.context.step_ends if fresh and self._network.pointer is not None else []
        hidden = yield Ask(self.context, [*steps, *ends])
        if steps:
            self._steps_hidden = hidden[: len(steps)]
        return hidden[len(steps) :]

    def _make_room(self) -> Job[int]:
        """Frames that fit the context now; refreshes it if none does."""
        size = self.renderer.tokens_per_frame
        if len(self.context.tokens) + size > self._limit:
            yield from POLICIES[self.config.policy](self)
            self.refreshes.append(self.next_frame)
            if len(self.context.tokens) + size > self._limit:
                raise ConfigError(
                    f"after a refresh the context has {len(self.context.tokens)} tokens of "
                    f"{self._limit} usable; raise context_len, or lower overlap_s, kept_tokens, "
                    "max_new_tokens or max_user_tokens"
                )
        return (self._limit - len(self.context.tokens)) // size

    def _pass(self, probs: Sequence[Sequence[float]]) -> int:
        """Let the first frames that decide nothing pass; how many they are."""
        speak, update = [p[SPEAK] for p in probs], [p[UPDATE] for p in probs]
        may_update, rule = self._may_update(), self.deciders.update.rule
        if self.config.belief is not None and self.belief and may_update:
            noted = quiet(update, rule, self.config.belief)
            speak, update = speak[:noted], update[:noted]
        passed, self.deciders = silence(self.deciders, speak, update, may_update)
        return passed

    def _may_update(self) -> bool:
        return self._tracks and bool(legal_moves(self.state, self._moves))

    def _act(self, probs: list[float]) -> Job[tuple[Event | None, float | None]]:
        """Write what the last frame calls for: transitions first, then speech, begun when."""
        event = Event(self.next_frame)
        first_s: float | None = None
        may_update = self._may_update()
        updater, updates = step(self.deciders.update, probs[UPDATE], may_update)
        moves: tuple[Transition, ...] = ()
        if self.belief and may_update:
            moves = yield from self._believe(probs[UPDATE], updates)
        elif updates:
            moves = yield from self._write_transitions()
            if not moves and not self.config.unconstrained:  # declined: as if it had not fired
                updater, _ = step(self.deciders.update, probs[UPDATE], False)
        if moves:
            event = replace(event, transitions=moves)
            self.state = fold(self.state, moves)
            again = yield from self._decide_again()
            probs[SPEAK] = probs[SPEAK] if again is None else again
        speaker, speaks = step(self.deciders.speak, probs[SPEAK])
        self.deciders = Deciders(speaker, updater)
        if speaks:
            text, first_s = yield from self._write_sentence()
            event = replace(event, speech=text)
        return (event if moves or speaks else None), first_s

    def _believe(self, update_prob: float, fires: bool) -> Job[tuple[Transition, ...]]:
        assert self.config.belief is not None
        view = View(self.context, self._network, self.renderer, self._sight)
        change = change_prob(update_prob, self.deciders.update.rule)
        self.belief, moves = yield from believing(
            view, self.state, self.belief, change, fires, self.config.belief
        )
        return moves

    def _write_transitions(self) -> Job[tuple[Transition, ...]]:
        context, network, renderer = self.context, self._network, self.renderer
        if not self.config.unconstrained:
            decline = self._thresholds.decline
            work = write_transitions(context, network, renderer, self.state, self._sight, decline)
            return (yield from work)
        written = yield from write_freely(context, renderer, self.state)
        self.written.append(written)
        return written.transitions

    def _write_sentence(self) -> Job[tuple[str, float]]:
        config = self.config
        return (
            yield from write_sentence(
                self.context, self.renderer, config.max_new_tokens, config.max_draft
            )
        )

    @property
    def _sight(self) -> Sight | None:
        """What a pointer sees at the last frame."""
        if self._network.pointer is None:
            return None
        seen = listed_by_sight(self.context, self._network)
        return Sight(self._frame_hidden, self._steps_hidden, seen)

    def _decide_again(self) -> Job[float | None]:
        """The speak probability after a state turn, if the model reads it there."""
        if not self.renderer.layout.cascade:
            return None
        odds = self._network.decisions((yield last(self.context))[0])
        return odds[SPEAK].sigmoid().item()

    def _force(self, event: Event) -> Job[float | None]:
        """Write a given event instead; returns as `_decide_again`."""
        again: float | None = None
        self.state = fold(self.state, event.transitions)
        for tokens, target in self.renderer.event(event):
            self.context.add(tokens)
            if target == STATE_GEN:
                again = yield from self._decide_again()
        if self.belief and event.transitions:
            self.belief = certain(self.state)
        return again

    def _result(
        self, probs: Sequence[float], event: Event | None, ms: float, first_ms: float | None
    ) -> FrameResult:
        result = FrameResult(self.next_frame, probs[SPEAK], probs[UPDATE], event, ms, first_ms)
        if event is not None:
            self.events.append(event)
        self.next_frame += 1
        return result
