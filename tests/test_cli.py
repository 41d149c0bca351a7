"""The command line in this process: verbs, spellings, settings that aren't there, and errors."""

import json
from pathlib import Path
from typing import Any

import pytest

from prospect.__main__ import VERBS, main
from prospect.files import read_json, read_records
from prospect.types import Clip

FROZEN = (
    *("toy", "annotate", "dialogues", "states", "features", "clips", "inspect", "train"),
    *("predict", "score", "judge", "agree", "report", "watch", "serve", "bench", "run"),
)
"""Names that scripts rely on; those without a stage yet are kept free."""
ABSENT = {"serve"}

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="session")
def sample_file(data_dir: Path) -> Path:
    return present(data_dir / "prospect-samples" / "prospect_training_data.json")


def present(path: Path) -> Path:
    if not path.is_file():
        pytest.skip(f"no {path}")
    return path


def import_from(kind: str, path: Path, data: Path, *more: str) -> int:
    return main(["clips", "--from", kind, str(path), "--data", str(data), *more])


def clips_of(data: Path) -> list[Clip]:
    return read_records(data / "clips.jsonl", Clip)


def refusal(capsys: Capture, *args: str) -> str:
    """What ``main`` complains about settings that the parser doesn't know."""
    with pytest.raises(SystemExit) as stopped:
        main(list(args))
    assert stopped.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def told(capsys: Capture) -> str:
    """What a stage says on its way, which the console may have wrapped."""
    return " ".join(capsys.readouterr().err.split())


def message(capsys: Capture) -> str:
    """The one line of a `ProspectError`."""
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("prospect: ")
    return line.removeprefix("prospect: ")


def test_verbs() -> None:
    assert list(VERBS) == [name for name in FROZEN if name not in ABSENT]


