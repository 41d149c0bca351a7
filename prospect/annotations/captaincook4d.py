"""CaptainCook4D's published annotation files -> `Annotation`s.

In: a folder with ``annotations/{annotation_json,data_splits,metadata,task_graphs}`` as published
(Peddi et al., "CaptainCook4D", NeurIPS 2024 Datasets and Benchmarks,
https://captaincook4d.github.io). Out: `Adapted`.

    prospect annotate --dataset captaincook4d --root FOLDER --out runs/x

The steps are those of the recipe's task graph, in an order the graph allows, whether a recording
does them or not; a step that stands twice in the graph has one id in the dataset and is one step.
A step's id names its description, and that the step of the graph. Splits are those by recordings.
"""

import heapq
import re
from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from prospect.annotations.adapted import Adapted, Log, Source
from prospect.annotations.tables import get, number, read_table, seconds
from prospect.annotations.visits import in_video
from prospect.errors import DataError
from prospect.files import Account, read_json
from prospect.types import Action, Annotation, Split, Step, Task

STEPS = Path("annotations/annotation_json/complete_step_annotations.json")
ERRORS = Path("annotations/annotation_json/error_annotations.json")
DESCRIPTIONS = Path("annotations/annotation_json/step_idx_description.json")
GRAPHS = Path("annotations/task_graphs")
SPLITS = Path("annotations/data_splits/recordings_data_split_combined.json")
VIDEOS = Path("annotations/metadata/video_information.csv")
ENDS = ("START", "END")
"""Nodes of every graph that are no steps."""
LEFT_OUT = -1.0
"""Both times of a step that the recording leaves out."""


@dataclass(frozen=True, slots=True)
class _Tree:
    """Everything that is published beside the steps.

    Attributes:
        splits, lengths: recording -> split; recording -> seconds.
        descriptions: Step's id in the dataset -> description.
        errors: recording -> (step's id, start, end) -> what `ERRORS` says of it.
    """

    splits: dict[str, Split]
    lengths: dict[str, float]
    descriptions: dict[int, str]
    errors: dict[str, dict[tuple[int, float, float], Any]]


def read(root: Path) -> Adapted:
    """All recordings of a CaptainCook4D folder that are annotated.

    Steps that the person leaves out, that no description or graph knows, or that lie outside of
    the video are dropped; what reaches beyond its end is cut there. Unsorted and overlapping
    steps are kept. Recordings in no split, of unknown length or without visits are dropped, and
    those that the splits name without annotation. All of it is counted and listed.

    A mistake is worded ``<tag>: <description>``, several are joined by "; ". Where an error has
    no description, how the step was done instead (``modified_description``) stands in.

    Raises:
        MissingError: one of the files, or the graph of a recipe, is not there.
        DataError: not what CaptainCook4D publishes: a field absent or of another type, a
            recording in two splits or with another id, a graph with a cycle or an edge to
            nowhere. Names file, recording, step, field.
    """
    log = Log()
    tree = _Tree(
        _splits(root / SPLITS),
        _lengths(root / VIDEOS),
        _descriptions(root / DESCRIPTIONS),
        _errors(root / ERRORS),
    )
    recipes: dict[str, dict[str, Step]] = {}
    dropped = {"in no split": 0, "length unknown": 0, "no steps": 0}
    annotations: list[Annotation] = []
    recordings = _object(read_json(root / STEPS), str(root / STEPS))
    for video_id, record in recordings.items():
        where = f"{root / STEPS}: recording {video_id}"
        if get(record, "recording_id", str, where) != video_id:
            raise DataError(f"{where}: its recording_id is {record['recording_id']!r}")
        recipe = get(record, "activity_name", str, where)
        if recipe not in recipes:
            recipes[recipe] = _recipe(root / GRAPHS / f"{_stem(recipe)}.json", log)
        rows = Log()
        made = _annotation(record, where, recipes[recipe], tree, rows)
        log.lines += rows.lines
        if isinstance(made, str):
            dropped[made] += 1
            log.note(video_id, f"dropped, {made}")
            continue
        annotations.append(made)
        log.kept += rows.kept
        log.dropped = dict(Counter(log.dropped) + Counter(rows.dropped))
    dropped["not annotated"] = len(tree.splits.keys() - recordings.keys())
    if dropped["not annotated"]:
        log.note(str(root / SPLITS), f"{dropped['not annotated']} recordings are not annotated")
    return Adapted(
        tuple(annotations), Account(len(annotations), dropped), log.account(), tuple(log.lines)
    )


