"""A vision model behind an endpoint as an assistant, untrained: the zero-shot baseline.

In: dialogues, their pictures, and something that answers requests. Out: `Prediction` records, as
`prospect.stream.predict` makes them, without probabilities. Every few seconds the model is shown
the last frames, the task, the state that its own earlier answers led to and the talk so far, and
answers in JSON. The references' transitions and speech never reach it; what the user says does.

    prospect predict --model openai:http://localhost:8000/v1 --remote.server.model my-model ...
"""

import io
import json
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image as Pictures

from prospect import clock
from prospect.errors import DataError, MissingError
from prospect.files import text_hash
from prospect.frames.decode import Image, read_frames
from prospect.frames.stores import read_arrow_frames
from prospect.llm import Message, Reply, Request
from prospect.samples.clips import without_answers
from prospect.samples.vision import find_source
from prospect.states.notation import format_state, format_transitions, parse_transitions
from prospect.states.transitions import apply, fold, legal_moves
from prospect.stream.config import RemoteConfig
from prospect.types import Clip, Event, Prediction, State, Transition, Turn

Ask = Callable[[Request], Reply]
"""`prospect.llm.Client.ask`."""

TEMPLATES: Mapping[str, str] = {
    "system": """\
You watch a person do a task through a camera and help at the right moment. Every few seconds you \
are shown the last pictures, oldest first. Answer with one JSON object and nothing else:
{form}""",
    "form_tracking": """\
{"transitions": ["S1->start"], "say": "..."}
transitions: what the pictures show to have changed since the state you are told: "S1->start" when \
the person begins step S1, "S1->complete" when it is done. Most of the time nothing has: [].
""",
    "form_speaking": '{"say": "..."}\n',
    "say": """\
say: one short sentence to the person: an instruction, a correction, the answer to a question. \
Most of the time there is nothing to say: null. Never repeat yourself.""",
    "task": "Task: {goal}",
    "step": "- {id}: {name}",
    "state": "State: {state}\nPossible transitions: {moves}",
    "turn": "- {time_s:.1f} s, {role}: {text}",
    "now": "It is {now_s:.1f} s. The pictures are of {times} s.",
}

PROMPT_HASH = text_hash(repr(sorted(TEMPLATES.items())))
"""16 hex digits that change with any text the model may see."""

