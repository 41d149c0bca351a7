"""Attention in packed rows: each clip alone, whatever computes it, gradients included."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from prospect.errors import ConfigError
from prospect.model.attention import BLOCK, PER_CLIP, clip_bounds, per_clip_attention

LENGTHS = (BLOCK + 7, 1, 2 * BLOCK, 30)
"""Longer than a block, a single token, whole blocks, shorter."""


def positions_of(lengths: tuple[int, ...]) -> Tensor:
    return torch.cat([torch.arange(length) for length in lengths])[None]


def heads(num: int, total: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    made = torch.randn(1, num, total, 8, generator=generator, dtype=torch.float64)
    return made.requires_grad_()


def one_by_one(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The slow and obvious way: every clip, head and query alone."""
    out = torch.zeros(1, query.shape[2], query.shape[1], 8, dtype=query.dtype)
    start = 0
    for length in LENGTHS:
        for head in range(query.shape[1]):
            group = head // (query.shape[1] // key.shape[1])
            for at in range(start, start + length):
                seen = slice(start, at + 1)
                scores = key[0, group, seen] @ query[0, head, at] * 0.3
                out[0, at, head] = scores.softmax(0) @ value[0, group, seen]
        start += length
    return out


def test_bounds() -> None:
    positions = torch.tensor([[0, 1, 2, 0, 1], [0, 0, 1, 2, 3]])
    assert clip_bounds(positions).shape == (1, 1, 1, 5)
    assert clip_bounds(positions).flatten().tolist() == [0, 3, 5, 6, 10]


@pytest.mark.parametrize("dropout", [0.0, 1e-12], ids=["blocks", "library"])
def test_each_clip_attends_to_itself(dropout: float) -> None:
    total = sum(LENGTHS)
    query, key, value = heads(4, total, 0), heads(2, total, 1), heads(2, total, 2)
    bounds = clip_bounds(positions_of(LENGTHS))
    module = torch.nn.Module()
    out, _ = per_clip_attention(module, query, key, value, bounds, 0.3, dropout)
    expected = one_by_one(query, key, value)
    torch.testing.assert_close(out, expected, atol=1e-6, rtol=1e-6)
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(3))
    ours = torch.autograd.grad((out * weights).sum(), (query, key, value))
    theirs = torch.autograd.grad((expected * weights).sum(), (query, key, value))
    for found, right in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found, right, atol=1e-5, rtol=1e-5)


def test_a_packed_row_is_its_clips_alone(tiny_llm: Path) -> None:
    llm = AutoModelForCausalLM.from_pretrained(tiny_llm, attn_implementation=PER_CLIP)
    ids = torch.randint(0, 1000, (1, sum(LENGTHS)), generator=torch.Generator().manual_seed(0))
    positions = positions_of(LENGTHS)
    packed = llm(
        ids, attention_mask=clip_bounds(positions), position_ids=positions, use_cache=False
    )
    alone = [llm(part, use_cache=False).logits for part in ids.split(LENGTHS, dim=1)]
    torch.testing.assert_close(packed.logits, torch.cat(alone, 1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("weights", [torch.float32, torch.bfloat16], ids=["all learn", "frozen"])
def test_gradients_of_packed_rows_under_autocast(tiny_llm: Path, weights: torch.dtype) -> None:
    llm = AutoModelForCausalLM.from_pretrained(
        tiny_llm, attn_implementation=PER_CLIP, dtype=weights
    )
    ids = torch.randint(0, 1000, (1, sum(LENGTHS)), generator=torch.Generator().manual_seed(0))
    positions = positions_of(LENGTHS)
    found = []
    for parts, options in (
        ([ids], {"attention_mask": clip_bounds(positions), "position_ids": positions}),
        (ids.split(LENGTHS, dim=1), {}),
    ):
        llm.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            hidden = [llm.model(part, use_cache=False, **options)[0].float() for part in parts]
        torch.cat(hidden, 1).pow(3).sum().backward()
        found.append(llm.model.layers[0].self_attn.q_proj.weight.grad.float())
    packed, alone = found
    assert (packed - alone).norm() < 0.05 * alone.norm()


def test_without_bounds_it_is_the_library_s(tiny_llm: Path) -> None:
    ours = AutoModelForCausalLM.from_pretrained(tiny_llm, attn_implementation=PER_CLIP)
    theirs = AutoModelForCausalLM.from_pretrained(tiny_llm, attn_implementation="sdpa")
    ids = torch.randint(0, 1000, (2, 30), generator=torch.Generator().manual_seed(0))
    mask = torch.ones(2, 30, dtype=torch.long)
    mask[0, 20:] = 0
    for options in ({}, {"attention_mask": mask}):
        assert torch.equal(ours(ids, **options).logits, theirs(ids, **options).logits)


def test_a_sliding_window_is_refused() -> None:
    part = heads(2, 4, 0)
    with pytest.raises(ConfigError, match="sliding window"):
        per_clip_attention(
            torch.nn.Module(), part, part, part, clip_bounds(positions_of((4,))), sliding_window=2
        )
