"""scores.json -> the numbers of the report's tables, ready to print.

In: the dict that `prospect score` writes. Out: frozen tables whose cells hold text and the
positions of their interval bars in percent; the templates lay them out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prospect.errors import DataError
from prospect.metrics.baselines import BASELINES, BLIND
from prospect.metrics.decisions import DECISIONS

HEADLINE: Mapping[str, tuple[str, str]] = {
    "transition_f1_5s": (
        "Transition F1 ±5 s",
        "right step and right move within 5 s of the reference, one to one",
    ),
    "transition_f1_2s": ("Transition F1 ±2 s", "the same within 2 s"),
    "start_accuracy": (
        "Start accuracy",
        "which step starts, given the right moment: the part that needs sight",
    ),
    "joint_goal_accuracy": (
        "Joint goal accuracy",
        "share of frames at which the status of every step is right",
    ),
    "speech_f1": (
        "Speech F1",
        "utterances matched in time and meaning (strict mode)",
    ),
    "speak_decision_f1": ("Speak decision F1", "when to speak, whatever is said"),
    "update_decision_f1": ("Update decision F1", "when to update the state, whatever the update"),
}
"""metric -> (title, definition); all are shares from 0 to 1, higher is better."""

TOLD_WHEN = "listed_order"
"""This baseline is told every moment, so scores of moments alone say nothing of it."""
_WHEN = ("speak_decision_f1", "update_decision_f1")
_PARTS = ("precision", "recall", "f1")
ORACLE = "oracle"
_SECTIONS: Mapping[str, str] = {
    "pooled": "All videos",
    "macro": "All videos",
    "task": "Task kind, by presence in the training data",
    "order": "Order of the steps",
    "user_type": "User type",
    "dataset": "Dataset",
}
"""Prefix of a group -> heading over its rows, in the order of the table."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One number. ``bar`` is (low, value, high) in percent of the scale, or None without one."""

    text: str
    interval: str = ""
    bar: tuple[float, float, float] | None = None
    strong: bool = False
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A system, a group or a comparison; ``kind`` is ``main``, ``run`` (another model beside it),
    ``baseline`` or ``oracle``."""

    label: str
    cells: tuple[Cell, ...]
    kind: str = "baseline"


@dataclass(frozen=True, slots=True)
class Section:
    """Rows under a common heading, which may be empty."""

    heading: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Columns as (title, definition); ``zero`` draws the bars from the middle of the scale."""

    caption: str
    columns: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    zero: bool = False


@dataclass(frozen=True, slots=True)
class Tile:
    """A headline number with the best baseline beside it, both as printed."""

    title: str
    hint: str
    cell: Cell
    rival: str


def check_scores(scores: Mapping[str, Any]) -> None:
    """Refuse what is not a scores.json: `DataError` names the missing key."""
    for key in ("systems", "differences", "diagnosis", "about"):
        if key not in scores:
            raise DataError(f"scores have no {key!r}; write them with `prospect score`")
    if not scores["systems"]:
        raise DataError("scores have no system; score at least one predictions file")
    for name, system in scores["systems"].items():
        if "pooled" not in system["groups"]:
            raise DataError(f"scores of {name!r} have no group 'pooled'")
        if "other_mode" not in system:
            raise DataError(f"scores of {name!r} have no 'other_mode'; score them again")


def main_system(scores: Mapping[str, Any]) -> str:
    """The system the report is about: the first one in the file."""
    return str(next(iter(scores["systems"])))


def runs(scores: Mapping[str, Any]) -> tuple[str, ...]:
    """The main system, then every other one that is no baseline."""
    main = main_system(scores)
    return (main, *(name for name in scores["systems"] if _kind(name, main) == "run"))


