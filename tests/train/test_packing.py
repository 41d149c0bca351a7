"""Several clips in one row: no clip sees another, and the losses are those of a padded batch."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from prospect.model.checkpoint import Checkpoint
from prospect.model.losses import Batch, counts, four_losses
from prospect.samples.dataset import Sample, collate, micro_batches, pack
from tests.models import tiny_model
from tests.train.runs import TRAIN, features


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> Checkpoint:
    return tiny_model(tiny_llm)


@pytest.fixture(scope="module")
def samples(model: Checkpoint) -> list[Sample]:
    return [(model.renderer.clip(clip), features(clip)) for clip in TRAIN[:3]]


@torch.no_grad()
def hidden(model: Checkpoint, tensors: dict[str, Tensor]) -> Tensor:
    batch = Batch(**tensors)
    found: Tensor = model.network(batch.ids, batch.features, positions=batch.positions)
    return found


def test_packed_hidden_states_are_those_of_each_clip_alone(
    model: Checkpoint, samples: list[Sample]
) -> None:
    packed = hidden(model, pack(samples))[0]
    alone = [hidden(model, collate([sample], 0))[0] for sample in samples]
    torch.testing.assert_close(packed, torch.cat(alone), atol=1e-4, rtol=0)


def test_changing_one_clip_leaves_the_others_as_they_were(
    model: Checkpoint, samples: list[Sample]
) -> None:
    first, (rendered, vectors), last = samples
    before = hidden(model, pack(samples))[0]
    after = hidden(model, pack([first, (rendered, vectors + 1), last]))[0]
    start, size = len(first[0].ids), len(rendered.ids)
    changed = (before - after).abs().amax(1) > 1e-6
    assert changed[start : start + size].any()
    assert not changed[:start].any()
    assert not changed[start + size :].any()


def test_packed_losses_and_gradients_are_those_of_the_padded_batch(
    model: Checkpoint, samples: list[Sample]
) -> None:
    found = []
    for tensors in (collate(samples, model.renderer.end_id), pack(samples)):
        batch = Batch(**tensors)
        losses = four_losses(model.network, batch, counts(batch.targets, batch.labels))
        model.network.zero_grad()
        torch.stack(losses).sum().backward()
        gradient = model.network.projector.down.weight.grad
        assert gradient is not None
        found.append((torch.stack(losses).detach(), gradient.clone()))
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-4)


def test_rows_and_sources_of_a_step(model: Checkpoint, samples: list[Sample]) -> None:
    drawn = [(*sample, number) for number, sample in enumerate(samples)]
    lengths = [len(rendered.ids) for rendered, _ in samples]
    longest, middle, shortest = sorted(range(3), key=lambda at: -lengths[at])
    budget = lengths[middle] + lengths[shortest]
    made = micro_batches(drawn, model.renderer.end_id, 2, budget, True)
    assert [batch["ids"].shape for batch in made] == [(1, lengths[longest]), (1, budget)]
    row = made[1]
    ends = [middle] * lengths[middle] + [shortest] * lengths[shortest]
    assert row["sources"][0].tolist() == ends
    assert row["positions"][0].tolist() == [*range(lengths[middle]), *range(lengths[shortest])]
    padded = micro_batches(drawn, model.renderer.end_id, 3, None, True)[0]
    assert padded["sources"].tolist() == [[number] * max(lengths) for number in range(3)]
