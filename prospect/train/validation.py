"""Teacher-forced validation: each clip is forwarded once with its references in context.

In: validation clips. Out: the four losses, perplexities, both decisions scored at the thresholds
that are best here, exact transitions, and those thresholds. Nothing is generated.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from prospect.metrics import decisions
from prospect.metrics.pool import table
from prospect.model.config import Thresholds
from prospect.model.losses import Batch, Losses, Readout, counts
from prospect.model.teacher import as_prediction
from prospect.samples.clips import by_dialogue, join
from prospect.samples.dataset import ClipDataset, collate
from prospect.samples.sequence import SPEAK_GEN, STATE_GEN, Renderer
from prospect.train.objective import Objective
from prospect.types import Clip, Event, Prediction, Transition

_FIRED = (Transition("", "start"),)  # a score of moments doesn't ask which


@dataclass(frozen=True, slots=True)
class Observed:
    """One clip as the model saw it, on the CPU.

    Attributes:
        index: Of the clip.
        readout: At its labelled tokens and frames.
        labels: (F, 2).
        counts: (K,) denominators.
        exact: (turns,) whether each state turn's text and end are the most probable tokens.
        summary_len: How many of the labelled tokens, the last ones, are its summary's.
    """

    index: int
    readout: Readout
    labels: Tensor
    counts: Tensor
    exact: NDArray[np.bool_]
    summary_len: int


@dataclass(frozen=True, slots=True)
class Validation:
    """What validation says: numbers by name, and the thresholds with the best decision F1."""

    metrics: dict[str, float]
    speak_threshold: float
    update_threshold: float

    def thresholds(self, negative_rate: float) -> Thresholds:
        """As a checkpoint stores them."""
        return Thresholds(self.speak_threshold, self.update_threshold, "val", negative_rate)


@torch.inference_mode()
def observe(
    objective: Objective,
    dataset: ClipDataset,
    renderer: Renderer,
    indices: Sequence[int],
    device: torch.device,
) -> list[Observed]:
    """Forward the clips ``indices`` of ``dataset`` one by one.

    Args:
        objective: Model and losses; goes into evaluation mode.
        dataset: Of clips as they are.
        renderer: Of the model.
        indices: This process's part.
        device: Of the model.
    """
    objective.eval()
    header_len = 0 if renderer.layout.choices else len(renderer.header("state"))
    found = []
    loader = DataLoader(
        Subset(dataset, indices), collate_fn=partial(collate, pad_id=renderer.end_id)
    )
    for index, tensors in zip(indices, loader, strict=True):
        batch = Batch(**{name: value.to(device) for name, value in tensors.items()})
        readout = objective.read(batch)
        whole = Readout(*(part.float().cpu() for part in readout))
        exact = exact_turns(
            tensors["targets"][0].numpy(),
            whole.right.numpy() > 0,
            tensors["frame_ends"][:, 1].numpy(),
            header_len,
        )
        labels = tensors["labels"]
        counted = counts(tensors["targets"], labels)
        turns = renderer.summary_turns(dataset.clips[index].summary)
        summary_len = sum(len(ids) for ids, kind in turns if kind == SPEAK_GEN)
        found.append(Observed(index, whole, labels, counted, exact, summary_len))
    return found


def exact_turns(
    targets: NDArray[np.int8],
    right: NDArray[np.bool_],
    frame_ends: NDArray[np.int64],
    header_len: int,
) -> NDArray[np.bool_]:
    """Which state turns of a clip are right from their header to their end.

    Args:
        targets: (L,) what each token is a target of.
        right: (T,) whether each target is the most probable token, or choice.
        frame_ends: (F,) positions; a turn follows its frame's.
        header_len: Tokens that open a turn; streaming writes them unasked, so they don't count.

    Returns:
        One value a turn.
    """
    hits = np.zeros(len(targets), bool)
    hits[1:][targets[1:] > 0] = right
    places = np.flatnonzero(targets == STATE_GEN)
    frames = np.searchsorted(frame_ends, places) - 1
    counted = places > frame_ends[frames] + header_len if len(places) else np.zeros(0, bool)
    return np.array(
        [hits[places[counted & (frames == at)]].all() for at in np.unique(frames)], bool
    )


def summarize(
    objective: Objective, observed: Sequence[Observed], clips: Sequence[Clip]
) -> Validation:
    """Measure all clips together.

    Args:
        objective: Knows how losses are reduced.
        observed: Each clip once, in any order.
        clips: All validation clips, at least one.

    Returns:
        Names as in `prospect.train.config.EVAL_METRICS`; without those that don't exist here: no
        transition to write, nothing that is to be said.
    """
    ordered = sorted(observed, key=lambda one: one.index)
    whole = Readout(
        *(torch.cat(parts) for parts in zip(*(one.readout for one in ordered), strict=True))
    )
    labels = torch.cat([one.labels for one in ordered])
    losses = objective.reduce(whole, labels, torch.stack([one.counts for one in ordered]).sum(0))
    metrics = dict(zip(Losses._fields, torch.stack(losses).tolist(), strict=True))
    metrics["loss"] = sum(metrics.values())
    summed = torch.cat([_summed(one) for one in ordered])
    texts = {
        "speak": (whole.kinds == SPEAK_GEN) & ~summed,
        "summary": summed,
        "state": whole.kinds == STATE_GEN,
    }
    for name, chosen in texts.items():
        if chosen.any():
            metrics[f"{name}_perplexity"] = whole.token_losses[chosen].mean().exp().item()
    exact = np.concatenate([one.exact for one in ordered])
    if len(exact):
        metrics["transition_exact"] = float(exact.mean())
    predictions = _predictions(ordered, clips)
    best = decisions.sweep(predictions)
    scored = _decision_scores(predictions, best.speak, best.update)
    return Validation(metrics | scored, best.speak, best.update)


def _summed(one: Observed) -> Tensor:
    """(T,) which labelled tokens are the summary's."""
    num_tokens = len(one.readout.kinds)
    return torch.arange(num_tokens) >= num_tokens - one.summary_len


