"""Predictions of one or several systems -> scores.json.

In: `Prediction` records, references inside. Out: a JSON value: seven headline numbers of the main
system; for every system every metric by group of videos with its interval; paired differences.

    prospect score runs/demo/predictions.jsonl --out scores.json
"""

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from itertools import pairwise
from typing import Any

import numpy as np
import scipy

from prospect.embeddings import DEFAULT_MODEL, Embed, embedder
from prospect.errors import DataError
from prospect.files import text_hash
from prospect.metrics import nlg, speech
from prospect.metrics.baselines import BASELINES, BLIND, ORACLE
from prospect.metrics.bootstrap import (
    LEVEL,
    NUM_DRAWS,
    Drawn,
    Estimate,
    difference,
    draw,
    estimate,
    macro,
)
from prospect.metrics.decisions import TAU_S
from prospect.metrics.diagnosis import diagnose
from prospect.metrics.match import Mode
from prospect.metrics.pool import Stats, table
from prospect.metrics.registry import METRICS, check, stats
from prospect.metrics.single import Drawings, in_other_mode, streams
from prospect.metrics.state import TAUS_S, moves_of
from prospect.types import Event, Prediction

HEADLINE: tuple[str, ...] = (
    "transition_f1_5s",
    "transition_f1_2s",
    "start_accuracy",
    "joint_goal_accuracy",
    "speech_f1",
    "speak_decision_f1",
    "update_decision_f1",
)


def score(
    predictions: Sequence[Prediction],
    mode: Mode = "strict",
    embed: Embed | None = None,
    model: str = DEFAULT_MODEL,
    meteor: bool = False,
    expected: Sequence[Prediction] | None = None,
) -> dict[str, Any]:
    """Score one system, or several on the same streams.

    Args:
        predictions: In any order. A system fed its own context is known by its name, fed the
            references by ``name [reference_state]``. The main system is the first that is fed its
            own and is no baseline, or else the first.
        mode: See `prospect.metrics.match.match`.
        embed: Texts -> unit vectors; default: `embedder` of ``model``.
        model: Name of the similarity model, for the record.
        meteor: Whether to run METEOR on the pooled right pairs: 6 s and a Java runtime.
        expected: The data's streams and references, which each system must have; None takes those
            of the first, so that a partial file can't be told from a whole one.

    Returns:
        A JSON value, described in ``docs/metrics.md``; a score that does not exist is None.

    Raises:
        DataError: no predictions, a record that can't be scored (see `registry.check`), a
            dialogue predicted twice by one system, a system with probabilities in some streams
            only, streams of one data set at different fps, or systems on different streams, or on
            others than expected.
        MissingError: ``meteor`` without Java or its package.
    """
    systems = by_system(predictions)
    if expected is not None:
        for name, found in systems.items():
            _check_same_streams("the data", expected, name, found)
    main = main_system(systems)
    lookup = _embed_once(predictions, embed or embedder(model))
    drawings: dict[str, Drawings] = {}
    scored: dict[str, dict[str, Any]] = {}
    texts: list[list[tuple[str, str]]] = []
    for name in sorted(systems, key=lambda name: name != main):
        contributed = [stats(prediction, lookup, mode) for prediction in systems[name]]
        drawings[name] = _draw_groups(systems[name], contributed)
        scored[name] = _system(name, systems[name], contributed, drawings[name])
        scored[name]["other_mode"] = in_other_mode(systems[name], lookup, mode, drawings[name])
        texts.append([pair for item in contributed for pair in item.texts])
    pooled = {name: system["groups"]["pooled"] for name, system in scored.items()}
    if meteor:
        _add_meteor(pooled, texts)
    return {
        **{name: pooled[main][name]["value"] for name in HEADLINE},
        "systems": scored,
        "differences": {
            f"{main} - {other}": _differences(drawings[main]["pooled"], drawings[other]["pooled"])
            for other in drawings
            if other != main
        },
        "diagnosis": diagnose(systems[main], pooled, main),
        "about": _about(systems[main], mode, model, main, expected),
    }


