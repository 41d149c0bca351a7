"""Judgements of dialogues, by a model and by people, and how far they agree."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from prospect.files import parse, read_json, read_records, write_json
from prospect.judging import JudgeSettings
from prospect.stages.shared import asking, say
from prospect.types import Prediction

MOST_METRICS = 12
"""How many scores are printed; the file holds all."""


def judge(predictions: tuple[Path, ...], out: Path, llm: JudgeSettings) -> None:
    """Let a language model judge dialogues; started again it goes on where it stopped.

    Args:
        predictions: JSONL files of one or more systems on the same streams.
        out: JSON of scores.
        llm: Who judges, and how often.
    """
    from prospect.judging import judge as run
    from prospect.llm import Pending
    from prospect.metrics.judge import ASPECTS

    records = [record for path in predictions for record in read_records(path, Prediction)]
    with asking(llm, out.parent) as client:
        try:
            scores = run(records, client.ask, llm)
        except Pending as pending:
            say(str(pending))
            return
        about = {**scores.about, "usage": asdict(client.usage())}
    write_json(out, {"systems": scores.systems, "differences": scores.differences, "about": about})
    for name, found in scores.systems.items():
        pooled = found["groups"]["pooled"]
        means = ", ".join(f"{one} {_number(pooled[one]['value'])}" for one in ASPECTS)
        replies = found["replies"]
        dropped = ", ".join(f"{number} {why}" for why, number in replies["dropped"].items())
        say(f"{name}: {means}; {replies['read']} replies read, dropped: {dropped or 'none'}")
    say(f"{out}: {len(records)} streams judged {llm.runs} times")


def rating_form(
    predictions: tuple[Path, ...],
    out: Path,
    data: tuple[Path, ...] = (),
    seed: int = 0,
    num_dialogues: int | None = None,
) -> None:
    """Write a form on which people rate and rank dialogues without knowing whose they are.

    Args:
        predictions: JSONL files of one or more systems on the same streams.
        out: The HTML page; the key of its letters goes beside it, ``form.key.json``.
        data: Data folders of the videos, for pictures.
        seed: Of the choice and order of dialogues and systems.
        num_dialogues: How many dialogues; None takes all.
    """
    from prospect.report.pictures import thumbnails
    from prospect.report.rating import key_path, write_form

    records = [record for path in predictions for record in read_records(path, Prediction)]
    key = write_form(out, records, thumbnails(data), seed, num_dialogues)
    say(f"{out}: {len(key.items)} dialogues of {len(key.items[0].systems)} systems, for raters")
    say(f"{key_path(out)}: keep it from them; `prospect agree` needs it")


def agree(
    ratings: tuple[Path, ...],
    key: Path,
    out: Path,
    scores: tuple[Path, ...] = (),
) -> None:
    """Compare what people said with each other, and with scores.

    Args:
        ratings: JSON files that raters saved, one each.
        key: The key that was written beside their form.
        out: JSON of agreement, correlations and match rates.
        scores: What `score` and `judge` wrote about the same systems.
    """
    from prospect.metrics import alike, people

    known = parse(read_json(key), people.Key, str(key))
    files = [parse(read_json(path), people.Ratings, str(path)) for path in ratings]
    rated = people.rated(known, files)
    systems = sorted({unit[2] for unit in rated.units})
    read = {str(path): alike.read_scores(read_json(path), str(path), systems) for path in scores}
    found = {
        "raters": list(rated.raters),
        "counts": dict(rated.counts),
        "ratings": people.quality(known, rated),
        "agreement": people.agreements(rated),
        **alike.compared(rated, alike.joined(read)),
    }
    write_json(out, found)
    for line in agreement_lines(found):
        say(line)
    say(f"{out}: {', '.join(f'{number} ratings {what}' for what, number in rated.counts.items())}")


def agreement_lines(found: dict[str, Any]) -> list[str]:
    """What `agree` found, for the terminal: means, agreement, and the scores nearest to people."""
    from prospect.metrics.people import JUDGEMENTS, PREFERENCE

    def row(name: str, cells: list[str]) -> str:
        return f"{name:32}" + "".join(f"{cell:>13}" for cell in cells)

    lines = [row("mean", list(JUDGEMENTS))]
    for system, means in found["ratings"].items():
        lines.append(row(system, [_number(means[name]["value"]) for name in JUDGEMENTS]))
    for what in ("kappa", "alpha", "exact"):
        agreed = found["agreement"]
        lines.append(row(f"raters: {what}", [_number(agreed[name][what]) for name in JUDGEMENTS]))
    for level, metrics in found["correlation"].items():
        ranked = sorted(metrics, key=lambda name: -_strength(metrics[name][PREFERENCE]))
        if ranked:
            heads = ["pearson", "spearman", "match rate", f"{level}s"]
            lines.append(row(f"preference, by {level}", heads))
        for name in ranked[:MOST_METRICS]:
            both = metrics[name][PREFERENCE]
            match = (
                found["match_rate"][level].get(name, {}).get(PREFERENCE, {"value": None, "n": 0})
            )
            cells = [_number(both[kind]["value"]) for kind in ("pearson", "spearman")]
            lines.append(row(name, [*cells, _number(match["value"]), str(match["n"])]))
    return lines


def _strength(both: dict[str, Any]) -> float:
    value = both["spearman"]["value"]
    return -1.0 if value is None else abs(value)


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f}"
