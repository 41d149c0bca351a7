"""The bench of streaming compares the same work."""

from dataclasses import replace
from pathlib import Path

import pytest

from prospect.bench.config import StreamBench
from prospect.bench.long import POLICIES, bench_long
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


def test_a_long_stream_under_every_policy(tiny_llm: Path) -> None:
    settings = StreamBench(
        model=ModelConfig(llm=str(tiny_llm), context_len=1000),
        num_streams=1,
        min_duration_s=60,
        max_chunk=32,
        max_new_tokens=2,
        feature_dim=FEATURE_DIM,
        dtypes=("float32",),
        long_s=800,
    )
    ratios, details = bench_long(settings)
    assert len(ratios) == len(POLICIES)
    for policy in POLICIES:
        assert details[policy]["frames"] == 1600
        assert len(details[policy]["refreshes"]) == len(details[policy]["ms_per_frame"]) >= 2


def test_too_few_long_videos() -> None:
    with pytest.raises(ConfigError, match="fewer than 2"):
        toy_streams(replace(StreamBench(), num_streams=2, min_duration_s=900))
