"""How fast a stream was watched, as its record says.

In: a `Prediction` whose ``details`` hold percentiles of its latencies. Out: their means over
streams, since percentiles of streams can't be put together; streams without them don't count.
"""

import math

from prospect.errors import DataError
from prospect.metrics.pool import Metric, Stats, share
from prospect.types import Prediction

LATENCIES = {
    "latency": "from a frame's arrival to the end of its last turn",
    "first_token": "from a frame's arrival to the first token of its sentence",
}
SHARES = ("p50", "p95", "p99")


def stats(prediction: Prediction) -> Stats:
    """One stream's percentiles, and whether it has them."""
    sums: dict[str, float] = {}
    for kind in LATENCIES:
        for part in SHARES:
            value = _number(prediction, f"{kind}_ms_{part}")
            sums[f"{kind}_{part}_ms"] = 0.0 if value is None else value
            sums[f"{kind}_{part}_streams"] = value is not None
    return Stats(sums, {})


def _number(prediction: Prediction, key: str) -> float | None:
    value = prediction.details.get(key)
    if value is None:
        return None
    if not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise DataError(
            f"{prediction.dialogue_id} by {prediction.system}: details.{key} is {value!r}; it must "
            "be a number >= 0"
        )
    return float(value)


METRICS: dict[str, Metric] = {
    f"{kind}_{part}_ms": Metric(
        share(f"{kind}_{part}_ms", f"{kind}_{part}_streams"),
        False,
        f"mean over streams of the {part[1:]}th percentile of ms {what}",
        None,
    )
    for kind, what in LATENCIES.items()
    for part in SHARES
}