def sentence(description: str) -> str:
    """A description as a sentence: "Add-1 egg to the bowl" -> "Add 1 egg to the bowl".

    The verb before the dash is left out where the rest says it ("Cut -Cut the bread").
    """
    verb, _, rest = (part.strip() for part in " ".join(description.split()).partition("-"))
    said = re.search(rf"\b{re.escape(verb)}\b", rest, re.IGNORECASE)
    text = rest if said else f"{verb} {rest}".strip()
    return text[:1].upper() + text[1:]


def _annotation(
    record: Any, where: str, steps: Mapping[str, Step], tree: _Tree, log: Log
) -> Annotation | str:
    """One recording, or why it is dropped; ``steps`` by their description."""
    video_id = record["recording_id"]
    if video_id not in tree.splits:
        return "in no split"
    if video_id not in tree.lengths:
        return "length unknown"
    visits: list[Action] = []
    for at, row in enumerate(get(record, "steps", list, where)):
        visit = _visit(row, f"{where}: step {at}", video_id, steps, tree, log)
        if visit is not None:
            if visits and visit.start_s < visits[-1].start_s:
                log.note(f"{where}: step {at}", "begins before the one above it; sorted")
            visits.append(visit)
    visits.sort(key=lambda visit: (visit.start_s, visit.end_s))
    for earlier, later in pairwise(visits):
        if later.start_s < earlier.end_s:
            log.note(where, f"{later.text!r} begins at {later.start_s} s, in {earlier.text!r}")
    log.kept = len(visits)
    if not visits:
        return "no steps"
    return Annotation(
        video_id=video_id,
        dataset="captaincook4d",
        split=tree.splits[video_id],
        task=Task(f"Make {record['activity_name'].lower()}.", tuple(steps.values())),
        task_type=record["activity_name"],
        duration_s=tree.lengths[video_id],
        actions=tuple(visits),
    )


def _visit(
    row: Any, where: str, video_id: str, steps: Mapping[str, Step], tree: _Tree, log: Log
) -> Action | None:
    step_id = get(row, "step_id", int, where)
    start_s, end_s = seconds(row, "start_time", where), seconds(row, "end_time", where)
    description = _tidy(get(row, "description", str, where))
    step = steps.get(tree.descriptions.get(step_id, ""))
    if step is None:
        log.drop(where, "unknown step")
        return None
    if start_s == end_s == LEFT_OUT:
        log.drop(where, "left out by the person")
        return None
    span = in_video(start_s, end_s, tree.lengths[video_id])
    if isinstance(span, str):
        log.drop(where, span)
        return None
    if span[1] < end_s:
        log.note(where, f"cut at the end of the video, {span[1]} s instead of {end_s} s")
    if description != tree.descriptions[step_id]:
        log.note(where, f"step {step_id} is described as {description!r} here; taken as said")
    told = tree.errors.get(video_id, {}).get((step_id, start_s, end_s), {})
    mistake = _mistake(told, get(row, "has_errors", bool, where), where, log)
    return Action(*span, sentence(description), "step", step.id, mistake=mistake)


def _mistake(told: Any, wrong: bool, where: str, log: Log) -> str | None:
    """All errors of a step in words; ``told`` is empty where `ERRORS` says nothing of it."""
    instead = (
        _tidy(get(told, "modified_description", str, where))
        if ("modified_description" in told)
        else ""
    )
    errors = get(told, "errors", list, where) if "errors" in told else []
    texts: list[str] = []
    for error in errors:
        tag = _tidy(get(error, "tag", str, where)).lower()
        detail = _tidy(get(error, "description", str, where)) or instead
        texts.append(f"{tag}: {detail}" if detail else tag)
    if wrong != bool(texts):
        log.note(where, "an error that is not described" if wrong else "not marked as an error")
    if instead and not texts:
        log.note(where, f"done otherwise, without an error: {instead!r}")
    return "; ".join(texts) or (f"error: {instead}".rstrip(": ") if wrong else None)


