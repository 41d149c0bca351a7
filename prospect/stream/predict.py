"""Stream recorded videos through a model and write what it did.

In: streams (the clips of a dialogue), and something that makes their `Prediction`s in any order.
Out: one file of them, whoever made which part of it and however often that was killed. The
references' transitions and speech never reach a self-fed run: it gets frames, the task and what
the user says.

    prospect predict --checkpoint runs/x/training/checkpoint --data runs/x/data/test --out p.jsonl
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

from rich.progress import track
from torch import Tensor

from prospect.errors import DataError
from prospect.files import atomic_path, read_lines, record_to_json
from prospect.model.checkpoint import Checkpoint
from prospect.samples.clips import join, without_answers
from prospect.samples.dataset import Features
from prospect.stream.config import StreamConfig
from prospect.stream.engine import Engine, Job, make_engine
from prospect.stream.live import percentiles
from prospect.stream.records import FrameResult
from prospect.stream.session import Session
from prospect.stream.unconstrained import counted
from prospect.types import Clip, Event, Prediction

Make = Callable[[Sequence[Sequence[Clip]]], Iterator[Prediction]]
"""Streams, each the clips of one dialogue in order -> one prediction a stream, in any order."""
Details = dict[str, str | int | float | bool | None]
"""Of a `Prediction`."""
_Place = tuple[str, int]  # dialogue_id and first frame: what tells streams apart


@dataclass(frozen=True, slots=True)
class Share:
    """Every ``of``-th stream from number ``index`` on: what one process makes."""

    index: int = 0
    of: int = 1


def predict(
    make: Make,
    streams: Sequence[Sequence[Clip]],
    out: Path,
    *,
    key: str,
    share: Share = Share(),
    seen_tasks: frozenset[str] = frozenset(),
) -> int:
    """Make a share of the predictions, going on where killed runs stopped.

    Every process writes a file of its own beside ``out``, a line as soon as a stream is done. Who
    finishes last, in whatever order, puts the lines of all into ``out`` in the streams' order.
    The number of shares may change from one run to the next.

    Args:
        make: Makes them; asked for those alone that nobody has made.
        streams: All of them, whatever the share.
        out: JSONL of predictions; complete when it exists.
        key: Hash of all that they depend on; unfinished work of another is not continued.
        share: This process's part.
        seen_tasks: Task types of the training data.

    Returns:
        How many streams are still missing, which other shares have to make; 0 if ``out`` is whole.
    """
    due = {(parts[0].dialogue_id, parts[0].start_frame): parts for parts in streams}
    if _is_whole(out, key, due):
        return 0
    out.parent.mkdir(parents=True, exist_ok=True)
    own = out.with_name(f"{out.name}.{key}.{share.index}-of-{share.of}.partial")
    if own.exists():
        own.write_text(_whole_lines(own), encoding="utf-8")
    done = _made(out, key)
    todo = [
        parts for place, parts in list(due.items())[share.index :: share.of] if place not in done
    ]
    with own.open("a", encoding="utf-8") as file:
        for made in track(
            make(todo),
            total=len(todo),
            description=f"{out.name}: streaming",
            disable=share.index > 0,
        ):
            file.write(record_to_json(_signed(made, due, key, seen_tasks)) + "\n")
            file.flush()
    return _merge(out, key, due)


def _signed(
    made: Prediction, due: Mapping[_Place, Sequence[Clip]], key: str, seen_tasks: frozenset[str]
) -> Prediction:
    """The record with what it depends on, and whether its task was learned."""
    clip = due[made.dialogue_id, made.start_frame][0]
    seen = clip.task_type in seen_tasks if seen_tasks else None
    return replace(made, seen_task=seen, details={**made.details, "key": key})


def _whole_lines(partial: Path) -> str:
    """A killed process leaves half a line, and one at work may be in the middle of one."""
    content = partial.read_bytes()
    return content[: content.rfind(b"\n") + 1].decode("utf-8")


def _made(out: Path, key: str) -> dict[_Place, str]:
    """Lines by stream, of all processes that work on these predictions, or did."""
    found: dict[_Place, str] = {}
    for path in sorted(out.parent.glob(f"*.{key}.*.partial")):
        if path.name.startswith(f"{out.name}.{key}."):
            for line in _whole_lines(path).splitlines():
                value = json.loads(line)
                found.setdefault((value["dialogue_id"], value["start_frame"]), line)
    return found


def _merge(out: Path, key: str, due: Mapping[_Place, Sequence[Clip]]) -> int:
    """Write ``out`` if nothing is missing; returns how many streams are."""
    try:
        made = _made(out, key)
    except FileNotFoundError:  # another process has just merged, and is removing the parts
        return 0
    if _is_whole(out, key, due):  # likewise
        return 0
    if missing := len(due.keys() - made.keys()):
        return missing
    with atomic_path(out) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(made[place] + "\n" for place in due)
    for path in out.parent.glob(f"*.{key}.*.partial"):
        if path.name.startswith(f"{out.name}.{key}."):
            path.unlink(missing_ok=True)
    return 0


def _is_whole(out: Path, key: str, due: Mapping[_Place, Sequence[Clip]]) -> bool:
    """Whether ``out`` holds just these predictions."""
    if not out.exists():
        return False
    found = [value for _, value in read_lines(out)]
    places = [(value["dialogue_id"], value["start_frame"]) for value in found]
    return places == list(due) and all(value["details"].get("key") == key for value in found)


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who watches streams, and how.

    Attributes:
        model: Network in evaluation mode on its device.
        features: Frame vectors of a stream.
        config: Of the sessions.
        system: Name under which predictions are scored.
        blind: Show the first frame all the time: what remains is what needs no eyes.
        engine: Of the model; watches as many streams at once as it has slots.
    """

    model: Checkpoint
    features: Features
    config: StreamConfig
    system: str
    blind: bool
    engine: Engine


