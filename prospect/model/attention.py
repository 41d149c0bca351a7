"""Attention in rows that hold several clips, or several streams: none sees another.

In: positions that restart at every clip, or `prospect.model.slots.stream_rows`. Out: an attention
function of transformers. The library keeps packed clips apart with a dense L x L mask, and so
computes what the mask then hides. Two clips of 942 tokens with SmolLM2-135M's heads in bf16,
forward and backward on one CPU core: 273 ms with the mask, 97 clip by clip, 44 with the blocks
below.

    AutoModelForCausalLM.from_pretrained(folder, attn_implementation=PER_CLIP)
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from prospect.errors import ConfigError
from prospect.model.slots import per_stream_attention

PER_CLIP = "per_clip"
"""Name of the attention function; without `clip_bounds` it is the library's ``sdpa``."""
BLOCK = 128
"""Tokens a block on a CPU: 64 and 256 were 8 % slower at clips of 942 tokens."""


def clip_bounds(positions: Tensor) -> Tensor:
    """Where clips begin and end, in the form of an attention mask.

    Args:
        positions: (B, L) of each token in its clip; a row begins with 0, and so does every clip.

    Returns:
        (1, 1, 1, S + 1) int32 on the CPU: offsets into the B * L tokens of all rows at which the S
        clips begin, and B * L. Four dimensions, because the library hands such a mask untouched
        to the attention function of every model; on the CPU, so that only one transfer a forward
        waits for the device.
    """
    starts = (positions.flatten() == 0).nonzero().flatten().tolist()
    return torch.tensor([*starts, positions.numel()], dtype=torch.int32)[None, None, None]


def per_clip_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    position_ids: Tensor | None = None,
    use_cache: bool | None = None,
) -> tuple[Tensor, None]:
    """Causal attention within clips; the signature is the library's.

    Args:
        module: The attention layer.
        query: (B, N, L, D / N).
        key, value: (B, n, L, D / N) of the n <= N key-value heads.
        attention_mask: `clip_bounds`; `prospect.model.slots.stream_rows`, with keys and values of
            all slots; or what ``sdpa`` takes.
        scaling: Of the scores.
        dropout: Of the attention weights.
        sliding_window: Not supported in rows of several clips.
        position_ids, use_cache: Unused; they come with every call.

    Returns:
        (B, L, N, D / N), and no weights.
    """
    if attention_mask is None or attention_mask.dtype != torch.int32:
        out: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling
        )
        return out
    if sliding_window is not None:
        raise ConfigError(
            f"a model with a sliding window ({sliding_window} tokens) can neither be streamed nor "
            "trained on packed clips; turn packing off, and choose another model to stream"
        )
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if attention_mask.shape[2] == 3:
        return per_stream_attention(query, key, value, attention_mask, scale), None
    bounds = attention_mask.flatten().tolist()
    q, k, v = _one_row(query), _one_row(key), _one_row(value)
    if query.device.type == "cpu" and dropout == 0:
        mixed = _in_blocks(q, k, v, bounds, scale)
    else:
        clips = pairwise(bounds)
        parts = [_alone(q, k, v, slice(*clip), dropout, scale) for clip in clips]
        mixed = torch.cat(parts, dim=2)[0].transpose(0, 1)
    # (B * L, N, D / N) -> (B, L, N, D / N)
    return mixed.reshape(query.transpose(1, 2).shape), None


def _one_row(heads: Tensor) -> Tensor:
    """(B, N, L, D / N) -> (1, N, B * L, D / N)."""
    return heads.transpose(0, 1).flatten(1, 2)[None]


def _alone(q: Tensor, k: Tensor, v: Tensor, clip: slice, dropout: float, scale: float) -> Tensor:
    """The library's attention of one clip's tokens."""
    return functional.scaled_dot_product_attention(
        q[:, :, clip],
        k[:, :, clip],
        v[:, :, clip],
        dropout_p=dropout,
        is_causal=True,
        scale=scale,
        enable_gqa=True,
    )


