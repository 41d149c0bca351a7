"""A model judges: what it is asked, what becomes of its replies, from the first run to a batch."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prospect.errors import ConfigError
from prospect.files import read_json, write_records
from prospect.judging import JudgeSettings, judge, prompt
from prospect.llm import LLMConfig, Pending, Reply, Request, ServerError
from prospect.metrics.judge import ASPECTS, Unread
from prospect.stages.judge import judge as judge_files
from prospect.types import Event, Prediction
from tests.llm_server import Act, completion, serve
from tests.metrics.worlds import event, stream


def settings(url: str = "http://nowhere.invalid/v1", folder: Path = Path()) -> JudgeSettings:
    server = LLMConfig(url, "m", api_key_env="", max_retries=0, concurrency=3)
    return JudgeSettings(server, max_tokens=50, cache=folder / "replies.sqlite")


def video(number: int, said: str = "Take the red part.", system: str = "model") -> Prediction:
    references = (Event(4, user="What is first?"), event(6, "S1->start", "Take the red part."))
    made = stream(references, (event(7, "", said),))
    named = {"video_id": f"v{number}", "dialogue_id": f"v{number}/no_talk-0", "system": system}
    return replace(made, **named)


def said(value: float) -> str:
    return "Fine.\n" + "\n".join(f"**{name.capitalize()}**: {value}" for name in ASPECTS)


def reply(text: str, finish_reason: str = "stop") -> Reply:
    return Reply(text, finish_reason, "m", 1, 1, 0.0)


def scores_of(body: dict[str, Any]) -> Act:
    """A 4 for a dialogue in the reference's words, a 2 for any other."""
    asked = body["messages"][-1]["content"]
    return Act(text=said(4 if asked.count("Take the red part.") == 2 else 2))


def test_the_prompt_is_about_both_dialogues() -> None:
    system, asked = prompt(video(1, "Use {that}."))  # type: ignore[misc]
    assert system.role == "system"
    for part in (
        "Goal: Build\nSteps:\n1. Step 1.\n2.",
        "The good dialogue:\n[2.5s] User: What is first?\n[3.5s] Assistant: Take the red part.\n",
        "are the same):\n[2.5s] User: What is first?\n[4.0s] Assistant: Use {that}.\n",
        "- promptness: it speaks when",
    ):
        assert part in asked.text
    assert asked.text.endswith("\noverall: <number>")
    silent = replace(video(1), references=(Event(4, user="What?"),))
    assert prompt(silent) == Unread("no reference speech")


def test_dialogues_look_as_to_proassists_judge(data_dir: Path) -> None:
    path = data_dir / "proassist-samples" / "llm_judge" / "ego4d_val_prediction_0.txt"
    if not path.is_file():
        pytest.skip(f"no file {path}")
    text = path.read_text().strip()
    turns = re.findall(r"\[([\d.]+)s\] (User|Assistant): (.*)", text)
    events: dict[int, Event] = {}
    for time_s, role, words in turns:
        frame = round(float(time_s) * 2) - 1
        before = events.get(frame, Event(frame))
        events[frame] = replace(before, **{"user" if role == "User" else "speech": words})
    found = prompt(stream(tuple(events.values()), num_frames=1200))
    assert not isinstance(found, Unread)
    # one frame has a user and an assistant turn; ours shows the assistant's first
    first, second, *others = text.splitlines()
    assert "\n".join([second, first, *others]) in found[-1].text


def test_runs_are_asked_apart_and_bad_replies_counted() -> None:
    asked: list[Request] = []

    def ask(request: Request) -> Reply:
        asked.append(request)
        return (reply(said(3)), reply(said(5), "length"), reply("Well."))[request.sample]

    silent = replace(video(2), references=(Event(4, user="What?"),))
    found = judge([video(1), silent], ask, settings())
    assert sorted(request.sample for request in asked) == [0, 1, 2]
    assert {(request.max_tokens, request.temperature) for request in asked} == {(50, 0.7)}
    model = found.systems["model"]
    assert model["groups"]["pooled"]["overall"]["value"] == 3.0
    assert model["replies"]["dropped"] == {
        "cut off at max_tokens": 1, "no reference speech": 3, "no scores": 1,
    }  # fmt: skip
    assert found.about["judge"] == "m"
    assert re.fullmatch("[0-9a-f]{16}", found.about["prompts"])
    with pytest.raises(ConfigError, match="runs is 0"):
        replace(settings(), runs=0)


