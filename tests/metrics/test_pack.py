"""A pack scores the same anywhere, and says so if it can't."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from prospect.errors import DataError, MissingError
from prospect.files import write_records
from prospect.metrics import pack as packing
from prospect.metrics.baselines import BASELINES, training_statistics
from prospect.metrics.pack import pack, score_pack
from prospect.metrics.score import score
from tests.metrics.worlds import as_clip, embed, random_stream

STREAMS = [random_stream(seed) for seed in range(4)]
TRAINING = training_statistics([as_clip(random_stream(9))])
ANSWERS = [BASELINES["listed_order"](item, TRAINING) for item in STREAMS]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    write_records(folder / "predictions" / "toy.jsonl", ANSWERS)
    (folder / "config.yaml").write_text("seed: 0\n")
    (folder / "data" / "toy").mkdir(parents=True)
    (folder / "data" / "toy" / "manifest.json").write_text("{}")
    return folder


def change(path: Path, name: str, content: str | None) -> None:
    """Replace a member, or take it out."""
    with zipfile.ZipFile(path) as archive:
        members = {info: archive.read(info) for info in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for other, old in members.items():
            if other != name:
                archive.writestr(other, old)
            elif content is not None:
                archive.writestr(other, content)


def test_the_same_numbers_elsewhere_without_run_or_model(run: Path, tmp_path: Path) -> None:
    pack(run, tmp_path / "a.zip", embed=embed)
    pack(run, tmp_path / "b.zip", embed=embed)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    shutil.rmtree(run)
    moved = tmp_path / "elsewhere" / "c.zip"
    moved.parent.mkdir()
    (tmp_path / "a.zip").rename(moved)
    found = score_pack(moved)
    assert json.dumps(found) == json.dumps(score(ANSWERS, embed=embed))
    with zipfile.ZipFile(moved) as archive:
        assert archive.read("config.yaml") == b"seed: 0\n"
        assert "manifests/toy.json" in archive.namelist()


def test_another_scorer_is_refused(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(run, tmp_path / "a.zip", embed=embed)
    monkeypatch.setattr(packing, "scorer_version", lambda: "feedbeef")
    with pytest.raises(
        DataError, match=r"was scored by scorer \w+ of prospect .* this is feedbeef"
    ):
        score_pack(tmp_path / "a.zip")


def test_what_was_altered_is_refused(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    pack(run, path, embed=embed)
    with zipfile.ZipFile(path) as archive:
        scores = json.loads(archive.read("scores.json"))
        lines = archive.read("predictions/toy.jsonl").decode().splitlines()
    change(path, "scores.json", json.dumps({**scores, "speech_f1": 0.9}))
    with pytest.raises(DataError, match=r"speech_f1 is .*, the pack says 0\.9"):
        score_pack(path)
    change(path, "predictions/toy.jsonl", lines[0].replace("Well done.", "Badly done."))
    with pytest.raises(DataError, match=r"no vector for 'Badly done\."):
        score_pack(path)
    change(path, "predictions/toy.jsonl", lines[0][:-9])
    with pytest.raises(DataError, match=r"toy\.jsonl:1: not JSON"):
        score_pack(path)
    change(path, "predictions/toy.jsonl", None)
    with pytest.raises(DataError, match=r"has no predictions/toy\.jsonl"):
        score_pack(path)


def test_no_pack(run: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no file"):
        score_pack(tmp_path / "none.zip")
    (tmp_path / "half.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(DataError, match="is no whole zip"):
        score_pack(tmp_path / "half.zip")
    shutil.rmtree(run / "predictions")
    with pytest.raises(MissingError, match=r"holds no \.jsonl"):
        pack(run, tmp_path / "a.zip", embed=embed)
