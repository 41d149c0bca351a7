"""From a model and a data folder to predictions: ours, a bare backbone, or one behind an endpoint.

prospect predict --checkpoint runs/x/training/checkpoint --data runs/x/data/test --out p.jsonl
prospect predict --model untrained --data data/test --out untrained.jsonl --system untrained
prospect predict --model openai:http://localhost:8000/v1 --remote.server.model m --data data/test \\
    --out zero-shot.jsonl --system zero-shot
prospect predict --sweep --checkpoint runs/x/training/checkpoint --data data/val --out v.jsonl
prospect predict --sweep_streams --checkpoint runs/x/training/checkpoint --data data/val \\
    --out v.jsonl
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from prospect.dataset import preflight
from prospect.errors import ConfigError
from prospect.files import MANIFEST, read_records, read_text, text_hash
from prospect.model.config import ModelConfig, Thresholds
from prospect.parallel import ordered
from prospect.shipped import SHIPPED, checkpoint_folder
from prospect.stages.score import check_target, export_results
from prospect.stages.shared import load_clips, open_features, say
from prospect.stages.sweep import store_chosen, store_fitted
from prospect.stream.config import Feed, RemoteConfig, StreamConfig, check_swept
from prospect.types import Clip, Prediction, Split

if TYPE_CHECKING:
    from prospect.frames.decode import Image
    from prospect.model.checkpoint import Checkpoint
    from prospect.samples.dataset import Features
    from prospect.stream.predict import Make

UNTRAINED = "untrained"
OPENAI = "openai:"


@dataclass(frozen=True)
class _Settings:
    """Everything that predictions depend on; see `predict`."""

    checkpoint: str
    data: Path
    system: str
    split: Split | None
    stream: StreamConfig
    blind: bool
    dtype: str
    frames_root: Path | None
    fed: Feed
    backbone: ModelConfig
    remote: RemoteConfig | None


def predict(
    checkpoint: Path | str,
    data: Path,
    out: Path,
    system: str = "prospect",
    split: Split | None = None,
    stream: StreamConfig = StreamConfig(),  # noqa: B008  frozen
    blind: bool = False,
    dtype: str = "auto",
    frames_root: Path | None = None,
    seen: tuple[Path, ...] = (),
    fed: Feed = "self",
    sweep: bool = False,
    sweep_streams: bool = False,
    unconstrained: bool = False,
    shards: int = 1,
    shard: int | None = None,
    backbone: ModelConfig = ModelConfig(),  # noqa: B008  frozen
    remote: RemoteConfig | None = None,
    target: tuple[str, str] | None = None,
) -> None:
    """Stream every video of a data folder through a model.

    Args:
        checkpoint: Folder of a finished model, or the name of one that comes with the package;
            `untrained` for the bare `backbone`; `openai:URL` for a vision model behind an endpoint.
        data: The data folder; its clips that only ask for a summary or a caption are no streams.
        out: JSONL of predictions.
        system: Name to score them under.
        split: Only clips of this split; None takes all.
        stream: How streams are watched.
        blind: Show the first frame all the time.
        dtype: Of weights and arithmetic: auto, bfloat16, float16 or float32.
        frames_root: Folder of ProAssist's stores, if the frames are there.
        seen: Data folders of the training data, to tell seen tasks from unseen ones.
        fed: Of the context: self, reference_dialogue, reference_state, told or teacher_forced.
        sweep: Predict teacher-forced, fit the rules of both decisions to that, and store them.
        sweep_streams: Choose thresholds of the update and of declining by silent streams, store
            them; `out` gets the streams of the chosen ones, the others stand beside it.
        unconstrained: Write transitions as any text, and count what is illegal.
        shards: Parts that streams are divided into, each made by a process of its own; under
            torchrun, by default, the number of its processes.
        shard: Which part to make here, from 0; None makes all parts at once on this machine.
        backbone: What an untrained model is made of.
        remote: Who is asked with `openai:URL`, and how.
        target: Whose form to write the predictions in too.
    """
    stream = replace(stream, unconstrained=unconstrained or stream.unconstrained)
    fed = "teacher_forced" if sweep else fed
    name = str(checkpoint)
    name = str(checkpoint_folder(name)) if name in SHIPPED else name  # a Path would spoil a URL
    settings = _Settings(
        name, data, system, split, stream, blind, dtype, frames_root, fed, backbone, remote
    )
    _check(settings, sweep or sweep_streams)
    _check_export(settings, target)
    shares = _shares(shards, shard, os.environ)
    _make(settings, out, seen, shares, sweep, sweep_streams, target)


def _make(
    settings: _Settings,
    out: Path,
    seen: tuple[Path, ...],
    shares: tuple[int, int | None],
    sweep: bool,
    sweep_streams: bool,
    target: tuple[str, str] | None,
) -> None:
    """Predict, and do with it what was asked for."""
    checkpoint = Path(settings.checkpoint)
    if sweep_streams:
        _check_sweep(settings, sweep, shares, target)
        tried = partial(_tried, settings, seen, shares)
        store_chosen(checkpoint, out, settings.split, tried)
        return
    made = _whole(settings, out, seen, *shares)
    if made:
        export_results(target, made)
    if sweep and made:
        store_fitted(checkpoint, made, settings.split)


def _tried(
    settings: _Settings,
    seen: tuple[Path, ...],
    shares: tuple[int, int | None],
    thresholds: Thresholds,
    out: Path,
) -> list[Prediction]:
    """Stream without a word, by given thresholds of the update and of declining."""
    silent = replace(
        settings.stream,
        speak_rule=None,
        speak_threshold=1.0,
        update_threshold=thresholds.update,
        decline_prob=thresholds.decline,
    )
    return _whole(replace(settings, stream=silent), out, seen, *shares)


def _check_sweep(
    settings: _Settings,
    sweep: bool,
    shares: tuple[int, int | None],
    target: tuple[str, str] | None,
) -> None:
    """Refuse what a choice by streams can't be combined with."""
    check_swept(settings.stream)
    other = settings.fed != "self" or settings.blind or settings.stream.unconstrained or sweep
    if other or shares[1] is not None or target is not None:
        raise ConfigError(
            "sweep_streams feeds streams themselves, all of them from here; leave sweep, fed, "
            "blind, unconstrained, shard and --to out"
        )


