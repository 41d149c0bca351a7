"""Streaming against the plain loop: frames a second, with the same events.

In: settings. Out: ratios and each way's figures, measured in one process one after the other:

- ``plain``: one video, one frame a forward pass, the library's growing cache;
- ``single``: one video, silence speculated;
- ``batched``: all videos at once, silence speculated.

Each with text, acting as often as the references do, and for silent frames alone. The weights are
the pretrained ones, the heads and frame vectors random: what they say doesn't change the speed.

    prospect bench stream --out bench.json
"""

import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import DynamicCache

from prospect.bench.config import StreamBench
from prospect.bench.meter import Meter
from prospect.dialogues import WRITERS, label, write_dialogues
from prospect.errors import ConfigError
from prospect.files import text_hash
from prospect.firing import DecisionRule
from prospect.frames.encoders import num_vectors
from prospect.model.checkpoint import Checkpoint
from prospect.model.precision import default_device, resolve_dtype
from prospect.samples.clips import whole_clip
from prospect.stages import say
from prospect.stream.config import StreamConfig
from prospect.stream.context import Context, stacked
from prospect.stream.engine import Ask, Engine, make_engine
from prospect.stream.fed import predict_streams
from prospect.stream.predict import Viewer
from prospect.stream.untrained import untrained
from prospect.toy.world import annotations
from prospect.types import Clip, Prediction

FPS = 2.0


