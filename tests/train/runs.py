"""A training run of seconds: random clips, random vectors, a 2-layer model.

Also a program, so that a test can start one in several processes:

    torchrun --nproc-per-node 2 -m tests.train.runs OUT LLM SETTINGS
"""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from prospect.files import check_manifest, parse, read_lines
from prospect.model.config import LoraConfig, ModelConfig
from prospect.samples.plan import Source
from prospect.train.config import TrainConfig
from prospect.train.run import train
from prospect.types import Clip
from tests.clips import random_stream
from tests.models import FEATURE_DIM

ROOT = Path(__file__).resolve().parent.parent.parent
# without dropout the losses of one process and of two can be the same
LORA = LoraConfig(rank=4, dropout=0.0)


def clip(seed: int, num_frames: int) -> Clip:
    """A clip of a video of its own."""
    stream = random_stream(seed, num_frames=num_frames)
    name = f"v{seed}"
    return replace(stream, clip_id=f"{name}/0", dialogue_id=name, video_id=name)


def features(clip: Clip) -> Tensor:
    """(F, 1, E) random vectors, the same each time."""
    generator = torch.Generator().manual_seed(int(clip.video_id[1:]))
    vectors = torch.randn(clip.stop_frame, 1, FEATURE_DIM, generator=generator)
    return vectors[clip.start_frame :]


TRAIN = [clip(seed, 24 + 2 * seed) for seed in range(7)]
VAL = [clip(seed, 30) for seed in (20, 21, 22)]


def settings(**changed: Any) -> dict[str, Any]:
    """Of 6 steps: two epochs of 7 clips, 3 a step."""
    optim = {"lr": 1e-3, "epochs": 2, "batch_size": 3, **changed.pop("optim", {})}
    base = {"log_steps": 1, "eval_steps": 3, "save_steps": 2, "dtype": "float32"}
    return base | changed | {"optim": optim}


def fit(out: Path, llm: Path, changed: dict[str, Any], sources: tuple[Source, ...] = ()) -> Path:
    """Train with `settings`, or go on."""
    config = parse(changed, TrainConfig, "settings")
    model = ModelConfig(llm=str(llm), lora=LORA)
    return train(TRAIN, VAL, features, FEATURE_DIM, model, config, out, sources)


def rows(out: Path, kind: str = "loss") -> list[dict[str, Any]]:
    """The log's rows that have a key."""
    return [row for _, row in read_lines(out / "metrics.jsonl") if kind in row]


def losses(out: Path) -> list[float]:
    """The training losses."""
    return [row["loss"] for row in rows(out)]


def differing(run: Path, other: Path) -> list[str]:
    """Weights of two finished models that aren't the same up to 1e-4; what only one has, too."""
    for folder in ("checkpoint", "best", "checkpoint-6"):
        check_manifest(run / folder)
    ours, theirs = (load_file(one / "checkpoint" / "weights.safetensors") for one in (run, other))
    alone = ours.keys() ^ theirs.keys()
    both = ours.keys() & theirs.keys()
    far = [n for n in both if not torch.allclose(ours[n], theirs[n], atol=1e-4, rtol=1e-3)]
    return sorted([*alone, *far])


def start(processes: int, out: Path, llm: Path, changed: dict[str, Any]) -> str:
    """Run `fit` in processes that share every step, as torchrun starts them; what they said."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(processes),
    }
    command = [sys.executable, "-m", "tests.train.runs", str(out), str(llm), json.dumps(changed)]
    started = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
        )
        for rank in range(processes)
    ]
    said = ""
    try:
        for process in started:
            errors = process.communicate(timeout=600)[1].decode()  # alone it takes one minute
            assert process.returncode == 0, errors[-2000:]
            said += errors
    finally:
        for process in started:  # one would wait forever for another that failed
            with process:
                process.kill()
    return said


if __name__ == "__main__":
    torch.set_num_threads(1)
    fit(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
