"""Keys and values of many streams at once, each in a slot of its own.

In: the new tokens of some streams, laid end to end in one row. Out: their attention, each token to
the tokens of its own stream alone. No token is padded, whatever the streams add: one reads its
prompt, one looks at 32 frames, one writes a word.

    slots = Slots(num_slots=16, length=2048)
    rows = stream_rows([(slot, tokens_before, tokens_now), ...])
    slots.place(rows)
    network(ids, vectors, slots, positions, rows)
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def stream_rows(streams: Sequence[tuple[int, int, int]]) -> Tensor:
    """Whose the tokens of a row are, in the form of an attention mask.

    Args:
        streams: Of each stream in the row, in order: its slot, its tokens in the slot so far, and
            how many the row adds.

    Returns:
        (1, 1, 3, R) int32 on the CPU. Four dimensions, because the library hands such a mask
        untouched to the attention function of every model.
    """
    return torch.tensor(streams, dtype=torch.int32).T[None, None]


class Slots:
    """What the library calls a cache: keys and values of `num_slots` streams, allocated once.

    Args:
        num_slots: Streams it holds.
        length: Most tokens of each.

    Attributes:
        keys, values: Of every layer, (num_slots, n, length, d); empty before the first pass.
    """

    def __init__(self, num_slots: int, length: int) -> None:
        self.num_slots = num_slots
        self.length = length
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        self._slot_of = self._place_of = torch.empty(0, dtype=torch.long)

    def place(self, rows: Tensor, device: torch.device) -> None:
        """Say where the next pass's tokens go.

        Args:
            rows: `stream_rows`; no stream outgrows its slot.
            device: Of the model.
        """
        slot, before, now = rows[0, 0].long().repeat_interleave(rows[0, 0, 2].long(), dim=1)
        ends = rows[0, 0, 2].long().cumsum(0)
        firsts = (ends - rows[0, 0, 2]).repeat_interleave(rows[0, 0, 2].long())
        self._slot_of = slot.to(device)
        self._place_of = (before + torch.arange(len(now)) - firsts).to(device)

    def update(self, key: Tensor, value: Tensor, layer_idx: int) -> tuple[Tensor, Tensor]:
        """Store one layer's new keys and values; the name and arguments are the library's.

        Args:
            key, value: (1, n, T, d) of the row's tokens.
            layer_idx: Which layer; they come in order.

        Returns:
            Keys and values of all slots, (num_slots, n, length, d).
        """
        if layer_idx == len(self.keys):
            _, heads, _, size = key.shape
            shape = (self.num_slots, heads, self.length, size)
            # a CPU is given memory where it is written to; a GPU reads masked places, too
            new = torch.zeros if key.is_cuda else torch.empty
            self.keys.append(new(shape, dtype=key.dtype, device=key.device))
            self.values.append(new(shape, dtype=value.dtype, device=value.device))
        keys, values = self.keys[layer_idx], self.values[layer_idx]
        keys[self._slot_of, :, self._place_of] = key[0].transpose(0, 1)
        values[self._slot_of, :, self._place_of] = value[0].transpose(0, 1)
        return keys, values

    def drop(self, slot: int, start: int, stop: int, length: int) -> None:
        """Forget the tokens [start, stop) of ``length`` in a slot; those behind them move up."""
        for layer in (*self.keys, *self.values):
            kept = layer[slot, :, stop:length].clone()
            layer[slot, :, start : start + kept.shape[1]] = kept

    @property
    def num_bytes(self) -> int:
        """Memory of keys and values."""
        return sum(layer.nbytes for layer in (*self.keys, *self.values))


def per_stream_attention(
    query: Tensor, keys: Tensor, values: Tensor, rows: Tensor, scale: float
) -> Tensor:
    """Causal attention of each stream's new tokens to all of its own.

    Args:
        query: (1, N, T, d) of the row's T tokens.
        keys, values: (num_slots, n, length, d), the new ones included.
        rows: `stream_rows`.
        scale: Of the scores.

    Returns:
        (1, T, N, d).
    """
    streams = rows[0, 0].T.tolist()
    attend = _together if query.is_cuda else _one_by_one
    return attend(query[0], keys, values, streams, scale).transpose(0, 1)[None]


def _one_by_one(
    query: Tensor, keys: Tensor, values: Tensor, streams: Sequence[Sequence[int]], scale: float
) -> Tensor:
    """(N, T, d), stream by stream: nothing is copied or padded, but every stream is a call."""
    out = torch.empty_like(query)
    groups = len(query) // keys.shape[1]
    first = 0
    for slot, before, now in streams:
        stop = before + now
        # queries of the heads that share a key head count as more queries of one head: as heads of
        # their own, a single bf16 query takes torch's kernel for CPUs seven times as long
        folded = query[:, first : first + now].reshape(1, -1, groups * now, query.shape[2])
        visible = None
        if now > 1:
            visible = torch.ones(now, stop, dtype=torch.bool, device=query.device).tril_(before)
            visible = visible.repeat(groups, 1)
        out[:, first : first + now] = functional.scaled_dot_product_attention(
            folded,
            keys[slot : slot + 1, :, :stop],
            values[slot : slot + 1, :, :stop],
            attn_mask=visible,
            scale=scale,
        ).view(len(query), now, -1)
        first += now
    return out


def _together(
    query: Tensor, keys: Tensor, values: Tensor, streams: Sequence[Sequence[int]], scale: float
) -> Tensor:
    """(N, T, d) in one call over all streams, padded to the longest: what a GPU likes."""
    slot, before, now = torch.tensor(streams, device=query.device).T
    widest, longest = int(now.max()), int((before + now).max())
    offsets = torch.arange(widest, device=query.device)
    real = offsets < now[:, None]
    padded = query.new_zeros(len(slot), widest, *query.shape[::2])
    padded[real] = query.transpose(0, 1)
    reach = (before[:, None] + offsets)[..., None]
    visible = torch.arange(longest, device=query.device) <= reach
    mixed = functional.scaled_dot_product_attention(
        padded.transpose(1, 2),
        keys[slot, :, :longest],
        values[slot, :, :longest],
        attn_mask=visible[:, None],
        scale=scale,
        enable_gqa=True,
    )
    return mixed.transpose(1, 2)[real].transpose(0, 1)
