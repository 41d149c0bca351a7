"""Many streams through one model: every forward pass reads what each of them waits for.

In: jobs, generators that work on a stream and yield an `Ask` wherever they need the model. Out:
what they return. A job doesn't know whether it runs alone or beside others:

    hidden = yield Ask(context, at=frame_ends)        # (K, D)
    logits = yield Ask(context, at=[last], logits=True)

Streams differ in length, and in what they need: in one pass one looks at 32 frames, another
writes a word.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from itertools import islice
from typing import Generic, NamedTuple, TypeAlias, TypeVar

import torch
from torch import Tensor

from prospect.errors import ConfigError, DataError, ProspectError
from prospect.model.checkpoint import Checkpoint
from prospect.model.network import Network
from prospect.model.slots import Slots, stream_rows
from prospect.stream.config import StreamConfig
from prospect.stream.context import Context, Waiting, stacked

T = TypeVar("T")


class Ask(NamedTuple):
    """One forward pass over all that a context waits with.

    Attributes:
        context: Read up to its end.
        at: Indices of the waiting tokens whose hidden states are wanted.
        logits: Whether next-token logits are wanted instead.
    """

    context: Context
    at: Sequence[int]
    logits: bool = False


Job: TypeAlias = Generator[Ask, Tensor, T]
"""Work on a stream: yields `Ask`s, is sent (len(at), D) or (len(at), V), returns its result."""


class Engine:
    """The model and the memory of the streams that it watches.

    Args:
        network: In evaluation mode on its device.
        num_slots: Most streams at once.
        context_len: Most tokens of each.
        tokens_per_frame: P.

    Attributes:
        slots: Keys and values.
        vector_shape: (P, E) of a frame.
    """

    def __init__(
        self, network: Network, num_slots: int, context_len: int, tokens_per_frame: int
    ) -> None:
        if num_slots < 1:
            raise ConfigError(f"num_slots is {num_slots}; it must be at least 1")
        self.network = network
        self.slots = Slots(num_slots, context_len)
        self._free = list(reversed(range(num_slots)))
        self.vector_shape = (tokens_per_frame, network.feature_dim)
        # there torch compiles its products for every number of rows, and keeps up to 1,024 of them
        self._rounds = network.device.type == "cpu" and network.llm.dtype != torch.float32

    def take(self) -> int:
        """A slot for a new stream; `release` it when the stream ends.

        Raises:
            ConfigError: none is free.
        """
        if not self._free:
            raise ConfigError(
                f"all {self.slots.num_slots} slots are taken; close a session, or raise num_slots"
            )
        return self._free.pop()

    def release(self, slot: int) -> None:
        """The slot's stream has ended."""
        self._free.append(slot)

    def check(self, vectors: Tensor) -> None:
        """Refuse frames (K, P, E) that the model can't take; they would stay in its memory.

        Raises:
            DataError: of another shape, or numbers that are not finite.
        """
        if vectors.shape[1:] != self.vector_shape or not vectors.isfinite().all():
            raise DataError(
                f"frame vectors of shape {tuple(vectors.shape)}, each of {self.vector_shape} "
                "finite numbers is needed; encode the video again"
            )

    @torch.inference_mode()
    def forward(self, asks: Sequence[Ask]) -> list[Tensor]:
        """One pass over what the contexts wait with, each of a slot of its own.

        Returns:
            What each asked for, in order.
        """
        device = self.network.device
        waiting = [ask.context.waiting() for ask in asks]
        if self._rounds:
            waiting[-1] = self._filled_up(asks[-1].context, waiting)
        rows = stream_rows(
            [
                (a.context.slot, a.context.num_read, len(w.ids))
                for a, w in zip(asks, waiting, strict=True)
            ]
        )
        self.slots.place(rows, device)
        frames = [frame for one in waiting for frame in one.frames]
        hidden = self.network(
            torch.tensor([[token for one in waiting for token in one.ids]], device=device),
            stacked(frames, self.vector_shape).to(device),
            self.slots,
            torch.tensor([[at for one in waiting for at in one.positions]], device=device),
            rows,
        )[0]
        wanted: list[int] = []
        offset = 0
        for ask, one in zip(asks, waiting, strict=True):
            wanted += [offset + at - ask.context.num_read for at in ask.at]
            offset += len(one.ids)
            ask.context.num_read = len(ask.context.tokens)
        found = torch.split(hidden[wanted], [len(ask.at) for ask in asks])
        return self._scored(asks, found)

    def _filled_up(self, context: Context, waiting: Sequence[Waiting]) -> Waiting:
        """The last context's tokens, with others that make the row's length one of few.

        They stand behind the context's end in its slot, as frames do that are taken back.

        Args:
            context: The last one.
            waiting: Of all contexts.
        """
        found = waiting[-1]
        length = sum(len(one.ids) for one in waiting)
        room = self.slots.length - len(context.tokens)
        missing = min(rounded_len(length) - length, room)
        word = int(self.network.image_id == 0)  # any token but a frame's
        return Waiting(
            [*found.ids, *[word] * missing],
            found.frames,
            [*found.positions, *[found.positions[-1]] * missing],
        )

    def _scored(self, asks: Sequence[Ask], found: Sequence[Tensor]) -> list[Tensor]:
        """Logits, all in one product, where they are wanted."""
        answers = list(found)
        writers = [index for index, ask in enumerate(asks) if ask.logits]
        if writers:
            logits = self.network.next_token_logits(torch.cat([found[i] for i in writers]))
            parts = torch.split(logits, [len(asks[index].at) for index in writers])
            for index, part in zip(writers, parts, strict=True):
                answers[index] = part
        return answers

    def run(self, job: Job[T]) -> T:
        """One job alone."""
        ((_, result),) = self.run_all([lambda: job])
        if isinstance(result, ProspectError):
            raise result
        return result

    def run_all(
        self, jobs: Iterable[Callable[[], Job[T]]]
    ) -> Iterator[tuple[int, T | ProspectError]]:
        """Jobs side by side; where one ends, the next begins.

        Args:
            jobs: Called in order, as many at once as there are slots; each holds at most one.

        Yields:
            (index of the job, what it returned), as they end. A `ProspectError` ends its own job
            alone and is what that job returns.
        """
        todo = enumerate(jobs)
        running: list[tuple[int, Job[T], Tensor | None]] = []
        while True:
            free = self.slots.num_slots - len(running)
            running += [(index, begin(), None) for index, begin in islice(todo, free)]
            if not running:
                return
            asks: list[tuple[int, Job[T], Ask]] = []
            for index, job, answer in running:
                outcome = self._fitting(job, _resume(job, answer))
                if isinstance(outcome, _Ended):
                    yield index, outcome.result
                else:
                    asks.append((index, job, outcome))
            answers = self.forward([ask for _, _, ask in asks]) if asks else []
            running = [
                (index, job, answer) for (index, job, _), answer in zip(asks, answers, strict=True)
            ]

    def _fitting(self, job: Job[T], outcome: "Ask | _Ended[T]") -> "Ask | _Ended[T]":
        """End a job whose context outgrows its slot: the pass would fail for all others, too."""
        if isinstance(outcome, _Ended) or len(outcome.context.tokens) <= self.slots.length:
            return outcome
        job.close()
        return _Ended(
            ConfigError(
                f"a context of {len(outcome.context.tokens)} tokens doesn't fit the "
                f"{self.slots.length} of its slot: more was written after one frame than is kept "
                "free; raise context_len or max_new_tokens"
            )
        )


def make_engine(model: Checkpoint, config: StreamConfig, num_slots: int) -> Engine:
    """An engine for sessions of one model and configuration."""
    length = config.context_len or model.config.context_len
    return Engine(model.network, num_slots, length, model.renderer.tokens_per_frame)


def rounded_len(length: int) -> int:
    """The next of the lengths 1 to 16, 18 to 32 in twos, 36 to 64 in fours, and so on."""
    step = 1 << max((length - 1).bit_length() - 4, 0)
    return -(-length // step) * step


class _Ended(NamedTuple, Generic[T]):
    result: T | ProspectError


def _resume(job: Job[T], answer: Tensor | None) -> Ask | _Ended[T]:
    """Run a job up to its next question, or its end."""
    try:
        with torch.inference_mode():
            return next(job) if answer is None else job.send(answer)
    except StopIteration as end:
        return _Ended(end.value)
    except ProspectError as error:
        return _Ended(error)
