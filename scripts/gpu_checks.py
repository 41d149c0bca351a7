"""Everything that waits for a GPU, in one go: speed, memory and precision at full size.

In: nothing but this package and what it needs; weights are random, so nothing is downloaded. Out:
one JSON with the hardware's name, written anew after each check. A check has processes of its own:
one that fails or is killed doesn't end the others.

    python scripts/gpu_checks.py --out gpu.json
    python scripts/gpu_checks.py --out x.json --rehearse        # tiny models, on a CPU too

A further check is a function of `Place` and a line of `CHECKS`.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from prospect.bench.config import StreamBench, TrainBench
from prospect.bench.stream import bench_stream
from prospect.bench.train import bench_train, toy_clips
from prospect.errors import ProspectError
from prospect.files import read_json
from prospect.model.checkpoint import load_checkpoint
from prospect.model.config import LoraConfig, ModelConfig
from prospect.model.precision import default_device, resolve_dtype
from prospect.pretrained import model_folder
from prospect.provenance import about_this_machine
from prospect.train.config import OptimConfig, TrainConfig
from prospect.train.log import LOG, read_log
from prospect.train.memory import LLAMA_3B, Shape
from prospect.train.run import train
from prospect.types import Clip

CONTEXT_LEN = 4096
# dense bf16 by the vendor, of the SXM cards
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "RTX 4090": 165e12}
VECTORS = 10  # a toy video of 400 frames then fills the context
WIDTH = 1152  # of SigLIP-so400m's vectors
TINY = Shape(2, 64, 128, 64, 32, 49152, True)
LIMIT_S = 1800


@dataclass(frozen=True)
class Place:
    """Where a check runs.

    Attributes:
        folder: Of its own, and empty.
        llm: Folder of the random model.
        shape: Its sizes.
        lora: What is tuned; without dropout, so that losses can be compared.
        steps: Optimizer steps of the bench.
    """

    folder: Path
    llm: Path
    shape: Shape
    lora: LoraConfig
    steps: int

    @property
    def model(self) -> ModelConfig:
        """With LoRA."""
        return ModelConfig(
            llm=str(self.llm), context_len=CONTEXT_LEN, vectors_per_frame=VECTORS, lora=self.lora
        )


def train_bench(place: Place) -> dict[str, Any]:
    """Tokens a second and memory against both plain ways."""
    settings = TrainBench(
        model=place.model,
        num_videos=4 * (place.steps + 1),
        batch_size=4,
        accumulation=2,
        tokens_per_batch=4 * CONTEXT_LEN,
        steps=place.steps,
        feature_dim=WIDTH,
    )
    ratios, details = bench_train(settings)
    ours = details["sides"]["ours"]
    speed = ours["tokens_per_s"]
    # forward 2 and backward to the inputs 2 FLOP a frozen weight and token; adapters come on top
    adapters = place.shape.adapters(place.lora.rank, place.lora.targets)
    used = speed * 4 * (place.shape.linear + adapters * 1.5)
    found = {
        **ratios,
        "tokens_per_s": speed,
        "peak_memory_gb": ours["peak_memory_bytes"] / 1e9,
        "model_tflops_per_s": used / 1e12,
    }
    if torch.cuda.is_available():
        peak, card = matmul_flops_per_s(), torch.cuda.get_device_name()
        found |= {
            "matmul_tflops_per_s": peak / 1e12,
            "share_of_matmul_speed": used / peak,
            "mfu": next((used / flops for name, flops in PEAKS.items() if name in card), None),
        }
    return {**found, "details": details}


def native(place: Place) -> dict[str, Any]:
    """A few steps in what the device computes natively, as ``prospect-llama3b-24gb`` trains."""
    return short_run(place, place.folder / "run", place.model, TRAINING)


def float16(place: Place) -> dict[str, Any]:
    """The same in fp16 with scaled gradients; resumed; and how far the losses are from bf16's."""
    config, run = replace(TRAINING, dtype="float16"), place.folder / "run"
    found = short_run(place, run, place.model, config)
    for name in ("checkpoint-4", "checkpoint", "best"):
        shutil.rmtree(run / name)
    again = short_run(place, run, place.model, config)
    apart = [a - b for a, b in zip(found["losses"], again["losses"], strict=True)]
    other = short_run(place, place.folder / "native", place.model, TRAINING)
    pairs = zip(found["losses"], other["losses"], strict=True)
    return {
        **found,
        "scaler": read_scaler(run / "checkpoint-2"),
        "resumed_differs": max(map(abs, apart)),
        "differs_from_native": max(abs(a - b) / b for a, b in pairs),
    }


