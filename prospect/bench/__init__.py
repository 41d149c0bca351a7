"""What is fast and small, against the plain way of doing the same: one process a side, one report.

In: the name of a stage. Out: a JSON file with the headline ratios at top level, and below the
stage's name each side's figures, the hardware and the versions.

    prospect bench train --out bench.json
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from prospect.bench.config import StreamBench, TrainBench
from prospect.errors import ConfigError
from prospect.files import write_json
from prospect.provenance import about_this_machine

ALL = "all"


@dataclass(frozen=True)
class BenchConfig:
    """Settings of every stage's bench.

    Attributes:
        train: Of ``bench train``.
        stream: Of ``bench stream`` and ``bench long``.
    """

    train: TrainBench = field(default_factory=TrainBench)
    stream: StreamBench = field(default_factory=StreamBench)


class Measured(NamedTuple):
    """What a bench found.

    Attributes:
        ratios: The headlines; above 1 ours is faster, below 1 smaller.
        details: Each side's figures, as JSON.
    """

    ratios: Mapping[str, float]
    details: Mapping[str, Any]


def _train(settings: BenchConfig) -> Measured:
    from prospect.bench.train import bench_train

    return Measured(*bench_train(settings.train))


def _stream(settings: BenchConfig) -> Measured:
    from prospect.bench.stream import bench_stream

    return Measured(*bench_stream(settings.stream))


def _long(settings: BenchConfig) -> Measured:
    from prospect.bench.long import bench_long

    return Measured(*bench_long(settings.stream))


def _score(settings: BenchConfig) -> Measured:
    from prospect.bench.score import bench_score

    found = bench_score()
    return Measured({"match_ratio": found["match_ratio"]}, found["score"])


BENCHES: dict[str, Callable[[BenchConfig], Measured]] = {
    "train": _train,
    "stream": _stream,
    "long": _long,
    "score": _score,
}
"""Stage -> what measures it; `all` runs every one."""


def bench(
    stage: str,
    out: Path,
    train: TrainBench = TrainBench(),  # noqa: B008  frozen
    stream: StreamBench = StreamBench(),  # noqa: B008  frozen
) -> None:
    """Measure a stage against the plain way of doing the same, and write the ratios.

    Args:
        stage: One of `BENCHES`, or ``all``.
        out: JSON file.
        train: Settings of ``bench train``.
        stream: Settings of ``bench stream`` and ``bench long``.

    Raises:
        ConfigError: no such stage.
    """
    if stage != ALL and stage not in BENCHES:
        raise ConfigError(f"no bench {stage!r}; there are {', '.join(BENCHES)} and {ALL}")
    settings = BenchConfig(train, stream)
    found = {name: BENCHES[name](settings) for name in BENCHES if stage in (name, ALL)}
    headline = {key: value for one in found.values() for key, value in one.ratios.items()}
    details = {name: one.details for name, one in found.items()}
    write_json(out, {**headline, **details, "about": about_this_machine()})
    for name, value in headline.items():
        print(f"{name}: {value:.2f}")
