"""The bench of training at tiny size: what it writes, and that all sides learn the same."""

import os
from pathlib import Path
from typing import Any

import pytest

from prospect.__main__ import main
from prospect.bench import BENCHES, Measured
from prospect.bench.config import TrainBench
from prospect.bench.sides import compare, measure
from prospect.bench.train import SIDES, bench_train, toy_clips
from prospect.errors import ConfigError
from prospect.files import read_json
from prospect.model.config import LoraConfig, ModelConfig
from prospect.parallel import alone
from prospect.types import Clip


@pytest.fixture(scope="module")
def settings(tiny_llm: Path) -> TrainBench:
    return TrainBench(
        model=ModelConfig(llm=str(tiny_llm), context_len=512, lora=LoraConfig(rank=2)),
        num_videos=2,
        batch_size=2,
        accumulation=1,
        steps=1,
        feature_dim=8,
        dtype="float32",
        num_threads=1,
    )


@pytest.fixture(scope="module")
def clips(settings: TrainBench) -> list[Clip]:
    return toy_clips(settings)


def test_the_plain_way_has_the_same_loss_and_gradients(
    settings: TrainBench, clips: list[Clip]
) -> None:
    found = compare(settings, clips)
    assert found["difference"] < 1e-4
    assert found["gradient_difference"] < 1e-4


@pytest.fixture(scope="module")
def sides(settings: TrainBench, clips: list[Clip]) -> dict[str, dict[str, Any]]:
    return {name: measure(name, settings, clips) for name in SIDES}


@pytest.mark.parametrize("name", SIDES)
def test_a_side_counts_real_tokens(name: str, sides: dict[str, dict[str, Any]]) -> None:
    found = sides[name]
    assert found["tokens"] == sides["plain"]["tokens"] > 0
    assert (found["padding_share"] > 0) == (name != "ours")
    assert found["seconds"] == pytest.approx(found["tokens"] / found["tokens_per_s"])
    assert sum(found["time_goes_to"].values()) == pytest.approx(1, abs=0.01)
    assert len(found["losses"]) == 1


def test_what_is_written(
    settings: TrainBench,
    sides: dict[str, dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def known(function: object, *arguments: object) -> dict[str, Any]:
        same = {"ours": 2.0, "plain": 2.0, "difference": 0.0}
        return same if function is compare else sides[str(arguments[0])]

    monkeypatch.setattr("prospect.bench.train.alone", known)
    monkeypatch.setitem(BENCHES, "train", lambda _: Measured(*bench_train(settings)))
    assert main(["bench", "train", "--out", str(tmp_path / "bench.json")]) == 0
    written = read_json(tmp_path / "bench.json")
    assert set(written) == {"tokens_per_s_ratio", "peak_memory_ratio", "train", "about"}
    ours, plain = sides["ours"], sides["plain"]
    assert written["tokens_per_s_ratio"] == ours["tokens_per_s"] / plain["tokens_per_s"]
    assert written["train"]["loss_fp32"]["difference"] == 0


def test_a_side_has_a_process_of_its_own() -> None:
    assert alone(os.getpid) != os.getpid()


def test_too_few_videos_are_said_before_any_work() -> None:
    with pytest.raises(ConfigError, match="set num_videos to 14 or more"):
        TrainBench(num_videos=2)


def test_an_unknown_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "dinner", "--out", str(tmp_path / "x")]) == 2
    assert (
        "no bench 'dinner'; there are train, stream, long, score and all" in capsys.readouterr().err
    )