def help_of(capsys: Capture, *args: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main([*args, "--help"])
    assert stopped.value.code == 0
    return capsys.readouterr().out


def test_help_lists_every_verb(capsys: Capture) -> None:
    shown = help_of(capsys)
    assert shown.startswith("usage: prospect")
    assert [verb for verb in VERBS if f"\n    {verb} " not in shown] == []


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb(verb: str, capsys: Capture) -> None:
    shown = help_of(capsys, verb)
    assert shown.startswith(f"usage: prospect [options] {verb} ")
    assert "--config" in shown


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["clips", "--data", "x", "--frame-root", "y"], "--frame_root"),
        (["clips", "--data", "x", "--model.nope", "3"], "--model.nope"),
        (["train", "--data", "x", "--out", "y", "--training.optim.rate", "1"], "optim.rate"),
        (["predict", "--data", "x"], "checkpoint"),
        (["toy", "--split", "tomorrow", "--num_videos", "1", "--out", "x"], "tomorrow"),
        (["judge"], "judge"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_options_that_cannot_be_are_named(capsys: Capture, args: list[str], named: str) -> None:
    assert named in refusal(capsys, *args)


@pytest.mark.parametrize(
    ("verb", "text", "named"),
    [
        ("clips", "data: x\ndatta: y\n", "datta"),
        ("clips", "data: x\nmodel: {llmm: y}\n", "llmm"),
        ("train", "data: [x]\nout: y\ntraining: {optim: {rate: 1}}\n", "rate"),
        ("run", "out: x\ndata: {}\ntrain: []\nval: []\ntest: []\ntests: []\n", "tests"),
    ],
    ids=["top level", "nested", "two deep", "run"],
)
def test_unknown_keys_of_a_file_are_named(
    capsys: Capture, tmp_path: Path, verb: str, text: str, named: str
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    assert f"'{named}'" in refusal(capsys, verb, "--config", str(path)).replace(".", "'")


def test_options_on_the_command_line_win(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"data: {tmp_path / 'file'}\n")
    assert main(["inspect", "--config", str(path)]) == 2
    assert str(tmp_path / "file") in message(capsys)
    assert main(["inspect", "--config", str(path), "--data", str(tmp_path / "line")]) == 2
    assert str(tmp_path / "line") in message(capsys)


@pytest.mark.parametrize("spelling", ["--frames-root", "--frames_root"])
def test_hyphens_or_underscores(
    spelling: str, sample_file: Path, tmp_path: Path, capsys: Capture
) -> None:
    root = tmp_path / "frames-of_mine"  # only names are respelled
    for given in ([spelling, str(root)], [f"{spelling}={root}"]):
        assert import_from("prospect-json", sample_file, tmp_path / "x", *given) == 2
        assert f"no frames at {root}/" in message(capsys)
    assert not (tmp_path / "x").exists()


def test_a_switch_takes_no_value(sample_file: Path, tmp_path: Path, capsys: Capture) -> None:
    good = json.loads(sample_file.read_text(encoding="utf-8"))
    bad: dict[str, Any] = json.loads(json.dumps(good)) | {"video_uid": "bad"}
    update = next(turn for turn in bad["conversation"] if turn["role"] == "DST_UPDATE")
    update["content"][0]["id"] = "S17"
    path = tmp_path / "two.json"
    path.write_text(json.dumps([good, bad]))
    data = tmp_path / "x"
    assert import_from("prospect-json", path, data) == 2
    line = message(capsys)
    assert line.startswith(f"{path}: sample 1, turn ")
    assert "unknown step 'S17'" in line
    assert import_from("prospect-json", path, data, "--drop-invalid", "--split", "val") == 0
    assert "kept 1 of 2; dropped 1 (1 unknown step)" in told(capsys)
    assert [clip.split for clip in clips_of(data)] == ["val"]


def test_existing_files_in_and_out_and_in(sample_file: Path, tmp_path: Path) -> None:
    first, repaired, exported = tmp_path / "first", tmp_path / "repaired", tmp_path / "exported"
    assert (
        import_from("prospect-json", sample_file, first, "--to", "prospect-json", str(repaired))
        == 0
    )
    account = read_json(first / "clips.jsonl.account.json")
    assert account["kept"] == len(clips_of(first)) == 1
    assert len(account["moved"]) == len(read_json(repaired / "moved.json")) == 1
    assert main(["clips", "--data", str(first), "--to", "prospect-json", str(exported)]) == 0
    for number, path in enumerate((repaired / sample_file.name, exported)):
        again = tmp_path / str(number)
        assert import_from("prospect-json", path, again) == 0
        account = read_json(again / "clips.jsonl.account.json")
        assert account["moved"] == account["deviations"] == []
        (back,), (clip,) = clips_of(again), clips_of(first)
        assert (back.state, back.events) == (clip.state, clip.events)


def test_prepared_jsonl_of_proassist(data_dir: Path, tmp_path: Path, capsys: Capture) -> None:
    path = present(data_dir / "proassist-samples" / "proassist_prepared_data.jsonl")
    assert import_from("proassist-jsonl", path, tmp_path / "x") == 0
    assert "kept 6 of 6; dropped 0" in told(capsys)
    assert len(clips_of(tmp_path / "x")) == 6


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (
            ["--from", "prospect-jsn", "a.json"],
            "can't import 'prospect-jsn'; there are prospect-json",
        ),
        (
            ["--to", "proassist-jsn", "out"],
            "can't export 'proassist-jsn'; there are prospect-json, proassist-jsonl",
        ),
        (["--to", "prospect-json", "out"], "no file x/clips.jsonl; check the path"),
        (["--from", "prospect-json", "nowhere"], "no nowhere/<dataset>/"),
        (["--from", "proassist-jsonl", "nowhere.jsonl"], "no file nowhere.jsonl"),
        ([], "no file x/states.jsonl; check the path, or run the stage before"),
    ],
    ids=lambda value: None if isinstance(value, str) else " ".join(value) or "cut",
)
def test_what_is_not_there(
    args: list[str], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["clips", "--data", "x", *args]) == 2
    assert why in message(capsys)
    assert list(tmp_path.iterdir()) == []


def test_bad_json_is_named_by_file_and_line(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "old.json"
    path.write_text('[\n{"video_uid": }]')
    assert import_from("prospect-json", path, tmp_path / "x") == 2
    assert message(capsys).startswith(f"{path}:2: not JSON")
    clips = tmp_path / "clips.jsonl"
    clips.write_text("\n{\n")
    assert main(["inspect", "--data", str(clips)]) == 2
    assert message(capsys).startswith(f"{clips}:2: ")


def test_other_errors_are_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(kind: str, *rest: object) -> None:
        raise KeyError(kind)

    monkeypatch.setattr("prospect.__main__.import_clips", broken)
    with pytest.raises(KeyError, match="prospect-json"):
        import_from("prospect-json", Path("x"), Path("y"))
