"""A prediction drawn over its video: an mp4 to show to people.

In: a `Prediction` and its frames. Out: H.264 at the stream's rate, with the picture, the state as a
checklist (reference and predicted), the last utterances, and both probabilities as bars.

    prospect report runs/demo --video toy-seen_tasks-2-00007 film.mp4
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from prospect.clock import event_time_s
from prospect.errors import DataError
from prospect.files import atomic_path
from prospect.metrics.registry import check
from prospect.report import progress, svg
from prospect.types import Event, Prediction, State, Status

WIDTH, HEIGHT = 960, 540
SHOWN_S = 8.0
"""So long an utterance stays on the screen."""
_PICTURE = (16, 50, 384)  # left, top, side
_RIGHT = 420
_STEPS_TOP, _STEPS_HEIGHT = 76, 250
_SAID_TOP = 344
_INK, _SOFT, _RULE, _BACK = (232, 235, 238), (154, 165, 177), (62, 72, 82), (20, 23, 27)
_REF, _PRED, _USER, _WRONG = (100, 177, 242), (242, 154, 74), (185, 162, 236), (240, 125, 125)
_CRF = "23"  # x264's default: no visible loss on drawings and text


@dataclass(frozen=True, slots=True)
class _Pen:
    """What draws on one frame."""

    draw: ImageDraw.ImageDraw
    fonts: dict[int, ImageFont.FreeTypeFont | ImageFont.ImageFont]

    def text(self, x: float, y: float, text: str, size: int, color: tuple[int, int, int]) -> None:
        self.draw.text((x, y), text, fill=color, font=self.fonts[size])

    def fitted(self, text: str, size: int, width: int) -> str:
        """The text, or its beginning and an ellipsis."""
        if self.draw.textlength(text, self.fonts[size]) <= width:
            return text
        while text and self.draw.textlength(text + "...", self.fonts[size]) > width:
            text = text[:-1]
        return text + "..."

    def wrapped(self, text: str, size: int, width: int, count: int) -> list[str]:
        """At most ``count`` lines; the last is cut."""
        lines: list[str] = []
        words = text.split()
        while words and len(lines) < count - 1:
            taken = 1
            while taken < len(words):
                longer = " ".join(words[: taken + 1])
                if self.draw.textlength(longer, self.fonts[size]) > width:
                    break
                taken += 1
            lines.append(self.fitted(" ".join(words[:taken]), size, width))
            words = words[taken:]
        return [*lines, self.fitted(" ".join(words), size, width)] if words else lines


def write_film(out: Path, prediction: Prediction, frames: Iterable[NDArray[np.uint8]]) -> None:
    """Write ``out``, whole or not at all.

    Args:
        out: The mp4.
        prediction: One that can be scored.
        frames: uint8 RGB (H, W, 3), one for every frame of the stream.

    Raises:
        DataError: fewer frames than the stream has; a record that can't be scored.
    """
    check(prediction)
    states = [
        _every_frame(prediction, events) for events in (prediction.references, prediction.events)
    ]
    count = prediction.stop_frame - prediction.start_frame
    drawn = 0
    rate = Fraction(prediction.fps).limit_denominator(1001)
    options = {"fflags": "+bitexact", "movflags": "+faststart"}
    with (
        atomic_path(out) as temporary,
        av.open(str(temporary), "w", format="mp4", options=options) as container,
    ):
        stream = container.add_stream("libx264", rate, options={"crf": _CRF})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index, (image, reference, predicted) in enumerate(
            zip(frames, states[0], states[1], strict=False)
        ):
            page = page_at(prediction, prediction.start_frame + index, image, reference, predicted)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(page), "rgb24")))
            drawn += 1
        container.mux(stream.encode(None))
        if drawn < count:
            raise DataError(
                f"{prediction.dialogue_id}: its video holds {drawn} of {count} frames at "
                f"{prediction.fps:g} a second; is it the recording that was predicted?"
            )


def page_at(
    prediction: Prediction,
    frame: int,
    image: NDArray[np.uint8],
    reference: State,
    predicted: State,
) -> Image.Image:
    """One picture of the film, RGB of `WIDTH` x `HEIGHT`.

    Args:
        prediction: Of the stream.
        frame: On the stream's clock.
        image: uint8 (H, W, 3).
        reference: The state after this frame.
        predicted: The same, of the system.
    """
    page = Image.new("RGB", (WIDTH, HEIGHT), _BACK)
    pen = _Pen(
        ImageDraw.Draw(page), {size: ImageFont.load_default(size) for size in (12, 14, 16, 20)}
    )
    left, top, side = _PICTURE
    page.paste(Image.fromarray(image).resize((side, side)), (left, top))
    time = svg.clock_text(event_time_s(frame, prediction.fps), digits=1)
    pen.text(left, 14, time, 20, _INK)
    pen.text(left + 110, 17, pen.fitted(prediction.task.goal, 16, WIDTH - 300), 16, _INK)
    if frame in prediction.refreshes:
        pen.text(WIDTH - 140, 18, "context rebuilt", 14, _USER)
    _checklist(pen, prediction, reference, predicted)
    _said(pen, prediction, frame)
    _bars(pen, prediction, frame)
    return page


def _every_frame(prediction: Prediction, events: Iterable[Event]) -> list[State]:
    runs = progress.state_runs(prediction, events)
    return [run.value for run in runs for _ in range(run.stop - run.start)]


def _checklist(pen: _Pen, prediction: Prediction, reference: State, predicted: State) -> None:
    """A row a step, reference and predicted box before its name; red where they differ."""
    steps = prediction.task.steps
    if not steps:
        return
    pen.text(_RIGHT, 52, "reference", 12, _REF)
    pen.text(_RIGHT + 62, 52, "predicted", 12, _PRED)
    row = min(26, max(_STEPS_HEIGHT // len(steps), 16))
    fitting = _STEPS_HEIGHT // row
    shown = steps if len(steps) <= fitting else steps[: fitting - 1]
    for place, step in enumerate(shown):
        y = _STEPS_TOP + place * row
        _box(pen, _RIGHT + 18, y + 2, reference[step.id], _REF)
        _box(pen, _RIGHT + 80, y + 2, predicted[step.id], _PRED)
        same = reference[step.id] == predicted[step.id]
        name = pen.fitted(f"{step.id} {step.name}", 14, WIDTH - _RIGHT - 130)
        pen.text(_RIGHT + 110, y, name, 14, _INK if same else _WRONG)
    if len(shown) < len(steps):
        y = _STEPS_TOP + len(shown) * row
        pen.text(_RIGHT + 110, y, f"and {len(steps) - len(shown)} more steps", 14, _SOFT)


def _box(pen: _Pen, x: int, y: int, status: Status, color: tuple[int, int, int]) -> None:
    """Empty, half full, full."""
    pen.draw.rectangle((x, y, x + 12, y + 12), outline=color)
    if status == "completed":
        pen.draw.rectangle((x, y, x + 12, y + 12), fill=color)
    elif status == "in_progress":
        pen.draw.rectangle((x, y + 6, x + 12, y + 12), fill=color)


def _said(pen: _Pen, prediction: Prediction, frame: int) -> None:
    """The last utterance of user, reference and system, for `SHOWN_S`."""
    told = (
        ("User", _USER, [(item.frame, item.user) for item in prediction.references]),
        ("Reference", _REF, [(item.frame, item.speech) for item in prediction.references]),
        ("Predicted", _PRED, [(item.frame, item.speech) for item in prediction.events]),
    )
    for place, (who, color, said) in enumerate(told):
        y = _SAID_TOP + 66 * place
        pen.draw.line((_RIGHT, y, _RIGHT, y + 54), fill=color, width=3)
        pen.text(_RIGHT + 10, y - 1, who, 12, color)
        text = _latest(said, frame, SHOWN_S * prediction.fps)
        for row, line in enumerate(pen.wrapped(text, 14, WIDTH - _RIGHT - 26, 2)):
            pen.text(_RIGHT + 10, y + 15 + 19 * row, line, 14, _INK)


def _latest(said: Sequence[tuple[int, str | None]], frame: int, num_frames: float) -> str:
    heard = [(at, text) for at, text in said if text is not None and at <= frame < at + num_frames]
    return max(heard)[1] if heard else ""


def _bars(pen: _Pen, prediction: Prediction, frame: int) -> None:
    """Both probabilities under the picture, with their thresholds; lit where the system acts."""
    left, top, side = _PICTURE
    at = frame - prediction.start_frame
    y = top + side + 14
    for name, probs, threshold, color in (
        ("P(speak)", prediction.speak_prob, prediction.speak_threshold, _REF),
        ("P(update)", prediction.update_prob, prediction.update_threshold, _PRED),
    ):
        if not probs:
            continue
        x, width = left + 76, side - 130
        lit = probs[at] > threshold
        pen.text(left, y, name, 14, color)
        pen.draw.rectangle((x, y + 3, x + width, y + 15), outline=_RULE)
        pen.draw.rectangle((x, y + 3, x + width * probs[at], y + 15), fill=color)
        mark = x + width * threshold
        pen.draw.line((mark, y - 1, mark, y + 19), fill=_INK, width=2)
        pen.text(x + width + 10, y, f"{probs[at]:.2f}", 14, _INK if lit else _SOFT)
        y += 32
