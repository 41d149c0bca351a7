"""What is wrong with a file of predictions is an error or is counted; nothing scores better."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from prospect.errors import DataError
from prospect.files import read_records, write_records
from prospect.metrics.score import score
from prospect.types import Prediction
from tests.metrics.worlds import embed, event, random_stream

STREAMS = [
    replace(item, events=item.references[::2], speak_prob=(0.25,) * item.stop_frame)
    for item in (random_stream(seed) for seed in range(4))
]
STREAMS = [replace(item, dataset="toy") for item in STREAMS]
EXPECTED = {(item.dataset, item.dialogue_id) for item in STREAMS}


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
        (lambda lines: lines[:-1], "model lacks 1 of 4 streams, first v3/"),
        (lambda lines: [*lines, lines[0]], "model predicts v0/.* of toy twice"),
        (lambda lines: [], "no predictions to score"),
        (lambda lines: [lines[0].replace("0.25", "NaN", 1), *lines[1:]], ":1: holds NaN"),
        (lambda lines: [lines[0].replace("0.25", "1.25", 1), *lines[1:]], "speak_prob is 1.25"),
        (changed("fps", 4.0), "toy: v0/.* has 4 frames/s and v1/.* 2; score each"),
        (changed("fps", -2.0), "fps is -2.0"),
        (changed("dialogue_id", "v9/a"), "model lacks 1 of 4 streams"),
        (changed("schema", "prediction/9"), "schema is 'prediction/9', expected"),
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
    with pytest.raises(DataError, match="model has unexpected 1 of 3 streams"):
        score(STREAMS, embed=embed, expected=EXPECTED - {("toy", STREAMS[0].dialogue_id)})


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
