"""Attention in rows that hold several clips, or several streams: none sees another.

In: positions that restart at every clip, or `prospect.model.slots.stream_rows`. Out: an attention
function of transformers. The library
keeps packed clips apart with a dense L x L mask, and so computes what the mask then hides. Two
clips of 942 tokens with SmolLM2-135M's heads in bf16, forward and backward on one CPU core: 230 ms
with the mask, 85 clip by clip, 56 with the blocks below.

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
BLOCK = 64
"""Queries a block on a CPU: 128 and 256 were 4 and 45 % slower at clips of 942 tokens."""


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
        # where all weights learn, under autocast, the turn by position leaves these two in fp32
        q, k = q.to(v.dtype), k.to(v.dtype)
        grouped = q.view(k.shape[1], -1, *q.shape[2:])
        mixed = _Blocks.apply(grouped, k[0], v[0], bounds, scale)  # type: ignore[no-untyped-call]
    else:
        clips = pairwise(bounds)
        mixed = torch.cat([_alone(q, k, v, slice(*clip), dropout, scale) for clip in clips], dim=2)
    # (N, B * L, D / N) -> (B, L, N, D / N)
    return mixed.view(q.shape[1:]).transpose(0, 1).reshape(query.transpose(1, 2).shape), None


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


class _Blocks(torch.autograd.Function):
    """Causal attention of each clip to itself by blocks of `BLOCK` queries.

    As FlashAttention does, it keeps only the log of each softmax's denominator and computes the
    weights again in the backward pass (Dao 2023, arXiv 2307.08691, algorithms 1 and 2), but with
    `torch.bmm`, whose bf16 products are several times as fast on a CPU as those of torch's kernel.
    n key-value heads, g query heads of each, T tokens of all clips, d = D / N.
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, bounds: list[int], scale: float
    ) -> Tensor:
        """(n, g, T, d), (n, T, d), (n, T, d) -> (n, g, T, d)."""
        out = torch.empty_like(query)
        log_sums = query.new_empty(query.shape[:3], dtype=torch.float32)
        for start, first, stop in _blocks(bounds):
            q, k = query[:, :, first:stop].flatten(1, 2), key[:, start:stop]
            scores = _scores(q, k, scale, stop - first)
            log_sum = scores.logsumexp(-1, keepdim=True)
            weights = scores.sub_(log_sum).exp_().to(value.dtype)
            mixed = torch.bmm(weights, value[:, start:stop])
            out[:, :, first:stop] = mixed.view(*out.shape[:2], -1, out.shape[3])
            log_sums[:, :, first:stop] = log_sum.view(*out.shape[:2], -1)
        ctx.save_for_backward(query, key, value, out, log_sums)
        ctx.bounds, ctx.scale = bounds, scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        """Gradients of query, key and value."""
        (grad,) = grads
        query, key, value, out, log_sums = ctx.saved_tensors
        d_query = torch.empty_like(query)
        # sums over many blocks
        d_key = torch.zeros_like(key, dtype=torch.float32)
        d_value = torch.zeros_like(value, dtype=torch.float32)
        means = (grad.float() * out.float()).sum(-1)
        for start, first, stop in _blocks(ctx.bounds):
            q, g = (rows[:, :, first:stop].flatten(1, 2) for rows in (query, grad))
            log_sum, mean = (rows[:, :, first:stop].flatten(1, 2) for rows in (log_sums, means))
            k, v = key[:, start:stop], value[:, start:stop]
            weights = _scores(q, k, ctx.scale, stop - first).sub_(log_sum[..., None]).exp_()
            d_value[:, start:stop] += torch.bmm(weights.to(g.dtype).mT, g)
            d_scores = torch.bmm(g, v.mT).float().sub_(mean[..., None]).mul_(weights)
            d_scores = d_scores.mul_(ctx.scale).to(q.dtype)
            d_query[:, :, first:stop] = torch.bmm(d_scores, k).view(
                *out.shape[:2], -1, out.shape[3]
            )
            d_key[:, start:stop] += torch.bmm(d_scores.mT, q)
        return d_query, d_key.to(key.dtype), d_value.to(value.dtype), None, None


def _blocks(bounds: list[int]) -> Iterator[tuple[int, int, int]]:
    """(start of the clip, first query, end of the queries and of the keys they see)."""
    for start, stop in pairwise(bounds):
        for first in range(start, stop, BLOCK):
            yield start, first, min(first + BLOCK, stop)


def _scores(queries: Tensor, keys: Tensor, scale: float, block: int) -> Tensor:
    """(n, g * block, d) and (n, S, d) -> (n, g * block, S) in fp32, -inf at later keys."""
    scores = torch.bmm(queries, keys.mT).float().mul_(scale)
    later = torch.ones(block, block, dtype=torch.bool).triu_(1)
    scores.view(len(keys), -1, block, keys.shape[1])[..., -block:].masked_fill_(later, -torch.inf)
    return scores


AttentionInterface.register(PER_CLIP, per_clip_attention)
# the mask of everything but packed rows: streaming with a cache, padded batches
AttentionMaskInterface.register(PER_CLIP, sdpa_mask)
