"""One attempt: a body goes out, a whole answer comes back, or the reason why not.

In: the JSON of a request. Out: an `Answer`. Streams are read to their end before anything of them
is used, so that half an answer is never taken for one.
"""

import email.utils
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from prospect.errors import ConfigError, DataError, MissingError, ProspectError
from prospect.llm.records import LLMConfig, Reply, cost

if TYPE_CHECKING:
    import openai

_RETRIED = (408, 409, 429)  # and all from 500 on
_SETTINGS = (401, 402, 403, 404, 405)
_Tokens = Annotated[int, Field(ge=0, le=10**9)]


class Retry(Exception):
    """An attempt failed in a way that may pass.

    Attributes:
        wait_s: The pause the server asks for, if it does.
        billed: Whether it may have cost money: the request went out and its answer got lost.
    """

    def __init__(self, reason: str, wait_s: float | None = None, billed: bool = False) -> None:
        super().__init__(reason)
        self.wait_s = wait_s
        self.billed = billed


@dataclass(frozen=True)
class Answer:
    """What the server said; ``tokens`` (in, out) is None where it doesn't count them."""

    text: str
    finish_reason: str
    model: str
    tokens: tuple[int, int] | None


class _Text(BaseModel):
    content: str | None = None


class _Counts(BaseModel):
    prompt_tokens: _Tokens
    completion_tokens: _Tokens


class _Choice(BaseModel):
    message: _Text
    finish_reason: str


class _Completion(BaseModel):
    model: str
    choices: Annotated[list[_Choice], Field(min_length=1, max_length=1)]
    usage: _Counts | None = None


class _Delta(BaseModel):
    delta: _Text
    finish_reason: str | None = None


class _Chunk(BaseModel):
    model: str
    choices: Annotated[list[_Delta], Field(max_length=1)]
    usage: _Counts | None = None


def connect(config: LLMConfig) -> "openai.OpenAI":
    """The vendor's client, without retries of its own.

    Raises:
        MissingError: no package ``openai``.
        ConfigError: the environment variable of the key is not set.
    """
    try:
        import openai
    except ImportError as error:
        raise MissingError(
            "no package openai; run `pip install 'prospect-assistant[llm]'`"
        ) from error
    name = config.api_key_env
    if name and not os.environ.get(name):
        raise ConfigError(
            f"the environment variable {name} holds no key for {config.base_url}; set it, or set "
            "api_key_env to another variable, or leave it empty for a server that needs no key"
        )
    return openai.OpenAI(
        base_url=config.base_url,
        api_key=os.environ[name] if name else "none",
        timeout=config.timeout_s,
        max_retries=0,
    )


def send(server: "openai.OpenAI", config: LLMConfig, body: dict[str, Any]) -> Answer:
    """One attempt.

    Raises:
        Retry: it may work another time.
        DataError, ConfigError: it won't; see `prospect.llm.Client.ask`.
    """
    rest = {name: value for name, value in body.items() if name not in ("model", "messages")}
    if config.stream:
        rest["stream"] = True
        if config.stream_usage:
            rest["stream_options"] = {"include_usage": True}
    deadline_s = time.monotonic() + config.timeout_s
    raw = bytearray()
    with (
        _failures(),
        server.chat.completions.with_streaming_response.create(
            model=body["model"], messages=body["messages"], extra_body=rest
        ) as response,
    ):
        for part in response.iter_bytes():
            raw += part
            # the vendor's timeout is for each read: bytes that trickle in would never end
            if time.monotonic() > deadline_s:
                raise Retry(f"no complete answer in {config.timeout_s} s", billed=True)
    return parse_stream(bytes(raw)) if config.stream else parse_completion(bytes(raw))


def reply_of(answer: Answer, config: LLMConfig, bound_usd: float) -> Reply:
    """The answer with its price: ``bound_usd`` where the server doesn't count its tokens."""
    tokens = answer.tokens
    return Reply(
        answer.text,
        answer.finish_reason,
        answer.model,
        tokens[0] if tokens else None,
        tokens[1] if tokens else None,
        cost(config, *tokens) if tokens else bound_usd,
    )


def parse_completion(raw: bytes | str) -> Answer:
    """The answer in a ``chat.completion`` object; `Retry` if it isn't one."""
    completion = _checked(_Completion, raw)
    choice = completion.choices[0]
    return _answer(
        choice.message.content or "", choice.finish_reason, completion.model, completion.usage
    )


def parse_stream(raw: bytes) -> Answer:
    """The answer in the server-sent events of ``chat.completion.chunk`` objects.

    Raises:
        Retry: an event is malformed, or the stream ends before a finish reason.
    """
    text, finish_reason, model, usage = "", None, "", None
    for line in re.split(rb"\r\n|\n|\r", raw):
        data = line.removeprefix(b"data:").strip()
        if not line.startswith(b"data:") or data == b"[DONE]":
            continue
        chunk = _checked(_Chunk, data)
        model, usage = chunk.model, chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish_reason = choice.finish_reason or finish_reason
    if finish_reason is None:
        raise Retry(f"the stream ended after {len(text)} characters, unfinished", billed=True)
    return _answer(text, finish_reason, model, usage)


def _answer(text: str, finish_reason: str, model: str, usage: _Counts | None) -> Answer:
    tokens = (usage.prompt_tokens, usage.completion_tokens) if usage else None
    return Answer(text, finish_reason, model, tokens)


_Shape = TypeVar("_Shape", bound=BaseModel)


def _checked(shape: type[_Shape], raw: bytes | str) -> _Shape:
    try:
        return shape.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "answer"
        raise Retry(
            f"malformed answer: {where}: {first['msg']}: {raw[:200]!r}", billed=True
        ) from error


@contextmanager
def _failures() -> Iterator[None]:
    """Turn the vendor's exceptions into ours."""
    import httpx2
    import openai

    try:
        yield
    except openai.APIStatusError as error:
        words = f"status {error.status_code}: {error.response.text.strip()[:500]}"
        raise _verdict(error.status_code, words, error.code, _pause_s(error)) from error
    except (openai.APIConnectionError, httpx2.RequestError) as error:
        cause = error.__cause__ or error
        sent = not isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout)
        raise Retry(f"{type(cause).__name__}: {cause}", billed=sent) from error


def _verdict(
    status: int, words: str, code: str | None, wait_s: float | None
) -> Retry | ProspectError:
    if code == "insufficient_quota":  # sent as 429, but no waiting helps
        return ConfigError(f"the account of this key is empty: {words}")
    if status in _RETRIED or status >= 500:
        return Retry(words, wait_s)
    if status in _SETTINGS:
        return ConfigError(
            f"the server refuses key, model or address; check api_key_env, model, base_url: {words}"
        )
    return DataError(f"the server rejects the request: {words}")


def _pause_s(error: "openai.APIStatusError") -> float | None:
    """Seconds of ``Retry-After``, number or date (RFC 9110 10.2.3); None without a valid one."""
    value = error.response.headers.get("retry-after", "")
    if re.fullmatch(r"\d{1,9}(\.\d+)?", value):
        return float(value)
    try:
        date = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:  # the zone "-0000", which the standard library takes for none
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())
