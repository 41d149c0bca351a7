"""What the presets name, small and random: the real classes, saved as a download lies on disk."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from transformers import SiglipConfig, SiglipImageProcessorPil, SiglipModel, SiglipProcessor

from tests.backbones import save_backbone, tokenizer


def save_siglip(folder: Path) -> Path:
    """A picture and text pair with the processor of both; 24 numbers a vector, 3 x 3 patches."""
    tower = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 1}
    tower |= {"num_attention_heads": 2, "image_size": 42, "patch_size": 14}
    text = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 1}
    text |= {"num_attention_heads": 2, "vocab_size": 300, "projection_size": 24}
    text |= {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 1}
    torch.manual_seed(0)
    SiglipModel(SiglipConfig(text_config=text, vision_config=tower)).save_pretrained(folder)
    pictures = SiglipImageProcessorPil(size={"height": 42, "width": 42}, resample=3)
    SiglipProcessor(pictures, tokenizer("qwen2")).save_pretrained(folder)
    return folder


DOWNLOADS: Mapping[str, Callable[[Path], Path]] = {
    "smollm2-135m-instruct": partial(save_backbone, "smollm2"),
    "meta-llama/Llama-3.2-3B-Instruct": partial(save_backbone, "llama"),
    "meta-llama/Llama-3.1-8B-Instruct": partial(save_backbone, "llama", tied=False),
    "HuggingFaceTB/SmolVLM2-2.2B-Instruct": partial(save_backbone, "smolvlm", tied=False),
    "google/siglip-so400m-patch14-384": save_siglip,
}
"""Name in a preset -> writes the small model into a folder."""