class PlainEngine(Engine):
    """One context at a time, its keys and values in the library's `DynamicCache`."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine.network, 1, engine.slots.length, engine.vector_shape[0])
        self._caches: weakref.WeakKeyDictionary[Context, DynamicCache] = weakref.WeakKeyDictionary()

    @torch.inference_mode()
    def forward(self, asks: Sequence[Ask]) -> list[Tensor]:
        """See `Engine.forward`."""
        ((context, at, logits),) = asks
        cache = self._caches.setdefault(context, DynamicCache(config=self.network.llm.config))
        if (beyond := cache.get_seq_length() - context.num_read) > 0:
            cache.crop(-beyond)
        waiting = context.waiting()
        hidden = self.network(
            torch.tensor([waiting.ids], device=self.network.device),
            stacked(waiting.frames, self.vector_shape).to(self.network.device),
            cache,
        )[0]
        found = hidden[[index - context.num_read for index in at]]
        context.num_read = len(context.tokens)
        return [self.network.next_token_logits(found) if logits else found]


def bench_stream(settings: StreamBench) -> tuple[dict[str, float], dict[str, Any]]:
    """Measure all ways in every precision.

    Returns:
        The headline ratios, frames a second against ``plain``; and everything else.
    """
    if settings.num_threads is not None:
        torch.set_num_threads(settings.num_threads)
    streams = toy_streams(settings)
    ratios: dict[str, float] = {}
    details: dict[str, Any] = {"settings": repr(settings)}
    for dtype in settings.dtypes:
        model = load_model(settings, dtype)
        for kind, acts in (("with_text", rules(streams)), ("silent", _NEVER)):
            found = {name: measure(model, name, acts, streams, settings) for name in WAYS}
            plain = found["plain"]
            for name, one in found.items():
                details[f"{dtype} {kind} {name}"] = {
                    **one.figures,
                    "different_frames_share": different(one.made, plain.made),
                }
                if name != "plain":
                    ratio = one.figures["frames_per_s"] / plain.figures["frames_per_s"]
                    ratios[f"stream_{kind}_{dtype}_{name}_ratio"] = ratio
    return ratios, details


WAYS = ("plain", "single", "batched")
_NEVER = (DecisionRule(1.0), DecisionRule(1.0))


class Measured(NamedTuple):
    """How fast one way was, and what it did."""

    figures: dict[str, float]
    made: dict[str, Prediction]


def measure(
    model: Checkpoint,
    name: str,
    acts: tuple[DecisionRule, DecisionRule],
    streams: Sequence[Clip],
    settings: StreamBench,
) -> Measured:
    """Watch one way: all streams at once, or the first `num_plain` one after the other."""
    many = name == "batched"
    chosen = streams if many else streams[: settings.num_plain]
    config = StreamConfig(
        max_chunk=1 if name == "plain" else settings.max_chunk,
        max_draft=0 if name == "plain" else settings.max_draft,
        max_new_tokens=settings.max_new_tokens,
        speak_rule=acts[0],
        update_rule=acts[1],
    )
    engine = make_engine(model, config, len(chosen) if many else 1)
    if name == "plain":
        engine = PlainEngine(engine)
    viewer = Viewer(model, _vectors(settings), config, name, False, engine)
    warm = replace(chosen[0], stop_frame=chosen[0].start_frame + 40, events=())
    list(predict_streams(viewer, "self", [[warm]]))
    meter = Meter(model.network.device)
    meter.start()
    began = meter.now_s()
    made = {
        one.dialogue_id: one for one in predict_streams(viewer, "self", [[one] for one in chosen])
    }
    elapsed_s = meter.now_s() - began
    frames = sum(stream.stop_frame - stream.start_frame for stream in chosen)
    figures = {
        "frames_per_s": frames / elapsed_s,
        "frames": frames,
        "seconds": elapsed_s,
        "events": sum(len(one.events) for one in made.values()),
        "refreshes": sum(len(one.refreshes) for one in made.values()),
        "cache_bytes": engine.slots.num_bytes,
        "peak_memory_bytes": meter.peak_bytes(),
    }
    say(f"{model.network.llm.dtype} {name}: {figures['frames_per_s']:.1f} frames/s")
    return Measured(figures, made)


def different(found: dict[str, Prediction], plain: dict[str, Prediction]) -> float:
    """Share of the frames of streams that both watched at which they did different things."""
    apart = total = 0
    for name in plain:
        mine, theirs = ({e.frame: e for e in made[name].events} for made in (found, plain))
        apart += sum(mine.get(frame) != theirs.get(frame) for frame in mine.keys() | theirs.keys())
        total += plain[name].stop_frame - plain[name].start_frame
    return apart / total


def toy_streams(settings: StreamBench) -> list[Clip]:
    """Whole toy dialogues of at least `min_duration_s`; no video is drawn."""
    made = annotations("train", 50 * settings.num_streams, settings.seed)  # few are so long
    long = [one for one in made if one.duration_s >= settings.min_duration_s]
    if len(long) < settings.num_streams:
        raise ConfigError(
            f"{len(long)} of {len(made)} toy videos last {settings.min_duration_s:g} s; ask for "
            f"fewer than {settings.num_streams} streams, or shorter ones"
        )
    long = long[: settings.num_streams]
    written, _ = write_dialogues(long, WRITERS["scripted"], ["talk_some"], settings.seed)
    return [
        whole_clip(dialogue, label(one), FPS, int(one.duration_s * FPS))
        for one, dialogue in zip(long, written, strict=True)
    ]


def rules(streams: Sequence[Clip]) -> tuple[DecisionRule, DecisionRule]:
    """Speak and update as often as the references do, whatever a model that learned nothing says.

    A threshold alone can't: what is written changes the probabilities that follow.
    """
    events = [event for stream in streams for event in stream.events]
    minutes = sum(stream.stop_frame - stream.start_frame for stream in streams) / FPS / 60
    spoken = sum(event.speech is not None for event in events)
    updated = sum(bool(event.transitions) for event in events)
    speak, update = (
        DecisionRule(kind="rate", per_minute=count / minutes) for count in (spoken, updated)
    )
    return speak, update


def load_model(settings: StreamBench, dtype: str) -> Checkpoint:
    """The settings' model with nothing learned, ready to stream."""
    model = untrained(settings.model, settings.feature_dim, FPS, resolve_dtype(dtype))
    model.network.to(default_device())
    model.network.merge_adapters()
    return model


def _vectors(settings: StreamBench) -> Callable[[Clip], Tensor]:
    """Clip -> (F, P, E) random frame vectors of its video."""
    size = num_vectors(settings.model.encoder, settings.model.vectors_per_frame)

    def of(clip: Clip) -> Tensor:
        generator = torch.Generator().manual_seed(int(text_hash(clip.video_id)[:8], 16))
        video = torch.randn(clip.stop_frame, size, settings.feature_dim, generator=generator)
        return video[clip.start_frame :]

    return of