def predict_stream(
    model: Checkpoint,
    stream: Clip,
    features: Features,
    config: StreamConfig,
    system: str,
    blind: bool = False,
) -> Prediction:
    """One dialogue's video alone, self-fed; arguments as of `Viewer`.

    Raises:
        DataError: the stream's frame rate isn't the one the model was trained at.
    """
    engine = make_engine(model, config, 1)
    return engine.run(watching(Viewer(model, features, config, system, blind, engine), [stream]))


def watching(viewer: Viewer, parts: Sequence[Clip]) -> Job[Prediction]:
    """One dialogue's video, self-fed: only the user's words are given.

    Args:
        viewer: Who watches.
        parts: Clips of one dialogue, in order.
    """
    stream = join(parts)
    vectors = seen_vectors(viewer, stream)
    began = time.perf_counter()
    results: list[FrameResult] = []
    with closing(open_session(viewer, stream)) as session:
        for start, stop, said in _until_user_speaks(stream):
            ahead = vectors[start - stream.start_frame : stop - stream.start_frame]
            results += yield from session.advancing(ahead)
            if said is not None:
                session.say(said)
        elapsed_s = time.perf_counter() - began
        first_ms = [ms for result in results if (ms := result.first_token_ms) is not None]
        latency_ms = [result.latency_ms for result in results]
        return answered(
            viewer,
            stream,
            session,
            probs=[(result.speak_prob, result.update_prob) for result in results],
            events=session.events,
            details=live_details(latency_ms, first_ms, elapsed_s, viewer.model.fps),
        )


def seen_vectors(viewer: Viewer, stream: Clip) -> Tensor:
    """(F, P, E) what a viewer sees of a stream.

    Raises:
        DataError: the stream's frame rate isn't the one the model was trained at, or its vectors
            are not those of F >= 1 frames as the model takes them.
    """
    fps = viewer.model.fps
    if stream.fps != fps:
        raise DataError(
            f"{stream.dialogue_id} has {stream.fps:g} frames/s, the model was trained at "
            f"{fps:g}; make its clips again with --fps {fps:g}"
        )
    num_frames = stream.stop_frame - stream.start_frame
    if num_frames < 1:
        raise DataError(f"{stream.dialogue_id} has no frames; nothing to watch")
    vectors = viewer.features(stream)
    if vectors.shape != (num_frames, *viewer.engine.vector_shape):
        raise DataError(
            f"{stream.dialogue_id} has vectors of shape {tuple(vectors.shape)}, the model takes "
            f"{(num_frames, *viewer.engine.vector_shape)}; encode its video again"
        )
    return vectors[:1].expand_as(vectors) if viewer.blind else vectors


