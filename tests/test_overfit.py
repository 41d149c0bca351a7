"""The long form of "the path from picture to step text works"."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.soak
def test_ten_overfitted_videos_are_started_right(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "overfit.py"), "--out", str(tmp_path)]
    subprocess.run(command, check=True, cwd=ROOT)
    curve = json.loads((tmp_path / "curve.json").read_text())
    assert curve[-1]["start_accuracy"] > 0.95
    assert curve[0]["start_accuracy"] < 0.9, "nothing was left to learn"


@pytest.mark.soak
def test_eight_real_clips_are_learned_by_all_four_losses(tmp_path: Path) -> None:
    script = str(ROOT / "scripts" / "overfit_losses.py")
    subprocess.run([sys.executable, script, "--out", str(tmp_path)], check=True, cwd=ROOT)
    curve = json.loads((tmp_path / "curve.json").read_text())
    for loss in ("speak_gen", "state_gen", "speak_bin", "update_bin"):
        assert curve[0][loss] > 0.1, "nothing was left to learn"
        assert curve[-1][loss] < 0.05, loss
