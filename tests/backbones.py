"""Small random models of the real classes, written by the library's own `save_pretrained`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    SmolLM3Config,
    SmolLM3ForCausalLM,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    SmolVLMImageProcessorPil,
)

from prospect.samples.sequence import PROMPTS

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
)
LLAMA3 = (
    "<|begin_of_text|>{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>"
    "\n\n{{ m['content'] }}<|eot_id|>{% endfor %}"
)
SMOLVLM = (
    "<|im_start|>{% for m in messages %}{{ m['role'] | capitalize }}: {{ m['content'] }}"
    "<end_of_utterance>\n{% endfor %}"
)
"""What the families' chat templates write for text turns, without default system prompts."""

_LLAMA3 = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>"]
TOKENIZERS = {
    "llama": (LLAMA3, [*_LLAMA3, "<|eot_id|>", "<|reserved_special_token_0|>"]),
    "smollm2": (CHATML, ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<file_sep>"]),
    # Llama 3's vocabulary, with ChatML for chat
    "smollm3": (
        CHATML,
        [*_LLAMA3, "<|eot_id|>", "<|reserved_special_token_2|>", "<|im_start|>", "<|im_end|>"],
    ),
    "qwen2": (CHATML, ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|image_pad|>"]),
    "smolvlm": (
        SMOLVLM,
        ["<|im_start|>", "<|im_end|>", "<file_sep>", "<image>", "<end_of_utterance>"],
    ),
}
TOKENIZERS["qwen3"] = TOKENIZERS["qwen2"]
"""family -> its chat template and the markers in its vocabulary."""

SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
}
TOWER = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 54,
    "patch_size": 2,
}
"""27 x 27 patches like SmolVLM2-2.2B's, so 9 x 9 = 81 vectors after its connector."""


def tokenizer(family: str) -> PreTrainedTokenizerFast:
    """A byte-level BPE of some hundred tokens with the family's markers."""
    template, markers = TOKENIZERS[family]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=800, special_tokens=markers, initial_alphabet=alphabet, show_progress=False
    )
    moves = [f"S{n}->{move}, S{n}: in_progress" for n in range(9) for move in ("start", "complete")]
    bpe.train_from_iterator([line for lines in PROMPTS.values() for line in lines] + moves, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, chat_template=template)


def save_backbone(family: str, folder: Path, *, tied: bool = True, seed: int = 0) -> Path:
    """A 2-layer model of width 64 with its tokenizer, as a download lies on disk."""
    torch.manual_seed(seed)
    words = tokenizer(family)
    sizes = {**SIZES, "vocab_size": len(words), "tie_word_embeddings": tied}
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    _MAKE[family]({**sizes, **ids}).save_pretrained(folder)
    words.save_pretrained(folder)
    if family == "smolvlm":
        SmolVLMImageProcessorPil(resample=1).save_pretrained(folder)
    return folder


def _smolvlm(sizes: dict[str, Any]) -> torch.nn.Module:
    tied = sizes["tie_word_embeddings"]
    config = SmolVLMConfig(
        text_config={"model_type": "llama", **sizes},
        vision_config=dict(TOWER),
        scale_factor=3,
        image_token_id=3,
        tie_word_embeddings=tied,
    )
    return SmolVLMForConditionalGeneration(config)


_MAKE: dict[str, Callable[[dict[str, Any]], torch.nn.Module]] = {
    "llama": lambda sizes: LlamaForCausalLM(LlamaConfig(**sizes)),
    "smollm2": lambda sizes: LlamaForCausalLM(LlamaConfig(**sizes)),
    "smollm3": lambda sizes: SmolLM3ForCausalLM(SmolLM3Config(**sizes, no_rope_layers=[1, 0])),
    "qwen2": lambda sizes: Qwen2ForCausalLM(Qwen2Config(**sizes)),
    "qwen3": lambda sizes: Qwen3ForCausalLM(Qwen3Config(**sizes, head_dim=16)),
    "smolvlm": _smolvlm,
}
