"""One prediction -> everything its timeline shows, placed on a time scale.

In: a `Prediction`, its outcomes and pictures. Out: a `Timeline` in viewBox units, to be drawn.
A frame is a cell of the x axis, ``[frame, frame + 1)``; what is decided on it is marked at the
cell's middle, and the state it leads to holds from that cell on (model.md: the state after frame
j includes the transitions decided at j).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prospect.clock import event_time_s
from prospect.report import progress, svg, transcript
from prospect.report.outcomes import Kind, Outcomes
from prospect.types import Prediction, State, Status

MIN_WIDTH, MAX_WIDTH, UNITS_PER_S = 1030, 4800, 2.0
AXIS, THUMB, CURVE, LANE, STEP, GAP = 20, 60, 56, 20, 24, 8
"""Heights of the rows, in viewBox units."""
MAX_THUMBS = 24

_STATUS_WORDS: Mapping[Status, str] = {
    "not_started": "not started",
    "in_progress": "in progress",
    "completed": "completed",
}


@dataclass(frozen=True, slots=True)
class Label:
    """The name of a row, in the gutter left of the strip."""

    text: str
    y: float
    height: float
    hint: str = ""
    css: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    css: str
    hint: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Something said: a symbol that links to its row of the list below."""

    x: float
    y: float
    css: str
    anchor: str
    hint: str


@dataclass(frozen=True, slots=True)
class Tie:
    """Path data from a reference utterance to the predicted one that it was matched with."""

    path: str
    css: Kind
    hint: str


@dataclass(frozen=True, slots=True)
class Curve:
    """A probability from 0 (``bottom``) to 1 (``top``) with its threshold; ``area`` is closed
    along the bottom."""

    css: str
    area: str
    top: float
    bottom: float
    threshold_y: float
    threshold: str


@dataclass(frozen=True, slots=True)
class Thumb:
    x: float
    frame: int
    uri: str
    hint: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """A video as the template draws it; ``data`` is what the script needs to scrub it."""

    key: str
    title: str
    facts: tuple[tuple[str, str], ...]
    details: Mapping[str, Any]
    width: float
    height: float
    labels: tuple[Label, ...]
    ticks: tuple[tuple[float, str], ...]
    thumbs: tuple[Thumb, ...]
    curves: tuple[Curve, ...]
    marks: tuple[Mark, ...]
    ties: tuple[Tie, ...]
    bars: tuple[Bar, ...]
    refreshes: tuple[tuple[float, str], ...]
    lines: tuple[transcript.Line, ...]
    data: Mapping[str, Any]


