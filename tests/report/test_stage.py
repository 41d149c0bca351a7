"""`prospect report` on run folders and on files: pages, tables, films, and what it refuses."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from prospect.__main__ import main
from prospect.embeddings import Embed
from prospect.files import read_json, write_json, write_records, write_text
from prospect.metrics.baselines import BASELINES, Training
from prospect.metrics.score import score
from prospect.types import Event, Prediction
from tests.report.test_pictures import folder

Make = Callable[..., Prediction]
Capture = pytest.CaptureFixture[str]
TRAINING = Training(0.1, 0.1, "Go on.", {}, {}, {})


@pytest.fixture(autouse=True)
def light(embed: Embed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prospect.embeddings.embedder", lambda model: embed)


@pytest.fixture
def streams(make_prediction: Make) -> list[Prediction]:
    """Three videos; the first is as long as the file of `folder`."""
    made = [make_prediction(seed, steps=2, duration_s=90.0) for seed in (1, 2)]
    first = replace(
        make_prediction(0, steps=1, duration_s=10.0),
        references=(Event(5, speech="Now."),),
        events=(Event(5, speech="Now."), Event(9, speech="Hm.")),
        refreshes=(),
    )
    return [replace(one, system="prospect") for one in (first, *made)]


def run_folder(root: Path, streams: list[Prediction], embed: Embed) -> Path:
    """What `prospect run` leaves behind, as far as the report reads it."""
    silent = [BASELINES["silent"](one, TRAINING) for one in streams]
    blind = [replace(one, system="blind") for one in silent]
    write_records(root / "predictions" / "seen.prospect.jsonl", streams)
    write_records(root / "predictions" / "seen.blind.jsonl", blind)
    write_records(root / "scores.baselines.jsonl", silent)
    write_json(root / "scores.json", score([*streams, *blind, *silent], embed=embed))
    write_json(root / "training" / "about.json", {"commit": "1207cae"})
    write_text(root / "training" / "config.yaml", "optim:\n  lr: 0.1\n")
    write_text(root / "training" / "metrics.jsonl", json.dumps({"step": 1, "loss": 2.0}) + "\n")
    folder(root / "data" / "seen", streams[0], "videos/a.mp4")
    return root


@pytest.fixture
def run(tmp_path: Path, streams: list[Prediction], embed: Embed) -> Path:
    return run_folder(tmp_path / "ours", streams, embed)


def test_one_run(run: Path, tmp_path: Path) -> None:
    assert main(["report", str(run), "--tables", str(tmp_path / "tables")]) == 0
    page = (run / "report.html").read_text()
    for part in ("<h1>prospect</h1>", "1207cae", "lr: 0.1", "Total loss", "data:image/jpeg"):
        assert part in page
    assert "prospect,pooled,speech_f1," in (tmp_path / "tables" / "scores.csv").read_text()


def test_two_runs_are_compared_with_paired_intervals(
    run: Path, tmp_path: Path, streams: list[Prediction], embed: Embed
) -> None:
    mute = run_folder(tmp_path / "mute", [replace(one, events=()) for one in streams], embed)
    out = tmp_path / "two.html"
    assert main(["report", str(run), str(mute), "--out", str(out)]) == 0
    scores = read_json(tmp_path / "two.scores.json")
    assert list(scores["systems"]) == ["ours", "mute", "blind", "silent"]
    gap = scores["differences"]["ours - mute"]["joint_goal_accuracy"]
    both = [scores["systems"][name]["groups"]["pooled"] for name in ("ours", "mute")]
    values = [pooled["joint_goal_accuracy"]["value"] for pooled in both]
    assert gap["value"] == pytest.approx(values[0] - values[1])
    assert gap["low"] <= gap["value"] <= gap["high"]
    page = out.read_text()
    assert "<h1>ours <small>beside mute</small></h1>" in page
    assert "ours - mute" in page
    assert page.count("Total loss") == 4  # title and label of each


def test_a_film_of_one_video(run: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "film.mp4"
    assert main(["report", str(run), "--video", "toy-000", str(out)]) == 0
    assert out.stat().st_size > 1000
    assert "toy-000/talk_some-0 by prospect" in capsys.readouterr().err
    assert main(["report", str(run), "--video", "toy-001", str(out)]) == 2
    assert "no frames of video 'toy-001'" in capsys.readouterr().err
    assert main(["report", str(run), "--video", "toy-009", str(out)]) == 2
    assert "there is toy-000, toy-001, toy-002" in capsys.readouterr().err


def test_a_recording_needs_the_sdk(
    run: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    assert main(["report", str(run), "--rerun", "toy-000", str(tmp_path / "a.rrd")]) == 2
    assert "the Rerun SDK is not installed" in capsys.readouterr().err


def test_which_of_several_is_asked_for(
    run: Path, tmp_path: Path, streams: list[Prediction], capsys: Capture
) -> None:
    files = [str(run / "predictions" / "seen.prospect.jsonl"), str(tmp_path / "more.jsonl")]
    write_records(Path(files[1]), [replace(streams[0], system="other")])
    args = ["report", "--predictions", *files, "--video", "toy-000", str(tmp_path / "a.mp4")]
    assert main(args) == 2
    assert "predicted 2 times: toy-000/talk_some-0 by prospect" in capsys.readouterr().err


def test_a_form_of_a_run(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "form.html"
    assert main(["report", str(run), "--rating_form", "--out", str(out)]) == 0
    assert out.is_file()
    assert out.with_suffix(".key.json").is_file()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "name run folders, or --predictions, --scores and --out"),
        (["--rating_form"], "say with --out where the form goes"),
        (["RUN", "--scores", "scores.json"], "name either run folders or --predictions"),
        (["--out", "a.html"], "the report is about scores"),
        (["RUN", "RUN"], "told apart by their folders' names, not ours, ours"),
        (["EMPTY"], "scores.json is missing; finish it with `prospect run --config"),
        (["--video", "a", "b.mp4"], "name a run folder, or --predictions and --data"),
    ],
)
def test_refused(run: Path, tmp_path: Path, capsys: Capture, args: list[str], message: str) -> None:
    places = {"RUN": str(run), "EMPTY": str(tmp_path)}
    assert main(["report", *(places.get(one, one) for one in args)]) == 2
    assert message in capsys.readouterr().err


def test_runs_on_different_streams(
    run: Path, tmp_path: Path, streams: list[Prediction], embed: Embed, capsys: Capture
) -> None:
    other = run_folder(tmp_path / "part", streams[:2], embed)
    assert main(["report", str(run), str(other), "--out", str(tmp_path / "a.html")]) == 2
    assert "systems are compared on the same streams" in capsys.readouterr().err
    assert not (tmp_path / "a.html").exists()
