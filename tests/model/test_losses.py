"""The four losses against a slow and obvious computation, and what they train."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from prospect.model.checkpoint import Checkpoint
from prospect.model.config import DecisionLoss, LossWeights
from prospect.model.losses import (
    ROWS_AT_ONCE,
    Batch,
    Losses,
    counts,
    decisions_mean,
    four_losses,
    read,
)
from prospect.model.network import Network
from prospect.samples.dataset import collate
from prospect.samples.labels import ACT, SILENT, UNLABELLED
from prospect.samples.sequence import NONE, SPEAK_GEN, STATE_GEN, Rendered
from tests.clips import random_stream
from tests.models import FEATURE_DIM, tiny_model

SIZE = 2  # vectors a frame
Sample = tuple[Rendered, Tensor]


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> Checkpoint:
    return tiny_model(tiny_llm, vectors=SIZE)


@pytest.fixture(scope="module")
def samples(model: Checkpoint) -> list[Sample]:
    """Four clips of different lengths."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for seed in range(4):
        clip = random_stream(seed, num_frames=45 + 10 * seed)
        vectors = torch.randn(clip.stop_frame, SIZE, FEATURE_DIM, generator=generator)
        found.append((model.renderer.clip(clip), vectors))
    return found


def batch_of(model: Checkpoint, samples: list[Sample]) -> Batch:
    return Batch(**collate(samples, model.renderer.end_id))


def counted(batch: Batch) -> Tensor:
    return counts(batch.targets, batch.labels)


def cross_entropy(probability: float, label: int) -> float:
    return -math.log(probability if label == ACT else 1 - probability)


@torch.no_grad()
def slow_losses(network: Network, samples: list[Sample]) -> list[float]:
    """Row by row without padding, full logits, one token and one frame at a time."""
    tokens: dict[int, list[float]] = {SPEAK_GEN: [], STATE_GEN: []}
    frames: dict[tuple[int, int], list[float]] = {
        (decision, label): [] for decision in (0, 1) for label in (ACT, SILENT)
    }
    for rendered, vectors in samples:
        hidden = network(torch.from_numpy(rendered.ids)[None], vectors)[0]
        log_probs = network.llm.lm_head(hidden).log_softmax(-1)
        for position in range(1, len(rendered.ids)):
            if (kind := int(rendered.targets[position])) != NONE:
                log_prob = log_probs[position - 1, int(rendered.ids[position])]
                tokens[kind].append(-float(log_prob))
        for index, end in enumerate(rendered.frame_ends.tolist()):
            probs = network.decide(hidden[end]).sigmoid().tolist()
            for decision, labels in enumerate((rendered.speak, rendered.update)):
                if (label := int(labels[index])) != UNLABELLED:
                    loss = cross_entropy(probs[decision], label)
                    frames[decision, label].append(loss)

    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    return [
        mean(tokens[SPEAK_GEN]),
        mean(tokens[STATE_GEN]),
        *((mean(frames[d, ACT]) + mean(frames[d, SILENT])) / 2 for d in (0, 1)),
    ]


def stacked(losses: Losses) -> Tensor:
    return torch.stack(losses).detach()


def test_all_four_equal_the_slow_computation(model: Checkpoint, samples: list[Sample]) -> None:
    batch = batch_of(model, samples)
    found = four_losses(model.network, batch, counted(batch))
    expected = slow_losses(model.network, samples)
    torch.testing.assert_close(stacked(found), torch.tensor(expected), atol=1e-4, rtol=1e-4)


def test_a_frozen_output_layer_gives_the_same_gradients_without_keeping_logits(
    model: Checkpoint, samples: list[Sample]
) -> None:
    network, batch = model.network, batch_of(model, samples)
    # every token is learned: whole parts of rows, and one that isn't
    batch = batch._replace(targets=torch.where(batch.ids == network.image_id, NONE, SPEAK_GEN))
    sizes: list[int] = []

    def note(tensor: Tensor) -> Tensor:
        sizes.append(tensor.numel())
        return tensor

    found = []
    head = network.llm.get_output_embeddings()
    for learns in (False, True):
        head.requires_grad_(learns)
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            readout = read(network, batch)
        ramp = torch.linspace(0, 1, len(readout.token_losses))
        (slope,) = torch.autograd.grad(
            (readout.token_losses * ramp).sum(), network.projector.up.weight
        )
        found.append((readout.token_losses, readout.right, slope, max(sizes)))
        sizes.clear()
    head.requires_grad_(False)
    (losses, right, slope, most), (losses_, right_, slope_, most_) = found
    assert len(losses) > 2 * ROWS_AT_ONCE
    assert torch.equal(right, right_)
    torch.testing.assert_close(losses, losses_)
    torch.testing.assert_close(slope, slope_, atol=1e-6 * slope_.abs().max().item(), rtol=1e-5)
    words = head.weight.shape[0]
    assert most < ROWS_AT_ONCE * words <= most_


