"""What is sent, and what a request is known by."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prospect.errors import ConfigError, DataError
from prospect.llm import (
    Message,
    Reply,
    Request,
)
from prospect.llm.records import body_of, identity, request_key
from tests.llm.asking import CONFIG, PNG, ask, client
from tests.llm_server import Act, acts, serve

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_body_and_the_reply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-secret")
    request = Request(
        (Message("system", "Be short."), Message("user", "What is this?", (PNG,))),
        max_tokens=7,
        temperature=0.5,
        json_schema={"type": "object"},
    )
    with (
        serve(acts(Act(text="{}", usage=(30, 2)))) as log,
        client(
            log.url,
            tmp_path,
            api_key_env="SOME_KEY",
            price_in_per_mtok=2.0,
            price_out_per_mtok=10.0,
            max_tokens_field="max_completion_tokens",
            extra={"seed": 1},
        ) as asker,
    ):
        reply = asker.ask(request)
        again = asker.ask(request)
    # 30 tokens at $2 and 2 at $10 a million
    assert reply == Reply("{}", "stop", "scripted-1", 30, 2, 80e-6)
    assert again == replace(reply, cached=True)
    assert log.headers["authorization"] == "Bearer sk-secret"
    assert b"sk-secret" not in (tmp_path / "replies.sqlite").read_bytes()
    schema = {"name": "reply", "schema": {"type": "object"}, "strict": True}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    assert log.bodies == [
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "Be short."},
                {"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture]},
            ],
            "max_completion_tokens": 7,
            "temperature": 0.5,
            "seed": 1,
            "response_format": {"type": "json_schema", "json_schema": schema},
        }
    ]
    assert str(asker.usage()) == (
        "2 requests: 1 cached, 1 answered, 0 pending, 0 failed; 0 retries; "
        "30 tokens in, 2 out, $0.0001"
    )


def test_the_key_is_of_all_that_matters() -> None:
    request = Request((Message("user", "a", (PNG,)),), 5)
    others = [
        (CONFIG, replace(request, max_tokens=6)),
        (CONFIG, replace(request, temperature=0.0)),
        (CONFIG, replace(request, sample=1)),
        (CONFIG, replace(request, json_schema={})),
        (CONFIG, Request((Message("user", "a", (PNG + b"1",)),), 5)),
        (CONFIG, Request((Message("assistant", "a", (PNG,)),), 5)),
        (CONFIG, Request((Message("user", "b", (PNG,)),), 5)),
        (replace(CONFIG, model="n"), request),
        (replace(CONFIG, extra={"top_p": 0.9}), request),
    ]
    keys = {request_key(identity(*other)) for other in others}
    key = request_key(identity(CONFIG, request))
    assert len(keys | {key}) == 10
    # neither where nor how fast it is asked matters
    moved = replace(CONFIG, base_url="http://b/v1", concurrency=1, stream=True, timeout_s=9)
    assert request_key(identity(moved, request)) == key
    cold = replace(request, temperature=0.0), replace(request, temperature=0)
    assert identity(CONFIG, cold[0]) == identity(CONFIG, cold[1])
    assert "base64" not in identity(CONFIG, request)


def test_the_key_is_the_same_in_a_year() -> None:
    # a change of this hash makes every paid reply unfindable
    assert request_key(identity(CONFIG, ask("Hello"))) == "5d7a568177553d5358dd533dbcac4098"


def test_what_cannot_be_sent_is_named() -> None:
    with pytest.raises(DataError, match=r"begins with b'GIF8'"):
        body_of(CONFIG, Request((Message("user", "a", (b"GIF89a",)),), 5))
    with pytest.raises(DataError, match="lone surrogate"):
        identity(CONFIG, ask("a \ud83d b"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"concurrency": 0}, "concurrency is 0"),
        ({"requests_per_minute": 0.0}, "requests_per_minute is 0"),
        ({"max_retries": -1}, "max_retries is -1"),
        ({"max_cost_usd": 1.0}, "needs price_in_per_mtok"),
        ({"extra": {"n": 2, "stream": True}}, "extra holds n, stream"),
    ],
)
def test_settings_that_cannot_work(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(CONFIG, **changes)


def test_a_missing_key_is_named_when_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(ConfigError, match="NO_SUCH_KEY holds no key"):
        client(CONFIG.base_url, tmp_path, api_key_env="NO_SUCH_KEY").ask(ask("a"))


def test_importing_it_imports_no_vendor_package() -> None:
    code = "import sys, prospect.llm; print({'openai', 'httpx2', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "set()\n"
