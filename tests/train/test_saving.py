"""Runs that survive: damaged checkpoints, a full disk, the best weights, when to stop."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from prospect.errors import ConfigError
from prospect.files import check_manifest, read_json
from prospect.train import saving
from tests.train.runs import fit, losses, rows, settings


def truncate(folder: Path) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def remove(folder: Path) -> None:
    (folder / "optimizer.pt").unlink()


def flip(folder: Path) -> None:
    data = bytearray((folder / "optimizer.pt").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "optimizer.pt").write_bytes(data)


def interrupt(folder: Path) -> None:
    (folder / "manifest.json").unlink()


@pytest.mark.parametrize("damage", [truncate, remove, flip, interrupt])
def test_a_damaged_checkpoint_is_passed_over_and_the_one_before_is_used(
    unbroken: Path,
    tmp_path: Path,
    damage: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "run"
    shutil.copytree(unbroken, out)
    assert saving.last_checkpoint(out) == out / "checkpoint-6"
    damage(out / "checkpoint-6")
    assert saving.last_checkpoint(out) == out / "checkpoint-4"
    assert "not resuming from checkpoint-6" in " ".join(capsys.readouterr().err.split())


def test_a_run_resumed_before_a_damaged_checkpoint_has_the_same_losses(
    unbroken: Path, tmp_path: Path, tiny_llm: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(unbroken, out)
    flip(out / "checkpoint-6")
    fit(out, tiny_llm, settings())
    assert losses(out) == losses(unbroken)
    check_manifest(out / "checkpoint-6")
    for name in ("weights.safetensors", "prospect.json"):
        same = (out / "checkpoint" / name).read_bytes()
        assert same == (unbroken / "checkpoint" / name).read_bytes()


def test_only_the_latest_checkpoints_are_kept(unbroken: Path, tmp_path: Path) -> None:
    steps = [saving.step_of(folder) for folder in saving.checkpoints(unbroken)]
    assert steps == [6, 4, 2]
    shutil.copytree(unbroken, tmp_path / "run")
    saving.drop_old(tmp_path / "run", 1)
    assert [folder.name for folder in saving.checkpoints(tmp_path / "run")] == ["checkpoint-6"]


def test_the_best_weights_are_kept_complete(unbroken: Path) -> None:
    check_manifest(unbroken / "best")
    found = {row["step"]: row["eval_loss"] for row in rows(unbroken, "eval_loss")}
    saved = read_json(unbroken / "best" / "prospect.json")
    assert saved["about"]["steps"] == min(found, key=lambda step: found[step])
    assert saved["thresholds"]["split"] == "val"


def test_validations_since_the_best_one() -> None:
    log = [
        {"eval_loss": loss, "eval_speak_f1": f1}
        for loss, f1 in [(3.0, 0.1), (2.0, 0.5), (2.0, 0.4), (2.5, 0.5)]
    ]
    assert [saving.stale(log[: n + 1], "loss") for n in range(4)] == [0, 0, 1, 2]  # a tie is none
    assert [saving.stale(log[: n + 1], "speak_f1") for n in range(4)] == [0, 0, 1, 2]
    with pytest.raises(ConfigError, match="have no update_f1"):
        saving.stale(log, "update_f1")


def test_early_stopping_ends_with_the_best_weights(tiny_llm: Path, tmp_path: Path) -> None:
    # so large a rate that nothing gets better
    optim = {"lr": 0.0, "new_lr": 3.0, "epochs": 8, "warmup_share": 0.0}
    fit(tmp_path, tiny_llm, settings(optim=optim, eval_steps=1, patience=2))
    found = [row["eval_loss"] for row in rows(tmp_path, "eval_loss")]
    best = found.index(min(found))
    assert len(found) == best + 3 < 24
    assert rows(tmp_path)[-1]["step"] == len(found)
    saved = read_json(tmp_path / "checkpoint" / "prospect.json")
    assert saved["about"]["steps"] == best + 1
    same = (tmp_path / "checkpoint" / "weights.safetensors").read_bytes()
    assert same == (tmp_path / "best" / "weights.safetensors").read_bytes()
    check_manifest(tmp_path / "checkpoint")


class Usage(NamedTuple):
    """As of `shutil.disk_usage`."""

    total: int
    used: int
    free: int


def test_a_full_disk_ends_a_run_before_anything_is_written(
    tiny_llm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = iter([10**9, 10**4])
    usage = lambda path: Usage(10**9, 0, next(free))  # noqa: E731
    monkeypatch.setattr(saving.shutil, "disk_usage", usage)
    with pytest.raises(ConfigError, match=r"0\.00 GB of disk left.*checkpoint-2 is kept"):
        fit(tmp_path, tiny_llm, settings())
    assert saving.last_checkpoint(tmp_path) == tmp_path / "checkpoint-2"
    assert not (tmp_path / "checkpoint-4").exists()


def test_the_first_checkpoint_is_estimated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving.shutil, "disk_usage", lambda path: Usage(100, 0, 100))
    saving.make_room(tmp_path, 90)
    with pytest.raises(ConfigError, match="disk left"):
        saving.make_room(tmp_path, 95)
