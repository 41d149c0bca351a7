"""The zero-shot baseline: what is asked, how answers are read, what faults leave behind."""

import base64
import io
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pictures

from prospect.errors import ConfigError, DataError, MissingError
from prospect.frames.decode import Image
from prospect.frames.stores import write_arrow_frames
from prospect.llm import Client, LLMConfig, Reply, Request, ServerError
from prospect.metrics.score import score
from prospect.states.transitions import fold, initial_state
from prospect.stream.config import RemoteConfig
from prospect.stream.remote import (
    PROMPT_HASH,
    pictures,
    predict_remote,
    read_answer,
    watch_remote,
)
from prospect.types import Clip, Event, Prediction, Step, Task, Transition, Turn
from tests.clips import random_stream
from tests.llm.test_serve import Server
from tests.llm_server import Act, acts, serve
from tests.loopback import write_video
from tests.vision_model import save_vision_model

TASK = Task("Build a car", (Step("S1", "Attach the wheels."), Step("S2", "Paint it.")))
CLIP = Clip(
    clip_id="v/talk_some-0/0",
    dialogue_id="v/talk_some-0",
    video_id="v",
    dataset="toy",
    split="test",
    user_type="talk_some",
    task=TASK,
    task_type="car",
    fps=2.0,
    start_frame=10,
    stop_frame=24,
    decide_from=10,
    state=initial_state(TASK),
    recent=(Turn("assistant", 4.5, "Good start."),),
    events=(
        Event(12, (Transition("S1", "start"),), "Take the wheels."),
        Event(14, user="Which\none?"),
        Event(17, speech="The red one.", user="Thanks."),
    ),
)
NOWHERE = LLMConfig("http://127.0.0.1:9/v1", "some-model", api_key_env="")
CONFIG = RemoteConfig(NOWHERE, num_frames=3)


def images(clip: Clip) -> Iterator[Image]:
    """Frame n is all of colour n."""
    for frame in range(clip.start_frame, clip.stop_frame):
        yield np.full((16, 16, 3), frame % 256, np.uint8)


def reply(text: str) -> Reply:
    return Reply(text, "stop", "some-model-1", 100, 7, 0.001)


class Asked:
    """Answers from a list, in order, then silence; keeps what it was asked."""

    def __init__(self, *answers: dict[str, Any] | str) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> Reply:
        self.requests.append(request)
        answer = self.answers.pop(0) if self.answers else {"transitions": [], "say": None}
        return reply(answer if isinstance(answer, str) else json.dumps(answer))


def watch(ask: Callable[[Request], Reply], clip: Clip = CLIP, **changes: Any) -> Prediction:
    return watch_remote(ask, clip, images(clip), replace(CONFIG, **changes), "zero-shot")


def test_what_is_asked_when_by_hand() -> None:
    asked = Asked(
        {"transitions": ["S1->start"], "say": "Now the wheels."},
        {"transitions": []},
        {"transitions": ["S1 -> complete, S2->start"], "say": "  "},
    )
    found = watch(asked)
    # every 2 s, so after frames 13, 17 and 21; and on 15 and 18, since the user spoke before
    texts = [request.messages[-1].text for request in asked.requests]
    assert [re.findall(r"It is (\S+) s", text)[0] for text in texts] == [
        *("7.0", "8.0", "9.0", "9.5", "11.0"),
    ]
    assert texts[1] == (
        "Task: Build a car\n"
        "Steps:\n"
        "- S1: Attach the wheels.\n"
        "- S2: Paint it.\n"
        "State: S1: in_progress, S2: not_started\n"
        "Possible transitions: S1->complete, S2->start\n"
        "The talk so far:\n"
        "- 4.5 s, assistant: Good start.\n"
        "- 7.0 s, assistant: Now the wheels.\n"
        "- 7.5 s, user: Which one?\n"
        "It is 8.0 s. The pictures are of 7.0, 7.5, 8.0 s."
    )
    shown = [Pictures.open(io.BytesIO(jpeg)) for jpeg in asked.requests[1].messages[-1].images]
    assert [np.asarray(picture).mean().round() for picture in shown] == [13, 14, 15]
    assert "S2: in_progress" in texts[3]
    assert found.events == (
        Event(13, (Transition("S1", "start"),), "Now the wheels."),
        Event(14, user="Which\none?"),
        Event(17, (Transition("S1", "complete"), Transition("S2", "start")), user="Thanks."),
    )
    assert found.references == CLIP.events
    assert (found.system, found.fed, found.speak_prob) == ("zero-shot", "self", ())
    assert found.details == {
        "model": "some-model",
        "answered_by": "some-model-1",
        "prompt": PROMPT_HASH,
        "cost_usd": 0.005,
        "polls": 5,
        "unreadable_replies": 0,
        "unreadable_moves": 0,
        "illegal_moves": 0,
        "written_moves": 3,
        "input_tokens": 500,
        "output_tokens": 35,
        "poll_s": 2.0,
        "num_frames": 3,
    }


