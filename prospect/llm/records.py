"""What is asked, what is answered, under which limits; and the body a request becomes.

The body is the endpoint's ``/chat/completions`` JSON. A request is known by its body with every
image replaced by its hash, and by its sample number: `identity` and `request_key`.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, field
from typing import Any, Literal

from prospect.errors import ConfigError, DataError, ProspectError
from prospect.types import Role

Mode = Literal["live", "offline", "batch"]
"""live: ask the server. offline: cached replies only. batch: collect what is not cached."""

_MAGIC = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}
_MESSAGE_TOKENS = 16  # more than any chat format puts around one message


class Pending(ProspectError):
    """The reply comes with a later batch: the request was collected, or is out already."""


class SpendLimit(ProspectError):
    """The next request could exceed the spend limit; it was not sent."""


class ServerError(ProspectError):
    """The server still failed after all retries; a later run asks it again."""


@dataclass(frozen=True)
class LLMConfig:
    """An endpoint, a model, and how hard and how dearly it may be asked.

    Attributes:
        base_url: Up to ``/v1``, of any OpenAI-compatible server.
        model: As the server names it.
        api_key_env: Environment variable that holds the key; empty where none is needed. Read when
            the first request is sent; the key itself is never stored.
        timeout_s: Longest wait for the next byte. An attempt is given up at the first byte later
            than this after its start.
        concurrency: Most requests under way at once; more callers wait.
        requests_per_minute: Most attempts a minute, evenly spaced; None for no limit.
        max_retries: Attempts after the first one.
        backoff_s: Wait before the first retry; doubles each time up to 60 s, less up to a half.
        max_wait_s: A server that wants a longer pause (``Retry-After``) ends the run.
        price_in_per_mtok, price_out_per_mtok: US dollars a million tokens; 0 where nothing is paid.
        max_cost_usd: Most that all replies in the cache file may cost together, whenever they were
            paid, so that a resumed run keeps its limit; None for no limit.
        image_tokens: What one image counts at most in the estimate for the spend limit.
        max_tokens_field: Newer OpenAI models want ``max_completion_tokens``.
        stream: Take replies as streams; the reply is the same.
        stream_usage: Ask streams for their token counts (OpenAI, vLLM); False for servers that
            send them unasked and refuse the field (``transformers serve``).
        extra: Further fields of the body, such as ``{"reasoning_effort": "low"}``.
    """

    base_url: str
    model: str
    api_key_env: str = "OPENAI_API_KEY"
    timeout_s: float = 300.0
    concurrency: int = 8
    requests_per_minute: float | None = None
    max_retries: int = 6
    backoff_s: float = 1.0
    max_wait_s: float = 120.0
    price_in_per_mtok: float = 0.0
    price_out_per_mtok: float = 0.0
    max_cost_usd: float | None = None
    image_tokens: int = 1500
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    stream: bool = False
    stream_usage: bool = True
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("timeout_s", "concurrency", "requests_per_minute", "max_wait_s"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigError(f"{name} is {value}; it must be above 0")
        for name in ("max_retries", "backoff_s", "price_in_per_mtok", "price_out_per_mtok"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 0")
        if self.max_cost_usd is not None and not self.price_in_per_mtok + self.price_out_per_mtok:
            raise ConfigError("max_cost_usd needs price_in_per_mtok and price_out_per_mtok")
        ours = {
            "model",
            "messages",
            "n",
            "temperature",
            "response_format",
            "stream",
            "stream_options",
        }
        if taken := sorted({*ours, "max_tokens", "max_completion_tokens"} & self.extra.keys()):
            raise ConfigError(f"extra holds {', '.join(taken)}, which the client sets itself")


@dataclass(frozen=True)
class Message:
    """One message of the prompt.

    Attributes:
        images: PNG, JPEG or WebP files; they follow the text.
    """

    role: Role
    text: str
    images: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Request:
    """What is asked.

    Attributes:
        max_tokens: Most tokens of the reply.
        temperature: None for the server's own; some models take no other.
        sample: Tells apart several samples of one prompt, each cached on its own. Never sent.
        json_schema: The reply is JSON of this schema, where the server can enforce that.
    """

    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float | None = None
    sample: int = 0
    json_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Reply:
    """What was answered.

    Attributes:
        text: Empty where the model gave none (a refusal, or all tokens went into reasoning).
        finish_reason: ``stop``; ``length`` for a text cut off at ``max_tokens``; others are the
            server's own, such as ``content_filter``.
        model: As the server names what answered, often with a date.
        input_tokens, output_tokens: None where the server doesn't say.
        cost_usd: Of the prices when it was paid; the upper estimate where tokens are unknown.
        cached: Whether it came from the cache.
    """

    text: str
    finish_reason: str
    model: str
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float
    cached: bool = False


@dataclass(frozen=True)
class Usage:
    """The account of a client: a call of `Client.ask` is cached, answered, pending or failed.

    Attributes:
        retried: Attempts after the first of a request.
        input_tokens, output_tokens, cost_usd: Of the answered ones; of cached ones nothing.
    """

    cached: int = 0
    answered: int = 0
    pending: int = 0
    failed: int = 0
    retried: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            *(mine + more for mine, more in zip(astuple(self), astuple(other), strict=True))
        )

    def __str__(self) -> str:
        asked = self.cached + self.answered + self.pending + self.failed
        return (
            f"{asked} requests: {self.cached} cached, {self.answered} answered, "
            f"{self.pending} pending, {self.failed} failed; {self.retried} retries; "
            f"{self.input_tokens} tokens in, {self.output_tokens} out, ${self.cost_usd:.4f}"
        )


def body_of(config: LLMConfig, request: Request) -> dict[str, Any]:
    """The JSON to send, without the fields of streaming.

    Raises:
        DataError: an image that is no PNG, JPEG or WebP.
    """
    return _body(config, request, _data_url)


def identity(config: LLMConfig, request: Request) -> str:
    """What the reply depends on, as canonical JSON: the body with hashes for images, the sample.

    The address is no part of it: a model keeps its replies when its server moves.

    Raises:
        DataError: a text that can't be written as UTF-8.
    """
    body = _body(config, request, lambda image: hashlib.sha256(image).hexdigest())
    content = {"body": body, "sample": request.sample}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        near = text[max(0, error.start - 40) : error.start]
        raise DataError(
            f"the prompt holds half a character (a lone surrogate) after {near!r}"
        ) from error
    return text


def request_key(identity: str) -> str:
    """Key of the cache and ``custom_id`` of batch lines: 32 hex digits of the SHA-256."""
    return hashlib.sha256(identity.encode("utf-8")).hexdigest()[:32]


def cost(config: LLMConfig, input_tokens: int, output_tokens: int) -> float:
    """US dollars."""
    return (
        input_tokens * config.price_in_per_mtok + output_tokens * config.price_out_per_mtok
    ) / 1e6


def cost_bound(config: LLMConfig, request: Request) -> float:
    """Most US dollars that one attempt can cost.

    A token of a byte-level vocabulary is at least one byte, so that the bytes of the prompt bound
    its tokens (at about four times their number in English).
    """
    text = "".join(message.text for message in request.messages)
    if request.json_schema is not None:
        text += json.dumps(request.json_schema)
    images = sum(len(message.images) for message in request.messages)
    tokens = len(text.encode("utf-8")) + _MESSAGE_TOKENS * (len(request.messages) + 1)
    return cost(config, tokens + images * config.image_tokens, request.max_tokens)


def _body(config: LLMConfig, request: Request, image: Callable[[bytes], str]) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": config.model,
        "messages": [_message(message, image) for message in request.messages],
        config.max_tokens_field: request.max_tokens,
        **config.extra,
    }
    if request.temperature is not None:
        body["temperature"] = float(request.temperature)  # 0 and 0.0 share a key
    if request.json_schema is not None:
        schema = {"name": "reply", "schema": request.json_schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def _message(message: Message, image: Callable[[bytes], str]) -> dict[str, Any]:
    if not message.images:
        return {"role": message.role, "content": message.text}
    pictures = [
        {"type": "image_url", "image_url": {"url": image(picture)}} for picture in message.images
    ]
    return {
        "role": message.role,
        "content": [{"type": "text", "text": message.text}, *pictures],
    }


def _data_url(image: bytes) -> str:
    for magic, kind in _MAGIC.items():
        if image.startswith(magic):
            return f"data:{kind};base64,{base64.b64encode(image).decode('ascii')}"
    raise DataError(f"an image begins with {image[:4]!r}; give PNG, JPEG or WebP")