def test_counts_by_hand() -> None:
    targets = torch.tensor([[SPEAK_GEN, SPEAK_GEN, NONE, STATE_GEN], [NONE, STATE_GEN, NONE, NONE]])
    labels = torch.tensor([[ACT, SILENT], [SILENT, SILENT], [UNLABELLED, ACT], [SILENT, SILENT]])
    # the very first token is predicted from nothing
    assert counts(targets, labels).tolist() == [1, 2, 1, 2, 1, 3, 3]


@pytest.mark.parametrize("parts", [[2, 2], [1, 1, 1, 1], [1, 3]])
def test_shares_of_a_global_batch_add_up_to_its_losses(
    model: Checkpoint, samples: list[Sample], parts: list[int]
) -> None:
    whole = batch_of(model, samples)
    expected = stacked(four_losses(model.network, whole, counted(whole)))
    rest = list(samples)
    batches = [batch_of(model, [rest.pop(0) for _ in range(size)]) for size in parts]
    total = torch.stack([counted(batch) for batch in batches]).sum(0)
    assert total.tolist() == counted(whole).tolist()
    shares = [stacked(four_losses(model.network, batch, total)) for batch in batches]
    torch.testing.assert_close(torch.stack(shares).sum(0), expected, atol=1e-5, rtol=1e-5)


def test_padding_never_matters(model: Checkpoint, samples: list[Sample]) -> None:
    batch = batch_of(model, samples)
    expected = stacked(four_losses(model.network, batch, counted(batch)))
    other_id = 17
    assert other_id not in (model.renderer.image_id, model.renderer.end_id)
    width = (0, 30)
    padded = batch._replace(
        ids=torch.nn.functional.pad(collate(samples, other_id)["ids"], width, value=other_id),
        targets=torch.nn.functional.pad(batch.targets, width, value=NONE),
    )
    assert counted(padded).tolist() == counted(batch).tolist()
    found = stacked(four_losses(model.network, padded, counted(padded)))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_without_any_label_every_loss_is_zero(model: Checkpoint, samples: list[Sample]) -> None:
    batch = batch_of(model, samples[:1])
    bare = batch._replace(
        targets=torch.full_like(batch.targets, NONE),
        labels=torch.full_like(batch.labels, UNLABELLED),
    )
    assert counted(bare).tolist() == [0] * 7
    losses = four_losses(model.network, bare, counted(bare))
    assert stacked(losses).tolist() == [0.0] * 4
    losses.total(LossWeights()).backward()  # nothing to learn, but no error either


def test_total_is_the_weighted_sum() -> None:
    losses = Losses(*(torch.tensor(float(value)) for value in (1, 10, 100, 1000)))
    assert losses.total(LossWeights()).item() == 1111
    assert losses.total(LossWeights(0.5, 2.0, 0.0, 0.25)).item() == 0.5 + 20 + 250


P = torch.tensor([0.5, 0.9, 0.2, 0.6, 0.7])
"""Probability that each frame's decision has of its label, whatever the label is."""
BALANCED = DecisionLoss()


def decided(labels: list[int], settings: DecisionLoss = BALANCED) -> float:
    found = torch.tensor(labels)
    denominators = torch.tensor([(found == ACT).sum(), (found == SILENT).sum()])
    return decisions_mean(-P.log(), found, denominators, settings).item()


def test_balanced_by_hand() -> None:
    acts = -(math.log(0.5) + math.log(0.9)) / 2
    expected = (acts - math.log(0.2)) / 2
    assert decided([ACT, ACT, SILENT, UNLABELLED, UNLABELLED]) == pytest.approx(expected)


def test_with_one_class_absent_the_loss_is_the_other_mean() -> None:
    expected = -(math.log(0.5) + math.log(0.9) + math.log(0.2)) / 3
    for label in (ACT, SILENT):
        found = decided([label, label, label, UNLABELLED, UNLABELLED])
        assert found == pytest.approx(expected)
    for kind in ("balanced", "plain", "weighted", "focal"):
        assert decided([UNLABELLED] * 5, DecisionLoss(kind)) == 0