def _recipe(path: Path, log: Log) -> dict[str, Step]:
    """description -> step, in an order the graph allows, the lowest node first where it may be."""
    graph = read_json(path)
    nodes: dict[int, str] = {}
    for key, text in get(graph, "steps", dict, str(path)).items():
        if not isinstance(text, str) or not text.strip() or not re.fullmatch(r"\d{1,9}", key):
            raise DataError(f"{path}: node {key!r} is {text!r}, expected a number and a text")
        nodes[int(key)] = _tidy(text)
    after: dict[int, set[int]] = {node: set() for node in nodes}
    for edge in get(graph, "edges", list, str(path)):
        if (
            not isinstance(edge, list)
            or len(edge) != 2
            or any(not isinstance(end, int) or end not in nodes for end in edge)
        ):
            raise DataError(f"{path}: edge {edge!r} does not join two of the nodes")
        after[edge[0]].add(edge[1])
    order = _topological(after, path)
    reached = set().union(*after.values())
    for node in order:
        if node not in reached and nodes[node] != "START":
            log.note(str(path), f"nothing leads to node {node}, {nodes[node]!r}")
    texts = dict.fromkeys(nodes[node] for node in order if nodes[node] not in ENDS)
    return {text: Step(f"S{at}", sentence(text)) for at, text in enumerate(texts, start=1)}


def _topological(after: Mapping[int, Set[int]], path: Path) -> list[int]:
    """Every node after all that lead to it; of several possible ones the lowest comes first."""
    waits = Counter(node for following in after.values() for node in following)
    ready = [node for node in after if not waits[node]]
    heapq.heapify(ready)
    order: list[int] = []
    while ready:
        node = heapq.heappop(ready)
        order.append(node)
        for following in after[node]:
            waits[following] -= 1
            if not waits[following]:
                heapq.heappush(ready, following)
    if len(order) < len(after):
        left = sorted(after.keys() - set(order))
        raise DataError(f"{path}: the graph runs in a circle among the nodes {left}")
    return order


def _stem(recipe: str) -> str:
    """ "Mug Cake" -> "mugcake", as the graphs are named."""
    return re.sub(r"[^a-z0-9]", "", recipe.lower())


def _splits(path: Path) -> dict[str, Split]:
    found: dict[str, Split] = {}
    value = read_json(path)
    parts: tuple[Split, ...] = ("train", "val", "test")
    for split in parts:
        for name in get(value, split, list, str(path)):
            if not isinstance(name, str) or found.get(name, split) != split:
                raise DataError(f"{path}: {name!r} in {split} is no recording or in another split")
            found[name] = split
    return found


def _lengths(path: Path) -> dict[str, float]:
    rows = read_table(path, ("recording_id", "duration(sec)"))
    return {
        row["recording_id"]: number(row["duration(sec)"], "duration(sec)", at) for at, row in rows
    }


def _descriptions(path: Path) -> dict[int, str]:
    found: dict[int, str] = {}
    for key, text in _object(read_json(path), str(path)).items():
        if not isinstance(text, str) or not re.fullmatch(r"\d{1,9}", key):
            raise DataError(f"{path}: step {key!r} is {text!r}, expected a number and a text")
        found[int(key)] = _tidy(text)
    return found


def _errors(path: Path) -> dict[str, dict[tuple[int, float, float], Any]]:
    found: dict[str, dict[tuple[int, float, float], Any]] = {}
    value = read_json(path)
    if not isinstance(value, list):
        raise DataError(f"{path}: expected a list, found {type(value).__name__}")
    for at, record in enumerate(value):
        name = get(record, "recording_id", str, f"{path}: record {at}")
        where = f"{path}: recording {name}"
        if name in found:
            raise DataError(f"{where} stands twice; keep one of them")
        found[name] = {
            (
                get(row, "step_id", int, where),
                seconds(row, "start_time", where),
                seconds(row, "end_time", where),
            ): row
            for row in get(record, "step_annotations", list, where)
        }
    return found


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected an object, found {type(value).__name__}")
    return value


def _tidy(text: str) -> str:
    return " ".join(text.split())


SOURCE = Source(read, "captaincook4d", "Apache-2.0")