_COUNTED = (
    *("polls", "unreadable_replies", "unreadable_moves", "illegal_moves", "written_moves"),
    *("input_tokens", "output_tokens"),
)
_ROWS = 64  # frames of a store that are in memory at once: 28 MB
_LONGEST = 20_000  # characters of a reply that are looked at; max_tokens is far below


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reply says.

    Attributes:
        transitions: Legal in their order.
        say: None for silence.
        illegal_moves, unreadable_moves: Dropped ones: those the state doesn't allow, and those
            that are no transitions.
        readable: Whether it held the asked JSON at all.
    """

    transitions: tuple[Transition, ...] = ()
    say: str | None = None
    illegal_moves: int = 0
    unreadable_moves: int = 0
    readable: bool = True


def predict_remote(
    ask: Ask,
    streams: Iterable[Clip],
    images: Callable[[Clip], Iterator[Image]],
    config: RemoteConfig,
    system: str,
) -> Iterator[Prediction]:
    """Watch many dialogues' videos, as many at once as the server may be asked.

    Args:
        ask: Answers requests.
        streams: Whole dialogues.
        images: Their pictures, as `pictures` gives them.
        config: How it is asked.
        system: Name under which the predictions are scored.

    Yields:
        One a stream, in their order.

    Raises:
        ProspectError: whatever ``ask`` raises; streams not yet begun are given up. Replies that
            were paid are in the client's cache, so a later run goes on where this one stopped.
    """

    stopped = threading.Event()

    def ask_on(request: Request) -> Reply:
        if stopped.is_set():  # another stream failed: pay for no more of this one
            raise CancelledError
        return ask(request)

    def one(stream: Clip) -> Prediction:
        return watch_remote(ask_on, stream, images(stream), config, system)

    with ThreadPoolExecutor(config.server.concurrency) as pool:
        try:
            yield from pool.map(one, streams)
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)


def watch_remote(
    ask: Ask, stream: Clip, images: Iterator[Image], config: RemoteConfig, system: str
) -> Prediction:
    """One dialogue's video, fed with the model's own answers and the user's words.

    Args:
        ask: Answers requests.
        stream: A whole dialogue.
        images: Pictures of frames ``start_frame``, ``start_frame + 1``, ...; uint8 (H, W, 3), RGB.
        config: How it is asked.
        system: Name under which the prediction is scored.

    Raises:
        DataError: fewer pictures than frames; or the server rejects a request.
    """
    said = {event.frame: event.user for event in stream.events if event.user is not None}
    period = max(1, round(config.poll_s * stream.fps))
    shown: deque[tuple[int, Image]] = deque(maxlen=config.num_frames)
    state, events, account = stream.state, dict[int, Event](), _Account(config.server.model)
    frame = stream.start_frame - 1
    for frame, image in enumerate(_some(stream, images), stream.start_frame):
        shown.append((frame, image))
        if (frame + 1 - stream.start_frame) % period == 0 or frame - 1 in said:
            reply = ask(question(stream, state, list(events.values()), shown, config))
            answer = read_answer(reply.text, state, _tracks(stream))
            account.add(reply, answer)
            state = fold(state, answer.transitions)
            if answer.transitions or answer.say is not None:
                events[frame] = Event(frame, answer.transitions, answer.say)
        if frame in said:
            events[frame] = replace(events.get(frame, Event(frame)), user=said[frame])
    if frame + 1 < stream.stop_frame:
        raise DataError(
            f"{stream.dialogue_id}: its pictures end before frame {frame + 1} of "
            f"{stream.stop_frame}; is the video whole?"
        )
    details = {**account.details(), "poll_s": config.poll_s, "num_frames": config.num_frames}
    answered = without_answers(stream, system)
    return replace(answered, events=tuple(events.values()), details=details)


def _some(stream: Clip, images: Iterator[Image]) -> Iterator[Image]:
    return islice(images, stream.stop_frame - stream.start_frame)


def _tracks(stream: Clip) -> bool:
    """Whether a state is tracked; as in `prospect.stream.session`."""
    return stream.knowledge and stream.state_known


def question(
    stream: Clip,
    state: State,
    events: Sequence[Event],
    shown: Sequence[tuple[int, Image]],
    config: RemoteConfig,
) -> Request:
    """What is asked after a frame.

    Args:
        stream: Of its references nothing is told.
        state: By the model's own answers.
        events: Its answers and what the user said, before this frame.
        shown: (frame, picture), oldest first, at least one.
        config: How it is asked.
    """
    tracks = _tracks(stream)
    form = TEMPLATES["form_tracking" if tracks else "form_speaking"] + TEMPLATES["say"]
    frames = [frame for frame, _ in shown]
    lines = [TEMPLATES["task"].format(goal=stream.task.goal)]
    if stream.knowledge:
        lines.append("Steps:")
        steps = stream.task.steps
        lines += [TEMPLATES["step"].format(id=step.id, name=step.name) for step in steps]
    if tracks:
        moves = format_transitions(legal_moves(state)) or "none"
        lines.append(TEMPLATES["state"].format(state=format_state(state), moves=moves))
    if talk := [*stream.recent, *_turns(events, stream.fps)]:
        lines.append("The talk so far:")
        for one in talk[-config.num_turns :]:
            text = " ".join(one.text.split())
            lines.append(TEMPLATES["turn"].format(time_s=one.time_s, role=one.role, text=text))
    times = [clock.event_time_s(frame, stream.fps) for frame in frames]
    listed = ", ".join(f"{time_s:.1f}" for time_s in times)
    lines.append(TEMPLATES["now"].format(now_s=times[-1], times=listed))
    jpegs = tuple(_jpeg(image, config.jpeg_quality) for _, image in shown)
    return Request(
        (
            Message("system", TEMPLATES["system"].format(form=form)),
            Message("user", "\n".join(lines), jpegs),
        ),
        config.max_tokens,
        config.temperature,
        json_schema=_schema(tracks) if config.enforce_json else None,
    )


def _turns(events: Iterable[Event], fps: float) -> Iterator[Turn]:
    for event in events:
        time_s = clock.event_time_s(event.frame, fps)
        if event.speech is not None:
            yield Turn("assistant", time_s, event.speech)
        if event.user is not None:
            yield Turn("user", time_s, event.user)


def _schema(tracks: bool) -> Mapping[str, Any]:
    """JSON schema of an answer, in the strict form that OpenAI asks for."""
    fields: dict[str, Any] = {"say": {"type": ["string", "null"]}}
    if tracks:
        fields["transitions"] = {"type": "array", "items": {"type": "string"}}
    return {
        "type": "object",
        "properties": fields,
        "required": sorted(fields),
        "additionalProperties": False,
    }


def _jpeg(image: Image, quality: int) -> bytes:
    with io.BytesIO() as buffer:
        Pictures.fromarray(image).save(buffer, format="JPEG", quality=quality)
        return buffer.getvalue()


def read_answer(text: str, state: State, tracks: bool) -> Answer:
    """What a reply says, with whatever stands around its JSON; what is not legal is left out.

    Args:
        text: Of the reply.
        state: Before it.
        tracks: False leaves out all transitions.
    """
    found = _json_object(text)
    if found is None:
        return Answer(readable=False)
    say, moves = found.get("say"), found.get("transitions") or []
    moves = [moves] if isinstance(moves, str) else moves
    if not isinstance(say, str | None) or not isinstance(moves, list):
        return Answer(readable=False)
    # JSON can hold half a character (a lone surrogate), a file of ours can't
    if any("\ud800" <= letter <= "\udfff" for letter in say or ""):
        return Answer(readable=False)
    legal: list[Transition] = []
    illegal = unreadable = 0
    for item in moves if tracks else ():
        try:
            read = parse_transitions(item.strip()) if isinstance(item, str) else None
        except DataError:
            read = None
        if read is None:
            unreadable += 1
            continue
        for move in read:
            if move in legal_moves(state):
                legal.append(move)
                state = apply(state, move)
            else:
                illegal += 1
    return Answer(tuple(legal), _sentence(say), illegal, unreadable)


def _sentence(text: str | None) -> str | None:
    """On one line; None if it holds no word."""
    line = " ".join((text or "").split())
    return line if any(letter.isalnum() for letter in line) else None


def _json_object(text: str) -> dict[str, Any] | None:
    """The first JSON object in a text that has one of our fields."""
    if len(text) > _LONGEST:
        return None
    decoder = json.JSONDecoder()
    start = text.find("{")
    while start >= 0:
        try:
            found, _ = decoder.raw_decode(text, start)
        except (json.JSONDecodeError, RecursionError):
            found = None
        if isinstance(found, dict) and found.keys() & {"transitions", "say"}:
            return found
        start = text.find("{", start + 1)
    return None


class _Account:
    """What the replies of one stream were and cost."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._answered_by = ""
        self._counts = Counter(dict.fromkeys(_COUNTED, 0))
        self._cost_usd = 0.0

    def add(self, reply: Reply, answer: Answer) -> None:
        self._answered_by = reply.model
        self._cost_usd += reply.cost_usd
        tokens = (reply.input_tokens or 0, reply.output_tokens or 0)
        faults = (int(not answer.readable), answer.unreadable_moves, answer.illegal_moves)
        moves = len(answer.transitions) + answer.unreadable_moves + answer.illegal_moves
        self._counts.update(dict(zip(_COUNTED, (1, *faults, moves, *tokens), strict=True)))

    def details(self) -> dict[str, str | int | float | bool | None]:
        return {
            "model": self._model,
            "answered_by": self._answered_by,
            "prompt": PROMPT_HASH,
            "cost_usd": round(self._cost_usd, 6),
            **self._counts,
        }


def pictures(data: Path, frames_root: Path | None) -> Callable[[Clip], Iterator[Image]]:
    """A function that gives a clip's pictures.

    Args:
        data: The data folder.
        frames_root: Folder of ProAssist's stores, if the frames are there.

    Returns:
        clip -> pictures of its frames in order, uint8 (H, W, 3), RGB; fewer if the video ends.
        It raises `MissingError` if there are none, or only vectors of them.
    """

    def of(clip: Clip) -> Iterator[Image]:
        source = find_source(clip, data, frames_root, "")
        if source.is_features:
            raise MissingError(
                f"{clip.video_id}: {source.path} holds vectors; a vision model needs the video"
            )
        if source.path.suffix == ".arrow":
            first = source.first_frame
            return _stored(source.path, clip.start_frame - first, clip.stop_frame - first)
        return islice(read_frames(source.path, clip.fps), clip.start_frame, clip.stop_frame)

    return of


def _stored(path: Path, start: int, stop: int) -> Iterator[Image]:
    for row in range(start, stop, _ROWS):
        yield from read_arrow_frames(path, row, min(row + _ROWS, stop)).numpy()