def systems_table(scores: Mapping[str, Any]) -> Table:
    """All systems by the headline metrics, pooled; the best value but the oracle's is strong."""
    main = main_system(scores)
    rows = [
        Row(name, _cells(_pooled(scores, name), HEADLINE), _kind(name, main))
        for name in scores["systems"]
    ]
    rows.sort(key=lambda row: ("main", "run", "baseline", ORACLE).index(row.kind))
    rivals = [row for row in rows if row.kind != ORACLE]
    best = [_best(row.cells[index].text for row in rivals) for index in range(len(HEADLINE))]
    marked = tuple(row if row.kind == ORACLE else _mark(row, best) for row in rows)
    caption = (
        "Headline metrics of every system, all videos pooled, with 95 % bootstrap intervals over "
        "videos; bars run from 0 to 1. The best value apart from the oracle's is bold."
    )
    return Table(caption, tuple(HEADLINE.values()), (Section("", marked),))


def tiles(scores: Mapping[str, Any]) -> tuple[Tile, ...]:
    """The main system's headline numbers, each with the best baseline there is."""
    main = main_system(scores)
    baselines = [name for name in scores["systems"] if _kind(name, main) == "baseline"]
    found = []
    for metric, (title, hint) in HEADLINE.items():
        values = {
            name: score["value"]
            for name in baselines
            if not (name == TOLD_WHEN and metric in _WHEN)
            and (score := _pooled(scores, name).get(metric))
            and score["value"] is not None
        }
        best = max(values, key=lambda name: values[name], default=None)
        rival = "" if best is None else f"best baseline {_number(values[best])} ({best})"
        found.append(Tile(title, hint, _cell(_pooled(scores, main).get(metric)), rival))
    return tuple(found)


def groups_tables(scores: Mapping[str, Any]) -> tuple[Table, ...]:
    """For each system, the main one first, its headline metrics by group."""
    main = main_system(scores)
    ordered = sorted(scores["systems"], key=lambda name: name != main)
    return tuple(_groups_table(name, scores["systems"][name]["groups"]) for name in ordered)


def _groups_table(name: str, groups: Mapping[str, Any]) -> Table:
    sections: dict[str, list[Row]] = {heading: [] for heading in _SECTIONS.values()}
    for group, metrics in groups.items():
        prefix, _, label = group.partition(":")
        if prefix not in _SECTIONS:
            raise DataError(f"scores of {name!r} have an unknown group {group!r}")
        sections[_SECTIONS[prefix]].append(Row(label or group, _cells(metrics, HEADLINE)))
    filled = tuple(Section(heading, tuple(rows)) for heading, rows in sections.items() if rows)
    caption = f"{name}, by group of videos; intervals and bars as above."
    return Table(caption, tuple(HEADLINE.values()), filled)


def all_metrics_table(scores: Mapping[str, Any]) -> Table:
    """Every pooled metric that some system has, a row each, with the systems as columns."""
    systems = list(scores["systems"])
    names = dict.fromkeys(metric for name in systems for metric in _pooled(scores, name))
    rows = tuple(
        Row(metric, tuple(_cell(_pooled(scores, name).get(metric), bar=False) for name in systems))
        for metric in names
    )
    caption = "Every metric, all videos pooled. Names ending in _s are in seconds; n/a: undefined."
    return Table(caption, tuple((name, "") for name in systems), (Section("", rows),))


def differences_table(scores: Mapping[str, Any]) -> Table:
    """Paired differences; strong where the interval excludes 0. No rows if there are none."""
    differences: Mapping[str, Mapping[str, Any]] = scores["differences"]
    ends = [
        abs(end)
        for metrics in differences.values()
        for metric in HEADLINE
        if (score := metrics.get(metric))
        for end in (score["low"], score["high"])
        if end is not None
    ]
    reach = max(ends, default=1.0) or 1.0
    rows = tuple(
        Row(label, tuple(_difference(metrics.get(metric), reach) for metric in HEADLINE))
        for label, metrics in differences.items()
    )
    caption = (
        "Paired differences over the same videos with 95 % bootstrap intervals. Bold with a star: "
        f"the interval excludes 0. Bars run from -{reach:.2f} to +{reach:.2f}, 0 in the middle."
    )
    return Table(caption, tuple(HEADLINE.values()), (Section("", rows),), zero=True)