def _system(
    name: str, predictions: Sequence[Prediction], found: Sequence[Stats], drawn: Drawings
) -> dict[str, Any]:
    """A system's scores by group, and by stream if people may have rated it."""
    groups = {
        group: {metric: asdict(estimate(item)) for metric, item in metrics.items()}
        for group, metrics in drawn.items()
    }
    if name in BASELINES and name != ORACLE:
        return {"groups": groups}
    return {"groups": groups, "streams": streams(predictions, found)}


def _add_meteor(
    pooled: Mapping[str, dict[str, Any]], texts: Sequence[Sequence[tuple[str, str]]]
) -> None:
    """METEOR of every system's right pairs, and the same times the Jaccard index."""
    for metrics, value in zip(pooled.values(), nlg.meteor(texts), strict=True):
        num_videos = metrics["cider"]["n"]
        jaccard = metrics["speech_jaccard"]["value"]
        weighed = None if value is None or jaccard is None else value * jaccard
        for name, number in (("meteor", value), ("meteor_w", weighed)):
            metrics[name] = asdict(Estimate(number, None, None, num_videos))


def by_system(predictions: Sequence[Prediction]) -> dict[str, list[Prediction]]:
    """Predictions of each system, in the order of their dialogues; checks them all."""
    systems: dict[str, list[Prediction]] = {}
    for prediction in predictions:
        check(prediction)
        own = prediction.fed in ("self", "oracle")
        name = prediction.system if own else f"{prediction.system} [{prediction.fed}]"
        systems.setdefault(name, []).append(prediction)
    if not systems:
        raise DataError("no predictions to score; run `prospect predict` first")
    for name, found in systems.items():
        found.sort(key=lambda item: (item.dataset, item.dialogue_id, item.start_frame))
        for left, right in pairwise(found):
            same = (left.dataset, left.dialogue_id) == (right.dataset, right.dialogue_id)
            if same and right.start_frame < left.stop_frame:
                raise DataError(f"{name} predicts {left.dialogue_id} of {left.dataset} twice")
        _check_probabilities(name, found)
    first, *others = systems
    _check_fps(systems[first])
    for other in others:
        _check_same_streams(first, systems[first], other, systems[other])
    return systems


def _check_fps(predictions: Sequence[Prediction]) -> None:
    """Frames are pooled, and windows are whole frames, so a data set has one clock."""
    known: dict[str, Prediction] = {}
    for item in predictions:
        other = known.setdefault(item.dataset, item)
        if other.fps != item.fps:
            raise DataError(
                f"{item.dataset}: {other.dialogue_id} has {other.fps:g} frames/s and "
                f"{item.dialogue_id} {item.fps:g}; score each frame rate by itself"
            )


def _check_probabilities(name: str, found: Sequence[Prediction]) -> None:
    """All streams or none: the rest would be ranked by the part that has them."""
    for field in ("speak_prob", "update_prob"):
        having = [bool(getattr(item, field)) for item in found]
        if any(having) and not all(having):
            raise DataError(
                f"{name} has {field} in {sum(having)} of {len(having)} streams, not in "
                f"{found[having.index(False)].dialogue_id}; predict that again"
            )


def _stream(prediction: Prediction) -> tuple[Any, ...]:
    """What two systems must have in common to be compared."""
    place = (prediction.dataset, prediction.dialogue_id, prediction.start_frame)
    span = (prediction.stop_frame, prediction.video_id, prediction.fps)
    references = sorted(prediction.references, key=lambda event: event.frame)
    return (*place, *span, tuple(prediction.state.items()), references)


def _check_same_streams(
    first: str, ours: Sequence[Prediction], other: str, theirs: Sequence[Prediction]
) -> None:
    left = {_stream(item)[:3]: _stream(item) for item in ours}
    right = {_stream(item)[:3]: _stream(item) for item in theirs}
    if only := sorted(left.keys() ^ right.keys()):
        where = first if only[0] in left else other
        raise DataError(
            f"{first} has {len(left)} streams and {other} {len(right)}; {only[0][1]} of "
            f"{only[0][0]} is only in {where}: systems are compared on the same streams"
        )
    for key, stream in left.items():
        if right[key] != stream:
            raise DataError(
                f"{key[1]} of {key[0]}: {first} and {other} differ in video, fps, frames, state "
                "or references; make both from the same clips"
            )


