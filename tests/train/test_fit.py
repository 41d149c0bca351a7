"""What fits: the search on invented cards, a real one on this CPU, and out of memory."""

from pathlib import Path

import pytest
import torch

from prospect.errors import ConfigError
from prospect.files import read_json
from prospect.train import fit as fitting
from prospect.train.config import TrainConfig
from prospect.train.fit import Probe, is_out_of_memory, largest, memory_advice
from tests.train.runs import fit, losses, rows, settings

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("base", "per_clip", "limit", "most", "expected"),
    [
        (4, 2, 20, 100, 8),
        (4, 2, 23, 100, 9),
        (0, 1, 100, 100, 100),
        (0, 1, 100, 5, 5),  # no more clips than there are
        (18, 2, 20, 100, 1),
    ],
)
def test_the_largest_that_fits_is_found(
    base: int, per_clip: int, limit: int, most: int, expected: int
) -> None:
    tried: list[int] = []

    def probe(size: int) -> Probe | None:
        tried.append(size)
        used = base + per_clip * size
        return Probe(used, 1.0) if used <= 1.2 * limit else None

    assert largest(probe, limit, most, fastest=False)[0] == expected
    assert len(tried) == len(set(tried)) <= 14


def test_on_a_cpu_the_fastest_is_taken() -> None:
    speeds = {1: 100.0, 2: 140.0, 4: 150.0, 8: 120.0}
    size, probe = largest(lambda n: Probe(n, speeds[n]), 1000, 64, fastest=True)
    assert (size, probe.tokens_per_s) == (4, 150.0)


def test_not_even_one_clip_fits() -> None:
    with pytest.raises(ConfigError, match=r"not even one clip fits.*activation_checkpointing"):
        largest(lambda size: None, 10**9, 8, fastest=False)


def test_auto_on_this_cpu_is_kept_for_resuming(
    unbroken: Path, tiny_llm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = settings(optim={"batch_size": "auto", "global_batch": 3})
    fit(tmp_path, tiny_llm, changed)
    sizes = read_json(tmp_path / "batch.json")
    assert 1 <= sizes["batch_size"] <= 3
    assert sizes["global_batch"] == 3
    said = " ".join(capsys.readouterr().err.split())
    assert f"batch_size auto: {sizes['batch_size']} clips a forward pass, 3 a step" in said
    assert [row["step"] for row in rows(tmp_path)] == [1, 2, 3, 4, 5, 6]
    # trying out left no trace: the global batch alone decides what is learned
    assert losses(tmp_path) == pytest.approx(losses(unbroken), abs=1e-5)


def test_out_of_memory_ends_with_numbers_and_three_settings(tmp_path: Path) -> None:
    error = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")
    text = r"out of memory on cpu: .* of .* GB.*batch_size \(now 4\).*context_len \(now 2048\).*"
    with (
        pytest.raises(ConfigError, match=text + "activation_checkpointing.*nothing saved"),
        memory_advice(TrainConfig(), 4, 2048, CPU, tmp_path),
    ):
        raise error
    packed = TrainConfig(packing=True, activation_checkpointing=True)
    with (
        pytest.raises(ConfigError, match=r"tokens_per_batch \(now 4096\).*model.lora.rank"),
        memory_advice(packed, 4, 2048, CPU, tmp_path),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(RuntimeError, match="shapes"), memory_advice(packed, 4, 8, CPU, tmp_path):
        raise RuntimeError("shapes differ")


def test_what_counts_as_out_of_memory() -> None:
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError())
    assert not is_out_of_memory(RuntimeError("mat1 and mat2"))
    with pytest.raises(RuntimeError) as real:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(real.value)


def test_a_probe_that_runs_out_is_none() -> None:
    def greedy() -> int:
        return torch.empty(2**60, dtype=torch.uint8).numel()

    assert fitting.measure(greedy, CPU) is None
