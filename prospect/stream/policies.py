"""What happens when a context is full; one function a policy.

In: a session whose context holds no further frame. Out: the session with room. All but ``none``
keep memory and time flat however long the video is.

    restate      a new context: the tracked state, the last utterances, the last seconds of frames
    summarize    a new context: a summary that the model writes first, the last seconds of frames
                 (ProAssist's iterative progress summarization, arXiv 2506.05904, section 4.3)
    drop_middle  the prompt and the last tokens stay; all between is dropped
    drop_all     a new context: the first prompt alone
    none         an error
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers.models.llama.modeling_llama import rotate_half

from prospect.errors import ConfigError
from prospect.model.network import Network
from prospect.samples.clips import recent_turns
from prospect.samples.sequence import SUMMARY_REQUEST
from prospect.stream.config import Policy
from prospect.stream.engine import Job
from prospect.stream.write import write_sentence

if TYPE_CHECKING:
    from prospect.stream.session import Session


def restate(session: "Session") -> Job[None]:
    """Tell the state and the last utterances, repeat the last frames, as training's clips do."""
    session.reopen(session.prompt(recent_turns(session.events, session.fps)), session.overlap)
    yield from ()  # nothing to compute: the next pass reads it


def summarize(session: "Session") -> Job[None]:
    """Ask for a summary as training's clips do, and tell it in place of the state."""
    session.context.add(session.renderer.turn("user", SUMMARY_REQUEST))
    summary, _ = yield from write_sentence(
        session.context,
        session.renderer,
        session.config.max_summary_tokens,
        session.config.max_draft,
    )
    session.reopen(session.prompt((), summary), session.overlap)


def drop_all(session: "Session") -> Job[None]:
    """Begin again with what was told at first."""
    session.reopen(session.first_prompt, ())
    yield from ()


def drop_middle(session: "Session") -> Job[None]:
    """Keep the prompt and the last `kept_tokens`, from the first whole frame among them on.

    The last frame and what was said after it stay in any case.

    What of the positions (`StreamConfig.positions`):
        kept: Tokens stay where they were; behind the prompt is a gap. Where the next context would
            leave the positions that the LLM has learned, the gap is closed as by rerotated.
        rerotated: The last tokens move up behind the prompt: their keys are turned back.
        recompute: As rerotated, but all that is kept is read again.
        legacy: ProAssist's, whose next tokens count on from the shortened length while the keys
            keep their old rotation (facts and figures: docs/stream.md).
    """
    context, slots = session.context, session.engine.slots
    start = len(session.first_prompt.ids)
    earliest = max(start, len(context.tokens) - session.config.kept_tokens)
    starts = context.frame_starts
    if not starts:  # the prompt alone is too long, and stays
        return
    stop = next((at for at in starts if at >= earliest), starts[-1])
    length = context.num_read
    context.drop(start, stop)
    if session.config.positions == "recompute":
        context.num_read = 0
    else:
        slots.drop(context.slot, start, stop, length)
    if session.config.positions == "kept":
        context.gap_at, context.gap = start, context.gap + stop - start
        if context.gap + slots.length > _learned(session.engine.network):
            _move_up(session, context.gap)
            context.gap = 0
    if session.config.positions == "rerotated":
        _move_up(session, stop - start)
    yield from ()


def _learned(network: Network) -> int:
    """How many positions the LLM was trained on."""
    positions: int = network.llm.config.max_position_embeddings
    return positions


def _move_up(session: "Session", by: int) -> None:
    """Turn the keys of all that stands behind the prompt back by so many positions."""
    context, engine = session.context, session.engine
    for layer, keys in enumerate(engine.slots.keys):
        moved = keys[context.slot, :, len(session.first_prompt.ids) : context.num_read]
        moved.copy_(rotated(engine.network, layer, moved, -by))


def none(session: "Session") -> Job[None]:
    """Refuse.

    Raises:
        ConfigError: always.
    """
    raise ConfigError(
        f"the context of {session.engine.slots.length} tokens is full at frame "
        f"{session.next_frame}; choose policy restate"
    )


POLICIES: Mapping[Policy, Callable[["Session"], Job[None]]] = {
    "restate": restate,
    "summarize": summarize,
    "drop_middle": drop_middle,
    "drop_all": drop_all,
    "none": none,
}


def rotated(network: Network, layer: int, keys: Tensor, by: int) -> Tensor:
    """Keys as if their tokens stood ``by`` positions later (Su et al., arXiv 2104.09864, eq. 34).

    Args:
        network: Whose rotary embedding it is.
        layer: Of the keys; some models leave some layers without positions.
        keys: (..., d).
        by: May be negative.
    """
    body = network.llm.base_model
    if not getattr(body.layers[layer].self_attn, "use_rope", True):
        return keys
    exact = keys.float()
    # long-context variants scale both factors; the keys have been scaled once already
    cos, sin = (
        factor[0, 0] / body.rotary_emb.attention_scaling
        for factor in body.rotary_emb(exact, torch.tensor([[by]], device=keys.device))
    )
    turned: Tensor = exact * cos + rotate_half(exact) * sin  # type: ignore[no-untyped-call]
    return turned.to(keys.dtype)