def main_system(systems: Mapping[str, Sequence[Prediction]]) -> str:
    """The first system that is fed its own context and is no baseline, or else the first."""
    candidates = [
        name
        for name, found in systems.items()
        if found[0].fed == "self" and name not in BASELINES and name != BLIND
    ]
    return (candidates or list(systems))[0]


def _embed_once(predictions: Sequence[Prediction], embed: Embed) -> Embed:
    """All texts in one call; the stats of each stream then look theirs up."""
    texts = spoken_texts(predictions)
    vectors = embed(texts)
    place = {text: index for index, text in enumerate(texts)}
    return lambda wanted: vectors[[place[text] for text in wanted]]


def spoken_texts(predictions: Iterable[Prediction]) -> list[str]:
    """All that anybody says or should have said, each text once."""
    events = (event for item in predictions for event in (*item.events, *item.references))
    return list(dict.fromkeys(event.speech for event in events if event.speech is not None))


def _draw_groups(predictions: Sequence[Prediction], found: Sequence[Stats]) -> Drawings:
    members: dict[str, list[int]] = {"pooled": list(range(len(predictions)))}
    for index, prediction in enumerate(predictions):
        for group in _groups_of(prediction):
            members.setdefault(group, []).append(index)
    drawings: Drawings = {}
    for group in sorted(members, key=lambda group: (group != "pooled", group)):
        rows = members[group]
        videos = [f"{predictions[row].dataset}/{predictions[row].video_id}" for row in rows]
        # data sets are drawn apart from each other, the same for every system
        seed = 0 if group == "pooled" else int(text_hash(group), 16)
        drawings[group] = draw(table([found[row] for row in rows], videos), METRICS, seed)
    datasets = [drawn for group, drawn in drawings.items() if group.startswith("dataset:")]
    drawings["macro"] = {name: macro([drawn[name] for drawn in datasets]) for name in METRICS}
    return drawings


def _groups_of(prediction: Prediction) -> Iterable[str]:
    yield f"dataset:{prediction.dataset}"
    yield f"user_type:{prediction.user_type}"
    if prediction.seen_task is not None:
        yield "task:seen" if prediction.seen_task else "task:unseen"
    order = [step.id for step in prediction.task.steps]
    starts = moves_of(prediction.references).only("start").transitions
    places = [order.index(item.step_id) for item in starts]
    if len(places) > 1:  # else there is no order
        yield "order:listed" if places == sorted(places) else "order:other"


def _differences(ours: Mapping[str, Drawn], theirs: Mapping[str, Drawn]) -> dict[str, Any]:
    return {
        name: {key: value for key, value in asdict(found).items() if key != "n"}
        for name in METRICS
        for found in [difference(ours[name], theirs[name])]
    }


def _acts(events: Iterable[Event]) -> bool:
    return any(event.transitions or event.speech is not None for event in events)


def _about(
    predictions: Sequence[Prediction],
    mode: Mode,
    model: str,
    main: str,
    expected: Sequence[Prediction] | None,
) -> dict[str, Any]:
    datasets = sorted({prediction.dataset for prediction in predictions})
    return {
        "main": main,
        "mode": mode,
        "similarity_model": model,
        "num_videos": len({(item.dataset, item.video_id) for item in predictions}),
        "num_streams": len(predictions),
        "num_streams_expected": None if expected is None else len(expected),
        "num_streams_nothing_due": sum(not _acts(item.references) for item in predictions),
        "num_streams_nothing_done": sum(not _acts(item.events) for item in predictions),
        "taus_s": list(TAUS_S),
        "decision_tau_s": TAU_S,
        "windows_s": {
            name: list(speech.WINDOWS_S.get(name, speech.DEFAULT_WINDOW_S)) for name in datasets
        },
        "interval": f"{LEVEL:.0%} bootstrap over videos, {NUM_DRAWS} draws",
        "versions": {
            "prospect": version("prospect-assistant"),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        },
    }