def adaptive_table(scores: Mapping[str, Any]) -> Table:
    """Both decisions of every run as streamed, and at a threshold that each video sets itself."""
    sections = tuple(
        Section(
            name,
            tuple(
                Row(f"{decision}, {label}", _cells(_pooled(scores, name), names))
                for decision in DECISIONS
                for label, ending in (("as streamed", ""), ("adaptive", "_adaptive"))
                for names in [[f"{decision}_decision_{part}{ending}" for part in _PARTS]]
            ),
        )
        for name in runs(scores)
    )
    caption = (
        "What a chosen threshold is worth: beside the decisions as streamed, those of a threshold "
        "that each video sets itself from the probabilities so far, without validation data."
    )
    columns = tuple((part.replace("f1", "F1").capitalize(), "within 1 s") for part in _PARTS)
    return Table(caption, columns, sections)


def other_mode(scores: Mapping[str, Any]) -> Table | str:
    """The main system's scores that the other way of matching changes; or why it gives none."""
    main = main_system(scores)
    other = scores["systems"][main]["other_mode"]
    mode, name = scores["about"]["mode"], other["mode"]
    if "error" in other:
        return f"In mode {name} {main} can't be scored: {other['error']}"
    if not other["scores"]:
        return f"In mode {name} every score of {main} is the same."
    pooled = _pooled(scores, main)
    rows = tuple(
        Row(metric, (_cell(pooled.get(metric), bar=False), Cell(_value(value))))
        for metric, value in other["scores"].items()
    )
    caption = f"Scores of {main} that are others in mode {name}, all videos pooled."
    return Table(caption, ((mode, ""), (name, "")), (Section("", rows),))


def _pooled(scores: Mapping[str, Any], system: str) -> Mapping[str, Any]:
    pooled: Mapping[str, Any] = scores["systems"][system]["groups"]["pooled"]
    return pooled


def _kind(name: str, main: str) -> str:
    if name == ORACLE:
        return ORACLE
    if name == main:
        return "main"
    return "baseline" if name in BASELINES or name == BLIND else "run"


def _cells(metrics: Mapping[str, Any], names: Iterable[str]) -> tuple[Cell, ...]:
    return tuple(_cell(metrics.get(name)) for name in names)


def _cell(score: Mapping[str, Any] | None, bar: bool = True) -> Cell:
    """A score, ``n/a`` where it is undefined or was not computed."""
    if score is None:
        return Cell("n/a", hint="not scored")
    value, low, high = score["value"], score["low"], score["high"]
    hint = f"n = {score['n']}"
    if value is None:
        return Cell("n/a", hint=f"undefined here; {hint}")
    if low is None or high is None:
        return Cell(_number(value), hint=f"no interval; {hint}")
    interval = f"[{low:.2f}, {high:.2f}]"
    place = (_percent(low), _percent(value), _percent(high)) if bar else None
    return Cell(_number(value), interval, place, hint=f"95 % interval {interval}; {hint}")


def _difference(score: Mapping[str, Any] | None, reach: float) -> Cell:
    if score is None or score["value"] is None:
        return Cell("n/a", hint="undefined for one of the two")
    value, low, high = score["value"], score["low"], score["high"]
    text = f"{value:+.3f}"
    if low is None or high is None:
        return Cell(text, hint="no interval")
    interval = f"[{low:+.2f}, {high:+.2f}]"
    low_at, at, high_at = (_percent(0.5 + end / reach / 2) for end in (low, value, high))
    strong = low > 0 or high < 0
    return Cell(text + ("*" if strong else ""), interval, (low_at, at, high_at), strong)


def _number(value: float) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _value(value: float | None) -> str:
    return "n/a" if value is None else _number(value)


def _percent(share: float) -> float:
    return round(100 * min(max(share, 0.0), 1.0), 1)


def _best(texts: Iterable[str]) -> str | None:
    """The highest printed number, so that what looks equal is marked equal; None without any."""
    return max((text for text in texts if text != "n/a"), key=float, default=None)


def _mark(row: Row, best: Sequence[str | None]) -> Row:
    cells = tuple(
        Cell(cell.text, cell.interval, cell.bar, cell.text == top, cell.hint)
        for cell, top in zip(row.cells, best, strict=True)
    )
    return Row(row.label, cells, row.kind)
