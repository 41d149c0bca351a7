"""`prospect predict` from a command line to its file: whose model, which mode, which share."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from prospect.__main__ import main, parse
from prospect.errors import ConfigError
from prospect.files import read_json, read_records, write_records
from prospect.metrics.decisions import fit
from prospect.model.checkpoint import checkpoint_thresholds, load_checkpoint, save_checkpoint
from prospect.model.config import Thresholds
from prospect.samples.legacy.proassist_results import read_proassist_results
from prospect.shipped import checkpoint_folder
from prospect.stages.stream import _shares
from prospect.stages.sweep import DECLINE, UPDATE
from prospect.stream.remote import PROMPT_HASH
from prospect.types import Clip, Prediction
from tests.clips import random_stream
from tests.llm_server import Act, serve
from tests.loopback import write_video
from tests.models import FEATURE_DIM, tiny_model
from tests.stream.test_session import vectors

CLIPS = [replace(random_stream(seed, num_frames=24), split="val") for seed in range(3)]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder whose frame vectors are made up."""
    write_records(tmp_path / "data" / "clips.jsonl", CLIPS)
    stage = sys.modules["prospect.stages.stream"]
    monkeypatch.setattr(stage, "open_features", lambda *_: (vectors, FEATURE_DIM))
    monkeypatch.setattr(stage, "preflight", lambda *_: None)
    return tmp_path / "data"


