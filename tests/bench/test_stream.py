"""The bench of streaming compares the same work."""

from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest

from prospect.bench.config import StreamBench
from prospect.bench.long import WAYS, bench_long, thirds, watch_long
from prospect.bench.stream import bench_stream, toy_streams
from prospect.errors import ConfigError
from prospect.model.config import ModelConfig
from tests.models import FEATURE_DIM


def test_all_ways_do_the_same_in_fp32(tiny_llm: Path) -> None:
    settings = StreamBench(
        model=ModelConfig(llm=str(tiny_llm), context_len=700),
        num_streams=3,
        num_plain=1,
        min_duration_s=60,
        max_chunk=8,
        max_new_tokens=4,
        feature_dim=FEATURE_DIM,
        dtypes=("float32",),
    )
    ratios, details = bench_stream(settings)
    assert sorted(ratios) == sorted(
        f"stream_{kind}_float32_{way}_ratio"
        for kind in ("silent", "with_text")
        for way in ("batched", "single")
    )
    due = [len(stream.events) for stream in toy_streams(settings)]
    plain = details["float32 with_text plain"]
    assert due[0] / 2 < plain["events"] < due[0] * 2
    assert plain["refreshes"] >= 1
    for way in ("plain", "single", "batched"):
        assert details[f"float32 with_text {way}"]["different_frames_share"] == 0
        assert details[f"float32 silent {way}"]["frames_per_s"] > 0
    user_turns = sum(event.user is not None for event in toy_streams(settings)[0].events)
    assert details["float32 silent plain"]["events"] == user_turns


def long_settings(llm: Path) -> StreamBench:
    return StreamBench(
        model=ModelConfig(llm=str(llm), context_len=1000),
        num_streams=1,
        min_duration_s=60,
        max_chunk=32,
        max_new_tokens=2,
        feature_dim=FEATURE_DIM,
        dtypes=("float32",),
        long_s=800,
        long_runs=2,
    )


def test_a_long_stream_under_every_policy(tiny_llm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prospect.bench.long.alone", lambda work, *given: work(*given))
    ratios, details = bench_long(long_settings(tiny_llm))
    assert list(ratios) == [f"long_{policy}_time_ratio" for policy in WAYS]
    for policy in WAYS:
        assert len(details[policy]) == 2
        parts = [thirds(found["ms_per_frame"]) for found in details[policy]]
        first, last = (median([*one, *other]) for one, other in zip(*parts, strict=True))
        assert ratios[f"long_{policy}_time_ratio"] == last / first
        for found, (begun, ended) in zip(details[policy], parts, strict=True):
            assert found["frames"] == 1600
            assert len(found["refreshes"]) >= 2
            for curve in ("ms_per_frame", "memory_bytes", "peak_memory_bytes"):
                assert len(found[curve]) == len(found["refreshes"])
            now, most = found["memory_bytes"], found["peak_memory_bytes"]
            assert all(one <= peak + 2**20 for one, peak in zip(now, most, strict=True))
            assert found["time_ratio"] == median(ended) / median(begun)
            assert found["flat"] == (0.9 <= found["time_ratio"] <= 1.1)


def test_a_stream_that_never_fills_its_context_measures_nothing(tiny_llm: Path) -> None:
    with pytest.raises(ConfigError, match="set long_s higher"):
        watch_long(replace(long_settings(tiny_llm), long_s=20.0), "restate", "kept")


def test_first_and_last_third() -> None:
    assert thirds([9, 1, 2, 50, 4, 8, 6]) == ([9, 1], [8, 6])
    assert thirds([3, 5]) == ([3], [5])


def test_too_few_long_videos() -> None:
    with pytest.raises(ConfigError, match="fewer than 2"):
        toy_streams(replace(StreamBench(), num_streams=2, min_duration_s=900))
