"""A two-hour stream under every context policy: does time or memory grow?

In: settings. Out: for each policy the median time of a frame in every context, first against last,
and the memory of the process.
"""

import statistics
import time
from typing import Any

import torch

from prospect.bench.config import StreamBench
from prospect.bench.meter import Meter
from prospect.bench.stream import FPS, load_model, rules, toy_streams
from prospect.stages import say
from prospect.stream.config import Policy, StreamConfig
from prospect.stream.session import Session

POLICIES: tuple[Policy, ...] = ("restate", "summarize", "drop_middle", "drop_all")
_AT_ONCE = 20  # frames that are timed together


def bench_long(settings: StreamBench) -> tuple[dict[str, float], dict[str, Any]]:
    """Watch one long stream under every policy.

    Returns:
        Time of a frame in the last whole context over that in the first, by policy; the curves.
    """
    if settings.num_threads is not None:
        torch.set_num_threads(settings.num_threads)
    curves: dict[str, Any] = {policy: _watch(settings, policy) for policy in POLICIES}
    ratios = {
        f"long_{policy}_time_ratio": curve["ms_per_frame"][-1] / curve["ms_per_frame"][0]
        for policy, curve in curves.items()
    }
    return ratios, {**curves, "settings": repr(settings)}


def _watch(settings: StreamBench, policy: Policy) -> dict[str, Any]:
    """Acts as often as toy references; ``ms_per_frame`` of every context that was full."""
    streams = toy_streams(settings)
    speak, update = rules(streams)
    model = load_model(settings, settings.dtypes[0])
    config = StreamConfig(
        policy=policy,
        max_chunk=settings.max_chunk,
        max_new_tokens=settings.max_new_tokens,
        speak_rule=speak,
        update_rule=update,
    )
    session = Session(model, config, streams[0].task)
    generator = torch.Generator().manual_seed(settings.seed)
    size = (_AT_ONCE, *session.engine.vector_shape)
    meter = Meter(model.network.device)
    meter.start()
    times: list[list[float]] = [[]]
    memory: list[int] = []
    began_s = time.perf_counter()
    for _ in range(round(settings.long_s * FPS) // _AT_ONCE):
        vectors = torch.randn(size, generator=generator)
        begun = time.perf_counter()
        session.advance(vectors)
        times[-1].append((time.perf_counter() - begun) * 1000 / _AT_ONCE)
        if len(session.refreshes) >= len(times):
            times.append([])
            memory.append(meter.peak_bytes())
    frames_per_s = session.next_frame / (time.perf_counter() - began_s)
    say(f"{policy}: {frames_per_s:.1f} frames/s, {len(session.refreshes)} refreshes")
    return {
        "frames": session.next_frame,
        "frames_per_s": frames_per_s,
        "refreshes": session.refreshes,
        "ms_per_frame": [statistics.median(one) for one in times[:-1]],
        "peak_memory_bytes": memory,
        "cache_bytes": session.engine.slots.num_bytes,
        "events": len(session.events),
    }