def test_without_knowledge_or_transitions_only_speech_is_asked_for() -> None:
    for clip in (replace(CLIP, knowledge=False), replace(CLIP, state_known=False)):
        asked = Asked({"transitions": ["S1->start"], "say": "Go on."})
        found = watch(asked, clip)
        assert found.events[0] == Event(13, (), "Go on.")
        for request in asked.requests:
            whole = "\n".join(message.text for message in request.messages)
            assert "transition" not in whole
            assert "State" not in whole
            assert ("Attach the wheels." in whole) == clip.knowledge


def test_the_last_turns_are_repeated_and_the_form_is_enforced_if_asked() -> None:
    asked = Asked(*({"say": f"Number {n}."} for n in range(5)))
    watch(asked, num_turns=2, enforce_json=True)
    assert asked.requests[-1].messages[-1].text.count(" s, ") == 2
    assert asked.requests[-1].json_schema is not None
    assert asked.requests[-1].json_schema["required"] == ["say", "transitions"]


@pytest.mark.parametrize("seed", range(3))
def test_no_reference_reaches_the_model(seed: int) -> None:
    """References replaced by noise: the same questions, the same answers."""
    clip = random_stream(seed)
    noise = tuple(
        replace(
            event,
            transitions=(Transition("S1", "start"),) * (frame % 3),
            speech=None if frame % 2 else "noise",
            labels="noise",
            summary="noise",
        )
        for frame, event in enumerate(clip.events)
    )
    spoilt = replace(clip, events=noise, summary="noise", progress=None)
    clever = Asked(*({"transitions": [], "say": f"Answer {n}."} for n in range(99)))
    same = Asked(*({"transitions": [], "say": f"Answer {n}."} for n in range(99)))
    assert watch(clever, clip).events == watch(same, spoilt).events
    assert clever.requests == same.requests
    assert len(clever.requests) >= 30


STATE = fold(initial_state(TASK), [Transition("S1", "start")])


@pytest.mark.parametrize(
    ("text", "moves", "say", "faults"),
    [
        ('{"transitions": ["S1->complete"], "say": null}', "S1->complete", None, (0, 0)),
        ('```json\n{"transitions": "S2->start", "say": "Well\\n done."}\n```', "S2->start",
         "Well done.", (0, 0)),
        ('Sure! {x} {"say": "Hi."} and {"say": "No."}', "", "Hi.", (0, 0)),
        ('{"a": 1} {"transitions": null}', "", None, (0, 0)),
        ('{"transitions": ["S1->complete, S2->start", "S2->complete"], "say": "..."}',
         "S1->complete S2->start S2->complete", None, (0, 0)),
        ('{"transitions": ["S1->start", "S2->complete", "S9->start", "S2->start"]}', "S2->start",
         None, (3, 0)),
        ('{"transitions": ["S2->start", "S2->start"]}', "S2->start", None, (1, 0)),
        ('{"transitions": ["S1->complete", "S1->reopen"]}', "S1->complete", None, (1, 0)),
        ('{"transitions": ["S1: completed", 7, ["S1->complete"]], "say": "Ok."}', "", "Ok.",
         (0, 3)),
    ],
)  # fmt: skip
def test_answers_are_read_kindly_and_judged_strictly(
    text: str, moves: str, say: str | None, faults: tuple[int, int]
) -> None:
    found = read_answer(text, STATE, tracks=True)
    assert [f"{move.step_id}->{move.move}" for move in found.transitions] == moves.split()
    assert found.say == say
    assert (found.illegal_moves, found.unreadable_moves) == faults
    assert found.readable


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I see a person.",
        "{",
        "[1, 2]",
        '{"transitions": ["S1->complete"]',
        '{"say": 5}',
        '{"transitions": {"S1": "complete"}}',
        '{"say": "a \\ud800"}',
        '{"say": ' * 4000,
        '{"say": "' + "x" * 30_000 + '"}',
    ],
    ids=range(10),
)
def test_what_is_no_answer_is_counted_as_silence(text: str) -> None:
    found = read_answer(text, STATE, tracks=True)
    assert (found.transitions, found.say, found.readable) == ((), None, False)