@pytest.fixture
def checkpoint(tiny_llm: Path, tmp_path: Path) -> Path:
    model = replace(tiny_model(tiny_llm), thresholds=Thresholds(0.7, 0.9, "val", 0.3))
    save_checkpoint(model, tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def predict(data: Path, out: Path, model: Path | str, *more: str) -> list[Prediction]:
    args = ["predict", "--model", str(model), "--data", str(data), "--out", str(out)]
    assert main([*args, "--dtype", "float32", "--stream.max_new_tokens", "2", *more]) == 0
    return read_records(out, Prediction) if out.exists() else []


def test_shards_make_what_one_process_makes(data: Path, checkpoint: Path, tmp_path: Path) -> None:
    whole = predict(data, tmp_path / "whole.jsonl", checkpoint)
    out = tmp_path / "parts.jsonl"
    assert predict(data, out, checkpoint, "--shards", "2", "--shard", "1") == []
    parts = predict(data, out, checkpoint, "--shards", "2", "--shard", "0")
    assert [one.events for one in parts] == [one.events for one in whole]
    assert [one.speak_prob for one in parts] == [one.speak_prob for one in whole]
    details = parts[0].details
    assert details["model"] == str(checkpoint)
    assert (details["mode"], details["max_chunk"], details["dtype"]) == ("self", 32, "float32")
    assert details["weights"] == whole[0].details["weights"]
    assert details["key"] == whole[0].details["key"]


def test_predictions_in_proassists_form_too(data: Path, checkpoint: Path, tmp_path: Path) -> None:
    out, form = tmp_path / "p.jsonl", tmp_path / "form"
    to = ["--to", "proassist-json", str(form), "--stream.speak_threshold", "0"]
    assert predict(data, out, checkpoint, *to, "--shards", "2", "--shard", "0") == []
    assert not form.exists()  # the other part is missing
    made = predict(data, out, checkpoint, *to, "--shards", "2", "--shard", "1")
    back = read_proassist_results(form / made[0].dataset / "results", None).predictions
    assert {one.dialogue_id for one in back} == {one.dialogue_id for one in made}
    spoken = {one.dialogue_id: said(one) for one in made}
    assert {one.dialogue_id: said(one) for one in back} == spoken
    assert any(spoken.values())


def said(prediction: Prediction) -> list[tuple[int, str]]:
    return [(event.frame, event.speech) for event in prediction.events if event.speech]


def test_a_sweep_stores_what_was_fitted_and_nothing_else(
    data: Path, checkpoint: Path, tmp_path: Path
) -> None:
    before = load_checkpoint(checkpoint, torch.float32)
    made = predict(data, tmp_path / "v.jsonl", checkpoint, "--sweep", "--split", "val")
    assert all(one.fed == "reference_dialogue" and not one.events for one in made)
    rules = {decision: fit(made, decision).rule for decision in ("speak", "update")}  # type: ignore[arg-type]
    found = checkpoint_thresholds(checkpoint)
    assert (found.speak_rule, found.update_rule) == (rules["speak"], rules["update"])
    assert (found.split, found.negative_rate) == ("val", 0.3)
    assert found != before.thresholds
    after = load_checkpoint(checkpoint, torch.float32)  # the manifest is of these files
    assert after.thresholds == found
    weights = after.network.trainable_state()
    assert all(torch.equal(one, weights[n]) for n, one in before.network.trainable_state().items())


def sweep_streams(data: Path, checkpoint: Path, out: Path, *more: str) -> int:
    args = ["predict", "--sweep_streams", "--checkpoint", str(checkpoint), "--data", str(data)]
    return main([*args, "--out", str(out), "--dtype", "float32", *more])


@pytest.mark.parametrize("write", ["generate", "match"])
def test_thresholds_by_streams_are_the_best_of_what_was_tried(
    data: Path, tiny_llm: Path, tmp_path: Path, write: Literal["generate", "match"]
) -> None:
    model = tiny_model(tiny_llm, write=write)
    checkpoint, before = tmp_path / "checkpoint", Thresholds(0.7, 0.9, "val", 0.3, decline=0.4)
    save_checkpoint(replace(model, thresholds=before), checkpoint)
    assert sweep_streams(data, checkpoint, tmp_path / "v.jsonl", "--split", "val") == 0
    found = checkpoint_thresholds(checkpoint)
    assert found == replace(before, update=found.update, decline=found.decline)
    assert load_checkpoint(checkpoint, torch.float32).thresholds == found
    assert found.decline == 0.4 if write == "generate" else found.decline in DECLINE
    tried = {}
    for path in tmp_path.glob("v.update-*.jsonl"):
        made = read_records(path, Prediction)
        (update,) = {one.update_threshold for one in made}
        decline = float(path.stem.rsplit("-", 1)[1])
        assert not any(event.speech for one in made for event in one.events)
        scores = read_json(path.with_suffix(".json"))
        worth = scores["transition_f1_5s"] + scores["joint_goal_accuracy"]
        tried[update, decline] = worth
        if (update, decline) == (found.update, found.decline):
            assert read_records(tmp_path / "v.jsonl", Prediction) == made
    at_first = 0.4 if write == "generate" else 0.2
    worths = [tried[update, at_first] for update in UPDATE]
    assert worths.index(max(worths)) == UPDATE.index(found.update)
    if write == "match":
        worths = [tried[found.update, x] for x in DECLINE]
        assert worths.index(max(worths)) == DECLINE.index(found.decline)
    others = {(found.update, decline) for decline in DECLINE} if write == "match" else set()
    assert tried.keys() == {(update, at_first) for update in UPDATE} | others


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--stream.update_threshold", "0.5"], "its own update_threshold"),
        (["--stream.belief.num_hypotheses", "4"], "its own belief"),
        (["--sweep"], "leave sweep"),
        (["--shards", "2", "--shard", "0"], "shard"),
        (["--to", "proassist-json", "form"], "--to"),
    ],
)
def test_a_sweep_by_streams_refuses_what_would_decide_instead(
    data: Path,
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    told: str,
) -> None:
    assert sweep_streams(data, checkpoint, tmp_path / "v.jsonl", *more) == 2
    assert told in capsys.readouterr().err
    assert not list(tmp_path.glob("v*"))


