"""Annotations -> a model's dialogues -> states -> clips, against a server on loopback."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prospect import stages
from prospect.dialogues.llm import LLMSettings
from prospect.errors import ConfigError, MissingError
from prospect.files import read_json, read_records, write_records
from prospect.llm import LLMConfig, Message, Request
from prospect.states.notation import format_transition
from prospect.types import Clip, Dialogue, StateTrack
from tests.dialogues.llm.table import FEW, GOOD, Table, tea
from tests.llm_server import Act, completion, serve

TYPES = ("talk_some", "talk_some", "no_talk")


def answers(number: int, body: dict[str, Any]) -> Act:
    """What the table of good replies says to a prompt."""
    said = tuple(Message(one["role"], one["content"]) for one in body["messages"])
    return Act(text=Table({**GOOD})(Request(said, 10)).text)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_records(tmp_path / "data" / "annotations.jsonl", [tea()])
    return tmp_path / "data"


def settings(url: str, data: Path) -> LLMSettings:
    server = LLMConfig(url, "m", api_key_env="", max_retries=0, concurrency=4)
    return LLMSettings(server, FEW, data / "replies.sqlite")


def test_written_labelled_cut_and_replayed_offline(data: Path) -> None:
    with serve(answers) as log:
        llm = settings(log.url, data)
        stages.dialogues(data, "llm", TYPES, 0, llm)
    written = (data / "dialogues.jsonl").read_bytes()
    dialogues = read_records(data / "dialogues.jsonl", Dialogue)
    assert [one.dialogue_id for one in dialogues] == [
        "v1/talk_some-0", "v1/talk_some-1", "v1/no_talk-0",
    ]  # fmt: skip
    assert all(one.quality is not None for one in dialogues)
    assert dialogues[0].writer.startswith("llm:m@prompts-")
    stages.states(data)
    (track,) = read_records(data / "states.jsonl", StateTrack)
    moves = [(item.time_s, format_transition(item.transition)) for item in track.transitions]
    assert track.task == dialogues[0].task
    # fill kettle and boil water are S1, "Boil water."; pour water is S2, "Pour it over the leaves."
    assert (5.0, "S1->start") in moves or (2.0, "S1->start") in moves
    assert (10.0, "S2->start") in moves
    stages.clips(data, without_videos=True, num_workers=1)
    assert {clip.task for clip in read_records(data / "clips.jsonl", Clip)} == {track.task}
    assert read_json(data / "manifest.json")["writers"] == [dialogues[0].writer]
    (data / "dialogues.jsonl").unlink()
    stages.dialogues(data, "llm", TYPES, 0, replace(llm, mode="offline"))
    assert (data / "dialogues.jsonl").read_bytes() == written
    with pytest.raises(MissingError):
        stages.dialogues(data, "llm", ("talk_more",), 7, replace(llm, mode="offline"))


def test_batches_go_out_and_come_back_until_all_is_written(data: Path) -> None:
    llm = replace(settings("http://127.0.0.1:9/v1", data), mode="batch")
    replies: tuple[Path, ...] = ()
    for number in range(1, 12):
        stages.dialogues(data, "llm", ("talk_some",), 0, replace(llm, replies=replies))
        sent = data / "batches" / f"requests-{number}.jsonl"
        if not sent.exists():
            break
        account = read_json(data / "dialogues.jsonl.account.json")
        assert account["dropped"] == {"waits for the replies of a batch": 1}
        lines = []
        for line in sent.read_text().splitlines():
            asked = json.loads(line)
            body = completion(str(answers(0, asked["body"]).text))
            answer = {
                "custom_id": asked["custom_id"],
                "response": {"status_code": 200, "body": body},
            }
            lines.append(json.dumps(answer))
        result = data / f"result-{number}.jsonl"
        result.write_text("\n".join(lines) + "\n")
        replies = (result,)
    (dialogue,) = read_records(data / "dialogues.jsonl", Dialogue)
    assert dialogue.turns[1].text == "Nice! Boil some water."
    with serve(answers) as log:  # asked live, the same is said
        fresh = replace(settings(log.url, data), cache=data / "other.sqlite")
        stages.dialogues(data, "llm", ("talk_some",), 0, fresh)
    assert read_records(data / "dialogues.jsonl", Dialogue) == [dialogue]


def test_what_is_rejected_is_counted_and_settings_belong_to_the_writer(data: Path) -> None:
    rejected = Act(status=400, body=b'{"error": {"message": "too long"}}')
    with serve(lambda number, body: rejected) as log:
        stages.dialogues(data, "llm", ("no_talk",), 0, settings(log.url, data))
    (reason,) = read_json(data / "dialogues.jsonl.account.json")["dropped"]
    assert reason.startswith("video filter")
    with pytest.raises(ConfigError, match="belong together"):
        stages.dialogues(data, "llm")
    with pytest.raises(ConfigError, match="belong together"):
        stages.dialogues(data, "scripted", llm=settings("http://x/v1", data))
