"""Each way to decide and to write learns its clips, and comes back from a checkpoint."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoTokenizer

from prospect.errors import ConfigError
from prospect.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from prospect.model.config import DecisionLoss, LossWeights
from prospect.model.losses import Batch, counts, four_losses, read
from prospect.model.teacher import probabilities
from prospect.samples.dataset import collate, pack
from prospect.samples.labels import ACT, SILENT, UNLABELLED
from prospect.samples.sequence import NONE, Rendered, Renderer
from prospect.types import Clip, Event, Transition
from tests.clips import random_stream
from tests.model.modes import MODES, loud_llm, mode_model
from tests.models import FEATURE_DIM

S1, S2 = (Transition("S1", "start"), Transition("S2", "start"))
DONE = Transition("S1", "complete")
STORIES = (
    (
        Event(2, (S1,), "Put it there."),
        Event(5, speech="Good."),
        Event(8, (DONE, S2)),
        Event(11, user="What now?"),
    ),
    (Event(3, (S2,)), Event(6, (S1,), "Now that."), Event(9, user="Why?", speech="So.")),
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two threads on a model this small only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def llm(tiny_llm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return loud_llm(tiny_llm, tmp_path_factory.mktemp("loud_llm"))


def clip(index: int) -> Clip:
    """14 frames with transitions, speech, both, two moves at once, and user turns."""
    return replace(random_stream(index, num_frames=14), events=STORIES[index])


def samples(model: Checkpoint) -> list[tuple[Rendered, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [
        (model.renderer.clip(clip(i)), torch.randn(14, 1, FEATURE_DIM, generator=generator))
        for i in range(2)
    ]


@pytest.mark.parametrize("mode", ["linear", "mlp", "cascade", "token", "point"])
def test_two_clips_are_overfitted(llm: Path, mode: str) -> None:
    model = mode_model(llm, mode)
    network = model.network.train()
    # frozen word embeddings: most of the tiny model's time would go there
    network.llm.get_input_embeddings().requires_grad_(False)
    batch = Batch(**collate(samples(model), model.renderer.end_id))
    total = counts(batch.targets, batch.labels)
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-2, weight_decay=0.0)
    for _ in range(150):
        losses = four_losses(network, batch, total)
        if max(losses) < 0.05:
            break
        optimizer.zero_grad()
        losses.total(LossWeights()).backward()
        optimizer.step()
    assert max(losses) < 0.05
    assert min(total[:6]) > 0  # all four had something to learn
    # what was learned is what inference reads
    network.eval()
    for rendered, vectors in samples(model):
        probs = probabilities(network, rendered, vectors)
        for column, labels in enumerate((rendered.speak, rendered.update)):
            assert (probs[labels == ACT, column] > 0.5).all()
            assert (probs[labels == SILENT, column] < 0.5).all()


@pytest.mark.parametrize("mode", MODES)
def test_a_row_of_two_clips_gives_the_losses_of_two_rows(llm: Path, mode: str) -> None:
    model = mode_model(llm, mode)
    padded = Batch(**collate(samples(model), model.renderer.end_id))
    packed = Batch(**pack(samples(model)))
    one, other = read(model.network, padded), read(model.network, packed)
    for name in ("token_losses", "decision_losses", "decisions"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), atol=1e-4, rtol=1e-4)
    assert torch.equal(one.kinds, other.kinds)


@pytest.mark.parametrize("together", ["padded", "packed"])
@pytest.mark.parametrize("mode", MODES)
def test_a_clip_without_transitions_teaches_the_rest(llm: Path, mode: str, together: str) -> None:
    model = mode_model(llm, mode)
    told = replace(random_stream(0, num_frames=14), events=(Event(5, speech="Good."),))
    one = [(model.renderer.clip(told), torch.randn(14, 1, FEATURE_DIM))]
    batch = Batch(**(collate(one, model.renderer.end_id) if together == "padded" else pack(one)))
    losses = four_losses(model.network, batch, counts(batch.targets, batch.labels))
    assert losses.state_gen == 0
    assert losses.speak_gen > 0
    losses.total(LossWeights()).backward()
    assert torch.isfinite(losses.total(LossWeights()))


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_comes_back_from_its_checkpoint(llm: Path, tmp_path: Path, mode: str) -> None:
    model = mode_model(llm, mode)
    save_checkpoint(model, tmp_path / "checkpoint")
    loaded = load_checkpoint(tmp_path / "checkpoint", torch.float32)
    assert loaded.config == model.config
    assert loaded.renderer.layout == model.renderer.layout
    batch = Batch(**collate(samples(model), model.renderer.end_id))
    total = counts(batch.targets, batch.labels)
    expected = torch.stack(four_losses(model.network, batch, total))
    assert torch.equal(torch.stack(four_losses(loaded.network, batch, total)), expected)


@torch.no_grad()
def test_token_losses_and_probabilities_equal_a_slow_computation(llm: Path) -> None:
    model = mode_model(llm, "token")
    network, renderer = model.network, model.renderer
    speaks, updates = renderer.openers
    for rendered, vectors in samples(model):
        batch = Batch(**collate([(rendered, vectors)], renderer.end_id))
        found = read(network, batch)
        ids = torch.from_numpy(rendered.ids)
        logits = network.next_token_logits(network(ids[None], vectors)[0])
        for frame, (end, again) in enumerate(
            zip(rendered.frame_ends.tolist(), rendered.speak_ends.tolist(), strict=True)
        ):
            p = logits[end].softmax(-1)
            after = logits[again].softmax(-1)
            share = p[updates] / (p[updates] + p[speaks])
            update = ((1 - p[renderer.end_id]) * share).item()
            share = after[speaks] / (after[updates] + after[speaks])
            speak = ((1 - after[renderer.end_id]) * share).item()
            expected = pytest.approx([speak, update], abs=1e-5)
            assert found.decisions[frame].sigmoid().tolist() == expected
            following = ids[end + 1].item() if end + 1 < len(ids) else 0
            target = following if following in (speaks, updates) else renderer.end_id
            if rendered.update[frame] != UNLABELLED:
                loss = found.decision_losses[frame, 1].item()
                assert loss == pytest.approx(-p[target].log().item(), abs=1e-4)
            following = ids[again + 1].item() if again + 1 < len(ids) else 0
            target = speaks if following == speaks else renderer.end_id
            if rendered.speak[frame] != UNLABELLED:
                loss = found.decision_losses[frame, 0].item()
                assert loss == pytest.approx(-after[target].log().item(), abs=1e-4)


def test_a_clip_that_does_not_count_has_no_loss(llm: Path) -> None:
    for mode in ("token", "point"):
        model = mode_model(llm, mode)
        rendered, vectors = samples(model)[0]
        idle = replace(
            rendered,
            targets=np.full_like(rendered.targets, NONE),
            speak=np.full_like(rendered.speak, UNLABELLED),
            update=np.full_like(rendered.update, UNLABELLED),
        )
        network = model.network.train()
        batch = Batch(**collate([(idle, vectors)], model.renderer.end_id))
        total = counts(batch.targets, batch.labels)
        assert not total.any()
        losses = four_losses(network, batch, total)
        assert torch.stack(losses).tolist() == [0.0] * 4
        losses.total(LossWeights()).backward()
        if network.pointer is not None:  # several processes wait for each gradient
            assert all(weight.grad is not None for weight in network.pointer.parameters())


@torch.no_grad()
def test_pooled_token_losses_are_one_cross_entropy(llm: Path) -> None:
    """ProAssist's: the mean over all learned tokens, `end` standing for a silent frame."""
    model = mode_model(llm, "token")
    batch = Batch(**collate(samples(model), model.renderer.end_id))
    pooled = DecisionLoss("plain", pooled=True)
    total = four_losses(model.network, batch, counts(batch.targets, batch.labels), pooled).total(
        LossWeights()
    )
    losses = []
    openers = model.renderer.openers
    for rendered, vectors in samples(model):
        ids, targets = torch.from_numpy(rendered.ids), rendered.targets
        hidden = model.network(ids[None], vectors)[0]
        log_probs = model.network.next_token_logits(hidden).log_softmax(-1)
        silent = set(rendered.frame_ends[rendered.speak == SILENT].tolist()) | set(
            rendered.speak_ends[rendered.speak == SILENT].tolist()
        )
        for position in range(len(ids)):
            last = position + 1 == len(ids)
            following = 0 if last else int(ids[position + 1])
            if following in openers or (not last and targets[position + 1]):
                losses.append(-log_probs[position, following].item())
            elif position in silent:
                losses.append(-log_probs[position, model.renderer.end_id].item())
    assert total.item() == pytest.approx(sum(losses) / len(losses), abs=1e-4)


def test_chat_headers_cannot_tell_a_state_turn_by_its_first_token(llm: Path) -> None:
    config = replace(MODES["token"], roles="chat")
    renderer = Renderer(AutoTokenizer.from_pretrained(llm), 1, config.layout)
    with pytest.raises(ConfigError, match="choose roles: tokens"):
        renderer.clip(clip(0))
    silent = replace(clip(0), state_known=False, events=(Event(4, speech="Good."),))
    rendered = renderer.clip(silent)
    assert (rendered.update == UNLABELLED).all()
    assert rendered.targets[rendered.speak_ends[4] + 1] == 0
    assert rendered.targets[rendered.speak_ends[4] + 2] != 0


def test_pooled_needs_one_mean_over_all() -> None:
    with pytest.raises(ConfigError, match="choose plain, weighted or focal"):
        DecisionLoss("balanced", pooled=True)
    with pytest.raises(ConfigError, match=r"gamma \(0\.5\) must be at least 1"):
        DecisionLoss("focal", gamma=0.5)
