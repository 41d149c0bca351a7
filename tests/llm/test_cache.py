"""Each reply is paid for once, whoever asks, and whatever is killed."""

import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prospect.errors import DataError, MissingError, ProspectError
from prospect.llm import (
    Client,
    Usage,
)
from tests.llm.asking import CONFIG, ask, client
from tests.llm_server import Act, acts, serve

ROOT = Path(__file__).resolve().parent.parent.parent


def test_threads_that_ask_the_same_send_once(tmp_path: Path) -> None:
    with (
        serve(acts(Act(wait_s=0.1))) as log,
        client(log.url, tmp_path) as asker,
        ThreadPoolExecutor(8) as pool,
    ):
        replies = list(pool.map(asker.ask, [ask("a")] * 8))
        other = asker.ask(ask("a", sample=1))
    assert {reply.text for reply in replies} == {"echo a"}
    assert sorted(reply.cached for reply in replies) == [False] + [True] * 7
    assert not other.cached
    assert len(log.bodies) == 2


def test_replay_needs_no_server(tmp_path: Path) -> None:
    requests = [ask(f"question {n} äß\0 \u2028", sample=n % 2) for n in range(10)]
    with serve(acts(Act())) as log, client(log.url, tmp_path) as asker:
        first = [asker.ask(request) for request in requests]
    stored = (tmp_path / "replies.sqlite").read_bytes()
    with client("http://nowhere.invalid/v1", tmp_path, "offline") as asker:
        again = [asker.ask(request) for request in requests]
        with pytest.raises(MissingError, match=r"no reply of m to request \w+ \(sample 3\).*'new'"):
            asker.ask(ask("new", sample=3))
    assert [replace(reply, cached=False) for reply in again] == first
    assert asker.usage() == Usage(cached=10, failed=1)
    assert (tmp_path / "replies.sqlite").read_bytes() == stored


def test_offline_without_a_cache(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no cache of replies"):
        client(CONFIG.base_url, tmp_path, "offline")
    assert not (tmp_path / "replies.sqlite").exists()


def test_of_two_processes_the_first_reply_stays(tmp_path: Path) -> None:
    def both(number: int, _: object) -> Act:
        together.wait(5)
        return Act(text=f"answer {number}")

    together = threading.Barrier(2)
    with (
        serve(both) as log,
        client(log.url, tmp_path) as one,
        client(log.url, tmp_path) as two,
        ThreadPoolExecutor(2) as pool,
    ):
        replies = list(pool.map(lambda asker: asker.ask(ask("a")), [one, two]))
    assert replies[0].text == replies[1].text
    assert sorted(reply.cached for reply in replies) == [False, True]


WORKER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from prospect.llm import Client, LLMConfig, Message, Request

config = LLMConfig(sys.argv[1], "m", api_key_env="", concurrency=4)
with Client(config, Path(sys.argv[2])) as client, ThreadPoolExecutor(4) as pool:
    requests = [Request((Message("user", str(n)),), 10) for n in range(5000)]
    for n, _ in enumerate(pool.map(client.ask, requests)):
        print(n, flush=True)
"""


def test_a_killed_process_loses_no_reply(tmp_path: Path) -> None:
    cache = tmp_path / "replies.sqlite"
    with serve(acts(Act(wait_s=0.001))) as log:
        paid: set[int] = set()
        for least in (20, 60):
            worker = subprocess.Popen(
                [sys.executable, "-c", WORKER, log.url, str(cache)],
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
            assert worker.stdout
            with worker.stdout as lines:
                for line in lines:
                    paid.add(int(line))
                    if len(paid) >= least:
                        worker.send_signal(signal.SIGKILL)
            assert worker.wait() == -signal.SIGKILL
        asked = len(log.bodies)
    assert len(paid) >= 60
    # the run that was killed first is not paid again, but for the few under way at the time
    again = [body["messages"][0]["content"] for body in log.bodies]
    assert asked - len(set(again)) <= 4
    with Client(CONFIG, cache, "offline") as asker:
        for n in paid:
            assert asker.ask(ask(str(n))).text == f"echo {n}"


def test_a_cache_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "replies.sqlite").write_text("id,text\n1,hello\n" * 100)
    with pytest.raises(DataError, match=r"replies\.sqlite: this cache.*not a database"):
        client(CONFIG.base_url, tmp_path)


def test_a_reply_of_the_wrong_type_is_named(tmp_path: Path) -> None:
    with serve(acts(Act())) as log, client(log.url, tmp_path) as asker:
        asker.ask(ask("a"))
        with closing(sqlite3.connect(tmp_path / "replies.sqlite")) as connection, connection:
            connection.execute("UPDATE replies SET input_tokens = 'many'")
        with pytest.raises(DataError, match=r"replies\.sqlite: reply \w+: field 'input_tokens'"):
            asker.ask(ask("a"))
        with closing(sqlite3.connect(tmp_path / "replies.sqlite")) as connection, connection:
            connection.execute("UPDATE replies SET text = x'00'")
        with pytest.raises(DataError, match=r"replies\.sqlite: reply \w+ is damaged"):
            asker.ask(ask("a"))


@given(at=st.integers(0), junk=st.binary(min_size=1, max_size=64), cut=st.booleans())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_damaged_cache_is_an_error_or_whole(
    at: int, junk: bytes, cut: bool, tmp_path: Path
) -> None:
    path = tmp_path / "replies.sqlite"
    whole = tmp_path / "whole"
    if not whole.exists():
        with serve(acts(Act())) as log, client(log.url, tmp_path) as asker:
            for n in range(5):
                asker.ask(ask(str(n)))
        path.rename(whole)
    raw = whole.read_bytes()
    at %= len(raw)
    path.write_bytes(raw[:at] if cut else raw[:at] + junk + raw[at + len(junk) :])
    with suppress(ProspectError):
        asker = client(CONFIG.base_url, tmp_path, "offline")
        for n in range(5):
            assert isinstance(asker.ask(ask(str(n))).text, str)
