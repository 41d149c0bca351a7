"""Clips as training samples: rendered, permuted, sub-sampled; and batches of them.

In: clips, a renderer, a function that gives a clip's frame vectors. Out: samples, and batches that
are padded (a clip a row) or packed (several clips in one row, none of which sees another). All
randomness is drawn from (seed, epoch, clip_id), so a resumed run sees the same data.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from prospect.errors import DataError
from prospect.files import text_hash
from prospect.samples.choices import NUM_MOVES
from prospect.samples.config import NegativeRate, PermuteSteps, rate_at
from prospect.samples.labels import ACT, UNLABELLED, frame_labels, tracks_state
from prospect.samples.negatives import subsample
from prospect.samples.plan import Draw, group
from prospect.samples.sequence import NONE, Rendered, Renderer
from prospect.samples.slips import render_slipped, slip
from prospect.types import Clip, Event, Step, Task

Features = Callable[[Clip], Tensor]
"""clip -> (F, P, E) frame vectors of ``[start_frame, stop_frame)``."""
Sample = tuple[Rendered, Tensor]
"""A clip's tokens and its (F, P, E) frame vectors."""


@dataclass(frozen=True, slots=True)
class SampleConfig:
    """How clips become samples of an epoch.

    Attributes:
        negative_rate: rho in [0, 1], see `prospect.samples.negatives`, or its schedule.
        permute_steps: What is drawn anew each epoch of list order and step ids; with ``none`` the
            text follows the list, not the eye.
        seed: Of all draws.
        slips: Rate of `prospect.samples.slips`.
    """

    negative_rate: float | NegativeRate = 0.5
    permute_steps: PermuteSteps = "both"
    seed: int = 0
    slips: float = 0.0


class ClipDataset(Dataset[Sample]):
    """Clips as samples; those of an epoch are drawn anew.

    Args:
        clips: In any order.
        renderer: Of the model.
        features: Frame vectors of a clip.
        config: Augmentation; None renders the clips as they are, for validation.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        renderer: Renderer,
        features: Features,
        config: SampleConfig | None,
    ) -> None:
        self.clips = list(clips)
        self._renderer = renderer
        self._features = features
        self._config = config

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Sample:
        """A clip as the first epoch shows it."""
        return self.draw(Draw(0, 0, index))

    def draw(self, draw: Draw) -> Sample:
        """A clip as its epoch shows it.

        Raises:
            DataError: the renderer's vectors a frame are not what the features have.
        """
        clip = self.clips[draw.index]
        vectors = self._features(clip)
        expected = (clip.stop_frame - clip.start_frame, self._renderer.tokens_per_frame)
        if vectors.shape[:2] != expected:
            raise DataError(
                f"{clip.clip_id}: features are of {vectors.shape[0]} frames x {vectors.shape[1]} "
                f"vectors, the model takes {expected[0]} x {expected[1]}; encode them with this "
                "model's encoder and vectors_per_frame"
            )
        if self._config is None:
            return self._renderer.clip(clip), vectors
        repeat = f" {draw.copy}" if draw.copy else ""
        key = f"{self._config.seed} {draw.epoch} {clip.clip_id}{repeat}"
        rng = np.random.default_rng(int(text_hash(key), 16))
        permuted = permute_steps(clip, rng, self._config.permute_steps)
        rendered = self._render(permuted, rng)
        rate = self.negative_rate(draw.epoch, draw.step)
        speak, update = subsample(rendered.speak, rendered.update, rate, rng)
        rendered = replace(rendered, speak=speak, update=update)
        return (rendered if draw.counts else _uncounted(rendered)), vectors

    def _render(self, clip: Clip, rng: np.random.Generator) -> Rendered:
        """A clip with slips in its history, if the settings want some and it has a state."""
        slips = self._config.slips if self._config else 0.0
        if slips == 0 or not tracks_state(clip):
            return self._renderer.clip(clip)
        return render_slipped(self._renderer, clip, slip(clip, slips, rng))

    def negative_rate(self, epoch: int, step: int) -> float:
        """rho of an epoch and optimizer step, both from 0; 1 without augmentation."""
        if self._config is None:
            return 1.0
        return rate_at(self._config.negative_rate, epoch, step, *self._shares)

    @cached_property
    def _shares(self) -> tuple[int, int]:
        """Frames of all clips that act, and that carry labels but don't."""
        acting = labelled = 0
        for clip in self.clips:
            speak, update = frame_labels(clip)
            acting += int(((speak == ACT) | (update == ACT)).sum())
            labelled += int(((speak != UNLABELLED) | (update != UNLABELLED)).sum())
        return acting, labelled - acting