def timeline(
    prediction: Prediction, key: str, uris: Mapping[int, str], found: Outcomes
) -> Timeline:
    """Place a prediction on the page; ``key`` is unique in it and starts every anchor.

    Rows that have nothing to show are left out: pictures without any, curves without
    probabilities, bars without steps.

    Args:
        prediction: One that can be scored (`registry.check`).
        key: Starts the anchors.
        uris: frame -> data URI of its picture.
        found: Its outcomes.
    """
    scale = _scale(prediction)
    thumbs = _thumbs(prediction, scale, uris)
    labels = [Label("Frames", AXIS, THUMB)] if thumbs else []
    curves = _curves(prediction, scale, AXIS + (THUMB + GAP) * len(labels))
    labels += [
        Label(f"P({curve.css})", curve.top, CURVE, f"acts above {curve.threshold}", curve.css)
        for curve in curves
    ]
    y = float(labels[-1].y + labels[-1].height + GAP if labels else AXIS)
    listed = transcript.lines(prediction, key, found)
    marks = _marks(listed, scale, y)
    ties = _ties(prediction, found, scale, y)
    for text, css in (
        ("User", "user"),
        ("Reference speech", "ref"),
        ("Predicted speech", "pred"),
    ):
        labels.append(Label(text, y, LANE, css=css))
        y += LANE
    y += GAP
    bars, step_labels = _bars(prediction, scale, y)
    height = y + STEP * len(step_labels)
    return Timeline(
        key=key,
        title=prediction.video_id,
        facts=_facts(prediction, found),
        details=prediction.details,
        width=scale.width,
        height=height,
        labels=(*labels, *step_labels),
        ticks=_ticks(prediction, scale),
        thumbs=thumbs,
        curves=curves,
        marks=marks,
        ties=ties,
        bars=bars,
        refreshes=tuple(
            (scale.middle(frame), f"{_time(prediction, frame)}: context rebuilt")
            for frame in prediction.refreshes
        ),
        lines=listed,
        data=_data(prediction, listed),
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    """Frames to x, over a strip of ``width`` units for ``frames`` frames from ``start``."""

    start: int
    frames: int
    width: float

    def left(self, frame: float) -> float:
        return round((frame - self.start) * self.width / self.frames, 1)

    def middle(self, frame: int) -> float:
        return self.left(frame + 0.5)


def _scale(prediction: Prediction) -> _Scale:
    """A long video gets a wider strip, within limits; the page scrolls it."""
    frames = prediction.stop_frame - prediction.start_frame
    width = min(max(frames / prediction.fps * UNITS_PER_S, MIN_WIDTH), MAX_WIDTH)
    return _Scale(prediction.start_frame, frames, width)


def _time(prediction: Prediction, frame: int) -> str:
    return svg.clock_text(event_time_s(frame, prediction.fps), digits=1)


def _facts(prediction: Prediction, found: Outcomes) -> tuple[tuple[str, str], ...]:
    score = progress.joint_goal_accuracy(prediction)
    seen = {True: "seen", False: "unseen", None: "not known"}[prediction.seen_task]
    return (
        ("Goal", prediction.task.goal),
        ("Joint goal accuracy", "n/a, no steps" if score is None else f"{score:.3f}"),
        ("Errors", str(found.num_errors())),
        ("Dataset", prediction.dataset),
        ("User", prediction.user_type.replace("_", " ")),
        ("Task in training", seen),
        (
            "Stream",
            f"{prediction.stop_frame - prediction.start_frame} frames, {prediction.fps:g} a second",
        ),
        ("System", f"{prediction.system}, context: {prediction.fed.replace('_', ' ')}"),
    )


def _ticks(prediction: Prediction, scale: _Scale) -> tuple[tuple[float, str], ...]:
    fps = prediction.fps
    start_s, stop_s = prediction.start_frame / fps, prediction.stop_frame / fps
    times = svg.time_ticks(start_s, stop_s, round(scale.width / 80))
    return tuple((scale.left(time_s * fps), svg.clock_text(time_s)) for time_s in times)


def thumb_frames(prediction: Prediction) -> tuple[int, ...]:
    """Evenly spread frames to show pictures of, each in the middle of its share of the strip."""
    scale = _scale(prediction)
    count = min(int(scale.width // (THUMB + 4)), MAX_THUMBS, scale.frames)
    return tuple(
        prediction.start_frame + (2 * index + 1) * scale.frames // (2 * count)
        for index in range(count)
    )


def _thumbs(prediction: Prediction, scale: _Scale, uris: Mapping[int, str]) -> tuple[Thumb, ...]:
    return tuple(
        Thumb(scale.middle(frame), frame, uri, f"{_time(prediction, frame)}, frame {frame}")
        for frame, uri in sorted(uris.items())
    )


def _curves(prediction: Prediction, scale: _Scale, top: float) -> tuple[Curve, ...]:
    """Of the decisions that have probabilities, from ``top`` downwards."""
    sides = (
        ("speak", prediction.speak_prob, prediction.speak_threshold),
        ("update", prediction.update_prob, prediction.update_threshold),
    )
    given = [side for side in sides if side[1]]
    return tuple(
        _curve(*side, scale, top + (CURVE + GAP) * place) for place, side in enumerate(given)
    )


def _curve(name: str, probs: Sequence[float], threshold: float, scale: _Scale, top: float) -> Curve:
    def y_of(prob: float) -> float:
        return top + CURVE * (1 - prob)

    points = [(scale.middle(f), y_of(prob)) for f, prob in enumerate(probs, scale.start)]
    return Curve(
        css=name,
        area=svg.area(svg.thin(points), top + CURVE),
        top=top,
        bottom=top + CURVE,
        threshold_y=round(y_of(threshold), 1),
        threshold=f"{threshold:g}",
    )


def _marks(lines: Sequence[transcript.Line], scale: _Scale, top: float) -> tuple[Mark, ...]:
    """User turns, reference and predicted utterances: one lane each, from ``top`` downwards."""
    marks = []
    for line in lines:
        said = (
            ("user", line.user, ""),
            ("ref", line.reference.speech, line.reference.note),
            ("pred", line.prediction.speech, line.prediction.note),
        )
        kinds = (None, line.reference.kind, line.prediction.kind)
        for lane, (css, text, note) in enumerate(said):
            if text is not None:
                y = top + LANE * (lane + 0.5)
                hint = f"{line.time}: {text}" + (f" ({note})" if note else "")
                css_class = f"{css} {kinds[lane]}" if kinds[lane] else css
                marks.append(Mark(scale.middle(line.frame), y, css_class, line.anchor, hint))
    return tuple(marks)


def _ties(prediction: Prediction, found: Outcomes, scale: _Scale, top: float) -> tuple[Tie, ...]:
    """From the lane of the references to that of the predictions below it."""
    ties = []
    for item in found.speech:
        if item.due and item.did and item.similarity is not None:
            ends = [
                (scale.middle(frame), top + LANE * (lane + 0.5))
                for lane, frame in ((1, item.due[0]), (2, item.did[0]))
            ]
            word = "wrong" if item.kind == "mismatched" else item.kind
            late_s = (item.did[0] - item.due[0]) / prediction.fps
            hint = f"{word}: similarity {item.similarity:.2f}, {late_s:+g} s"
            ties.append(Tie(svg.path(ends), item.kind, hint))
    return tuple(ties)


def _bars(
    prediction: Prediction, scale: _Scale, top: float
) -> tuple[tuple[Bar, ...], tuple[Label, ...]]:
    """A row a step, reference above prediction, and a last row where the whole state is right."""
    if not prediction.task.steps:
        return (), ()
    bars, labels = [], []
    sides = (
        ("ref", "reference", progress.state_runs(prediction, prediction.references)),
        ("pred", "predicted", progress.state_runs(prediction, prediction.events)),
    )
    half = (STEP - 4) / 2
    y = top
    for step in prediction.task.steps:
        labels.append(Label(f"{step.id} {step.name}", y, STEP))
        for side, (css, word, runs) in enumerate(sides):
            for run in progress.status_runs(runs, step.id):
                hint = f"{step.id} {word}: {_STATUS_WORDS[run.value]}, {_range(prediction, run)}"
                thick = half - 1 if run.value == "in_progress" else half / 3
                middle = y + 2 + half * (side + 0.5)
                css_class = f"{css} {run.value}"
                bars.append(_bar(run, scale, middle - thick / 2, thick, css_class, hint))
        y += STEP
    labels.append(Label("Whole state right", y, STEP, css="agree"))
    for agreed in progress.agreement_runs(prediction):
        word = "right" if agreed.value else "wrong"
        hint = f"whole state {word}, {_range(prediction, agreed)}"
        bars.append(_bar(agreed, scale, y + 7, STEP - 12, f"agree {word}", hint))
    return tuple(bars), tuple(labels)


def _bar(
    run: progress.Run[Any], scale: _Scale, y: float, height: float, css: str, hint: str
) -> Bar:
    x = scale.left(run.start)
    return Bar(x, y, round(scale.left(run.stop) - x, 1), height, css, hint)


def _range(prediction: Prediction, run: progress.Run[Any]) -> str:
    start_s, stop_s = run.start / prediction.fps, run.stop / prediction.fps
    return f"{svg.clock_text(start_s, 1)} to {svg.clock_text(stop_s, 1)}"


def _data(prediction: Prediction, lines: Sequence[transcript.Line]) -> dict[str, Any]:
    """What the script reads out at a frame; states as (first frame, words)."""
    return {
        "fps": prediction.fps,
        "start": prediction.start_frame,
        "stop": prediction.stop_frame,
        "speak": {"probs": prediction.speak_prob, "threshold": prediction.speak_threshold},
        "update": {"probs": prediction.update_prob, "threshold": prediction.update_threshold},
        "errors": [line.frame for line in lines if line.is_error()],
        "tracked": bool(prediction.task.steps),
        "reference": _words(progress.state_runs(prediction, prediction.references)),
        "predicted": _words(progress.state_runs(prediction, prediction.events)),
    }


def _words(runs: Sequence[progress.Run[State]]) -> list[tuple[int, str]]:
    found = []
    for run in runs:
        parts = []
        for status in ("in_progress", "completed"):
            steps = [step_id for step_id, value in run.value.items() if value == status]
            if steps:
                parts.append(f"{' '.join(steps)} {_STATUS_WORDS[status]}")
        found.append((run.start, "; ".join(parts) or "nothing started"))
    return found
