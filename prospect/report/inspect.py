"""Clips as the model sees them: counts of a file, and one clip drawn, as text or as a page.

In: `prospect.samples.statistics` and a rendered clip. Out: lines for the terminal, or one
self-contained HTML file.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from prospect.clock import event_time_s
from prospect.files import write_text
from prospect.report.page import environment
from prospect.samples.labels import ACT, SILENT, UNLABELLED
from prospect.samples.markers import SequenceRole
from prospect.samples.sequence import Rendered, Renderer
from prospect.samples.statistics import Balance, Count, Statistics
from prospect.types import Clip, Event

SIGNS = {ACT: "#", SILENT: ".", UNLABELLED: " "}
"""A frame's label in a strip of text."""
_CLOSING: tuple[SequenceRole, ...] = ("user", "assistant")
_LABELS = {ACT: "act", SILENT: "silent", UNLABELLED: "unlabelled"}


@dataclass(frozen=True, slots=True)
class Turn:
    """Words in the sequence: the prompt, a state turn, something said."""

    role: str
    text: str
    num_tokens: int


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames ``[start, stop)`` with no word between them, and the labels of each."""

    start: int
    stop: int
    start_s: float
    stop_s: float
    speak: tuple[str, ...]
    update: tuple[str, ...]

    def __len__(self) -> int:
        return self.stop - self.start


Piece = Turn | Frames


def pieces(clip: Clip, renderer: Renderer) -> list[Piece]:
    """The clip's sequence in order; what it says is decoded from its tokens."""
    rendered = renderer.clip(clip)
    events = {event.frame: event for event in clip.events}
    found: list[Piece] = [_turn(renderer, "system", renderer.clip_prompt(clip))]
    start = clip.start_frame
    for frame in range(clip.start_frame, clip.stop_frame):
        if frame in events or frame + 1 == clip.stop_frame:
            found.append(_frames(clip, rendered, start, frame + 1))
            start = frame + 1
        if frame in events:
            event = events[frame]
            turns = [tokens for tokens, _ in renderer.event(event)]
            found += map(partial(_turn, renderer), _roles(event), turns)
    closing = [tokens for tokens, _ in renderer.summary_turns(clip.summary)]
    return [*found, *map(partial(_turn, renderer), _CLOSING, closing)]


def _roles(event: Event) -> list[SequenceRole]:
    """Whose turns follow the event's frame, in the renderer's order."""
    said: tuple[tuple[SequenceRole, object], ...] = (
        ("state", event.transitions or None),
        ("assistant", event.speech),
        ("user", event.user),
    )
    return [role for role, words in said if words is not None]


def _turn(renderer: Renderer, role: SequenceRole, tokens: Sequence[int]) -> Turn:
    opening = renderer.header(role)
    if role == "system":
        opening = [*renderer.begin, *opening]
    return Turn(role, renderer.decode(tokens[len(opening) :]), len(tokens))


def _frames(clip: Clip, rendered: Rendered, start: int, stop: int) -> Frames:
    speak, update = (
        tuple(
            _LABELS[int(label)]
            for label in labels[start - clip.start_frame : stop - clip.start_frame]
        )
        for labels in (rendered.speak, rendered.update)
    )
    return Frames(
        start,
        stop,
        event_time_s(start - 1, clip.fps),
        event_time_s(stop - 1, clip.fps),
        speak,
        update,
    )


def as_text(statistics: Statistics, clip: Clip, renderer: Renderer) -> Iterator[str]:
    """Lines for the terminal: a table, transitions, legality, then the clip."""
    yield from _table(statistics)
    moves = ", ".join(f"{move} {n}" for move, n in statistics.moves.items())
    yield f"transitions: {moves or 'none'}"
    yield f"clips with illegal transitions: {len(statistics.illegal)}"
    yield from (f"  {why}" for why in statistics.illegal)
    yield ""
    yield f"{clip.clip_id}: {renderer.clip_len(clip)} tokens, decides from {clip.decide_from}"
    yield f"a sign a frame: {SIGNS[ACT]} acts, {SIGNS[SILENT]} silent, blank not learned"
    signs = {name: SIGNS[label] for label, name in _LABELS.items()}
    for piece in pieces(clip, renderer):
        if isinstance(piece, Turn):
            yield f"[{piece.role}] {piece.text}"
            continue
        yield f"frames [{piece.start}, {piece.stop})  {piece.start_s:.1f} to {piece.stop_s:.1f} s"
        yield f"  speak  |{''.join(signs[label] for label in piece.speak)}|"
        yield f"  update |{''.join(signs[label] for label in piece.update)}|"


COLUMNS = (
    *("clips", "dialogues", "videos", "frames", "hours", "tokens: min", "median", "max"),
    *("speak", "of", "share", "update", "of", "share"),
)


def cells(row: Count) -> list[str]:
    """A group's row of the table under `COLUMNS`: counts; act, labelled and share by decision."""
    counts = [row.clips, row.dialogues, row.videos, row.frames]
    return [
        *map(str, counts),
        f"{row.hours:.2f}",
        *map(str, row.tokens),
        *_balance(row.speak),
        *_balance(row.update),
    ]


def _balance(balance: Balance) -> list[str]:
    share = "" if balance.share is None else f"{100 * balance.share:.1f} %"
    return [str(balance.act), str(balance.act + balance.silent), share]


def rows(statistics: Statistics) -> list[tuple[str, list[str]]]:
    """(name, cells) of all clips, then of each group."""
    groups = [
        (f"{title}: {row.name}", cells(row))
        for title, members in statistics.groups.items()
        for row in members
    ]
    return [("all", cells(statistics.total)), *groups]


def _table(statistics: Statistics) -> Iterator[str]:
    found = [("", list(COLUMNS)), *rows(statistics)]
    first = max(len(name) for name, _ in found)
    widths = [max(len(row[at]) for _, row in found) for at in range(len(COLUMNS))]
    for name, row in found:
        padded = (text.rjust(width) for text, width in zip(row, widths, strict=True))
        yield f"{name:<{first}}  {'  '.join(padded)}".rstrip()


def write_page(
    out: Path, source: str, statistics: Statistics, clip: Clip, renderer: Renderer
) -> None:
    """Write the same as one HTML page without links to anything outside it.

    Args:
        out: The page.
        source: Name of what was counted.
        statistics: Of all its clips.
        clip: The one to draw.
        renderer: Of the model.
    """
    write_text(
        out,
        environment()
        .get_template("inspect.html.j2")
        .render(
            source=source,
            columns=COLUMNS,
            rows=rows(statistics),
            moves=statistics.moves,
            illegal=statistics.illegal,
            clip=clip,
            num_tokens=renderer.clip_len(clip),
            pieces=[(_form(piece), piece) for piece in pieces(clip, renderer)],
        ),
    )


def _form(piece: Piece) -> Literal["turn", "frames"]:
    return "turn" if isinstance(piece, Turn) else "frames"
