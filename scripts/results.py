"""Tables of docs/results and of the README, from the numbers that are committed beside them.

In: ``docs/results/*.json`` and pages with markers. Out: the same pages; what stands between a
marker and the next ``<!-- end -->`` is written anew. ``take`` first keeps of scores what is shown.

    python scripts/results.py
    python scripts/results.py take runs/x/scores.json demo   # -> docs/results/demo.json

Markers: ``<!-- scores demo task:seen -->``, ``<!-- scores demo pooled prospect periodic -->`` (of
these systems alone), ``<!-- given demo -->`` (told the moments, fed the references; of
``demo-seen.json`` and ``demo-unseen.json``), ``<!-- study QUESTION -->``.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prospect.files import read_json, write_json, write_text

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results"
PAGES = (*sorted(RESULTS.glob("*.md")), ROOT / "README.md")
GROUPS = ("pooled", "task:seen", "task:unseen")
METRICS = {
    "update_decision_f1": "update F1 @1 s",
    "transition_f1_5s": "transition F1 @5 s",
    "start_accuracy": "start-only",
    "joint_goal_accuracy": "joint goal acc.",
    "speak_decision_f1": "speak F1 @1 s",
    "speech_f1": "speech F1",
}
TOLD = "prospect [reference_dialogue]"
FED = "prospect [reference_state]"
GIVEN = {
    "start-only, every start": (TOLD, "start_accuracy_told"),
    "right step and move": (TOLD, "text_accuracy"),
    "perplexity of reference texts": (TOLD, "lm_perplexity"),
    "joint goal accuracy, told": (TOLD, "joint_goal_accuracy"),
    "joint goal accuracy, self-fed": ("prospect", "joint_goal_accuracy"),
    "joint goal accuracy, reference-fed": (FED, "joint_goal_accuracy"),
}
"""Row -> system and score."""
DRIFT = f"prospect - {FED}"
KEPT = (*METRICS, "state_behind_rate", "state_ahead_rate")
SEED = r", seed \d+$"
REFRESHED = {"joint_goal_accuracy_refresh": "joint goal acc. after a refresh"}
VALIDATED = {"eval_speak_perplexity": "perplexity"}


def main() -> None:
    """Take scores if asked to, then write all tables."""
    match sys.argv[1:]:
        case []:
            pass
        case ["take", scores, name]:
            write_json(RESULTS / f"{name}.json", shown(read_json(Path(scores))))
        case _:
            raise SystemExit("usage: results.py [take SCORES NAME]")
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        found = re.sub(
            r"(<!-- (scores|given|study) (.*?) -->\n)[^<]*(<!-- end -->)",
            lambda match: f"{match[1]}{TABLES[match[2]](match[3])}\n{match[4]}",
            text,
        )
        if found != text:
            write_text(path, found)
            print(path.relative_to(ROOT))


def shown(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Of a file of scores what the tables show."""
    systems = {
        name: {
            group: _kept(name, found["groups"][group])
            for group in GROUPS
            if group in found["groups"]
        }
        for name, found in scores["systems"].items()
    }
    differences = {
        pair: {metric: found[metric] for metric in METRICS}
        for pair, found in scores["differences"].items()
        if pair == DRIFT
    }
    return {"about": scores["about"], "systems": systems, "differences": differences}


def _kept(system: str, group: Mapping[str, Any]) -> dict[str, Any]:
    given = [metric for of, metric in GIVEN.values() if of == system]
    return {
        metric: group[metric]
        for metric in dict.fromkeys((*KEPT, *given))
        if group[metric]["value"] is not None
    }


def _scores(asked: str) -> str:
    """``FILE GROUP [SYSTEM ...]``: a row a system."""
    name, group, *systems = asked.split()
    found = read_json(RESULTS / f"{name}.json")["systems"]
    rows = {one: found[one][group] for one in systems or found}
    return _table({one.replace("_", " "): row for one, row in rows.items()}, METRICS)


def _given(name: str) -> str:
    """A column a split; below them the drift that mistakes cause: reference-fed less self-fed."""
    columns = {}
    for split in ("seen", "unseen"):
        found = read_json(RESULTS / f"{name}-{split}.json")
        column = {
            row: found["systems"][system]["pooled"][metric]
            for row, (system, metric) in GIVEN.items()
        }
        less = found["differences"][DRIFT]["joint_goal_accuracy"]
        drift = {"value": -less["value"], "low": -less["high"], "high": -less["low"]}
        columns[split] = column | {"drift: the latter less the former": drift}
    rows = {row: {split: columns[split][row] for split in columns} for row in columns["seen"]}
    return _table(rows, {split: split for split in columns})


def _study(question: str) -> str:
    """A row for each answer, and before them the models that they stream, or the study's first.

    Of several seeds it is the mean, with the lowest and the highest in round brackets.
    """
    found = read_json(RESULTS / "study.json")
    names = [name for name, row in found.items() if row["question"] == question]
    if not names:
        raise SystemExit(f"{question!r}: no row of study.json answers it; mend the marker")
    models = {row["of"] or name: name for name, row in found.items() if row["validation"]}
    streamed = {models[found[name]["of"]] for name in names if found[name]["of"]} - {*names}
    rows = {name: _measured(found[name]) for name in sorted(streamed)}
    trained = [name for name in names if found[name]["of"] is None]
    if trained:
        trained.insert(0, next(iter(found)))
    for name in dict.fromkeys(re.sub(SEED, "", name) for name in trained):
        seeds = [_measured(row) for other, row in found.items() if re.sub(SEED, "", other) == name]
        if len(seeds) > 1:
            rows[f"{name} ({len(seeds)} seeds)"] = _mean(seeds)
        else:
            rows[name] = seeds[0]
    rows |= {name: _measured(found[name]) for name in names if found[name]["of"] is not None}
    return _table(rows, METRICS | ({} if trained else REFRESHED) | VALIDATED)


def _measured(row: Mapping[str, Any]) -> dict[str, Any]:
    return row["scores"] | {key: {"value": value} for key, value in row["validation"].items()}


def _mean(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean, lowest and highest value of each score that every seed has."""
    found = {}
    for name in seeds[0]:
        values = [seed[name]["value"] for seed in seeds if name in seed]
        if len(values) == len(seeds) and None not in values:
            mean = sum(values) / len(values)
            found[name] = {"value": mean, "lowest": min(values), "highest": max(values)}
    return found


TABLES = {"scores": _scores, "given": _given, "study": _study}


def _table(rows: Mapping[str, Mapping[str, Any]], metrics: Mapping[str, str]) -> str:
    """Rows and columns; a column without any score is left out."""
    cells = {name: {key: _cell(row.get(key)) for key in metrics} for name, row in rows.items()}
    keys = [key for key in metrics if any(row[key] for row in cells.values())]
    lines = [
        _line(["", *(metrics[key] for key in keys)]),
        "|---" * (1 + len(keys)) + "|",
        *(_line([name, *(row[key] for key in keys)]) for name, row in cells.items()),
    ]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(score: Mapping[str, Any] | None) -> str:
    if score is None or score["value"] is None:
        return ""
    cell = _number(score["value"])
    if score.get("low") is not None:
        cell += f" [{_number(score['low'])}, {_number(score['high'])}]"
    if "lowest" in score:
        cell += f" ({_number(score['lowest'])} to {_number(score['highest'])})"
    return cell


def _number(value: float) -> str:
    rounded = f"{value:.2f}".replace("-0.00", "0.00")  # what rounds to nothing has no sign
    return re.sub(r"^(-?)0\.", r"\1.", rounded)


if __name__ == "__main__":
    main()