def _in_blocks(q: Tensor, k: Tensor, v: Tensor, bounds: list[int], scale: float) -> Tensor:
    """(1, N, T, d), (1, n, T, d), (1, n, T, d) -> (T, N, d)."""
    n, tokens, width = k.shape[1:]
    # where all weights learn, under autocast, the turn by position leaves q and k in fp32
    grouped = q.to(v.dtype).view(n, -1, tokens, width).transpose(1, 2)
    rows = grouped.reshape(n, -1, width) * scale
    mixed: Tensor = _Blocks.apply(rows, k[0].to(v.dtype), v[0], bounds)  # type: ignore[no-untyped-call]
    return mixed.view(n, tokens, -1, width).transpose(0, 1).flatten(1, 2)


class _Blocks(torch.autograd.Function):
    """Causal attention of each clip to itself by blocks of `BLOCK` tokens.

    As FlashAttention does, it computes the weights again in the backward pass (Dao 2023, arXiv
    2307.08691, algorithm 2), but with `torch.bmm`, whose bf16 products are several times as fast
    on a CPU as those of torch's kernel, and torch's softmax, which reads and writes bf16 and
    computes in fp32. n key-value heads, g query heads of each, T tokens of all clips, d = D / N.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, bounds: list[int]) -> Tensor:
        """(n, T * g, d) times the scale, (n, T, d), (n, T, d) -> (n, T * g, d)."""
        out = torch.empty_like(query)
        for rows, seen, later in _blocks(bounds, query, key):
            out[:, rows] = torch.bmm(_weights(query[:, rows], key[:, seen], later), value[:, seen])
        ctx.save_for_backward(query, key, value)
        ctx.bounds = bounds
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Gradients of query, key and value."""
        query, key, value = ctx.saved_tensors
        d_query = torch.empty_like(query)
        # sums over many blocks
        d_key = torch.zeros_like(key, dtype=torch.float32)
        d_value = torch.zeros_like(value, dtype=torch.float32)
        for rows, seen, later in _blocks(ctx.bounds, query, key):
            q, k, v, grad = query[:, rows], key[:, seen], value[:, seen], grads[0][:, rows]
            weights = _weights(q, k, later)
            d_value[:, seen] += torch.bmm(weights.mT, grad)
            d_weights = torch.bmm(grad, v.mT)
            d_scores = torch._softmax_backward_data(d_weights, weights, -1, weights.dtype)
            d_query[:, rows] = torch.bmm(d_scores, k)
            d_key[:, seen] += torch.bmm(d_scores.mT, q)
        return d_query, d_key.to(key.dtype), d_value.to(value.dtype), None


def _blocks(bounds: list[int], query: Tensor, key: Tensor) -> Iterator[tuple[slice, slice, Tensor]]:
    """Rows of a block's queries, g a token; the keys they see; and (rows, tokens) what is added to
    the scores of the block's own keys: -inf where a key comes later."""
    group = query.shape[1] // key.shape[1]
    later = query.new_full((BLOCK, BLOCK), -torch.inf).triu_(1).repeat_interleave(group, 0)
    for start, stop in pairwise(bounds):
        for first in range(start, stop, BLOCK):
            end = min(first + BLOCK, stop)
            rows = slice(group * first, group * end)
            yield rows, slice(start, end), later[: group * (end - first), : end - first]


def _weights(queries: Tensor, keys: Tensor, later: Tensor) -> Tensor:
    """(n, r, d) and (n, S, d) -> (n, r, S)."""
    scores = torch.bmm(queries, keys.mT)
    scores[..., -later.shape[1] :] += later
    return scores.softmax(-1)


AttentionInterface.register(PER_CLIP, per_clip_attention)
# the mask of everything but packed rows: streaming with a cache, padded batches
AttentionMaskInterface.register(PER_CLIP, sdpa_mask)