class DrawnDataset(Dataset[tuple[Rendered, Tensor, int]]):
    """`Draw` -> sample and the number of its source.

    Args:
        dataset: The clips.
        source_of: Number of each clip's source.
    """

    def __init__(self, dataset: ClipDataset, source_of: Mapping[int, int]) -> None:
        self._dataset = dataset
        self._source_of = source_of

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, draw: Draw) -> tuple[Rendered, Tensor, int]:
        return *self._dataset.draw(draw), self._source_of[draw.index]


def _uncounted(rendered: Rendered) -> Rendered:
    """The same tokens, none of which is in a loss."""
    silent = np.full_like(rendered.speak, UNLABELLED)
    nothing = np.full_like(rendered.targets, NONE)
    return replace(rendered, targets=nothing, speak=silent, update=silent)


def permute_steps(clip: Clip, rng: np.random.Generator, what: PermuteSteps = "both") -> Clip:
    """The same clip with its steps listed in another order, or named by other ids, or both."""
    if what == "none":
        return clip
    ids = [step.id for step in clip.task.steps]
    order = rng.permutation(len(ids))
    # place in the new list -> the step that stands there, by its old place; and its new id
    listed = list(range(len(ids))) if what == "ids" else order.tolist()
    named = {"list": [ids[old] for old in listed], "ids": [ids[at] for at in order], "both": ids}
    new_id = {ids[old]: new for old, new in zip(listed, named[what], strict=True)}
    steps = tuple(Step(new_id[ids[old]], clip.task.steps[old].name) for old in listed)

    def renamed(event: Event) -> Event:
        moves = tuple(replace(move, step_id=new_id[move.step_id]) for move in event.transitions)
        return replace(event, transitions=moves)

    return replace(
        clip,
        task=Task(clip.task.goal, steps),
        state={new_id[ids[old]]: clip.state[ids[old]] for old in listed},
        events=tuple(renamed(event) for event in clip.events),
    )


def collate(samples: Sequence[Sample], pad_id: int) -> dict[str, Tensor]:
    """Pad samples at the end to one batch; keys as in `prospect.model.losses.Batch`.

    Args:
        samples: At least one.
        pad_id: Fills ids; no target and no label ever sits on it.
    """
    rendered = [sample for sample, _ in samples]
    length = max(len(item.ids) for item in rendered)
    return {
        "ids": torch.from_numpy(np.stack([_pad(item.ids, length, pad_id) for item in rendered])),
        "targets": torch.from_numpy(
            np.stack([_pad(item.targets, length, NONE) for item in rendered])
        ),
        **_frames(samples, [(row, 0) for row in range(len(samples))]),
    }


def pack(samples: Sequence[Sample]) -> dict[str, Tensor]:
    """Put samples behind each other in one row; positions restart, so that none sees another.

    The first token of a clip is no target, so nothing is predicted across the seam.
    """
    rendered = [sample for sample, _ in samples]
    lengths = [len(item.ids) for item in rendered]
    starts = np.cumsum([0, *lengths[:-1]]).tolist()
    positions = np.concatenate([np.arange(length) for length in lengths])
    return {
        "ids": torch.from_numpy(np.concatenate([item.ids for item in rendered]))[None],
        "targets": torch.from_numpy(np.concatenate([item.targets for item in rendered]))[None],
        **_frames(samples, [(0, start) for start in starts]),
        "positions": torch.from_numpy(positions)[None],
    }


