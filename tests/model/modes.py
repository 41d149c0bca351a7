"""Every way to decide and to write, on the tiny model."""

from dataclasses import replace
from pathlib import Path

import torch
from transformers import LlamaForCausalLM

from prospect.model.checkpoint import Checkpoint
from prospect.model.config import ModelConfig, Thresholds
from prospect.model.network import build
from tests.models import FEATURE_DIM

_BASE = ModelConfig(tuning="full")
MODES = {
    "linear": _BASE,
    "mlp": replace(_BASE, head="mlp"),
    "cascade": replace(_BASE, cascade=True),
    "token": replace(_BASE, decision="token", roles="tokens"),
    "point": replace(_BASE, write="point"),
    "match": replace(_BASE, write="match", projector="linear"),
    "token, point": replace(_BASE, decision="token", roles="tokens", write="point"),
    "own headers": replace(_BASE, roles="tokens"),
}


def loud_llm(tiny_llm: Path, folder: Path) -> Path:
    """The tiny LLM with word embeddings at the scale of hidden states: probabilities differ."""
    llm = LlamaForCausalLM.from_pretrained(tiny_llm)
    with torch.no_grad():
        llm.model.embed_tokens.weight.mul_(20)
    llm.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((tiny_llm / name).read_bytes())
    return folder


def mode_model(llm: Path, mode: str, context_len: int = 4096) -> Checkpoint:
    """A fresh fp32 model of one of `MODES`, for evaluation."""
    config = replace(MODES[mode], llm=str(llm), context_len=context_len)
    torch.manual_seed(1)
    network, renderer = build(config, FEATURE_DIM, torch.float32)
    if network.pointer is not None:  # it begins as nothing
        torch.nn.init.normal_(network.pointer.first, std=0.02)
    return Checkpoint(network.eval(), renderer, config, Thresholds(), 2.0, {})
