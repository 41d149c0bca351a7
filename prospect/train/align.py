"""Before training: turn frame vectors towards the words of what is being handled.

In: clips, their frame vectors, a fresh network. Out: its projector, moved so that a frame's mean
vector points where the embeddings of those words do: the name of the step under way, or the
narration of the action; with ``write: match`` also its matcher, which learns nothing afterwards.
Fractions of a second to a minute.

    prospect train --config presets/toy.yaml
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from prospect.errors import DataError
from prospect.model.network import Network
from prospect.model.point import Matcher
from prospect.samples.dataset import Features
from prospect.samples.sequence import Renderer
from prospect.train.config import AlignConfig
from prospect.types import Clip

_CLIPS = 256  # about 100,000 frames, of which far fewer are ever drawn
_BATCH = 256


def align(
    network: Network,
    renderer: Renderer,
    clips: Sequence[Clip],
    features: Features,
    config: AlignConfig,
    seed: int,
) -> tuple[float, float]:
    """Train the projector and the matcher alone; draws nothing from the global generator.

    Args:
        network: Fresh, its projector fitted to the vectors.
        renderer: Of the network.
        clips: Of the training split; up to `_CLIPS` are used, evenly taken from all.
        features: Frame vectors of a clip.
        config: Steps, at least 1, and learning rate.
        seed: Of the frames that are drawn.

    Returns:
        Of the first and of the last batch the mean cosine, in [-1, 1]; with ``contrast`` the share
        of frames whose own text is the nearest (to the matcher, if there is one).

    Raises:
        DataError: no clip says what is handled.
    """
    vectors, texts, which = _pairs(clips[:: -(-len(clips) // _CLIPS)], features)
    # 4-bit weights are on the GPU from the start, the projector is not
    words = network.llm.get_input_embeddings().weight.detach().to(network.device)
    ids = [renderer.text(text) for text in texts]
    contrast = config.kind == "contrast"
    pool = torch.sum if contrast else torch.mean
    targets = torch.stack([pool(words[line].float(), 0) for line in ids])
    matchers = _matchers(network)[: None if contrast else 1]
    # what is compared are directions: Adam would turn the rounding of a length into full steps
    turning = [weight for m in matchers for weight in m.parameters() if weight is not m.look.scale]
    if network.matcher is not None:
        network.matcher.requires_grad_(contrast)
    optimizer = torch.optim.AdamW(turning, lr=config.lr, weight_decay=0.0)
    generator = torch.Generator().manual_seed(seed)
    found = []
    for step in range(config.steps):
        drawn = torch.randint(len(which), (_BATCH,), generator=generator)
        frames = vectors[drawn].float().mean(1).to(network.device)
        own = which[drawn].to(network.device)
        if contrast:
            optimizer.param_groups[0]["lr"] = _falling(config, step)
            scores = [matcher(frames, targets) for matcher in matchers]
            loss = torch.stack([functional.cross_entropy(one, own) for one in scores]).sum()
            good = scores[-1].argmax(1) == own
        else:
            good = functional.cosine_similarity(network.projector(frames), targets[own])
            loss = 1 - good.mean()
        torch.autograd.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        network.zero_grad()
        found.append(good.float().mean().item())
    if network.matcher is not None:
        network.matcher.requires_grad_(False)
    return found[0], found[-1]


def _matchers(network: Network) -> list[Matcher]:
    """One that looks by the projector and is forgotten afterwards, and the network's own."""
    words = network.llm.get_input_embeddings().weight
    word_rms = words.float().pow(2).mean().sqrt().item()
    passing = Matcher(network.projector, words.shape[1], word_rms).to(network.device)
    return [passing] if network.matcher is None else [passing, network.matcher]


def _falling(config: AlignConfig, step: int) -> float:
    """Learning rate of a step, from 0."""
    return config.lr * (1 + math.cos(math.pi * step / config.steps)) / 2


def handled(clip: Clip) -> list[tuple[int, str]]:
    """(index of a frame in the clip, words of what is handled there), where the clip says so.

    In a narrated clip an action lasts from the narration before to its own; elsewhere it is the
    step under way that was started last, from the frame that decides on its start to the one that
    decides on its end.
    """
    found: list[tuple[int, str]] = []
    if clip.kind == "narration":
        begin = clip.decide_from
        for event in clip.events:
            if event.speech is not None:
                found += [(frame, event.speech) for frame in range(begin, event.frame + 1)]
                begin = event.frame + 1
        return [(frame - clip.start_frame, words) for frame, words in found]
    if not (clip.knowledge and clip.state_known):
        return []
    names = {step.id: step.name for step in clip.task.steps}
    doing = [step_id for step_id, status in clip.state.items() if status == "in_progress"]
    changes = {event.frame: event.transitions for event in clip.events}
    for frame in range(clip.decide_from, clip.stop_frame):
        before = doing
        for move in changes.get(frame, ()):
            doing = [step_id for step_id in doing if step_id != move.step_id]
            doing = doing if move.move == "complete" else [*doing, move.step_id]
        # a start is decided by what is seen of the new step, an end by what is seen of the old
        if shown := doing[-1:] if len(doing) >= len(before) else before[-1:]:
            found.append((frame - clip.start_frame, names[shown[0]]))
    return found


def _pairs(clips: Sequence[Clip], features: Features) -> tuple[Tensor, list[str], Tensor]:
    """(M, P, E) vectors, all texts, and (M,) which text belongs to each."""
    texts: dict[str, int] = {}
    vectors, which = [], []
    for clip in clips:
        if pairs := handled(clip):
            vectors.append(features(clip)[[index for index, _ in pairs]])
            which += [texts.setdefault(text, len(texts)) for _, text in pairs]
    if not which:
        raise DataError(
            f"align: none of {len(clips)} clips has a step under way or a narration; set "
            "training.align.steps to 0"
        )
    return torch.cat(vectors), list(texts), torch.tensor(which)