def micro_batches(
    samples: Sequence[tuple[Rendered, Tensor, int]],
    pad_id: int,
    batch_size: int,
    tokens_per_batch: int | None,
    with_sources: bool,
) -> list[dict[str, Tensor]]:
    """One process's clips of an optimizer step as the batches that go through the model in turn.

    Args:
        samples: With the number of each one's source.
        pad_id: As in `collate`.
        batch_size, tokens_per_batch: As in `prospect.samples.plan.group`.
        with_sources: Add ``sources``, (B, L): which source each token comes from.
    """
    made = []
    for chosen in group([len(item.ids) for item, _, _ in samples], batch_size, tokens_per_batch):
        parts = [samples[at] for at in chosen.tolist()]
        pairs = [(rendered, vectors) for rendered, vectors, _ in parts]
        batch = collate(pairs, pad_id) if tokens_per_batch is None else pack(pairs)
        if with_sources:
            numbers = torch.tensor([source for _, _, source in parts])
            lengths = torch.tensor([len(rendered.ids) for rendered, _ in pairs])
            batch["sources"] = (
                numbers[:, None].expand(batch["ids"].shape).contiguous()
                if tokens_per_batch is None
                else numbers.repeat_interleave(lengths)[None]
            )
        made.append(batch)
    return made


def _frames(samples: Sequence[Sample], places: Sequence[tuple[int, int]]) -> dict[str, Tensor]:
    """All but the tokens; ``places`` are the row and first position of each sample."""
    rendered = [sample for sample, _ in samples]
    ends = [
        np.stack([np.full(len(item.frame_ends), row), item.frame_ends + start], axis=1)
        for item, (row, start) in zip(rendered, places, strict=True)
    ]
    speak_ends = [
        item.speak_ends + start for item, (_, start) in zip(rendered, places, strict=True)
    ]
    labels = [np.stack([item.speak, item.update], axis=1) for item in rendered]
    return {
        "frame_ends": torch.from_numpy(np.concatenate(ends)),
        "speak_ends": torch.from_numpy(np.concatenate(speak_ends)),
        "labels": torch.from_numpy(np.concatenate(labels)),
        "features": torch.cat([features for _, features in samples]),
        **_choices(rendered, places),
    }


def _choices(rendered: Sequence[Rendered], places: Sequence[tuple[int, int]]) -> dict[str, Tensor]:
    """Ends of the step lines, and what there was to choose, filled up to the longest list."""
    steps = max(len(item.step_ends) for item in rendered)
    step_ends = np.zeros((len(rendered), steps, 2), np.int64)
    choices, options = [], []
    for clip, (item, (row, start)) in enumerate(zip(rendered, places, strict=True)):
        lines = len(item.step_ends)  # none where a clip is shown without knowledge
        step_ends[clip, :lines] = np.column_stack([np.full(lines, row), item.step_ends + start])
        made = item.choices
        of_clip = np.broadcast_to([clip, row], (len(made.ends), 2))
        choices.append(np.column_stack([of_clip, made.ends + start, made.chosen]))
        missing = 1 + steps * NUM_MOVES - made.options.shape[1]
        options.append(np.pad(made.options, ((0, 0), (0, missing))))
    return {
        "step_ends": torch.from_numpy(step_ends),
        "choices": torch.from_numpy(np.concatenate(choices)),
        "options": torch.from_numpy(np.concatenate(options)),
    }


def _pad(values: NDArray[np.integer], length: int, fill: int) -> NDArray[np.integer]:
    return np.pad(values, (0, length - len(values)), constant_values=fill)