def open_session(viewer: Viewer, stream: Clip) -> Session:
    """A session before a stream's first frame; of its references it knows nothing."""
    return Session(
        viewer.model,
        viewer.config,
        stream.task,
        state=stream.state,
        recent=stream.recent,
        key=stream.dialogue_id,
        knowledge=stream.knowledge,
        state_known=stream.state_known,
        start_frame=stream.start_frame,
        kind=stream.kind,
        progress=stream.progress,
        engine=viewer.engine,
    )


def answered(
    viewer: Viewer,
    stream: Clip,
    session: Session,
    *,
    probs: Sequence[tuple[float, float]],
    events: Sequence[Event],
    details: Details,
) -> Prediction:
    """A stream's record.

    Args:
        viewer: Of the session.
        stream: With its references.
        session: Which has watched it.
        probs: Of speaking and of updating, one pair a frame.
        events: What it did.
        details: Beside what made it and how much it wrote.
    """
    moves = [event.transitions for event in events if event.transitions]
    return replace(
        without_answers(stream, viewer.system),
        events=tuple(events),
        speak_prob=tuple(round(speak, 4) for speak, _ in probs),
        update_prob=tuple(round(update, 4) for _, update in probs),
        speak_threshold=session.thresholds.speak,
        update_threshold=session.thresholds.update,
        refreshes=tuple(session.refreshes),
        details={
            **made_by(viewer.model),
            "policy": viewer.config.policy,
            "max_chunk": viewer.config.max_chunk,
            "batch": viewer.engine.slots.num_slots,
            "update_tokens": sum(len(viewer.model.renderer.state_turn(one)) for one in moves),
            **(counted(session.written) if viewer.config.unconstrained else {}),
            **details,
        },
    )


def made_by(model: Checkpoint) -> Details:
    """Versions and numbers that a model's answers depend on."""
    return {
        "dtype": str(next(model.network.llm.parameters()).dtype).removeprefix("torch."),
        "device": model.network.device.type,
        **{name: version(package) for name, package in _VERSIONS.items()},
    }


_VERSIONS = {"prospect": "prospect-assistant", "torch": "torch", "transformers": "transformers"}


def live_details(
    latency_ms: Sequence[float], first_token_ms: Sequence[float], elapsed_s: float, fps: float
) -> Details:
    """How fast a stream was watched.

    Args:
        latency_ms: Of every frame, F >= 1 of them.
        first_token_ms: From a frame's arrival to the first token of its sentence, of those frames
            that have one.
        elapsed_s: All the work.
        fps: Of the stream.

    Returns:
        ``frames_per_s``; ``real_time_factor``, seconds of work a second of video; p50, p95 and p99
        of both latencies, the second only if something was said. Beside other streams the work
        includes theirs.
    """
    numbers: Details = {
        "frames_per_s": round(len(latency_ms) / elapsed_s, 1),
        "real_time_factor": round(elapsed_s * fps / len(latency_ms), 5),
    }
    for name, values in (("latency_ms", latency_ms), ("first_token_ms", first_token_ms)):
        if values:
            shares = asdict(percentiles(values)).items()
            numbers |= {f"{name}_{share}": round(value, 2) for share, value in shares}
    return numbers


def _until_user_speaks(stream: Clip) -> Iterator[tuple[int, int, str | None]]:
    """(start, stop, what the user says after frame stop - 1) over the whole stream."""
    said: dict[int, str] = {e.frame + 1: e.user for e in stream.events if e.user is not None}
    cuts = sorted({stream.start_frame, stream.stop_frame, *said})
    for start, stop in pairwise(cuts):
        yield start, stop, said.get(stop)


def reference_fed(stream: Clip) -> list[Event | None]:
    """For every frame of a stream, the reference event to force there."""
    by_frame = {event.frame: event for event in stream.events}
    return [by_frame.get(frame) for frame in range(stream.start_frame, stream.stop_frame)]
