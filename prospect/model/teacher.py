"""Teacher-forced probabilities: one forward pass a clip gives every frame's decisions.

Used for validation and to fit thresholds; the references stand in the context.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from prospect.model.decide import SPEAK, UPDATE
from prospect.model.network import Network
from prospect.samples.clips import without_answers
from prospect.samples.sequence import Rendered
from prospect.types import Clip, Prediction


@torch.inference_mode()
def probabilities(network: Network, rendered: Rendered, features: Tensor) -> Tensor:
    """Of one rendered clip.

    Args:
        network: In evaluation mode.
        rendered: The clip's tokens, L of them.
        features: (F, P, E) frame vectors.

    Returns:
        (F, 2) probabilities of speaking and updating, fp32; speak as read after the frame's
        transitions where the model does so.
    """
    device = network.device
    ids = torch.from_numpy(rendered.ids)[None].to(device)
    hidden = network(ids, features.to(device))
    ends = torch.from_numpy(rendered.frame_ends).to(device)
    frame_ends = torch.stack([torch.zeros_like(ends), ends], 1)
    speak_ends = torch.from_numpy(rendered.speak_ends).to(device)
    return network.decisions_at(hidden, frame_ends, speak_ends).sigmoid().cpu()


def as_prediction(stream: Clip, probs: Sequence[tuple[Clip, Tensor]], system: str) -> Prediction:
    """A dialogue's probabilities as a record that metrics can sweep; it has no events.

    Args:
        stream: The dialogue's clips joined.
        probs: Each clip with its (F, 2) `probabilities`. A later clip's first frames repeat the
            clip before and decide nothing; frames in no clip get 0.
        system: Name of the model.
    """
    merged = torch.zeros(stream.stop_frame - stream.start_frame, 2)
    for clip, prob in probs:
        decided = slice(clip.decide_from - stream.start_frame, clip.stop_frame - stream.start_frame)
        merged[decided] = prob[clip.decide_from - clip.start_frame :]
    return replace(
        without_answers(stream, system),
        fed="reference_dialogue",
        speak_prob=tuple(round(p, 4) for p in merged[:, SPEAK].tolist()),
        update_prob=tuple(round(p, 4) for p in merged[:, UPDATE].tolist()),
    )
