"""Files are whole or not there, and every error says where it is."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from prospect.errors import DataError, MissingError
from prospect.files import (
    Account,
    atomic_path,
    check_manifest,
    is_fresh,
    read_json,
    read_lines,
    read_records,
    record_to_json,
    stamp,
    text_hash,
    tree_hash,
    write_account,
    write_json,
    write_manifest,
    write_records,
    write_text,
)
from prospect.types import (
    Annotation,
    Dialogue,
    StateTrack,
    Step,
    Task,
    TimedTransition,
    Transition,
    Turn,
)

TASK = Task("Make tea", (Step("S1", "Boil."), Step("S2", "Pour.")))
TRACK = StateTrack("v1", TASK, (TimedTransition(1.5, Transition("S1", "start")),))
DIALOGUE = Dialogue(
    dialogue_id="v1/talk_some-0",
    video_id="v1",
    dataset="toy",
    split="train",
    user_type="talk_some",
    writer="scripted",
    task=TASK,
    task_type="tea",
    duration_s=10.0,
    turns=(Turn("user", 1.0, "Tee? \u2028 ☕"), Turn("assistant", 2.0, "Boil.", "a|b", "None.")),
)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def write_half() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half of the n", encoding="utf-8")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert path.read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == {"a.txt"}


def test_a_failed_first_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert names(tmp_path) == set()

    def records() -> Iterator[StateTrack]:
        yield TRACK
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_records(tmp_path / "a.jsonl", records())
    assert names(tmp_path) == set()


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with atomic_path(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".txt"
        temporary.write_text("new", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "old"
    assert path.read_text(encoding="utf-8") == "new"


def test_a_written_file_has_ordinary_permissions(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    write_text(tmp_path / "ours", "x")
    assert (tmp_path / "ours").stat().st_mode == plain.stat().st_mode


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "dialogues.jsonl"
    others = [DIALOGUE, replace(DIALOGUE, turns=(), video_file="videos/v1.mp4", start_s=3)]
    assert write_records(path, others) == 2
    assert read_records(path, Dialogue) == others
    assert len(path.read_text(encoding="utf-8").splitlines()) == 3  # the U+2028 is no line's end
    assert write_records(path, []) == 0
    assert read_records(path, Dialogue) == []


def test_a_line_of_json_names_its_schema_first() -> None:
    assert json.loads(record_to_json(TRACK)) == {
        "schema": "states/1",
        "video_id": "v1",
        "task": {
            "goal": "Make tea",
            "steps": [{"id": "S1", "name": "Boil."}, {"id": "S2", "name": "Pour."}],
        },
        "transitions": [{"time_s": 1.5, "transition": {"step_id": "S1", "move": "start"}}],
    }


def test_annotations_of_before_what_is_heard_was_kept_are_read(tmp_path: Path) -> None:
    old = Annotation("v1", "wtag", "val", TASK, "tea", 10.0, ())
    line = json.loads(record_to_json(old))
    del line["spoken"], line["summary"]
    (tmp_path / "a.jsonl").write_text(json.dumps(line), encoding="utf-8")
    assert read_records(tmp_path / "a.jsonl", Annotation) == [old]


def damaged(tmp_path: Path, old: str, new: str) -> Path:
    """A file whose third line has ``old`` replaced; its second is blank."""
    good = record_to_json(TRACK)
    assert old in good
    path = tmp_path / "states.jsonl"
    path.write_text(f"{good}\n\n{good.replace(old, new, 1)}\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"states/1"', '"states/2"', r"schema is 'states/2', expected 'states/1'"),
        ('"schema": "states/1", ', "", r"schema is None, expected 'states/1'"),
        ('"video_id": "v1", ', "", r"field 'video_id': .*required"),
        ('"video_id": "v1"', '"video_id": 1', r"field 'video_id': .*string.*, got 1"),
        ("1.5", '"1.5"', r"field 'transitions\.0\.time_s': .*number, got '1\.5'"),
        ('"move": "start"', '"move": "stop"', r"field '.*move': .*'start', 'complete'.*got 'stop'"),
        ('"move"', '"speed": 3, "move"', r"field 'transitions\.0\.transition\.speed'"),
        ("1.5", "NaN", r"holds NaN or an infinite"),
        ("1.5", "1e999", r"holds NaN or an infinite"),
        ("}]}", "}]", r"not JSON: Expecting"),
    ],
)
def test_a_bad_record_is_an_error_with_file_line_and_field(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = damaged(tmp_path, old, new)
    with pytest.raises(DataError, match=rf"states\.jsonl:3: {message}") as caught:
        read_records(path, StateTrack)
    assert str(path) in str(caught.value)


def test_a_line_that_is_no_object_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("[1, 2]\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.jsonl:1: schema is None"):
        read_records(tmp_path / "a.jsonl", StateTrack)


def test_missing_and_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"no file .*nothing\.jsonl; check the path"):
        read_records(tmp_path / "nothing.jsonl", StateTrack)
    (tmp_path / "a.json").write_text('{\n "a": 1,,\n}', encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.json:2: not JSON"):
        read_json(tmp_path / "a.json")
    (tmp_path / "b.json").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(DataError, match=r"b\.json: not UTF-8 text at byte 7"):
        read_json(tmp_path / "b.json")


def test_read_lines_numbers_from_one_and_skips_blank_lines(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('1\n\n  \n{"a": 2}\n', encoding="utf-8")
    assert list(read_lines(tmp_path / "a.jsonl")) == [(1, 1), (4, {"a": 2})]


def folder_with_manifest(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    (folder / "deep").mkdir(parents=True)
    (folder / "weights").write_bytes(b"abc")
    (folder / "deep" / "config").write_bytes(b"def")
    write_manifest(folder)
    return folder


def test_a_whole_folder_passes_and_a_damaged_one_does_not(tmp_path: Path) -> None:
    folder = folder_with_manifest(tmp_path)
    check_manifest(folder)
    (folder / "weights").write_bytes(b"abd")
    with pytest.raises(DataError, match=r"checkpoint/weights is missing or altered"):
        check_manifest(folder)
    (folder / "weights").write_bytes(b"abc")
    (folder / "deep" / "config").unlink()
    with pytest.raises(DataError, match=r"deep/config is missing or altered"):
        check_manifest(folder)


def test_all_damage_to_a_folder_is_named_at_once(tmp_path: Path) -> None:
    folder = folder_with_manifest(tmp_path)
    (folder / "weights").write_bytes(b"abd")
    (folder / "deep" / "config").unlink()
    with pytest.raises(DataError) as caught:
        check_manifest(folder)
    message = str(caught.value)
    assert f"{folder / 'weights'} is missing or altered" in message
    assert f"{folder / 'deep' / 'config'} is missing or altered" in message


def test_a_folder_without_manifest_is_not_complete(tmp_path: Path) -> None:
    folder = folder_with_manifest(tmp_path)
    (folder / "manifest.json").unlink()
    for path in (folder, tmp_path / "nowhere"):
        with pytest.raises(MissingError, match=r"has no manifest\.json: not there, or its writing"):
            check_manifest(path)


def test_a_stage_is_fresh_only_for_the_same_inputs_and_the_same_output(tmp_path: Path) -> None:
    output = tmp_path / "clips.jsonl"
    inputs = {"dialogues": "abc", "fps": "2"}
    assert not is_fresh(output, inputs)
    write_text(output, "one")
    assert not is_fresh(output, inputs)
    stamp(output, inputs)
    assert is_fresh(output, inputs)
    assert not is_fresh(output, {**inputs, "fps": "4"})
    assert not is_fresh(output, {"dialogues": "abc"})
    write_text(output, "two")
    assert not is_fresh(output, inputs)
    write_text(output, "one")
    assert is_fresh(output, inputs)
    output.unlink()
    assert not is_fresh(output, inputs)


def test_the_hash_of_a_folder_sees_names_and_bytes(tmp_path: Path) -> None:
    folder = folder_with_manifest(tmp_path)
    before = tree_hash(folder)
    assert tree_hash(folder) == before
    (folder / "weights").rename(folder / "weights2")
    assert tree_hash(folder) != before
    (folder / "weights2").rename(folder / "weights")
    assert tree_hash(folder) == before
    (folder / "deep" / "config").write_bytes(b"deg")
    assert tree_hash(folder) != before


def test_text_hash_is_the_head_of_sha256() -> None:
    assert text_hash("abc") == "ba7816bf8f01cfea"


def test_an_account_says_what_was_dropped_and_why(tmp_path: Path) -> None:
    account = Account(412, {"no steps": 11, "video missing": 7, "too long": 0})
    assert str(account) == "kept 412 of 430; dropped 18 (11 no steps, 7 video missing)"
    assert str(Account(3, {})) == "kept 3 of 3; dropped 0"
    write_account(tmp_path / "clips.jsonl", account, ["v1: no steps"])
    assert read_json(tmp_path / "clips.jsonl.account.json") == {
        "kept": 412,
        "dropped": {"no steps": 11, "video missing": 7, "too long": 0},
        "listed": ["v1: no steps"],
    }
