"""The Rerun recording: without the SDK it says what to install; with it the file is written."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from prospect.errors import MissingError
from prospect.report.recording import write_recording
from prospect.types import Prediction

Make = Callable[..., Prediction]


def test_without_the_sdk(
    tmp_path: Path, make_prediction: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(MissingError, match=r"pip install 'prospect-assistant\[rerun\]'.*--video"):
        write_recording(tmp_path / "a.rrd", make_prediction(0), [])
    assert list(tmp_path.iterdir()) == []


def test_with_the_sdk(tmp_path: Path, make_prediction: Make) -> None:
    pytest.importorskip("rerun", reason="the extra `rerun` is not installed")
    made = make_prediction(0, steps=2, duration_s=60.0)
    out = tmp_path / "a.rrd"
    write_recording(out, made, [np.zeros((16, 16, 3), np.uint8)] * 120)
    assert out.read_bytes()[:4] == b"RRF2"
