"""`prospect score` on files: what was expected, other projects' forms, what it says."""

from dataclasses import replace
from pathlib import Path

import pytest

from prospect.errors import DataError
from prospect.files import read_json, write_records
from prospect.stages import score
from prospect.stages.score import score_records
from prospect.types import Clip, Prediction
from tests.metrics.worlds import as_clip, embed, random_stream


@pytest.fixture(autouse=True)
def sentence_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prospect.embeddings.embedder", lambda model: embed)


STREAMS = [replace(random_stream(seed), dataset="toy", seen_task=None) for seed in range(4)]
MADE = [replace(item, events=item.references[::2]) for item in STREAMS]


def data_folder(folder: Path) -> Path:
    """Clips of the streams, two a stream; one of the training split, one without a stream."""
    clips: list[Clip] = []
    for item in STREAMS:
        whole = replace(as_clip(item), split="test")
        cut = whole.events[2].frame
        first = replace(whole, stop_frame=cut, events=whole.events[:2])
        clips += [first, replace(whole, clip_id=f"{item.dialogue_id}/1", start_frame=cut,
                                 decide_from=cut, events=whole.events[2:])]  # fmt: skip
    summary = replace(clips[0], dialogue_id="s", clip_id="s/0", kind="summary", summary="Done.")
    learned = replace(clips[0], dialogue_id="t", clip_id="t/0", split="train")
    write_records(folder / "clips.jsonl", [*clips, summary, learned])
    return folder


def predicted(folder: Path, records: list[Prediction]) -> tuple[Path, ...]:
    write_records(folder / "p.jsonl", records)
    return (folder / "p.jsonl",)


def test_files_are_compared_with_the_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = data_folder(tmp_path / "data"), tmp_path / "scores.json"
    score(predicted(tmp_path, MADE), out, expected=(data,), expected_split="test")
    assert "4 streams (all) of 4 videos; nothing is due in 0, model does" in capsys.readouterr().err
    assert read_json(out)["about"]["num_streams_expected"] == 4
    with pytest.raises(DataError, match="the data has 5 streams and model 4; t of toy is only in"):
        score(predicted(tmp_path, MADE), out, expected=(data,))
    with pytest.raises(DataError, match="the data has 4 streams and model 3"):
        score(predicted(tmp_path, MADE[1:]), out, expected=(data,), expected_split="test")
    easier = replace(MADE[0], references=MADE[0].references[::2])
    with pytest.raises(DataError, match=r"v0/\S+ of toy: the data and model differ in video, fps"):
        score(predicted(tmp_path, [easier, *MADE[1:]]), out, (), (data,), "test")
    score(predicted(tmp_path, MADE[1:]), out)
    assert "(not compared with --expected)" in capsys.readouterr().err


def test_each_folder_has_a_split_of_its_own(tmp_path: Path) -> None:
    learned = data_folder(tmp_path / "learned")
    whole = replace(as_clip(STREAMS[0]), dialogue_id="u", clip_id="u/0", split="train")
    write_records(tmp_path / "other" / "clips.jsonl", [whole])
    made = [*MADE, replace(STREAMS[0], dialogue_id="u", split="train")]
    other, out = tmp_path / "other", tmp_path / "scores.json"
    score_records(made, out, expected=[(learned, "test"), (other, None)])
    assert read_json(out)["about"]["num_streams_expected"] == 5
    with pytest.raises(DataError, match="the data has 4 streams and model 5; u of toy is only in"):
        score_records(made, out, expected=[(learned, "test"), (other, "test")])


def test_there_and_back_in_proassists_form(tmp_path: Path) -> None:
    ours, theirs, form = tmp_path / "a.json", tmp_path / "b.json", tmp_path / "form"
    score(predicted(tmp_path, MADE), ours, target=("proassist-json", str(form)))
    results = form / "toy" / "results"
    assert len(list(results.glob("*.json"))) == len(MADE)
    score((), theirs, source=("proassist-json", str(results)))
    mine, back = (
        read_json(path)["systems"]["model"]["groups"]["pooled"] for path in (ours, theirs)
    )
    for name in ("speech_f1", "speech_jaccard", "speak_decision_f1", "pauc", "cider", "bleu_2"):
        assert back[name] == mine[name], name
    assert back["joint_goal_accuracy"]["value"] is None  # it knows no states