def qlora(place: Place) -> dict[str, Any]:
    """Over 4-bit weights; the checkpoint is read again."""
    return short_run(place, place.folder / "run", replace(place.model, tuning="qlora"), TRAINING)


def full(place: Place) -> dict[str, Any]:
    """All weights: fp32 masters under autocast, by the first layers alone, which fit a card."""
    layers = max(place.shape.layers // 4, 1)
    model = replace(place.model, tuning="full", num_layers=layers)
    return short_run(place, place.folder / "run", model, TRAINING)


def compiled(place: Place) -> dict[str, Any]:
    """Compiled layers: the same losses, how much faster."""
    return short_run(place, place.folder / "run", place.model, replace(TRAINING, compile=True))


def auto_batch(place: Place) -> dict[str, Any]:
    """The micro-batch that ``batch_size: auto`` finds, and the peak it then has."""
    optim = OptimConfig(batch_size="auto", epochs=1.0)
    config = replace(TRAINING, optim=optim, packing=False)
    found = short_run(place, place.folder / "run", place.model, config)
    found["sizes"] = read_json(place.folder / "run" / "batch.json")
    if torch.cuda.is_available():
        total = torch.cuda.get_device_properties(0).total_memory
        found["share_of_card"] = found["memory_gb"] * 1e9 / total
    return found


def stream_bench(place: Place) -> dict[str, Any]:
    """Frames a second against the plain loop: one stream, and 16, 64 and 256 at once."""
    found: dict[str, Any] = {}
    for num_streams in (2,) if place.shape == TINY else (16, 64, 256):
        settings = StreamBench(
            model=place.model,
            num_streams=num_streams,
            num_plain=1,
            min_duration_s=60 if place.shape == TINY else 200,
            feature_dim=WIDTH,
            dtypes=("auto",),
        )
        ratios, details = bench_stream(settings)
        found[f"{num_streams} streams"] = {**ratios, **details}
    return found


def sharded(place: Place) -> dict[str, Any]:
    """Frozen weights shared out over all GPUs (two processes without any), and losses so far."""
    return short_run(place, place.folder / "run", place.model, replace(TRAINING, sharding="fsdp2"))


CHECKS: Mapping[str, Callable[[Place], dict[str, Any]]] = {
    "train_bench": train_bench,
    "native": native,
    "float16": float16,
    "qlora": qlora,
    "full": full,
    "compiled": compiled,
    "auto_batch": auto_batch,
    "stream_bench": stream_bench,
    "sharded": sharded,
}
TRAINING = TrainConfig(
    optim=OptimConfig(lr=2e-5, new_lr=2e-4, epochs=1.0, batch_size=2, warmup_steps=1),
    packing=True,
    tokens_per_batch=2 * CONTEXT_LEN,
    adapter_input="native",
    activation_checkpointing=True,
    log_steps=1,
    eval_steps=4,
    save_steps=2,
)
"""Of four steps over eight clips."""


def short_run(place: Place, out: Path, model: ModelConfig, config: TrainConfig) -> dict[str, Any]:
    """Train on 8 toy clips with random vectors, validate on 2, and read the checkpoint."""
    made = toy_clips(TrainBench(model=model, num_videos=4, batch_size=2, accumulation=1, steps=4))
    pool = torch.randn(CONTEXT_LEN, VECTORS, WIDTH, generator=torch.Generator().manual_seed(0))

    def vectors(clip: Clip) -> Tensor:
        return pool[: clip.stop_frame - clip.start_frame]

    checkpoint = train(made[:8], made[8:10], vectors, WIDTH, model, config, out)
    rows = [row for row in read_log(out / LOG) if "loss" in row]
    load_checkpoint(checkpoint, resolve_dtype(config.dtype))
    return {
        "losses": [row["loss"] for row in rows],
        "grad_norms": [row["grad_norm"] for row in rows],
        "tokens_per_s": rows[-1]["tokens_per_s"],
        "memory_gb": max(row["memory_gb"] for row in rows),
    }


def read_scaler(checkpoint: Path) -> dict[str, Any]:
    """The gradients' scale as the checkpoint has it."""
    state: dict[str, Any] = torch.load(checkpoint / "scaler.pt", weights_only=True)
    return state


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


def save_random(folder: Path, shape: Shape) -> Path:
    """A Llama of these sizes with random bf16 weights, and SmolLM2's tokenizer."""
    heads = 24 if shape == LLAMA_3B else 4
    config = LlamaConfig(
        vocab_size=shape.words,
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads * shape.keys // shape.query,
        head_dim=shape.query // heads,
        max_position_embeddings=131072,
        tie_word_embeddings=shape.tied,
        bos_token_id=1,
        eos_token_id=2,
    )
    torch.manual_seed(0)
    with default_device():
        LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(model_folder("smollm2-135m-instruct")).save_pretrained(folder)
    return folder


def run_one(name: str, place: Place, out: Path) -> None:
    """One check, in a process of its own; what is refused or fails is its result."""
    found = CHECKS[name](place)
    if os.environ.get("RANK", "0") == "0":
        out.write_text(json.dumps(found))
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def start(name: str, arguments: argparse.Namespace, llm: Path) -> dict[str, Any]:
    """Start `run_one` and wait for it."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.json"
        own = ["--check", name, "--llm", str(llm), "--folder", folder, "--out", str(out)]
        own += ["--steps", str(arguments.steps), *(["--rehearse"] if arguments.rehearse else [])]
        gpus, launch = torch.cuda.device_count(), [sys.executable]
        seen = dict(os.environ)
        if name == "sharded":
            launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
            launch += ["--nproc-per-node", str(gpus or 2)]
            if gpus == 1:
                return {"refused": "one GPU: there is nothing to share out"}
        elif gpus:
            seen["CUDA_VISIBLE_DEVICES"] = seen.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        try:
            done = subprocess.run(
                [*launch, __file__, *own],
                env=seen,
                stderr=subprocess.PIPE,
                text=True,
                timeout=LIMIT_S,
            )
        except subprocess.TimeoutExpired:
            return {"failed": f"not done after {LIMIT_S} s"}
        if done.returncode == 2:
            return {"refused": done.stderr.strip().splitlines()[-1]}
        if done.returncode:
            return {"failed": done.stderr[-3000:]}
        return read_json(out)


def main(given: Sequence[str] | None = None) -> int:
    """Run the checks; returns how many failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=CHECKS, default=list(CHECKS))
    parser.add_argument("--steps", type=int, default=10, help="of the bench")
    parser.add_argument("--rehearse", action="store_true", help="tiny models, with or without GPU")
    for name in ("check", "llm", "folder"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    arguments = parser.parse_args(given)
    shape = TINY if arguments.rehearse else LLAMA_3B
    lora = LoraConfig(rank=4 if arguments.rehearse else 128, alpha=256, dropout=0.0)
    if arguments.check:
        place = Place(Path(arguments.folder), Path(arguments.llm), shape, lora, arguments.steps)
        try:
            run_one(arguments.check, place, arguments.out)
        except ProspectError as error:
            print(error, file=sys.stderr)
            return 2
        return 0
    if not arguments.rehearse and not torch.cuda.is_available():
        sys.exit("no CUDA device here: these checks measure one; nothing was written")
    found: dict[str, Any] = {"about": about_this_machine(), "shape": asdict(shape)}
    with tempfile.TemporaryDirectory() as folder:
        llm = save_random(Path(folder), shape)
        torch.cuda.empty_cache()
        for name in arguments.only:
            found[name] = start(name, arguments, llm)
            arguments.out.write_text(json.dumps(found, indent=1))
            told = {key: value for key, value in found[name].items() if key != "details"}
            print(f"{name}: {json.dumps(told)}", flush=True)
    return sum("failed" in found[name] for name in arguments.only)


if __name__ == "__main__":
    sys.exit(main())
