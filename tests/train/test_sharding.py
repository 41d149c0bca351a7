"""Frozen weights shared out over processes: the same run, and plain checkpoints."""

import re
import shutil
from pathlib import Path

import pytest
import torch

from prospect.model.checkpoint import load_checkpoint
from prospect.samples.labels import UNLABELLED
from prospect.train.sharding import evened
from tests.train.runs import differing, fit, losses, rows, settings, start


def test_two_processes_that_share_the_weights_learn_what_one_does(
    unbroken: Path, tiny_llm: Path, tmp_path: Path
) -> None:
    two = tmp_path / "two"
    # batches of one clip: 2 + 1 a step and, in an epoch's last step, one and none
    optim = {"batch_size": 1, "global_batch": 3}
    sharded = settings(sharding="fsdp2", activation_checkpointing=True, optim=optim)
    said = " ".join(start(2, two, tiny_llm, sharded).split())
    found = re.search(r"sharding fsdp2: ([\d,]+) bytes of frozen layers, ([\d,]+) in each", said)
    assert found, said[-2000:]
    whole, part = (int(number.replace(",", "")) for number in found.groups())
    assert part == whole / 2
    assert losses(two) == pytest.approx(losses(unbroken), abs=1e-4)
    norms = [row["grad_norm"] for row in rows(unbroken)]
    assert [row["grad_norm"] for row in rows(two)] == pytest.approx(norms, rel=1e-4)
    for here, there in zip(rows(unbroken, "eval_loss"), rows(two, "eval_loss"), strict=True):
        assert there["eval_loss"] == pytest.approx(here["eval_loss"], abs=1e-4)
    # what they saved is what one process saves
    assert differing(two, unbroken) == []
    assert load_checkpoint(two / "checkpoint", torch.float32).config.llm == str(tiny_llm)
    # one process goes on from what two left after four steps
    for name in ("checkpoint-6", "checkpoint", "best"):
        shutil.rmtree(two / name)
    fit(two, tiny_llm, settings())
    assert losses(two) == pytest.approx(losses(unbroken), abs=1e-4)


def test_what_is_added_to_even_the_passes_counts_nothing() -> None:
    long = {"ids": torch.ones(1, 9), "targets": torch.ones(1, 9), "labels": torch.ones(3, 2)}
    short = {"ids": torch.ones(1, 4), "targets": torch.ones(1, 4), "labels": torch.ones(2, 2)}
    made = evened([long, short], 4)
    assert made[:2] == [long, short]
    for blank in made[2:]:
        assert blank["ids"] is short["ids"]
        assert not blank["targets"].any()
        assert (blank["labels"] == UNLABELLED).all()
    assert evened([long], 1) == [long]
