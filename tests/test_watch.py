"""`prospect watch` from a checkpoint folder to lines, a view and numbers."""

import io
import os
import pty
import re
from functools import partial
from pathlib import Path

import pytest
from PIL import Image as Pictures
from rich.console import Console

from prospect import watch as module
from prospect.errors import ConfigError, DataError, MissingError
from prospect.files import read_json, write_json, write_records
from prospect.states.notation import parse_state, parse_transitions
from prospect.states.transitions import fold, initial_state
from prospect.stream.config import StreamConfig
from prospect.types import Dialogue, Step, Task
from prospect.watch import read_task, watch
from tests.loopback import grey, write_video
from tests.models import save_tiny_checkpoint

EAGER = StreamConfig(speak_threshold=0.0, update_threshold=0.0, max_new_tokens=3)
SILENT = StreamConfig(speak_threshold=1.0, update_threshold=1.0)
STEPS = ["Boil water.", "Pour it."]

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def checkpoint(tiny_llm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_checkpoint(tiny_llm, tmp_path_factory.mktemp("watch") / "checkpoint")


@pytest.fixture
def task(tmp_path: Path) -> Path:
    write_json(tmp_path / "task.json", {"goal": "Make tea", "steps": STEPS})
    return tmp_path / "task.json"


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "tea.mp4", 12, 8)


def test_a_task_file_is_a_goal_and_steps(task: Path) -> None:
    assert read_task(task) == Task("Make tea", (Step("S1", STEPS[0]), Step("S2", STEPS[1])))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Make tea: boil water, pour it.", ":1: not JSON"),
        ('"Make tea"', "got 'Make tea'"),
        ('{"goal": "Make tea", "steps": "Boil water."}', "field 'steps'.*got 'Boil water.'"),
        ('{"goal": "Make tea", "steps": ["Boil water.", 2]}', "field 'steps.1'.*got 2"),
        ('{"steps": ["Boil water."]}', "field 'goal': Field required"),
        ('{"goal": "Make tea", "steps": ["Boil."], "tools": []}', "field 'tools'"),
        ('{"goal": "Make tea", "steps": []}', "no steps, or a goal or step without words"),
        ('{"goal": " ", "steps": ["Boil water."]}', "no steps, or a goal or step without words"),
    ],
)
def test_text_in_place_of_a_task_says_how_one_is_written(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "task.json"
    path.write_text(text)
    with pytest.raises(DataError, match=rf'task\.json.*{message}.*; a task is {{"goal": "Make'):
        read_task(path)


def test_a_task_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"no file .*none\.json"):
        read_task(tmp_path / "none.json")


def test_plain_lines_tell_what_the_session_did(
    checkpoint: Path, task: Path, video: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "numbers.json"
    watch(checkpoint, str(video), task, clock="fast", stream=EAGER, plain=True, out=out)
    captured = capsys.readouterr()
    *lines, last = captured.out.strip().split("\n")
    state = initial_state(read_task(task))
    for line in lines:
        if found := re.fullmatch(r" *\d+\.\d s  state: (.*) \(\d\.\d\d\)", line):
            state = fold(state, parse_transitions(found[1]))
    assert parse_state(last) == state
    assert any("  assistant: " in line for line in lines)
    assert "3 frames, 0 dropped, backlog at most 1" in " ".join(captured.err.split())
    numbers = read_json(out)
    assert (numbers["frames"], numbers["dropped"]) == (3, 0)
    assert 0 < numbers["first_token_ms"]["p50"] <= numbers["latency_ms"]["p99"]
    assert numbers["about"]["source"] == str(video)


def test_the_view_follows_and_its_last_picture_stays(
    checkpoint: Path, task: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    made = partial(Console, file=screen, force_terminal=True, width=80, height=20)
    monkeypatch.setattr(module, "Console", made)
    watch(checkpoint, str(video), task, clock="fast", stream=EAGER)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    for time in ("0:00.0", "0:00.5", "0:01.0", "0:01.5"):
        assert f"{time} of 0:01.5" in text
    assert "0:01.5 of 0:01.5" in screen.getvalue().split("\x1b[?1049l")[1]


def test_what_is_typed_is_said(
    checkpoint: Path,
    task: Path,
    video: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    keyboard, terminal = pty.openpty()
    with os.fdopen(terminal) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        os.write(keyboard, b"what is next?\n\n" + b"again " * 200 + b"\n")
        watch(checkpoint, str(video), task, clock="fast", stream=SILENT, plain=True)
    os.close(keyboard)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "     0.5 s  user: what is next?"
    assert re.match(r" +1\.5 s  note: the user's turn has \d+ tokens, at most 128", lines[1])


def test_numbers_outlive_a_source_that_fails(checkpoint: Path, task: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for n in range(3):
        Pictures.fromarray(grey(n)).save(folder / f"{n}.jpg")
    (folder / "2.jpg").write_bytes(b"damaged")
    out = tmp_path / "numbers.json"
    with pytest.raises(DataError, match=r"2\.jpg: damaged"):
        watch(checkpoint, str(folder), task, clock="fast", stream=SILENT, plain=True, out=out)
    assert read_json(out)["frames"] == 2


def test_a_data_folder_knows_its_tasks_and_videos(
    checkpoint: Path, video: Path, capsys: Capture
) -> None:
    task = Task("Make tea", (Step("S1", "Boil water."),))
    dialogue = Dialogue(
        *("v/no_talk-0", "v", "toy", "test", "no_talk", "human", task, "tea", 3.0, ()), "tea.mp4"
    )
    write_records(video.parent / "dialogues.jsonl", [dialogue])
    settings = {"clock": "fast", "stream": SILENT, "plain": True}
    watch(checkpoint, data=video.parent, video="v", **settings)
    assert capsys.readouterr().out == "S1: not_started\n"
    with pytest.raises(ConfigError, match=r"has no video 'w'; it has v$"):
        watch(checkpoint, data=video.parent, video="w")


def test_what_is_watched_must_be_said(checkpoint: Path, task: Path, tmp_path: Path) -> None:
    for settings in ({}, {"task": task, "data": tmp_path}, {"data": tmp_path}, {"video": "v"}):
        with pytest.raises(ConfigError, match=r"either --task FILE, or --data FOLDER --video ID"):
            watch(checkpoint, "x.mp4", **settings)
    with pytest.raises(ConfigError, match="name a --source"):
        watch(checkpoint, task=task)
    with pytest.raises(MissingError, match=r"no file .*prospect\.json"):
        watch(tmp_path, "x.mp4", task)
    with pytest.raises(MissingError, match=r"no video x\.mp4"):
        watch(checkpoint, "x.mp4", task)
