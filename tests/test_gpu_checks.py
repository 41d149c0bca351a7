"""The script for a machine with a GPU, rehearsed with tiny models."""

import json
import subprocess
import sys
from pathlib import Path

import torch

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "gpu_checks.py"


def test_checks_run_one_by_one_and_tell_what_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    checks = ["qlora", "native"]
    command = [sys.executable, str(SCRIPT), "--out", str(out), "--rehearse", "--only", *checks]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(out.read_text("utf-8"))
    assert {"about", "shape", *checks} == found.keys()
    if not torch.cuda.is_available():
        assert "needs a CUDA GPU" in found["qlora"]["refused"]
    assert len(found["native"]["losses"]) == 4
    assert found["native"]["memory_gb"] > 0
