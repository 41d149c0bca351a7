"""DeepSpeed's ZeRO-2 on two processes of a CPU: the run of one process, its checkpoints too."""

import importlib.util
import shutil
from pathlib import Path

import pytest

from tests.train.runs import ROOT, differing, losses, rows, settings, start

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("deepspeed") is None,
    reason="deepspeed is not installed; `make extras` runs this",
)
ZERO2 = str(ROOT / "presets" / "zero2.json")


def test_zero_learns_what_one_process_does_and_goes_on(
    unbroken: Path, tiny_llm: Path, tmp_path: Path
) -> None:
    two = tmp_path / "two"
    for _ in ("from nothing", "from the fourth step"):
        start(2, two, tiny_llm, settings(sharding=ZERO2))
        assert losses(two) == pytest.approx(losses(unbroken), abs=1e-4)
        for name in ("lr", "grad_norm", "speak_gen", "update_bin"):
            expected = [row[name] for row in rows(unbroken)]
            assert [row[name] for row in rows(two)] == pytest.approx(expected, rel=1e-3)
        assert differing(two, unbroken) == []
        for name in ("checkpoint-6", "checkpoint", "best"):
            shutil.rmtree(two / name)
