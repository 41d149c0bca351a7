"""The bench of the matcher, on a video small enough for a test."""

import pytest

from prospect.bench import score
from prospect.bench.score import bench_score


def test_both_ways_find_the_same_and_ours_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score, "NUM_FRAMES", 2400)
    monkeypatch.setattr(score, "NUM_UTTERANCES", 120)
    found = bench_score()
    details = found["score"]
    assert details["same_pairs"]
    assert found["match_ratio"] == details["plain_s"] / details["ours_s"] > 10
    assert details["ours_peak_bytes_4_times_as_long"] < 5 * details["ours_peak_bytes"]
