"""Two-hour streams under every context policy: does time or memory grow?

In: settings. Out: for each policy and seed, watched in a process of its own, the time of a frame
and the memory of every whole cycle, a context from its beginning until it was made room in.

    prospect bench long --out long.json --stream.num_threads 1 --stream.model.num_layers 8
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any, NamedTuple, TypeVar

import torch

from prospect.bench.config import StreamBench
from prospect.bench.meter import Meter
from prospect.bench.stream import FPS, load_model, rules, toy_streams
from prospect.errors import ConfigError
from prospect.parallel import alone
from prospect.stages import say
from prospect.stream.config import Policy, Positions, StreamConfig
from prospect.stream.session import Session

WAYS: Mapping[str, tuple[Policy, Positions]] = {
    "restate": ("restate", "kept"),
    "summarize": ("summarize", "kept"),
    "drop_middle": ("drop_middle", "kept"),
    "drop_middle_rerotated": ("drop_middle", "rerotated"),
    "drop_all": ("drop_all", "kept"),
}
"""Name -> policy and, where tokens are dropped before others, what becomes of positions."""
T = TypeVar("T")
_AT_ONCE = 20  # frames that come together
_FLAT = 0.1  # how much the last cycles may differ from the first ones


def bench_long(settings: StreamBench) -> tuple[dict[str, float], dict[str, Any]]:
    """Watch some long streams under every policy.

    Returns:
        By one of `WAYS`, the time of a frame in the last third of the whole cycles over that in
        the first third, medians over the cycles of all its streams; and of each way a list with
        what `watch_long` found of every stream.

    Raises:
        ConfigError: a policy whose context was full less than twice.
    """
    seeds = range(settings.seed, settings.seed + settings.long_runs)
    details: dict[str, Any] = {"settings": repr(settings)}
    ratios: dict[str, float] = {}
    for name, way in WAYS.items():
        details[name] = runs = []
        for seed in seeds:
            found = alone(watch_long, replace(settings, seed=seed), *way)
            runs.append(found)
            less, more = thirds(found["memory_bytes"])
            say(
                f"{name}, seed {seed}: {found['frames_per_s']:.1f} frames/s, "
                f"{len(found['refreshes'])} whole cycles; time of a frame, last over first third: "
                f"{found['time_ratio']:.3f}, {'flat' if found['flat'] else 'NOT flat'}; memory "
                f"over the weights {median(less) / 1e6:.1f} and {median(more) / 1e6:.1f} MB, "
                f"{found['bytes_per_frame']:.0f} bytes a frame"
            )
        ratios[f"long_{name}_time_ratio"] = _ratio([run["ms_per_frame"] for run in runs])
    return ratios, details


class Curves(NamedTuple):
    """One number a whole cycle.

    Attributes:
        ms_per_frame: All work over all its frames; on a CPU the process's own time, whatever else
            the machine does.
        memory_bytes, peak_memory_bytes: At its end, net of what was loaded.
    """

    ms_per_frame: list[float]
    memory_bytes: list[int]
    peak_memory_bytes: list[int]


def watch_long(settings: StreamBench, policy: Policy, positions: Positions) -> dict[str, Any]:
    """Watch one stream, acting as often as toy references do.

    Returns:
        As JSON: `Curves`; ``time_ratio`` and whether it is ``flat``, within 10 %;
        ``bytes_per_frame`` by which memory grew from the first to the last third of the cycles.

    Raises:
        ConfigError: the context was full less than twice.
    """
    if settings.num_threads is not None:
        torch.set_num_threads(settings.num_threads)
    streams = toy_streams(settings)
    speak, update = rules(streams)
    model = load_model(settings, settings.dtypes[0])
    config = StreamConfig(
        policy=policy,
        positions=positions,
        max_chunk=settings.max_chunk,
        max_new_tokens=settings.max_new_tokens,
        speak_rule=speak,
        update_rule=update,
    )
    session = Session(model, config, streams[0].task)
    began_s = time.perf_counter()
    curves = _watch(settings, session)
    frames_per_s = session.next_frame / (time.perf_counter() - began_s)
    if len(session.refreshes) < 2:
        raise ConfigError(
            f"the context was full {len(session.refreshes)} times in {settings.long_s:g} s; set "
            "long_s higher, or the model's context_len lower"
        )
    time_ratio = _ratio([curves.ms_per_frame])
    less, more = thirds(curves.memory_bytes)
    between = (session.refreshes[-1] - session.refreshes[0]) * 2 / 3
    return {
        "frames": session.next_frame,
        "frames_per_s": frames_per_s,
        "refreshes": session.refreshes,
        **curves._asdict(),
        "time_ratio": time_ratio,
        "flat": abs(time_ratio - 1) <= _FLAT,
        "bytes_per_frame": (median(more) - median(less)) / between,
        "cache_bytes": session.engine.slots.num_bytes,
        "events": len(session.events),
    }


def _watch(settings: StreamBench, session: Session) -> Curves:
    """Show a session the whole stream."""
    generator = torch.Generator().manual_seed(settings.seed)
    size = (_AT_ONCE, *session.engine.vector_shape)
    device = session.engine.network.device
    meter = Meter(device)
    meter.start()
    work_s = meter.now_s if device.type == "cuda" else time.process_time
    curves = Curves([], [], [])
    began_s, began_frame = work_s(), 0
    for _ in range(round(settings.long_s * FPS) // _AT_ONCE):
        session.advance(torch.randn(size, generator=generator))
        if len(session.refreshes) > len(curves.ms_per_frame):
            elapsed_ms = (work_s() - began_s) * 1000
            curves.ms_per_frame.append(elapsed_ms / (session.next_frame - began_frame))
            curves.memory_bytes.append(meter.now_bytes())
            curves.peak_memory_bytes.append(meter.peak_bytes())
            began_s, began_frame = work_s(), session.next_frame
    return curves


def thirds(values: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    """The first and the last third of at least one value; each has one at least."""
    size = max(len(values) // 3, 1)
    return values[:size], values[-size:]


def _ratio(curves: Sequence[Sequence[float]]) -> float:
    """Of the last third over the first, medians over all curves."""
    parts = [thirds(curve) for curve in curves]
    first = median([value for part, _ in parts for value in part])
    last = median([value for _, part in parts for value in part])
    return last / first
