"""Samples of an epoch: permuted, sub-sampled, padded; all of it seeded."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from prospect.errors import DataError
from prospect.samples.clips import cut
from prospect.samples.dataset import ClipDataset, SampleConfig, collate, permute_steps
from prospect.samples.labels import SILENT, UNLABELLED
from prospect.samples.plan import Draw
from prospect.samples.sequence import NONE, Rendered, Renderer
from prospect.types import Clip, Status
from tests.clips import random_stream

STREAM = random_stream(5, num_frames=400)


@pytest.fixture
def renderer(tokenizer: PreTrainedTokenizerBase) -> Renderer:
    return Renderer(tokenizer, 1)


def features(clip: Clip) -> Tensor:
    """(F, 1, 1): each frame's vector is its number."""
    return torch.arange(clip.start_frame, clip.stop_frame, dtype=torch.float32)[:, None, None]


def story(clip: Clip) -> list[tuple[int, str, str]]:
    """What happens, by the steps' names: independent of ids and order of the list."""
    name = {step.id: step.name for step in clip.task.steps}
    return [
        (event.frame, name[move.step_id], move.move)
        for event in clip.events
        for move in event.transitions
    ]


def named_state(clip: Clip) -> dict[str, str]:
    name = {step.id: step.name for step in clip.task.steps}
    return {name[step_id]: status for step_id, status in clip.state.items()}


@pytest.mark.parametrize("seed", range(10))
def test_permuted_steps_mean_the_same(renderer: Renderer, seed: int) -> None:
    assert len({step.name for step in STREAM.task.steps}) == 5
    for clip in cut(STREAM, renderer, 500, 0):
        permuted = permute_steps(clip, np.random.default_rng(seed))
        assert story(permuted) == story(clip)
        assert named_state(permuted) == named_state(clip)
        # ids are listed in order, and the state lists them as the task does
        ids = [step.id for step in permuted.task.steps]
        assert ids == [step.id for step in clip.task.steps] == list(permuted.state)
        assert replace(
            permuted, task=clip.task, state=clip.state, events=clip.events
        ) == clip  # fmt: skip
        assert [replace(e, transitions=()) for e in permuted.events] == [
            replace(e, transitions=()) for e in clip.events
        ]


@pytest.mark.parametrize("seed", range(5))
def test_a_state_moves_with_its_step(seed: int) -> None:
    done: Status = "completed"
    state = {step.id: done if i == 1 else "not_started" for i, step in enumerate(STREAM.task.steps)}
    clip = replace(STREAM, state=state, events=())
    permuted = permute_steps(clip, np.random.default_rng(seed))
    assert permuted.task != clip.task
    assert named_state(permuted) == named_state(clip)


def test_all_orders_are_drawn() -> None:
    clip = replace(STREAM, task=replace(STREAM.task, steps=STREAM.task.steps[:3]), events=())
    orders = {
        tuple(step.name for step in permute_steps(clip, np.random.default_rng(i)).task.steps)
        for i in range(60)
    }
    assert len(orders) == 6


def dataset(renderer: Renderer, config: SampleConfig | None) -> ClipDataset:
    return ClipDataset(cut(STREAM, renderer, 500, 0), renderer, features, config)


def equal(a: Rendered, b: Rendered) -> bool:
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("ids", "targets", "frame_ends", "speak", "update")
    )


def test_validation_renders_the_clips_as_they_are(renderer: Renderer) -> None:
    data = dataset(renderer, None)
    assert len(data) == len(data.clips) > 2
    for index, clip in enumerate(data.clips):
        rendered, vectors = data[index]
        assert equal(rendered, renderer.clip(clip))
        assert vectors.flatten().tolist() == list(range(clip.start_frame, clip.stop_frame))


def test_the_same_seed_epoch_and_clip_give_the_same_sample(renderer: Renderer) -> None:
    data, again = dataset(renderer, SampleConfig()), dataset(renderer, SampleConfig())
    last = data.draw(Draw(2, 0, 1))[0]
    for index in reversed(range(len(again))):  # in whatever order they are read
        found = again.draw(Draw(2, 0, index))[0]
        if index == 1:
            assert equal(found, last)


