"""ProAssist's result files: the real ones, written ones, and what is wrong with them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prospect.errors import DataError, MissingError
from prospect.metrics.score import score
from prospect.samples.legacy.proassist_results import (
    read_proassist_results,
    write_proassist_results,
)
from prospect.types import Event, Prediction
from tests.metrics.worlds import embed, random_stream

ABOUT = {"dataset": "wtag/dialog-klg_val_L0_I1", "sample_idx": 4, "video_uid": "T1", "fps": 2}


def row(frame: int, gen: str = "", ref: str = "", **more: Any) -> dict[str, Any]:
    return {
        "gen": gen,
        "ref": ref,
        "text_inputs": [],
        "frame_idx_in_stream": frame,
        "frame_idx_in_original_video": frame + 11,
        "timestamp_in_stream": (frame + 1) / 2,
        **more,
    }


def write(path: Path, rows: list[dict[str, Any]], **more: Any) -> Path:
    path.write_text(json.dumps({"metadata": {**ABOUT, **more}, "predictions": rows}))
    return path


def test_a_file_as_its_code_writes_it(tmp_path: Path) -> None:
    knowledge = ["system", "Task knowledge: Coffee\n1. Grind."]
    rows = [
        row(0, text_inputs=[["system", "Help."]]),
        row(1, gen="Go.", ref="Go on.", text_inputs=[["user", "Hi."], ["user", "So?"], knowledge]),
        row(2),
    ]
    path = write(tmp_path / "4.json", rows, no_talk_threshold=0.3, use_gt_context=False)
    made = read_proassist_results(path).predictions[0]
    assert (made.dialogue_id, made.dataset, made.split) == ("T1/human-4", "wtag", "val")
    assert (made.start_frame, made.stop_frame, made.fps) == (11, 14, 2)
    assert made.events == (Event(12, speech="Go."),)
    assert made.references == (Event(11, user="Hi.\nSo?"), Event(12, speech="Go on."))
    assert made.task.goal == "Coffee"
    assert made.speak_threshold == 0.7
    assert made.fed == "self"


def test_round_trip_of_our_runs(tmp_path: Path) -> None:
    made = []
    for seed in range(6):
        item = random_stream(seed)
        speaks = tuple(
            Event(event.frame, speech=event.speech, user="Well?" if event.frame % 3 else None)
            for event in item.references
            if event.speech is not None
        )
        spoken = tuple(replace(event, user=None) for event in speaks[::2])
        made.append(replace(item, references=speaks, events=spoken, start_frame=3, fed="self"))
    paths = write_proassist_results(made, tmp_path)
    assert {path.parts[-2] for path in paths} == {"results"}
    back = [
        one
        for folder in sorted({path.parent for path in paths})
        for one in read_proassist_results(folder).predictions
    ]
    assert {one.dialogue_id: heard(one) for one in back} == {
        one.dialogue_id: heard(one) for one in made
    }
    theirs, ours = score(back, "proassist", embed), score(made, "proassist", embed)
    assert theirs["speech_f1"] == ours["speech_f1"]
    again = write_proassist_results(back, tmp_path / "again")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in paths]


def heard(one: Prediction) -> tuple[Any, ...]:
    who = (one.video_id, one.dataset, one.split, one.user_type, one.system, one.fed)
    return (*who, one.fps, one.start_frame, one.stop_frame, one.events, one.references)


def test_empty_words_stay_words(tmp_path: Path) -> None:
    made = replace(random_stream(0), events=(Event(5, speech=""),), references=())
    (path,) = write_proassist_results([made], tmp_path)
    assert len(read_proassist_results(path).predictions[0].events) == 1


def test_two_of_a_kind_are_not_written_over_each_other(tmp_path: Path) -> None:
    made = replace(random_stream(0), details={"sample_idx": 3})
    other = replace(made, dialogue_id="other")
    with pytest.raises(DataError, match=r"sample 3 of .* is there twice"):
        write_proassist_results([made, other], tmp_path)
    with pytest.raises(DataError, match="2 systems"):
        write_proassist_results([made, replace(other, system="b")], tmp_path)


@pytest.mark.parametrize(
    ("rows", "about", "message"),
    [
        ([row(0), row(2)], {}, "1 of 3 frames are missing, first 1; the file is partial"),
        ([row(0), row(0)], {}, "row 1: frame 0 stands in the file twice"),
        ([row(0), row(1)], {"fps": 4}, "row 0: frame_idx_in_stream is 0, but at 4"),
        ([row(0, timestamp_in_stream=float("nan"))], {}, "row 0: holds NaN"),
        ([row(0, gen=None)], {}, "row 0: field 'gen'"),
        ([row(0, oops=1)], {}, "row 0: field 'oops'"),
        ([row(0), row(1, frame_idx_in_original_video=50)], {}, "drift apart"),
        ([row(0, text_inputs=[["user", "Hi."]])], {}, "the user speaks before the first frame"),
        ([], {}, "no rows"),
        ([row(0)], {"fps": 0}, "field 'fps'"),
    ],
)
def test_what_cannot_be_right(
    rows: list[dict[str, Any]], about: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=f"4.json.*{message}"):
        read_proassist_results(write(tmp_path / "4.json", rows, **about))


def test_cut_short_or_not_there(tmp_path: Path) -> None:
    path = write(tmp_path / "4.json", [row(0), row(1)])
    path.write_text(path.read_text()[:-20])
    with pytest.raises(DataError, match="not JSON"):
        read_proassist_results(path)
    path.write_text("[]")
    with pytest.raises(DataError, match="no list `predictions`"):
        read_proassist_results(path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingError, match=r"holds no \.json"):
        read_proassist_results(tmp_path / "empty")
    with pytest.raises(MissingError, match="no file"):
        read_proassist_results(tmp_path / "elsewhere")
    write(path, [row(0), row(1)])
    with pytest.raises(DataError, match="1 of 3 frames are missing"):
        read_proassist_results(path, num_frames=3)


def test_real_files(data_dir: Path, tmp_path: Path) -> None:
    folder = data_dir / "proassist-samples" / "predictions"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    found = {one.system: one for one in read_proassist_results(folder).predictions}
    assert {name: len(one.events) for name, one in found.items()} == {
        "ProAssist-Model-L4096-I10": 36,
        "smolvlm_instruct": 120,
        "gemma3n": 73,
    }
    theirs = found["ProAssist-Model-L4096-I10"]
    assert sum(event.speech is not None for event in theirs.references) == 54
    assert theirs.refreshes == (319, 640, 975, 1311)
    path = folder / "proassist_I10_wtag_T54.json"
    cut = read_proassist_results(path, num_frames=1374)  # as the parity case has it
    assert cut.num_beyond == {path.name: 1}
    for one in found.values():
        (written,) = write_proassist_results([one], tmp_path / one.system)
        again = score(read_proassist_results(written).predictions, embed=embed)
        assert again["speech_f1"] == score([one], embed=embed)["speech_f1"]
