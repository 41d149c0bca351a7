"""What a server can do wrong, and what becomes of it."""

import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prospect.errors import ConfigError, DataError, ProspectError
from prospect.llm import (
    Reply,
    ServerError,
    Usage,
)
from prospect.llm.transport import Retry, parse_completion, parse_stream
from tests.llm.asking import ask, client
from tests.llm_server import Act, acts, completion, events, serve

STREAM = [pytest.param(False, id="whole"), pytest.param(True, id="stream")]


@pytest.mark.parametrize("stream", STREAM)
@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([Act(500), Act(503)], id="5xx"),
        pytest.param([Act(408), Act(409), Act(429)], id="4xx-that-pass"),
        pytest.param([Act(cut=0)], id="reset-before-the-body"),
        pytest.param([Act(cut=60)], id="reset-in-the-body"),
        pytest.param([Act(body=b'{"choices": [{"mess')], id="broken-json"),
        pytest.param([Act(body=b"")], id="empty"),
        pytest.param([Act(body=b"<html>Welcome</html>")], id="not-an-api"),
        pytest.param([Act(body=b'{"error": {"message": "overloaded"}}')], id="error-with-200"),
        pytest.param([Act(body=b'data: {"error": "out of memory"}\n\n')], id="error-in-stream"),
        pytest.param([Act(body=events("half a reply").split(b'"stop"')[0])], id="half-a-stream"),
        pytest.param([Act(headers={"content-encoding": "gzip"})], id="no-gzip"),
        pytest.param([Act(wait_s=0.8)], id="timeout"),
        pytest.param([Act(trickle_s=0.01)], id="trickle"),
    ],
)
def test_what_may_pass_is_tried_again(faults: list[Act], stream: bool, tmp_path: Path) -> None:
    text = "You need the red screwdriver and four short screws."
    timeout_s = 0.5 if any(act.wait_s or act.trickle_s for act in faults) else 5.0
    with (
        serve(acts(*faults, then=Act(text=text))) as log,
        client(log.url, tmp_path, stream=stream, timeout_s=timeout_s) as asker,
    ):
        reply = asker.ask(ask("a"))
    assert reply == Reply(text, "stop", "scripted-1", 10, 5, 0.0)
    assert len(log.bodies) == len(faults) + 1
    assert asker.usage() == Usage(answered=1, retried=len(faults), input_tokens=10, output_tokens=5)
    assert ("stream_options" in log.bodies[0]) == stream


def test_stream_and_whole_reply_are_the_same_to_the_cache(tmp_path: Path) -> None:
    with serve(acts(Act())) as log:
        with client(log.url, tmp_path, stream=True) as asker:
            streamed = asker.ask(ask("two words"))
        with client(log.url, tmp_path) as asker:
            assert asker.ask(ask("two words")) == replace(streamed, cached=True)
    assert streamed.text == "echo two words"


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (400, DataError, "rejects the request.*too long by 12"),
        (413, DataError, "rejects the request"),
        (422, DataError, "rejects the request"),
        (401, ConfigError, "check api_key_env"),
        (404, ConfigError, "check api_key_env, model, base_url"),
    ],
)
def test_what_will_not_pass_is_said_at_once(
    status: int, kind: type[ProspectError], message: str, tmp_path: Path
) -> None:
    body = json.dumps({"error": {"message": "too long by 12 tokens"}}).encode()
    with (
        serve(acts(Act(status, body=body))) as log,
        client(log.url, tmp_path) as asker,
        pytest.raises(kind, match=message),
    ):
        asker.ask(ask("a"))
    assert len(log.bodies) == 1
    assert asker.usage() == Usage(failed=1)


def test_an_empty_account_is_not_waited_for(tmp_path: Path) -> None:
    body = json.dumps({"error": {"message": "pay", "code": "insufficient_quota"}}).encode()
    with (
        serve(acts(Act(429, body=body))) as log,
        client(log.url, tmp_path) as asker,
        pytest.raises(ConfigError, match=r"empty.*pay"),
    ):
        asker.ask(ask("a"))
    assert len(log.bodies) == 1