def _whole(
    settings: _Settings, out: Path, seen: tuple[Path, ...], shards: int, shard: int | None
) -> list[Prediction]:
    """Make one part, or all of them; the predictions, unless other parts are missing."""
    part = partial(_part, settings, out, seen, shards)
    parts = range(shards) if shard is None else (shard,)
    missing = min(ordered(part, parts, len(parts)))
    if missing:
        say(f"{out}: {missing} streams are left to other shards")
        return []
    made = read_records(out, Prediction)
    say(f"{out}: {len(made)} streams")
    return made


def _check(settings: _Settings, sweep: bool) -> None:
    """Refuse what can't be before anything is read."""
    name, remote = settings.checkpoint, settings.remote
    if name.startswith(OPENAI):
        url = name.removeprefix(OPENAI)
        if remote is None or remote.server.base_url != url:
            raise ConfigError(
                f"{name}: give --remote.server.base_url {url} and --remote.server.model NAME"
            )
        if settings.fed != "self" or settings.blind or settings.stream.unconstrained:
            raise ConfigError(
                f"{name} is polled: fed, blind, sweep and unconstrained are not for it"
            )
    elif remote is not None:
        raise ConfigError(f"remote belongs to --model openai:URL, but the model is {name}")
    if settings.stream.belief is not None and settings.fed != "self":
        raise ConfigError(
            f"a belief filters what a model told itself, but fed is {settings.fed}; leave one out"
        )
    if sweep and name == UNTRAINED:
        raise ConfigError("an untrained model has no checkpoint to store thresholds in")
    if sweep and Path(name) in [folder / "checkpoint" for folder in SHIPPED.values()]:
        raise ConfigError(f"{name} came with the package; copy it to store other thresholds")


def _check_export(settings: _Settings, target: tuple[str, str] | None) -> None:
    """Refuse another project's form for what it can't tell."""
    check_target(target)
    if target is not None and settings.fed in ("told", "teacher_forced"):
        raise ConfigError(
            f"fed {settings.fed}, no utterance is written, so --to {target[0]} would tell of a "
            "silent system; leave --to out"
        )


def _shares(
    shards: int, shard: int | None, environment: Mapping[str, str]
) -> tuple[int, int | None]:
    """How many parts there are, and which is this process's; torchrun says so too."""
    if shards == 1 and shard is None and "WORLD_SIZE" in environment:
        shards, shard = int(environment["WORLD_SIZE"]), int(environment["RANK"])
    if shards < 1 or (shard is not None and not 0 <= shard < shards):
        raise ConfigError(f"shard {shard} of {shards} shards; count from 0 up to shards - 1")
    return shards, shard


