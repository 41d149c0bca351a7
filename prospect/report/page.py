"""Scores, predictions and training logs -> one self-contained HTML file.

In: what `prospect score`, `predict` and `train` wrote, and a function that gives frames. Out: a
page without links to anything outside it: it opens offline, in the dark and on paper; without
JavaScript it shows all but the timelines of the other videos.

    prospect report runs/demo --out report.html
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from rich.progress import track

from prospect.embeddings import Embed
from prospect.files import write_text
from prospect.metrics.match import Mode
from prospect.metrics.registry import check
from prospect.metrics.score import spoken_texts
from prospect.report import curves, figures, gallery, pictures, tables, timeline
from prospect.report.confusion import confusion
from prospect.report.outcomes import Outcomes, outcomes, speech_offsets_s, transition_offsets_s
from prospect.report.progress import choose
from prospect.types import Prediction

MAX_VIDEOS = 100
PICTURE_BUDGET_BYTES = 12_000_000
"""All pictures of the timelines together; with 100 videos of 10 minutes the page is below 30 MB."""

Judged = list[tuple[Prediction, Outcomes]]


@dataclass(frozen=True, slots=True)
class Entry:
    """A timeline and what the filters ask of it; ``stream`` is equal for all systems."""

    video: timeline.Timeline
    stream: str
    system: str
    dataset: str
    user_type: str
    task: str
    accuracy: str
    num_errors: int


def write_report(
    out: Path,
    scores: Mapping[str, Any],
    predictions: Sequence[Prediction],
    training: Mapping[str, Sequence[Mapping[str, Any]]],
    thumbnails: pictures.Thumbnails,
    about: Mapping[str, Any],
    embed: Embed,
) -> None:
    """Write the report to ``out``, whole or not at all.

    It is about the first system of ``scores``; other models and the baselines stand beside it.

    Args:
        out: The page.
        scores: The content of a scores.json.
        predictions: Of any systems. Up to `MAX_VIDEOS` self-fed ones get a timeline: of the main
            system from its worst to its best, each followed by the other models' of the same
            dialogue; the page opens at the main system's median.
        training: Name of a run -> rows of its metrics.jsonl.
        thumbnails: (prediction, frames) -> image files of those frames that there are.
        about: What was run: text by name; an inner mapping is listed in one line, text of several
            lines (a configuration) folded.
        embed: Texts -> unit vectors, of the model that the scores name.

    Raises:
        DataError: scores without a required key; predictions, training rows or pictures that
            can't be drawn (see `registry.check`, `curves.charts`, `pictures.data_uri`).
    """
    tables.check_scores(scores)
    judged = _judge(predictions, tables.runs(scores), scores["about"]["mode"], embed)
    main = next(iter(judged))
    shown, opened = _shown(judged)
    entries, errors = _drawn(shown, main, thumbnails)
    content = {
        "main": main,
        "runs": list(judged),
        "about": about,
        "training": {name: curves.charts(rows) for name, rows in training.items() if rows},
        "canvas": curves,
        "errors": errors,
        "entries": entries,
        "opened": opened,
        "num_predicted": sum(map(len, judged.values())),
        "strip": timeline,
    }
    template = environment().get_template("report.html.j2")
    write_text(out, template.render(content | _of_scores(scores) | _of_outcomes(judged)))


def _of_scores(scores: Mapping[str, Any]) -> dict[str, Any]:
    """What the template shows of the scores alone."""
    return {
        "scored": scores["about"],
        "tiles": tables.tiles(scores),
        "systems": tables.systems_table(scores),
        "groups": tables.groups_tables(scores),
        "differences": tables.differences_table(scores),
        "adaptive": tables.adaptive_table(scores),
        "other_mode": tables.other_mode(scores),
        "all_metrics": tables.all_metrics_table(scores),
        "definitions": tables.HEADLINE.values(),
        "diagnosis": scores["diagnosis"],
    }


def _of_outcomes(judged: Mapping[str, Judged]) -> dict[str, Any]:
    """What it shows of all predictions together: figures of each run, confusion of the first."""
    first = next(iter(judged.values()))
    return {
        "thresholds": {
            name: figures.threshold_figures([prediction for prediction, _ in found])
            for name, found in judged.items()
        },
        "timing": {name: _timing(found) for name, found in judged.items()},
        "confusion": confusion((item, found.transitions) for item, found in first),
    }


def environment() -> Environment:
    """Everything is escaped: goals, steps and utterances are other people's text."""
    return Environment(
        loader=PackageLoader("prospect.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _judge(
    predictions: Sequence[Prediction], names: Sequence[str], mode: Mode, embed: Embed
) -> dict[str, Judged]:
    """The self-fed predictions of each run with their outcomes: of the main one even if it has
    none, of the others (which may have been told the references) only where there are some."""
    chosen = [item for item in predictions if item.fed == "self" and item.system in names]
    for item in chosen:
        check(item)
    embed(spoken_texts(chosen))  # all at once: the embedder remembers them
    judged: dict[str, Judged] = {name: [] for name in names}
    for item in chosen:
        judged[item.system].append((item, outcomes(item, embed, mode)))
    return {name: found for name, found in judged.items() if found or name == names[0]}


def _shown(judged: Mapping[str, Judged]) -> tuple[Judged, int]:
    """What gets a timeline, and the place of the one that is open."""
    first, *others = judged.values()
    picked, median = choose([item for item, _ in first], max(1, MAX_VIDEOS // len(judged)))
    found = {id(item): outcome for item, outcome in first}
    rivals = [{_stream(item): (item, out) for item, out in one} for one in others]
    shown: Judged = []
    opened = 0
    for place, item in enumerate(picked):
        if place == median:
            opened = len(shown)
        shown.append((item, found[id(item)]))
        shown += [rival[_stream(item)] for rival in rivals if _stream(item) in rival]
    return shown, opened


def _stream(prediction: Prediction) -> tuple[str, str, int]:
    """The same for all systems' predictions of a stream."""
    return prediction.dataset, prediction.dialogue_id, prediction.start_frame


def _drawn(
    shown: Judged, main: str, thumbnails: pictures.Thumbnails
) -> tuple[tuple[Entry, ...], tuple[gallery.Row, ...]]:
    """Timelines of all, and the gallery of the main system; each video is decoded once."""
    keys = [f"v{index}" for index in range(len(shown))]
    own = [index for index, (item, _) in enumerate(shown) if item.system == main]
    mine = [shown[index][0] for index in own]
    worst = gallery.worst(mine, [shown[index][1] for index in own])
    wanted: dict[int, set[int]] = {}
    for _, cases in worst.values():
        for case in cases:
            wanted.setdefault(own[case.place], set()).add(case.frame)
    entries, uris = [], []
    progress = track(shown, "draw timelines", transient=True, disable=len(shown) < 10)
    for index, (prediction, found) in enumerate(progress):
        strip = timeline.thumb_frames(prediction)
        images = thumbnails(prediction, sorted({*strip, *wanted.get(index, ())}))
        drawn = {
            frame: pictures.data_uri(image, f"{prediction.dialogue_id} frame {frame}")
            for frame, image in images.items()
        }
        spread = {frame: drawn[frame] for frame in strip if frame in drawn}
        kept = pictures.affordable(spread, PICTURE_BUDGET_BYTES // len(shown))
        entries.append(_entry(prediction, keys[index], kept, found))
        uris.append(drawn)
    return tuple(entries), gallery.rows(
        worst, mine, [keys[index] for index in own], [uris[index] for index in own]
    )


def _entry(prediction: Prediction, key: str, uris: Mapping[int, str], found: Outcomes) -> Entry:
    video = timeline.timeline(prediction, key, uris, found)
    return Entry(
        video,
        "/".join(map(str, _stream(prediction))),
        prediction.system,
        prediction.dataset,
        prediction.user_type.replace("_", " "),
        {True: "seen", False: "unseen", None: "not known"}[prediction.seen_task],
        dict(video.facts)["Joint goal accuracy"],
        found.num_errors(),
    )


def _timing(judged: Iterable[tuple[Prediction, Outcomes]]) -> tuple[figures.Figure, ...]:
    moved: list[float] = []
    said: list[float] = []
    for prediction, found in judged:
        moved += transition_offsets_s(prediction)
        said += speech_offsets_s(prediction, found.speech)
    drawn = (
        figures.histogram("Transitions right within 10 s: predicted minus reference", moved),
        figures.histogram("Matched utterances: predicted minus reference", said),
    )
    return tuple(figure for figure in drawn if figure is not None)
