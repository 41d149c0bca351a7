"""What the model sees of one stream: tokens, frame vectors, and how much of them it has read.

In: token ids and frame vectors. Out: what still waits for a forward pass. Keys and values of the
first `num_read` tokens are in the stream's slot; the rest waits, so writing a turn never costs a
pass of its own.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from prospect.samples.sequence import Prompt


class Waiting(NamedTuple):
    """Tokens that the next pass reads.

    Attributes:
        ids: At least one.
        frames: (P, E) vectors of each frame among them.
        positions: Of every token, for its rotary embedding.
    """

    ids: list[int]
    frames: list[Tensor]
    positions: list[int]


class Context:
    """One context of one stream.

    Args:
        slot: Where its keys and values are.
        prompt: What it begins with.

    Attributes:
        tokens: All token ids so far, in order; what training would have rendered.
        step_ends: `Prompt.step_ends`.
        frames: (P, E) vectors of each frame in it; each is read whole or not at all.
        frame_starts: Index of each frame's first token.
        num_read: Tokens whose keys and values are in the slot.
        gap_at, gap: Tokens from index ``gap_at`` on stand ``gap`` positions later than their index
            says, since as many were dropped before them.
    """

    def __init__(self, slot: int, prompt: Prompt) -> None:
        self.slot = slot
        self.tokens = list(prompt.ids)
        self.step_ends = prompt.step_ends
        self.frames: list[Tensor] = []
        self.frame_starts: list[int] = []
        self.num_read = 0
        self.gap_at = self.gap = 0

    def add(self, tokens: Sequence[int]) -> None:
        """Append tokens that are no frames."""
        self.tokens += tokens

    def add_frames(self, vectors: Tensor, frame: Sequence[int]) -> list[int]:
        """Append frames.

        Args:
            vectors: (K, P, E).
            frame: The P tokens of one.

        Returns:
            Index of each frame's last token.
        """
        starts = range(len(self.tokens), len(self.tokens) + len(vectors) * len(frame), len(frame))
        self.tokens += [*frame] * len(vectors)
        self.frame_starts += starts
        self.frames += vectors
        return [start + len(frame) - 1 for start in starts]

    def rewind(self, length: int) -> None:
        """Forget all but the first ``length`` tokens, as if the others had never been added."""
        del self.tokens[length:]
        self.num_read = min(self.num_read, length)
        kept = bisect_left(self.frame_starts, length)
        del self.frames[kept:], self.frame_starts[kept:]

    def drop(self, start: int, stop: int) -> None:
        """Forget the tokens [start, stop) and their frames; the caller moves keys and values.

        No frame may lie across either end.
        """
        first, last = (bisect_left(self.frame_starts, at) for at in (start, stop))
        del self.tokens[start:stop], self.frames[first:last]
        later = [at - (stop - start) for at in self.frame_starts[last:]]
        self.frame_starts[first:] = later
        self.num_read -= stop - start

    def waiting(self) -> Waiting:
        """What the next pass reads."""
        first = bisect_left(self.frame_starts, self.num_read)
        indices = range(self.num_read, len(self.tokens))
        positions = [at + self.gap if at >= self.gap_at else at for at in indices]
        return Waiting(self.tokens[self.num_read :], self.frames[first:], positions)


def stacked(frames: Sequence[Tensor], like: Sequence[int]) -> Tensor:
    """(K, P, E) of K frames; of shape ``(0, *like)`` for none."""
    return torch.stack(list(frames)) if frames else torch.empty(0, *like)
