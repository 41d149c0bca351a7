"""Everything that waits for a GPU, in one go: speed and memory of training at full size.

In: nothing but torch, transformers, peft and this package; weights are random, so nothing is
downloaded. Out: one JSON with the hardware's name.

    python scripts/gpu_checks.py --out gpu.json
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from prospect.bench.config import TrainBench
from prospect.bench.train import bench_train
from prospect.model.config import LoraConfig, ModelConfig
from prospect.pretrained import model_folder
from prospect.provenance import about_this_machine
from prospect.train.memory import LLAMA_3B

CONTEXT_LEN = 4096
# dense bf16 by the vendor, of the SXM cards
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "RTX 4090": 165e12}
VECTORS = 10  # a toy video of 400 frames then fills the context


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=10)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("no CUDA device here: these checks measure one; nothing was written")
    with tempfile.TemporaryDirectory() as folder:
        found = {"train_3b": train_3b(Path(folder), arguments.steps)}
    found["about"] = about_this_machine()
    arguments.out.write_text(json.dumps(found, indent=1))
    print(json.dumps(found["train_3b"]["summary"], indent=1))


def save_random_3b(folder: Path) -> Path:
    """Llama-3.2-3B's sizes with random bf16 weights, and SmolLM2's tokenizer."""
    shape = LLAMA_3B
    config = LlamaConfig(
        vocab_size=shape.words,
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=24,
        num_key_value_heads=8,
        head_dim=128,
        max_position_embeddings=131072,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
    )
    torch.manual_seed(0)
    with torch.device("cuda"):
        LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    torch.cuda.empty_cache()
    AutoTokenizer.from_pretrained(model_folder("smollm2-135m-instruct")).save_pretrained(folder)
    return folder


def train_3b(folder: Path, steps: int) -> dict[str, Any]:
    """LoRA r 128 on a 3B model at 4096 tokens, against both plain ways."""
    model = ModelConfig(
        llm=str(save_random_3b(folder)),
        context_len=CONTEXT_LEN,
        vectors_per_frame=VECTORS,
        lora=LoraConfig(rank=128, alpha=256, dropout=0.0),
    )
    settings = TrainBench(
        model=model,
        num_videos=4 * (steps + 1),
        batch_size=4,
        accumulation=2,
        tokens_per_batch=4 * CONTEXT_LEN,
        steps=steps,
    )
    ratios, details = bench_train(settings)
    speed = details["sides"]["ours"]["tokens_per_s"]
    peak, card = matmul_flops_per_s(), torch.cuda.get_device_name()
    # forward 2 and backward to the inputs 2 FLOP a frozen weight and token; adapters come on top
    used = speed * 4 * (LLAMA_3B.linear + LLAMA_3B.adapters(128, model.lora.targets) * 1.5)
    summary = {
        **ratios,
        "tokens_per_s": speed,
        "peak_memory_gb": details["sides"]["ours"]["peak_memory_bytes"] / 1e9,
        "model_tflops_per_s": used / 1e12,
        "matmul_tflops_per_s": peak / 1e12,
        "share_of_matmul_speed": used / peak,
        "mfu": next((used / flops for name, flops in PEAKS.items() if name in card), None),
    }
    return {"summary": summary, "details": details}


def matmul_flops_per_s(size: int = 8192, repeats: int = 20) -> float:
    """What this device reaches in one large bf16 product: the measure of what can be had."""
    left, right = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    left @ right
    start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(repeats):
        left @ right
    stop.record()
    torch.cuda.synchronize()
    return 2 * size**3 * repeats / (start.elapsed_time(stop) / 1e3)


if __name__ == "__main__":
    main()
