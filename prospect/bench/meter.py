"""Time, memory and where the time goes, on a GPU or a CPU.

meter = Meter(device)
meter.start()
...
meter.peak_bytes()
"""

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from prospect.errors import ConfigError

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")

_KINDS = {
    "attention": ("attention", "flash"),
    "softmax and cross-entropy": ("softmax", "nll_loss", "cross_entropy"),
    "dropout": ("bernoulli", "dropout"),
    "optimizer": ("foreach", "fused_adam", "addcdiv", "addcmul"),
    "matrix products": ("mm", "linear", "gemm"),
    "copies and casts": ("copy", "cat", "fill", "zero", "clone", "index", "scatter"),
}
"""Kind of work -> parts of the names of torch's operations; the first that fits counts."""


class Meter:
    """Memory of this process: of the GPU as torch allocated it, else the resident set.

    Args:
        device: Where the work is done.

    Raises:
        ConfigError: a CPU whose system doesn't say how much a process held at most.
    """

    def __init__(self, device: torch.device) -> None:
        if device.type != "cuda" and not _CLEAR_REFS.exists():
            raise ConfigError(f"no {_CLEAR_REFS}: peak memory on a CPU is measured on Linux only")
        self._device = device
        self._loaded = 0

    def start(self) -> None:
        """What is held now counts as loaded; the peak is counted from here."""
        if self._device.type == "cuda":
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            self._loaded = torch.cuda.memory_allocated()
            return
        _CLEAR_REFS.write_text("5")
        self._loaded = _status_bytes("VmRSS")

    def peak_bytes(self) -> int:
        """The most that was held since `start`, net of what was loaded."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated() - self._loaded
        return _status_bytes("VmHWM") - self._loaded

    def now_bytes(self) -> int:
        """What is held now, net of what was loaded."""
        if self._device.type == "cuda":
            return torch.cuda.memory_allocated() - self._loaded
        return _status_bytes("VmRSS") - self._loaded

    @property
    def loaded_bytes(self) -> int:
        """What was held at `start`."""
        return self._loaded

    def now_s(self) -> float:
        """Clock in seconds, once the device has done all it was told."""
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def _status_bytes(key: str) -> int:
    for line in _STATUS.read_text("ascii").splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise ConfigError(f"{_STATUS} has no {key}; peak memory on a CPU is measured on Linux only")


def shares(work: Callable[[], object], device: torch.device) -> dict[str, float]:
    """Kind of work -> its share of the time of ``work``, which is run once."""
    gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if gpu else [])]
    with profile(activities=activities) as found:
        work()
    times: dict[str, float] = {}
    for event in found.key_averages():
        spent = event.self_device_time_total if gpu else event.self_cpu_time_total
        kind = next(
            (kind for kind, parts in _KINDS.items() if any(part in event.key for part in parts)),
            "all else",
        )
        times[kind] = times.get(kind, 0.0) + spent
    total = sum(times.values())
    ordered = sorted(times.items(), key=lambda item: -item[1])
    return {kind: round(spent / total, 3) for kind, spent in ordered}