def _predictions(observed: Sequence[Observed], clips: Sequence[Clip]) -> list[Prediction]:
    """Every dialogue's probabilities as records that metrics can sweep."""
    probs = {clips[one.index].clip_id: one.readout.decisions.sigmoid() for one in observed}
    return [
        as_prediction(join(parts), [(clip, probs[clip.clip_id]) for clip in parts], "validation")
        for parts in by_dialogue(clips)
    ]


def _decision_scores(
    predictions: Sequence[Prediction], speak: float, update: float
) -> dict[str, float]:
    """Precision, recall, F1, average precision and calibration error of both decisions."""
    acted = [_acted(prediction, speak, update) for prediction in predictions]
    stats = [decisions.stats(prediction) for prediction in acted]
    pool = table(stats, [prediction.video_id for prediction in acted]).plain()
    found = {}
    for decision in decisions.DECISIONS:
        for metric in ("decision_precision", "decision_recall", "decision_f1"):
            name = f"{decision}_{metric.removeprefix('decision_')}"
            found[name] = decisions.METRICS[f"{decision}_{metric}"].function(pool)[0]
        for metric in ("average_precision", "calibration_error"):
            name = f"{decision}_{metric}"
            found[name] = decisions.METRICS[name].function(pool)[0]
    return {name: float(value) for name, value in found.items() if not np.isnan(value)}


def _acted(prediction: Prediction, speak: float, update: float) -> Prediction:
    """The record with a decision wherever a probability exceeds its threshold."""
    spoken = np.array(prediction.speak_prob) > speak
    updated = np.array(prediction.update_prob) > update
    events = tuple(
        Event(
            prediction.start_frame + int(frame),
            _FIRED if updated[frame] else (),
            "" if spoken[frame] else None,
        )
        for frame in np.flatnonzero(spoken | updated)
    )
    return replace(prediction, events=events)
