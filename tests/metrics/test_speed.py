"""Latencies of a record's details."""

from dataclasses import replace

import pytest

from prospect.errors import DataError
from prospect.metrics.pool import table
from prospect.metrics.speed import METRICS, stats
from tests.metrics.worlds import stream


def test_means_over_the_streams_that_were_timed() -> None:
    slow = replace(stream(()), details={"latency_ms_p50": 30, "latency_ms_p99": 90.0})
    fast = replace(stream(()), details={"latency_ms_p50": 10.0})
    pool = table([stats(item) for item in (slow, fast, stream(()))], ["a", "b", "c"]).plain()
    found = {name: float(metric.function(pool)[0]) for name, metric in METRICS.items()}
    assert (found["latency_p50_ms"], found["latency_p99_ms"]) == (20, 90)
    assert found["first_token_p50_ms"] != found["first_token_p50_ms"]


@pytest.mark.parametrize("value", ["fast", -1, float("nan")])
def test_what_is_no_time_is_refused(value: str | float) -> None:
    with pytest.raises(DataError, match=r"v1/no_talk-0 by model: details\.latency_ms_p95 is"):
        stats(replace(stream(()), details={"latency_ms_p95": value}))
