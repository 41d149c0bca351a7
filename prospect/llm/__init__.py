"""Asking a language model: any OpenAI-compatible endpoint, behind a cache by content.

In: `Request`s. Out: `Reply`s, each paid for once: it is on disk before `Client.ask` returns, so
that a killed run loses none and a finished one replays byte for byte without a network. Used by
the dialogue writer, the judge and the vision-model baseline.

    config = LLMConfig("http://localhost:8000/v1", "my-model", api_key_env="")
    with Client(config, Path("replies.sqlite")) as client:
        reply = client.ask(Request((Message("user", "Which tools do I need?"),), max_tokens=200))
"""

from prospect.llm.batch import Imported
from prospect.llm.client import Client
from prospect.llm.records import (
    LLMConfig,
    Message,
    Mode,
    Pending,
    Reply,
    Request,
    ServerError,
    SpendLimit,
    Usage,
)

__all__ = [
    "Client",
    "Imported",
    "LLMConfig",
    "Message",
    "Mode",
    "Pending",
    "Reply",
    "Request",
    "ServerError",
    "SpendLimit",
    "Usage",
]