def test_in_the_end_it_gives_up(tmp_path: Path) -> None:
    with (
        serve(acts(Act(500, body=b"lost my head"))) as log,
        client(log.url, tmp_path, max_retries=2) as asker,
        pytest.raises(ServerError, match=r"failed 3 times.*lost my head.*replies\.sqlite"),
    ):
        asker.ask(ask("a"))
    assert len(log.bodies) == 3
    assert asker.usage() == Usage(failed=1, retried=2)


def test_nobody_there(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with (
            client(url, tmp_path, max_retries=1) as asker,
            pytest.raises(ServerError, match=r"failed 2 times.*refused"),
        ):
            asker.ask(ask("a"))


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_holds_everybody(form: str, tmp_path: Path) -> None:
    # a date has whole seconds: of one 2 s ahead between 1 and 2 are left
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    wait = {"retry-after": "0.4" if form == "seconds" else date}
    with (
        serve(acts(Act(429, headers=wait), then=Act())) as log,
        client(log.url, tmp_path, max_retries=1) as asker,
        ThreadPoolExecutor(2) as pool,
    ):
        first = pool.submit(asker.ask, ask("a"))
        while asker.usage().retried == 0:
            time.sleep(0.005)
        second = pool.submit(asker.ask, ask("b"))
        first.result()
        second.result()
    least = 0.4 if form == "seconds" else 0.9
    assert min(log.times_s[1:]) - log.times_s[0] >= least
    assert max(log.times_s[1:]) - log.times_s[0] < least + 5


def test_a_pause_too_long_ends_the_run(tmp_path: Path) -> None:
    with (
        serve(acts(Act(429, headers={"retry-after": "3600"}))) as log,
        client(log.url, tmp_path) as asker,
        pytest.raises(ServerError, match="pause of 3600 s"),
    ):
        asker.ask(ask("a"))


@pytest.mark.parametrize("wait", ["soon", "-1", "nan", "1e9", ""])
def test_a_pause_that_is_none_is_left_to_the_backoff(wait: str, tmp_path: Path) -> None:
    with (
        serve(acts(Act(503, headers={"retry-after": wait}), then=Act())) as log,
        client(log.url, tmp_path) as asker,
    ):
        assert asker.ask(ask("a")).text == "echo a"


@pytest.mark.parametrize("usage", ["none", "null"])
def test_uncounted_tokens_cost_the_bound(usage: str, tmp_path: Path) -> None:
    whole = completion("hi", None)
    if usage == "none":
        del whole["usage"]
    with (
        serve(acts(Act(body=json.dumps(whole).encode()))) as log,
        client(log.url, tmp_path, price_out_per_mtok=1e6) as asker,
    ):
        reply = asker.ask(ask("a", max_tokens=10))
    assert (reply.input_tokens, reply.output_tokens, reply.cost_usd) == (None, None, 10.0)


def test_no_text_is_an_empty_text() -> None:
    whole = completion("", (3, 4))
    whole["choices"][0] |= {"message": {"content": None, "refusal": "No."}, "finish_reason": "x"}
    answer = parse_completion(json.dumps(whole))
    assert (answer.text, answer.finish_reason, answer.tokens) == ("", "x", (3, 4))


@given(st.text(), st.integers(0, 400), st.binary(max_size=3), st.sampled_from(["stream", "whole"]))
@settings(max_examples=200, deadline=None)
def test_damaged_answers_are_whole_or_refused(text: str, at: int, junk: bytes, form: str) -> None:
    raw = events(text) if form == "stream" else json.dumps(completion(text)).encode()
    parser: Callable[[bytes], Any] = parse_stream if form == "stream" else parse_completion
    assert parser(raw).text == text
    assert parser(raw.replace(b"\n", b"\r\n")).text == text
    damaged = raw[:at] + junk + raw[at + len(junk) :]
    with suppress(Retry):
        assert isinstance(parser(damaged).text, str)


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_garbage_is_no_answer(raw: bytes) -> None:
    for parser in (parse_completion, parse_stream):
        with pytest.raises(Retry):
            parser(raw)
