"""The vendor's batch files: requests as JSONL out, results as JSONL in.

Out: ``{"custom_id", "method", "url", "body"}`` a line. In: ``{"custom_id", "response":
{"status_code", "body"}, "error"}`` a line, in any order. Source of form and limits: OpenAI's guide
to its Batch API.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from prospect.errors import MissingError
from prospect.files import Account, write_text
from prospect.llm.cache import ReplyCache
from prospect.llm.records import LLMConfig, Reply
from prospect.llm.transport import Retry, parse_completion, reply_of

MAX_LINES, MAX_BYTES = 50_000, 190_000_000  # the vendor's limit is 200 MB
_NAME = re.compile(r"requests-(\d+)\.jsonl")


@dataclass(frozen=True)
class Imported:
    """What a result file brought.

    Attributes:
        account: Replies kept, lines dropped by reason.
        problems: ``file:line: custom_id: what`` of each dropped line, in order.
    """

    account: Account
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Collected:
    """A request that waits for a batch file."""

    key: str
    cost_bound_usd: float
    request: str
    body: dict[str, Any]


class _Response(BaseModel):
    status_code: int
    body: Any


class _Line(BaseModel):
    custom_id: str
    response: _Response | None = None
    error: Any = None


def write_batch(folder: Path, collected: Sequence[Collected], cache: ReplyCache) -> list[Path]:
    """Write the requests that are not out; see `prospect.llm.Client.write_batch`."""
    out = cache.batched()
    waiting = [
        item
        for item in sorted(collected, key=lambda item: item.key)
        if item.key not in out or not (folder / out[item.key][0]).exists()
    ]
    taken = [_NAME.fullmatch(path.name) for path in folder.glob("requests-*.jsonl")]
    last = max((int(match[1]) for match in taken if match), default=0)
    paths = []
    for number, part in enumerate(_parts(waiting), start=last + 1):
        path = folder / f"requests-{number}.jsonl"
        # noted first: a file whose note was lost would be written, and paid for, twice
        cache.send_out(
            path.name, ((item.key, item.cost_bound_usd, item.request) for item, _ in part)
        )
        write_text(path, "".join(line for _, line in part))
        paths.append(path)
    return paths


def _parts(collected: Sequence[Collected]) -> Iterator[list[tuple[Collected, str]]]:
    part: list[tuple[Collected, str]] = []
    size = 0
    for item in collected:
        line = _line(item)
        if part and (len(part) == MAX_LINES or size + len(line) > MAX_BYTES):
            yield part
            part, size = [], 0
        part.append((item, line))
        size += len(line)
    if part:
        yield part


def _line(item: Collected) -> str:
    """ASCII, so that its length is its bytes."""
    values = {
        "custom_id": item.key,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": item.body,
    }
    return json.dumps(values, allow_nan=False) + "\n"


def import_replies(path: Path, cache: ReplyCache, config: LLMConfig) -> Imported:
    """Put a result file into the cache; see `prospect.llm.Client.import_replies`."""
    if not path.is_file():
        raise MissingError(f"no result file {path}; download the batch's output and error files")
    out = cache.batched()
    replies: dict[str, Reply | None] = {}
    dropped: Counter[str] = Counter()
    problems = []
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if not raw.strip():
                continue
            try:
                line = _Line.model_validate_json(raw)
            except ValidationError as error:
                name, why = "?", ("not a result line", str(error.errors()[0]["msg"]))
            else:
                name = line.custom_id
                if name in out and replies.get(name) is None:
                    found = _reply(line, config, out[name][1])
                    if isinstance(found, Reply):
                        replies[name] = found
                        continue
                    replies[name] = None
                    why = ("failed", found)
                elif name in out or cache.get(name):
                    why = ("repeated", "the cache holds its reply")
                else:
                    why = ("unknown custom_id", "it stands in no batch file of this cache")
            dropped[why[0]] += 1
            problems.append(f"{path}:{number}: {name}: {': '.join(why)}")
    cache.take_in(replies.items())
    kept = sum(reply is not None for reply in replies.values())
    return Imported(Account(kept, dropped), tuple(problems))


def _reply(line: _Line, config: LLMConfig, bound_usd: float) -> Reply | str:
    """The reply, or what went wrong in the server's words."""
    if line.response is None:
        return f"no response; error {json.dumps(line.error)[:500]}"
    body = json.dumps(line.response.body)
    if line.response.status_code != 200:
        return f"status {line.response.status_code}: {body[:500]}"
    try:
        return reply_of(parse_completion(body), config, bound_usd)
    except Retry as error:
        return str(error)
