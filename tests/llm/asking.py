"""What the tests of the client ask, and with what."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from prospect.llm import Client, LLMConfig, Message, Mode, Request

PNG = b"\x89PNG\r\n\x1a\n"
CONFIG = LLMConfig("http://nowhere.invalid/v1", "m", api_key_env="", timeout_s=5, backoff_s=0.01)


def ask(text: str, max_tokens: int = 10, sample: int = 0) -> Request:
    return Request((Message("user", text),), max_tokens, sample=sample)


def client(url: str, folder: Path, mode: Mode = "live", **changes: Any) -> Client:
    return Client(replace(CONFIG, base_url=url, **changes), folder / "replies.sqlite", mode)
