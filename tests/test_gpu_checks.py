"""The script for a machine with a GPU, rehearsed with tiny models."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "gpu_checks.py"


def test_checks_run_one_by_one_with_qlora_or_without_and_tell_what_is_refused(
    tmp_path: Path,
) -> None:
    out = tmp_path / "gpu.json"
    checks = ["native", "qlora"]
    command = [sys.executable, str(SCRIPT), "--out", str(out), "--rehearse", "--only", *checks]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(out.read_text("utf-8"))
    assert {"about", "shape", *checks} == found.keys()
    ran = checks if importlib.util.find_spec("bitsandbytes") else checks[:1]
    for check in ran:
        assert len(found[check]["losses"]) == 4
        assert found[check]["memory_gb"] > 0
    if checks != ran:
        assert "bitsandbytes is not installed" in found["qlora"]["refused"]
