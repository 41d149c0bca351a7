"""The client against a real server: ``transformers serve`` with a small model, killed at times."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from prospect.errors import DataError
from prospect.files import read_json, write_records
from prospect.judging import JudgeSettings
from prospect.llm import Client, LLMConfig, Message, Request, Usage
from prospect.pretrained import model_folder
from prospect.stages.judge import judge as stages_judge
from tests.metrics.worlds import event, stream

WORDS = 8


@dataclass
class Server:
    """A process that can be killed and started again at the same address."""

    folder: Path
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = str(Path(sys.executable).with_name("transformers"))
        options = ["--host", "127.0.0.1", "--port", str(self.port), "--device", "cpu"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [program, "serve", str(self.folder), *options],
                stdout=log,
                stderr=log,
                env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
            )

    def wait(self) -> None:
        """Until it listens: the model is loaded before."""
        for _ in range(1200):
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = model_folder("smollm2-135m-instruct")
    running = Server(folder, port, tmp_path_factory.mktemp("serve") / "log")
    running.start()
    try:
        running.wait()
        yield running
    finally:
        running.kill()


@pytest.fixture
def config(server: Server) -> LLMConfig:
    return LLMConfig(
        f"http://127.0.0.1:{server.port}/v1",
        str(server.folder),
        api_key_env="",
        concurrency=4,
        stream_usage=False,  # it counts unasked, and refuses to be asked
        backoff_s=0.1,
        timeout_s=60,
    )


def ask(text: str) -> Request:
    return Request((Message("user", text),), max_tokens=WORDS, temperature=0.0)


def test_whole_and_streamed_replies(config: LLMConfig, tmp_path: Path) -> None:
    with Client(config, tmp_path / "whole.sqlite") as asker:
        whole = asker.ask(ask("Say hello."))
    with Client(replace(config, stream=True), tmp_path / "streamed.sqlite") as asker:
        streamed = asker.ask(ask("Say hello."))
    assert whole.text
    assert whole == streamed
    assert whole.finish_reason == "length"
    assert whole.output_tokens == WORDS


def test_what_it_refuses_is_said_in_its_words(config: LLMConfig, tmp_path: Path) -> None:
    asking = replace(config, stream=True, stream_usage=True, model="another-model")
    with (
        Client(asking, tmp_path / "replies.sqlite") as asker,
        pytest.raises(DataError, match=r"status 400.*pinned to.*another-model"),
    ):
        asker.ask(ask("Say hello."))


def test_it_judges(config: LLMConfig, tmp_path: Path) -> None:
    """What a small model says in a few words is no judgement; each reply is counted as that."""
    judge = JudgeSettings(config, max_tokens=WORDS, cache=tmp_path / "replies.sqlite")
    write_records(tmp_path / "predictions.jsonl", [stream((event(5, "", "Go on."),))])
    for name in ("first", "again"):
        stages_judge((tmp_path / "predictions.jsonl",), tmp_path / name, judge)
        judge = replace(judge, mode="offline")
    first, again = (read_json(tmp_path / name) for name in ("first", "again"))
    assert first["systems"]["model"]["replies"]["dropped"] == {"cut off at max_tokens": 3}
    assert (first["about"]["usage"]["answered"], again["about"]["usage"]["cached"]) == (3, 3)
    assert first["systems"] == again["systems"]


def test_killed_in_mid_run_and_replayed_without_it(
    server: Server, config: LLMConfig, tmp_path: Path
) -> None:
    """Four at a time; the server dies, comes back, and dies for good."""
    cache = tmp_path / "replies.sqlite"
    requests = [ask(f"Name a tool, number {n}.") for n in range(12)]
    patient = replace(config, max_retries=12, stream=True)
    with Client(patient, cache) as asker, ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(asker.ask, request) for request in requests]
        while asker.usage().answered < 4:
            time.sleep(0.01)
        server.kill()
        paid = asker.usage().answered
        server.start()
        first = [future.result() for future in futures]
    assert 4 <= paid < 12
    usage = asker.usage()
    assert usage.retried > 0
    assert usage == Usage(
        answered=12,
        retried=usage.retried,
        input_tokens=sum(reply.input_tokens or 0 for reply in first),
        output_tokens=12 * WORDS,
    )
    server.kill()
    with Client(patient, cache) as asker:
        again = [asker.ask(request) for request in requests]
    assert again == [replace(reply, cached=True) for reply in first]