def _part(settings: _Settings, out: Path, seen: tuple[Path, ...], shards: int, shard: int) -> int:
    """Make one part; how many streams are then missing."""
    from prospect.samples.clips import by_dialogue
    from prospect.stream.predict import Share
    from prospect.stream.predict import predict as run

    found = load_clips(settings.data, settings.split)
    found = [clip for clip in found if clip.kind not in ("summary", "caption")]
    tasks = frozenset(clip.task_type for folder in seen for clip in load_clips(folder, "train"))
    streams = by_dialogue(found)
    if shards > 1:
        _take_device(shards, shard)
    prepare = _remote if settings.checkpoint.startswith(OPENAI) else _local
    made_from, make = prepare(settings, found)
    key = text_hash(repr((made_from, found, settings.system, sorted(tasks))))
    return run(make, streams, out, key=key, share=Share(shard, shards), seen_tasks=tasks)


def _take_device(shards: int, shard: int) -> None:
    """Spread processes over the GPUs; without any, over the cores."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.set_device(shard % torch.cuda.device_count())
    else:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // shards))


def _local(settings: _Settings, found: Sequence[Clip]) -> tuple[object, "Make"]:
    """What makes predictions with a model of ours, and what they depend on."""
    from prospect.model.checkpoint import checkpoint_model
    from prospect.model.precision import resolve_dtype

    resolve_dtype(settings.dtype)  # its errors come before any work
    folder = Path(settings.checkpoint)
    trained = settings.checkpoint != UNTRAINED
    model = checkpoint_model(folder) if trained else settings.backbone
    vectors, feature_dim = open_features((settings.data,), model, settings.frames_root)
    preflight((settings.data,), vectors)
    weights = read_text(folder / MANIFEST) if trained else repr(model)
    made_from = (weights, settings.stream, settings.fed, settings.blind, settings.dtype)
    load = partial(_load, settings, feature_dim, {clip.fps for clip in found})
    return made_from, partial(_run, load, vectors, settings, text_hash(weights))


def _run(
    load: Callable[[], "Checkpoint"],
    vectors: "Features",
    settings: _Settings,
    weights: str,
    streams: Sequence[Sequence[Clip]],
) -> Iterator[Prediction]:
    """Load the model, unless there is nothing to do, and let it watch."""
    from prospect.stream.engine import make_engine
    from prospect.stream.fed import predict_streams
    from prospect.stream.predict import Viewer

    if not streams:
        return
    model, config = load(), settings.stream
    engine = make_engine(model, config, min(config.num_slots, len(streams)))
    viewer = Viewer(model, vectors, config, settings.system, settings.blind, engine)
    for made in predict_streams(viewer, settings.fed, streams):
        about = {"model": settings.checkpoint, "weights": weights, "mode": settings.fed}
        yield replace(made, details={**about, **made.details})


def _load(settings: _Settings, feature_dim: int, fps: set[float]) -> "Checkpoint":
    from prospect.model.checkpoint import load_checkpoint
    from prospect.model.precision import default_device, resolve_dtype
    from prospect.stream.untrained import untrained

    dtype = resolve_dtype(settings.dtype)
    if settings.checkpoint != UNTRAINED:
        model = load_checkpoint(Path(settings.checkpoint), dtype)
    elif len(fps) == 1:
        model = untrained(settings.backbone, feature_dim, fps.pop(), dtype)
    else:
        raise ConfigError(
            f"{settings.data} has clips at {len(fps)} frame rates ({sorted(fps)}); an untrained "
            "model takes any one of them: predict them apart"
        )
    model.network.to(default_device())
    model.network.merge_adapters()
    return model


def _remote(settings: _Settings, found: Sequence[Clip]) -> tuple[object, "Make"]:
    """What makes predictions by asking a server, and what they depend on."""
    from prospect.samples.clips import by_dialogue, join
    from prospect.stream.remote import PROMPT_HASH, pictures

    assert settings.remote is not None  # as `_check` has seen
    data = settings.data.parent if settings.data.suffix == ".jsonl" else settings.data
    images = pictures(data, settings.frames_root)
    for parts in by_dialogue(found):
        images(join(parts))  # a video that isn't there is told before anything is paid
    make = partial(_ask, images, settings.remote, settings.system)
    return (PROMPT_HASH, settings.remote), make


def _ask(
    images: Callable[[Clip], Iterator["Image"]],
    remote: RemoteConfig,
    system: str,
    streams: Sequence[Sequence[Clip]],
) -> Iterator[Prediction]:
    from prospect.llm import Client
    from prospect.samples.clips import join
    from prospect.stream.remote import predict_remote

    with Client(remote.server, remote.cache, remote.mode) as client:
        try:
            whole = [join(parts) for parts in streams]
            yield from predict_remote(client.ask, whole, images, remote, system)
        finally:
            say(f"{remote.cache}: {client.usage()}")