def test_systems_are_compared() -> None:
    def ask(request: Request) -> Reply:
        return reply(scores_of({"messages": [{"content": request.messages[-1].text}]}).text or "")

    both = [video(n, words, name) for n in (1, 2) for name, words in
            (("a", "Take the red part."), ("b", "Hello."))]  # fmt: skip
    found = judge(both, ask, settings())
    assert found.differences["a - b"]["overall"]["value"] == 2.0
    assert found.systems["a"]["agreement"]["overall"]["exact"] == 1.0


def test_pending_replies_hold_back_all_scores() -> None:
    def ask(request: Request) -> Reply:
        if request.sample == 1:
            raise Pending("later")
        return reply(said(3))

    with pytest.raises(Pending, match="2 of 6 replies"):
        judge([video(1), video(2)], ask, settings())


def test_files_resumed_replayed_and_priced(tmp_path: Path) -> None:
    """The server fails after 4 of 6 replies; the second run pays for two; a third needs none."""
    path, out = tmp_path / "predictions.jsonl", tmp_path / "judged.json"
    write_records(path, [video(1), video(2, "Hello.")])
    with serve(lambda number, body: scores_of(body) if number < 4 else Act(status=500)) as log:
        one_by_one = replace(settings(log.url, tmp_path).server, concurrency=1)
        with pytest.raises(ServerError):
            judge_files((path,), out, replace(settings(log.url, tmp_path), server=one_by_one))
    assert not out.exists()
    with serve(lambda number, body: scores_of(body)) as log:
        priced = replace(settings(log.url).server, price_in_per_mtok=1e4, price_out_per_mtok=0.0)
        llm = replace(settings(log.url, tmp_path), server=priced)
        judge_files((path,), out, llm)
        assert len(log.bodies) == 2
    found = read_json(out)
    assert found["systems"]["model"]["groups"]["pooled"]["overall"]["value"] == 3.0
    usage = found["about"].pop("usage")
    assert (usage["cached"], usage["answered"], usage["cost_usd"]) == (4, 2, pytest.approx(0.2))
    judge_files((path,), tmp_path / "again.json", replace(llm, mode="offline"))
    again = read_json(tmp_path / "again.json")
    assert again["about"].pop("usage")["cached"] == 6
    assert again == found


def test_a_batch_goes_out_and_comes_back(tmp_path: Path) -> None:
    path, out = tmp_path / "predictions.jsonl", tmp_path / "judged.json"
    write_records(path, [video(1)])
    llm = replace(settings(folder=tmp_path), mode="batch")
    judge_files((path,), out, llm)
    assert not out.exists()
    lines = (tmp_path / "batches" / "requests-1.jsonl").read_text().splitlines()
    assert len(lines) == 3
    result = tmp_path / "result.jsonl"
    answers = [
        {
            "custom_id": json.loads(line)["custom_id"],
            "response": {"status_code": 200, "body": completion(said(value))},
        }
        for line, value in zip(lines, (2, 3, 4), strict=True)
    ]
    result.write_text("".join(json.dumps(answer) + "\n" for answer in answers))
    judge_files((path,), out, replace(llm, replies=(result,)))
    assert read_json(out)["systems"]["model"]["groups"]["pooled"]["overall"]["value"] == 3.0


def test_a_rejected_dialogue_is_counted(tmp_path: Path) -> None:
    path, out = tmp_path / "predictions.jsonl", tmp_path / "judged.json"
    write_records(path, [video(1), video(2, "Hello.")])
    long = Act(status=400, body=b'{"error": {"message": "too long"}}')
    with serve(lambda n, body: long if "Hello." in str(body) else scores_of(body)) as log:
        judge_files((path,), out, settings(log.url, tmp_path))
    found = read_json(out)["systems"]["model"]
    assert found["replies"] == {
        "read": 3, "dropped": {"the server rejects the request": 3}, "streams_without_scores": 1,
    }  # fmt: skip
    assert found["groups"]["pooled"]["overall"]["value"] == 4.0
