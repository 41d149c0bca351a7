"""One process with 3 clips a step, or two that share them: the same run."""

import shutil
from pathlib import Path

import pytest

from prospect.files import check_manifest
from tests.train.runs import fit, losses, rows, settings, start


def test_two_processes_learn_what_one_does_and_one_goes_on_from_two(
    unbroken: Path, tiny_llm: Path, tmp_path: Path
) -> None:
    two = tmp_path / "two"
    # batches of 2 + 1 clips; the last step of an epoch has one clip, so one process has none
    start(2, two, tiny_llm, settings())
    assert losses(two) == pytest.approx(losses(unbroken), abs=1e-5)
    for name in ("grad_norm", "speak_gen", "update_bin"):
        expected = [row[name] for row in rows(unbroken)]
        assert [row[name] for row in rows(two)] == pytest.approx(expected, rel=1e-4)
    assert sum(row["frames_per_s"] > 0 for row in rows(two)) == 6
    for here, there in zip(rows(unbroken, "eval_loss"), rows(two, "eval_loss"), strict=True):
        assert there.keys() == here.keys()
        assert there["eval_update_average_precision"] == pytest.approx(
            here["eval_update_average_precision"], abs=1e-3
        )
        assert there["eval_loss"] == pytest.approx(here["eval_loss"], abs=1e-5)
    for folder in ("checkpoint", "best", "checkpoint-6"):
        check_manifest(two / folder)
    # what two processes left after four steps is finished by one
    for folder in ("checkpoint-6", "checkpoint", "best"):
        shutil.rmtree(two / folder)
    fit(two, tiny_llm, settings())
    assert losses(two) == pytest.approx(losses(unbroken), abs=1e-5)
