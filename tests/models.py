"""A small random model of the real class with the real tokenizer, written as a download is."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from prospect.model.checkpoint import Checkpoint, save_checkpoint
from prospect.model.config import LoraConfig, ModelConfig, Thresholds
from prospect.model.network import build
from prospect.pretrained import model_folder

FEATURE_DIM = 12


def save_tiny_llm(folder: Path) -> Path:
    """A 2-layer Llama of width 64 over SmolLM2's vocabulary."""
    tokenizer = AutoTokenizer.from_pretrained(model_folder("smollm2-135m-instruct"))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_model(
    llm: Path,
    *,
    context_len: int = 4096,
    vectors: int = 1,
    write: Literal["generate", "point", "match"] = "generate",
) -> Checkpoint:
    """A fresh fp32 checkpoint on the tiny LLM with random heads and adapters that do something."""
    config = ModelConfig(
        llm=str(llm),
        context_len=context_len,
        vectors_per_frame=vectors,
        lora=LoraConfig(rank=4),
        write=write,
    )
    torch.manual_seed(1)
    network, renderer = build(config, FEATURE_DIM, torch.float32)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.05)
        network.decide.weight.normal_(std=0.5)
    network.eval()
    return Checkpoint(network, renderer, config, Thresholds(), 2.0, {})


def save_tiny_checkpoint(llm: Path, folder: Path) -> Path:
    """A finished model of the default encoder's width on the tiny LLM, as a run leaves it."""
    config = ModelConfig(llm=str(llm), lora=LoraConfig(rank=2))
    torch.manual_seed(3)
    network, renderer = build(config, 1280, torch.float32)
    save_checkpoint(Checkpoint(network, renderer, config, Thresholds(), 2.0, {}), folder)
    return folder


def with_thresholds(model: Checkpoint, speak: float, update: float) -> Checkpoint:
    """The same model acting above other probabilities."""
    return replace(model, thresholds=Thresholds(speak, update))