def test_each_epoch_seed_and_clip_draws_anew(renderer: Renderer) -> None:
    config = SampleConfig(negative_rate=0.5, permute_steps="none")
    data = dataset(renderer, config)
    plain = renderer.clip(data.clips[0])
    drawn = [data.draw(Draw(epoch, 0, 0))[0] for epoch in range(4)]
    repeated = data.draw(Draw(0, 0, 0, copy=1))[0]
    other = dataset(renderer, replace(config, seed=1))[0][0]
    twin = replace(data.clips[0], clip_id="twin/0")
    twin_drawn = ClipDataset([twin], renderer, features, config)[0][0]
    masks = {rendered.speak.tobytes() for rendered in (*drawn, repeated, other, twin_drawn)}
    assert len(masks) == 7
    for rendered in drawn:
        # the inputs never change, only which positions count
        assert rendered.ids.tolist() == plain.ids.tolist()
        assert (rendered.speak == SILENT).sum() == (drawn[0].speak == SILENT).sum()
        changed = rendered.speak != plain.speak
        assert (plain.speak[changed] == SILENT).all()
        assert (rendered.speak[changed] == UNLABELLED).all()
    assert (drawn[0].speak == SILENT).sum() < (plain.speak == SILENT).sum()


def test_each_epoch_lists_the_steps_in_another_order(renderer: Renderer) -> None:
    data = dataset(renderer, SampleConfig(negative_rate=1.0))
    seen = {data.draw(Draw(epoch, 0, 0))[0].ids.tobytes() for epoch in range(5)}
    assert len(seen) == 5


def test_a_clip_that_only_keeps_step_counts_nowhere(renderer: Renderer) -> None:
    data = dataset(renderer, SampleConfig())
    found, _ = data.draw(Draw(0, 0, 0, counts=False))
    assert found.ids.tolist() == data[0][0].ids.tolist()
    assert not found.targets.any()
    assert (found.speak == UNLABELLED).all()
    assert (found.update == UNLABELLED).all()


def test_features_of_other_frames_are_refused(renderer: Renderer) -> None:
    clip = cut(STREAM, renderer, 500, 0)[0]
    data = ClipDataset([clip], renderer, lambda clip: torch.zeros(3, 1, 1), None)
    with pytest.raises(DataError, match=r"v5/no_talk-0/0: features are of 3 frames x 1 vectors"):
        data[0]


def test_collate_pads_at_the_end_with_what_no_loss_reads(renderer: Renderer) -> None:
    data = dataset(renderer, None)
    samples = [data[0], data[1], data[2]]
    pad_id = renderer.end_id
    batch = collate(samples, pad_id)
    length = max(len(rendered.ids) for rendered, _ in samples)
    assert batch["ids"].shape == batch["targets"].shape == (3, length)
    total = sum(len(rendered.frame_ends) for rendered, _ in samples)
    assert batch["frame_ends"].shape == batch["labels"].shape == (total, 2)
    assert batch["features"].shape == (total, 1, 1)
    at = 0
    for row, (rendered, vectors) in enumerate(samples):
        size, frames = len(rendered.ids), len(rendered.frame_ends)
        assert batch["ids"][row, :size].tolist() == rendered.ids.tolist()
        assert batch["ids"][row, size:].tolist() == [pad_id] * (length - size)
        assert batch["targets"][row, :size].tolist() == rendered.targets.tolist()
        assert (batch["targets"][row, size:] == NONE).all()
        part = slice(at, at + frames)
        assert batch["frame_ends"][part, 0].tolist() == [row] * frames
        assert batch["frame_ends"][part, 1].tolist() == rendered.frame_ends.tolist()
        assert batch["labels"][part].T.tolist() == [
            rendered.speak.tolist(),
            rendered.update.tolist(),
        ]
        assert torch.equal(batch["features"][part], vectors)
        at += frames
    rows, ends = batch["frame_ends"].unbind(1)
    assert (batch["ids"][rows, ends] == renderer.image_id).all()
    assert int((batch["ids"] == renderer.image_id).sum()) == total
