"""What is wrong with a file of predictions is an error or is counted; nothing scores better."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prospect.errors import DataError
from prospect.files import read_records, write_records
from prospect.metrics.score import HEADLINE, score
from prospect.types import Prediction
from tests.metrics.worlds import embed, event, random_stream

STREAMS = [
    replace(item, events=item.references[::2], speak_prob=(0.25,) * item.stop_frame)
    for item in (random_stream(seed) for seed in range(4))
]
STREAMS = [replace(item, dataset="toy") for item in STREAMS]
EXPECTED = [replace(item, system="the data", events=(), speak_prob=()) for item in STREAMS]


def scored(path: Path) -> dict:
    return score(read_records(path, Prediction), embed=embed, expected=EXPECTED)


Spoil = Callable[[list[str]], list[str]]


def changed(key: str, value: object) -> Spoil:
    def spoil(lines: list[str]) -> list[str]:
        return [json.dumps({**json.loads(lines[0]), key: value}), *lines[1:]]

    return spoil


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda lines: [*lines[:-1], lines[-1][:100]], r"p\.jsonl:4: not JSON"),
        (lambda lines: lines[:-1], "the data has 4 streams and model 3; v3/.* is only in the data"),
        (lambda lines: [*lines, lines[0]], "model predicts v0/.* of toy twice"),
        (lambda lines: [], "no predictions to score"),
        (lambda lines: [lines[0].replace("0.25", "NaN", 1), *lines[1:]], ":1: holds NaN"),
        (lambda lines: [lines[0].replace("0.25", "1.25", 1), *lines[1:]], "speak_prob is 1.25"),
        (changed("fps", 4.0), "toy: v0/.* has 4 frames/s and v1/.* 2; score each"),
        (changed("fps", -2.0), "fps is -2.0"),
        (changed("dialogue_id", "v9/a"), "v0/.* is only in the data"),
        (changed("schema", "prediction/9"), "schema is 'prediction/9', expected"),
        (changed("references", []), "v0/.*: the data and model differ in video, fps"),
        (changed("stop_frame", 9999), r"\d+ values of speak_prob for 9999 frames"),
        (changed("speak_prob", []), "model has speak_prob in 3 of 4 streams, not in v0/"),
        (changed("speak_threshold", 1.5), "speak_threshold is 1.5"),
        (changed("details", {"latency_ms_p50": "fast"}), "details.latency_ms_p50 is 'fast'"),
        (changed("references", None), ":1: field 'references'"),
        (changed("oops", 1), ":1: field 'oops'"),
        (changed("speak_prob", [0.5]), "1 values of speak_prob"),
        (
            changed("events", [{"frame": 3, "speech": "a"}, {"frame": 3, "speech": "b"}]),
            "two events at frame 3",
        ),
        (changed("events", [{"frame": 99999, "speech": "a"}]), "frame 99999 is outside"),
        (changed("events", [{"frame": -1, "speech": "a"}]), "frame -1 is outside"),
    ],
)
def test_spoilt_files_are_refused(spoil: Spoil, message: str, tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    write_records(path, STREAMS)
    scored(path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(spoil(lines)))
    with pytest.raises(DataError, match=message):
        scored(path)


def _cut_line(lines: list[str], rng: random.Random) -> list[str]:
    at = rng.randrange(len(lines))
    return [*lines[:at], lines[at][: rng.randrange(1, len(lines[at]))], *lines[at + 1 :]]


def _lose_lines(lines: list[str], rng: random.Random) -> list[str]:
    return rng.sample(lines, rng.randrange(len(lines)))


def _repeat_line(lines: list[str], rng: random.Random) -> list[str]:
    return [*lines, rng.choice(lines)]


def _altered(lines: list[str], rng: random.Random) -> list[str]:
    """One value somewhere in one record gone, or replaced by what does not belong there."""
    at = rng.randrange(len(lines))
    record = json.loads(lines[at])
    parent, key = record, rng.choice(list(record))
    while isinstance(parent[key], (dict, list)) and parent[key] and rng.random() < 0.7:
        parent = parent[key]
        key = rng.choice(list(parent)) if isinstance(parent, dict) else rng.randrange(len(parent))
    if rng.random() < 0.4:
        del parent[key]
    else:
        parent[key] = rng.choice((None, "?", -1, 1e999, float("nan"), [], {}, 10**6))
    return [*lines[:at], json.dumps(record), *lines[at + 1 :]]


def _shuffled(lines: list[str], rng: random.Random) -> list[str]:
    record = json.loads(lines[0])
    rng.shuffle(record["events"])
    rng.shuffle(record["references"])
    return rng.sample([json.dumps(record), *lines[1:]], len(lines))


PERFECT = [
    replace(item, events=tuple(replace(event, user=None) for event in item.references))
    for item in STREAMS
]


BEFORE = [score(made, embed=embed, expected=EXPECTED) for made in (STREAMS, PERFECT)]


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([_cut_line, _lose_lines, _repeat_line, _altered, _shuffled]),
    st.booleans(),
    st.integers(0, 10**6),
)
def test_no_damage_raises_a_headline_score_silently(
    damage: Callable[[list[str], random.Random], list[str]], perfect: bool, seed: int
) -> None:
    """An error, the same scores, or, where what is left is a record too, none that is better.

    One that loses a wrong event is a better record, so damage to single values starts from the
    perfect one.
    """
    perfect = perfect or damage is _altered
    before = BEFORE[perfect]
    with TemporaryDirectory() as folder, patch("prospect.metrics.bootstrap.NUM_DRAWS", 2):
        path = Path(folder) / "p.jsonl"
        write_records(path, PERFECT if perfect else STREAMS)
        path.write_text("\n".join(damage(path.read_text().splitlines(), random.Random(seed))))
        try:
            after = scored(path)
        except DataError:
            return
    for name in HEADLINE:
        assert after[name] is not None, name
        assert after[name] <= before[name], name


def test_a_stream_without_references_counts_against_who_speaks_there() -> None:
    whole = score(STREAMS, embed=embed)
    extra = replace(STREAMS[0], dialogue_id="x/0", video_id="x", references=())
    found = score([*STREAMS, extra], embed=embed)
    assert found["about"]["num_streams_nothing_due"] == 1
    for name in ("transition_f1_5s", "speech_f1", "speak_decision_f1", "update_decision_f1"):
        assert found[name] < whole[name]
    silent = score([*STREAMS, replace(extra, events=())], embed=embed)
    assert silent["about"]["num_streams_nothing_done"] == 1
    assert silent["speech_f1"] == whole["speech_f1"]


def test_a_stream_without_predictions_counts_as_missed() -> None:
    whole = score(STREAMS, embed=embed)
    found = score([replace(STREAMS[0], events=()), *STREAMS[1:]], embed=embed)
    assert found["about"]["num_streams_nothing_done"] == 1
    for name in ("transition_f1_5s", "speech_f1", "joint_goal_accuracy"):
        assert found[name] < whole[name]


def test_what_nobody_expected_is_refused() -> None:
    with pytest.raises(DataError, match=r"the data has 3 .* model 4; v0/\S+ of toy is only"):
        score(STREAMS, embed=embed, expected=EXPECTED[1:])


def test_a_fps_for_each_dataset() -> None:
    other = replace(STREAMS[0], dataset="other", fps=4.0)
    assert score([*STREAMS, other], embed=embed)["about"]["num_streams"] == 5


def test_speaking_more_or_to_the_side_never_helps() -> None:
    perfect = [replace(item, events=item.references) for item in STREAMS]
    best = score(perfect, embed=embed)["systems"]["model"]["groups"]["pooled"]
    twice = [replace(item, events=(*item.events, event(0, "", "Hm."))) for item in perfect]
    worse = score(twice, embed=embed)["systems"]["model"]["groups"]["pooled"]
    for name in ("speech_f1", "speech_jaccard", "pauc", "timeliness_f1", "point_macro_f1"):
        assert worse[name]["value"] <= best[name]["value"] == 1
