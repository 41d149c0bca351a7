"""Scores, predictions and a training log -> one self-contained HTML file.

In: what `prospect score`, `predict` and `train` wrote, and a function that gives frames. Out: a
page without links to anything outside it: it opens offline, reads without JavaScript, in the dark
and on paper.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from prospect.files import write_text
from prospect.report import curves, tables, timeline
from prospect.report.progress import choose
from prospect.types import Prediction

MAX_VIDEOS = 6


def write_report(
    out: Path,
    scores: Mapping[str, Any],
    predictions: Sequence[Prediction],
    training: Sequence[Mapping[str, Any]] | None,
    thumbnails: timeline.Thumbnails,
    about: Mapping[str, Any],
) -> None:
    """Write the report of one run to ``out``, whole or not at all.

    The report is about the first system of ``scores``; the others stand beside it as baselines.

    Args:
        scores: The content of a scores.json.
        predictions: Of any systems; the timeline shows up to `MAX_VIDEOS` self-fed ones of the
            main system, from its worst to its best, and opens at the median.
        training: Rows of metrics.jsonl; None or empty if nothing was trained.
        thumbnails: (prediction, frame) -> bytes of an image file, or None where there is none.
        about: What was run: text by name; an inner mapping is listed in one line, text of several
            lines (a configuration) folded.

    Raises:
        DataError: scores without a required key; predictions, training rows or pictures that
            can't be drawn (see `timeline.timeline`, `curves.charts`).
    """
    tables.check_scores(scores)
    main = tables.main_system(scores)
    shown, opened = choose(
        [p for p in predictions if p.system == main and p.fed == "self"], MAX_VIDEOS
    )
    page = (
        environment()
        .get_template("report.html.j2")
        .render(
            main=main,
            about=about,
            scored=scores["about"],
            tiles=tables.tiles(scores),
            systems=tables.systems_table(scores),
            groups=tables.groups_tables(scores),
            differences=tables.differences_table(scores),
            all_metrics=tables.all_metrics_table(scores),
            definitions=tables.HEADLINE.values(),
            diagnosis=scores["diagnosis"],
            charts=curves.charts(training or ()),
            canvas=curves,
            videos=[
                timeline.timeline(prediction, f"v{index}", thumbnails)
                for index, prediction in enumerate(shown)
            ],
            opened=opened,
            strip=timeline,
        )
    )
    write_text(out, page)


def environment() -> Environment:
    """Everything is escaped: goals, steps and utterances are other people's text."""
    return Environment(
        loader=PackageLoader("prospect.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