LABELS = [ACT, SILENT, ACT, SILENT, UNLABELLED]


def test_plain_weighted_and_focal_by_hand() -> None:
    nll = [-math.log(p) for p in (0.5, 0.9, 0.2, 0.6)]
    assert decided(LABELS, DecisionLoss("plain")) == pytest.approx(sum(nll) / 4)
    weighted = (3 * nll[0] + nll[1] + 3 * nll[2] + nll[3]) / 4
    assert decided(LABELS, DecisionLoss("weighted", pos_weight=3)) == pytest.approx(weighted)
    focal = (0.5**2 * nll[0] + 0.1**2 * nll[1] + 0.8**2 * nll[2] + 0.4**2 * nll[3]) / 4
    assert decided(LABELS, DecisionLoss("focal", gamma=2)) == pytest.approx(focal)


def test_pooled_divides_by_the_one_count_it_is_given() -> None:
    nll = -(math.log(0.5) + math.log(0.9) + math.log(0.2) + math.log(0.6))
    count = torch.tensor([40, 40])
    found = decisions_mean(
        -P.log(), torch.tensor(LABELS), count, DecisionLoss("plain", pooled=True)
    )
    assert found.item() == pytest.approx(nll / 40)


KINDS = [
    BALANCED,
    DecisionLoss("plain"),
    DecisionLoss("weighted", pos_weight=3),
    DecisionLoss("focal", gamma=1.5),
]


@pytest.mark.parametrize("settings", KINDS, ids=lambda settings: settings.kind)
def test_a_part_without_positives_still_shares_the_global_mean(settings: DecisionLoss) -> None:
    labels = torch.tensor([ACT, SILENT, SILENT, SILENT, ACT])
    denominators = torch.tensor([2, 3])
    whole = decisions_mean(-P.log(), labels, denominators, settings)
    parts = [
        decisions_mean(-P[part].log(), labels[part], denominators, settings)
        for part in (slice(0, 1), slice(1, 4), slice(4, 5))
    ]
    assert torch.stack(parts).sum().item() == pytest.approx(whole.item())


@pytest.mark.parametrize("settings", KINDS, ids=lambda settings: settings.kind)
def test_gradients_of_the_decision_losses(settings: DecisionLoss) -> None:
    labels = torch.tensor(LABELS)
    denominators = torch.tensor([2, 2])

    def loss(odds: Tensor) -> Tensor:
        signed = torch.where(labels == ACT, odds, -odds)
        losses = -torch.nn.functional.logsigmoid(signed)
        return decisions_mean(losses, labels, denominators, settings)

    odds = torch.tensor([0.0, 2.0, -1.0, 9.0, 0.5], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (odds,))


def is_ours(name: str) -> bool:
    return ".lora_" in name or name.startswith(("projector.", "decide."))


def test_gradients_reach_adapters_projector_and_heads_and_nothing_else(
    tiny_llm: Path, samples: list[Sample]
) -> None:
    model = tiny_model(tiny_llm, vectors=SIZE)
    network = model.network
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1.0)
    batch = batch_of(model, samples[:2])
    four_losses(network, batch, counted(batch)).total(LossWeights()).backward()
    for name, weight in network.named_parameters():
        assert weight.requires_grad == is_ours(name), name
        if is_ours(name):
            assert weight.grad is not None, name
            assert weight.grad.abs().sum() > 0, name
        else:
            assert weight.grad is None, name
    optimizer.step()
    for name, weight in network.named_parameters():
        assert torch.equal(weight, before[name]) != is_ours(name), name


@pytest.mark.parametrize("index", range(4))
def test_each_loss_alone_trains_its_part(tiny_llm: Path, samples: list[Sample], index: int) -> None:
    model = tiny_model(tiny_llm, vectors=SIZE)
    batch = batch_of(model, samples[:1])
    four_losses(model.network, batch, counted(batch))[index].backward()
    heads = model.network.decide.weight.grad
    if index < 2:
        assert heads is None or not heads.any()
    else:
        assert heads is not None
        assert [bool(row.any()) for row in heads] == [index == 2, index == 3]
    grad = model.network.projector.up.weight.grad
    assert grad is not None
    assert grad.any()