@given(
    st.one_of(
        st.text(max_size=60),
        st.fixed_dictionaries(
            {},
            optional={
                "transitions": st.lists(
                    st.one_of(
                        st.sampled_from(
                            [f"S{n}->{move}" for n in (1, 2, 3) for move in ("start", "complete")]
                        ),
                        st.integers(),
                        st.text(max_size=5),
                    )
                ),
                "say": st.one_of(st.none(), st.text(), st.integers()),
            },
        ).map(json.dumps),
    )
)
def test_no_reply_breaks_it_and_every_transition_is_legal(text: str) -> None:
    found = read_answer(text, STATE, tracks=True)
    fold(STATE, found.transitions)
    assert found.say is None or found.say.encode()


def clever(number: int, body: dict[str, Any]) -> Act:
    """Takes the first possible transition each time."""
    (move,) = re.findall(
        r"Possible transitions: ([^,\n]*)", body["messages"][-1]["content"][0]["text"]
    )
    moves = [] if move == "none" else [move]
    return Act(text=json.dumps({"transitions": moves, "say": f"Now {move}." if moves else None}))


def remote(url: str, cache: Path, **changes: Any) -> RemoteConfig:
    server = LLMConfig(url, "vision", api_key_env="", max_retries=1, backoff_s=0.01, concurrency=2)
    return RemoteConfig(server, cache, **changes)


def run(config: RemoteConfig, clips: list[Clip]) -> list[Prediction]:
    with Client(config.server, config.cache, config.mode) as client:
        return list(predict_remote(client.ask, clips, images, config, "zero-shot"))


def test_a_run_over_a_server_is_scored_and_replays_without_it(tmp_path: Path) -> None:
    clips = [random_stream(seed, num_frames=60) for seed in range(3)]
    together = threading.Barrier(2, timeout=20)

    def script(number: int, body: dict[str, Any]) -> Act:
        if number < 2:  # of two streams, or this breaks
            together.wait()
        return clever(number, body)

    with serve(script) as log:
        config = remote(log.url, tmp_path / "replies.sqlite")
        first = run(config, clips)
    assert len(log.bodies) >= 3 * 15
    assert log.most_at_once == 2
    content = log.bodies[0]["messages"][-1]["content"]
    url = content[1]["image_url"]["url"]
    assert base64.b64decode(url.removeprefix("data:image/jpeg;base64,")).startswith(b"\xff\xd8\xff")
    for clip, prediction in zip(clips, first, strict=True):
        assert prediction.dialogue_id == clip.dialogue_id
        moves = [move for event in prediction.events for move in event.transitions]
        assert [f"{m.step_id}->{m.move}" for m in moves[:2]] == ["S1->start", "S1->complete"]
        assert set(fold(clip.state, moves).values()) == {"completed"}
    again = run(replace(config, mode="offline"), clips)
    assert again == first
    scores = score(first)
    assert 0 < scores["transition_f1_5s"] <= 1


@pytest.mark.parametrize(
    ("text", "counted"),
    [
        ("no idea", "unreadable_replies"),
        ('{"transitions": ["S1->complete"], "say": null}', "illegal_moves"),
        ('{"transitions": ["wheels on"], "say": null}', "unreadable_moves"),
    ],
)
def test_useless_replies_are_counted_and_nothing_happens(
    tmp_path: Path, text: str, counted: str
) -> None:
    with serve(acts(Act(text=text))) as log:
        (found,) = run(remote(log.url, tmp_path / "replies.sqlite"), [CLIP])
    assert all(event.user and not event.transitions for event in found.events)
    assert found.details[counted] == found.details["polls"] == 5