def test_a_sweep_by_streams_needs_transitions(
    data: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    talk = [
        replace(clip, events=tuple(replace(event, transitions=()) for event in clip.events))
        for clip in CLIPS
    ]
    write_records(data / "clips.jsonl", talk)
    before = checkpoint_thresholds(checkpoint)
    assert sweep_streams(data, checkpoint, tmp_path / "v.jsonl") == 2
    assert "no transition is due" in capsys.readouterr().err
    assert checkpoint_thresholds(checkpoint) == before


def test_a_sweep_by_streams_leaves_the_package_as_it_is(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep_streams(data, checkpoint_folder("demo"), tmp_path / "v.jsonl") == 2
    assert "came with the package" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fed", "recorded"),
    [
        ("told", "reference_dialogue"),
        ("reference_dialogue", "reference_dialogue"),
        ("reference_state", "reference_state"),
    ],
)
def test_modes_are_options(
    data: Path, checkpoint: Path, tmp_path: Path, fed: str, recorded: str
) -> None:
    made = predict(data, tmp_path / "p.jsonl", checkpoint, "--fed", fed)
    assert [one.fed for one in made] == [recorded] * 3
    assert {one.details["mode"] for one in made} == {fed}


def test_the_bare_backbone(data: Path, tiny_llm: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.jsonl"
    made = predict(data, out, "untrained", "--backbone.llm", str(tiny_llm), "--system", "bare")
    assert [one.system for one in made] == ["bare"] * 3
    assert (made[0].details["model"], made[0].speak_threshold) == ("untrained", 0.5)
    assert len(made[0].update_prob) == 24


def starts(number: int, body: dict[str, Any]) -> Act:
    """Takes the first possible transition."""
    text = body["messages"][-1]["content"][0]["text"]
    (move,) = re.findall(r"Possible transitions: ([^,\n]*)", text)
    return Act(text=json.dumps({"transitions": [move], "say": None}))


def watched(clip: Clip, folder: Path) -> Clip:
    write_video(folder / f"{clip.video_id}.mp4", 12, 2)
    events = tuple(event for event in clip.events if event.frame < 12)
    return replace(clip, frames_file=f"videos/{clip.video_id}.mp4", stop_frame=12, events=events)


def test_a_server_is_polled_and_what_was_asked_is_recorded(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "p.jsonl"
    (data / "videos").mkdir(parents=True)
    write_records(data / "clips.jsonl", [watched(clip, data / "videos") for clip in CLIPS[:2]])
    cache = str(tmp_path / "replies.sqlite")
    options = ["--remote.server.model", "m", "--remote.server.api_key_env", ""]
    options += ["--remote.cache", cache]
    with serve(starts) as log:
        url = f"openai:{log.url}"
        made = predict(data, out, url, *options)
        asked = len(log.bodies)
        predict(data, out, url, *options)  # whole, so nothing is asked
        assert len(log.bodies) == asked >= 2 * 3
        again = predict(data, out, url, *options, "--remote.poll_s", "3")
        assert len(log.bodies) > asked  # other settings, other questions
    moves = [move.move for event in made[0].events for move in event.transitions]
    assert moves[:2] == ["start", "complete"]
    assert made[0].details["prompt"] == PROMPT_HASH
    assert made[0].details["written_moves"] == made[0].details["polls"]
    assert made[0].details["key"] != again[0].details["key"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--model", "openai:http://127.0.0.1:9/v1", "--remote.server.model", "m", "--blind"],
         "fed, blind, sweep and unconstrained"),
        (["--model", "untrained", "--remote.server.model", "m",
          "--remote.server.base_url", "http://x/v1"], "remote belongs to"),
        (["--model", "untrained", "--sweep"], "no checkpoint to store"),
        (["--model", "untrained", "--shards", "2", "--shard", "2"], "shard 2 of 2"),
        (["--model", "untrained", "--to", "xml", "there"], "can't write results as 'xml'"),
        (["--model", "untrained", "--fed", "told", "--to", "proassist-json", "there"],
         "fed told, no utterance is written"),
        (["--model", "nowhere"], "no file nowhere"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_at_once(
    args: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_records(tmp_path / "clips.jsonl", CLIPS)
    assert main(["predict", "--data", str(tmp_path), "--out", str(tmp_path / "p"), *args]) == 2
    assert message in capsys.readouterr().err


def test_the_url_is_the_servers_and_may_stand_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        "checkpoint: openai:http://x/v1\ndata: d\nout: o\n"
        "remote: {server: {base_url: http://x/v1, model: m}}\n"
    )
    named = ["predict", "--data", "d", "--out", "o", "--remote.server.model", "m"]
    for args in (
        ["predict", "--config", str(path)],
        [*named, "--model", "openai:http://x/v1"],
        [*named, "--checkpoint=openai:http://x/v1"],
    ):
        found = parse(args).predict
        assert (found.checkpoint, found.remote.server.base_url) == (
            "openai:http://x/v1",
            "http://x/v1",
        )


def test_torchrun_says_which_part_is_whose() -> None:
    assert _shares(1, None, {}) == (1, None)
    assert _shares(1, None, {"WORLD_SIZE": "4", "RANK": "3"}) == (4, 3)
    assert _shares(2, 1, {"WORLD_SIZE": "4", "RANK": "3"}) == (2, 1)
    with pytest.raises(ConfigError, match="shard -1 of 2"):
        _shares(2, -1, {})