def test_a_failing_server_ends_the_run_and_the_next_one_goes_on(tmp_path: Path) -> None:
    cache = tmp_path / "replies.sqlite"
    say = Act(text='{"transitions": [], "say": "Hm."}')
    with serve(acts(say, say, then=Act(status=500))) as log:
        config = remote(log.url, cache)
        with pytest.raises(ServerError, match=r"failed 2 times.*All paid replies are in .*sqlite"):
            run(config, [CLIP])
    with serve(acts(say)) as log:
        server = replace(config.server, base_url=log.url)
        (found,) = run(replace(config, server=server), [CLIP])
    assert found.details["polls"] == 5
    assert len(log.bodies) == 3  # two were paid before
    with serve(acts(Act(status=400, body=b"too many images"))) as log:
        config = remote(log.url, tmp_path / "other.sqlite")
        with pytest.raises(DataError, match="too many images"):
            run(config, [CLIP])
    with pytest.raises(MissingError, match="no cache of replies"):
        run(remote(log.url, tmp_path / "none.sqlite", mode="offline"), [CLIP])


def test_when_one_stream_fails_no_other_is_paid_for_any_longer(tmp_path: Path) -> None:
    def script(number: int, body: dict[str, Any]) -> Act:
        if "Build a car" in body["messages"][-1]["content"][0]["text"]:
            return Act(status=400, body=b"no")
        return Act(wait_s=0.02, text='{"say": null}')

    endless = replace(random_stream(0), stop_frame=4000)
    with serve(script) as log, pytest.raises(DataError):
        run(remote(log.url, tmp_path / "replies.sqlite"), [CLIP, endless, endless])
    assert len(log.bodies) < 100


def test_pictures_come_from_videos_and_stores(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", 24, 2)
    clip = replace(CLIP, frames_file="v.mp4")
    found = list(pictures(tmp_path, None)(clip))
    assert [image.shape for image in found] == [(384, 384, 3)] * 14
    longer = replace(clip, stop_frame=40)
    with pytest.raises(DataError, match="its pictures end before frame 24 of 40"):
        watch_remote(Asked(), longer, pictures(tmp_path, None)(longer), CONFIG, "x")
    store = tmp_path / "toy" / "frames" / "v.arrow"
    store.parent.mkdir(parents=True)
    write_arrow_frames(store, (np.full((384, 384, 3), n, np.uint8) for n in range(24)))
    stored = list(pictures(tmp_path, tmp_path)(CLIP))
    assert [int(image.mean()) for image in stored] == list(range(10, 24))
    with pytest.raises(MissingError, match="no video"):
        pictures(tmp_path, None)(CLIP)


def test_impossible_settings_are_refused() -> None:
    for name, value in (("poll_s", 0.0), ("num_frames", 0), ("jpeg_quality", 96)):
        with pytest.raises(ConfigError, match=f"{name} is {value}"):
            replace(CONFIG, **{name: value})
    with pytest.raises(ConfigError, match="depends on the last reply"):
        replace(CONFIG, mode="batch")


def test_a_real_server_with_a_vision_model(tmp_path: Path) -> None:
    """`transformers serve` with a small random LLaVA: noise comes back, and is counted as such."""
    folder = save_vision_model(tmp_path / "model")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(folder, port, tmp_path / "log")
    server.start()
    try:
        server.wait()
        config = replace(
            remote(f"http://127.0.0.1:{port}/v1", tmp_path / "replies.sqlite"), max_tokens=8
        )
        config = replace(config, server=replace(config.server, model=str(folder)))
        (found,) = run(config, [CLIP])
    finally:
        server.kill()
    assert found.details["polls"] == found.details["unreadable_replies"] == 5
    assert found.details["output_tokens"] == 5 * 8
    # byte-level tokens of the texts, and 4 for each picture
    assert int(str(found.details["input_tokens"])) > 5 * 300
    assert run(replace(config, mode="offline"), [CLIP]) == [found]
