"""The client: cache, limits and transport put together."""

import random
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn
from weakref import WeakValueDictionary

from prospect.errors import MissingError, ProspectError
from prospect.llm import batch, transport
from prospect.llm.cache import ReplyCache
from prospect.llm.limits import Budget, Pace
from prospect.llm.records import (
    LLMConfig,
    Mode,
    Pending,
    Reply,
    Request,
    ServerError,
    Usage,
    body_of,
    cost_bound,
    identity,
    request_key,
)

if TYPE_CHECKING:
    import openai

_LONGEST_BACKOFF_S = 60.0


class Client:
    """Asks one model, each request once. Threads may share it, processes its cache.

    A context manager, which closes the connections.

    Args:
        cache: SQLite file of replies; made if not there (not in offline mode).
        mode: ``offline`` sends nothing. ``batch`` sends nothing either: requests without a reply
            are collected for `write_batch`.

    Raises:
        MissingError: offline mode, and no such cache.
        DataError: the cache is damaged, or can't be written.
    """

    def __init__(self, config: LLMConfig, cache: Path, mode: Mode = "live") -> None:
        self._config = config
        self._mode = mode
        self._cache = ReplyCache(cache, create=mode != "offline")
        self._budget = self._new_budget()
        self._pace = Pace(config.requests_per_minute)
        self._slots = threading.Semaphore(config.concurrency)
        self._lock = threading.Lock()  # of everything below
        self._asking: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._collected: dict[str, batch.Collected] = {}
        self._out = self._cache.batched() if mode == "batch" else {}
        self._usage = Usage()
        self._server: openai.OpenAI | None = None

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; those who ask later open new ones."""
        with self._lock:
            if self._server is not None:
                self._server.close()
            self._server = None

    def ask(self, request: Request) -> Reply:
        """The cached reply, or a new one that is on disk before this returns.

        A request that another thread is asking right now is not sent again: both get its reply.

        Raises:
            DataError: the server rejects this request (400, 413, 422 ...); says its words.
            ConfigError: it rejects key, model or address (401, 403, 404), or the account is empty.
            ServerError: it still fails after all retries, or wants a longer pause than allowed.
            SpendLimit: this request could exceed the limit; all that was paid is cached.
            Pending: batch mode, and the reply isn't there yet.
            MissingError: offline mode, and the reply isn't there; or no package ``openai``.
        """
        content = identity(self._config, request)
        key = request_key(content)
        with self._lock:
            asking = self._asking.setdefault(key, threading.Lock())
        with asking:
            reply = self._cache.get(key)
            if reply is not None:
                self._count(Usage(cached=1))
                return reply
            try:
                reply = self._cache.put(key, content, self._fresh(key, content, request))
            except Pending:
                self._count(Usage(pending=1))
                raise
            except ProspectError:
                self._count(Usage(failed=1))
                raise
        tokens = (reply.input_tokens or 0, reply.output_tokens or 0)
        self._count(
            Usage(
                answered=1, input_tokens=tokens[0], output_tokens=tokens[1], cost_usd=reply.cost_usd
            )
        )
        return reply

    def usage(self) -> Usage:
        """The account so far."""
        return self._usage

    def write_batch(self, folder: Path) -> list[Path]:
        """Write the collected requests as ``requests-N.jsonl``, OpenAI's batch format.

        Files hold at most 50,000 requests or 190 MB. A request that stands in an earlier file is
        out, and is written again only if `import_replies` saw it fail or that file was deleted.

        Returns:
            The new files, N rising from the last one there; empty if there is nothing to send.
        """
        with self._lock:
            collected = list(self._collected.values())
            self._collected.clear()
        paths = batch.write_batch(folder, collected, self._cache)
        with self._lock:
            self._out = self._cache.batched()
        return paths

    def import_replies(self, path: Path) -> batch.Imported:
        """Put a result (or error) file of a batch into the cache; then run again.

        Raises:
            MissingError: no such file.
        """
        imported = batch.import_replies(path, self._cache, self._config)
        with self._lock:
            self._out = self._cache.batched()
            self._budget = self._new_budget()
        return imported

    def _fresh(self, key: str, content: str, request: Request) -> Reply:
        """A reply that isn't in the cache."""
        if self._mode == "offline":
            start = request.messages[-1].text[:80] if request.messages else ""
            raise MissingError(
                f"{self._cache.path} has no reply of {self._config.model} to request {key} (sample "
                f"{request.sample}), whose last message begins {start!r}; run online with the same "
                "settings, or take the cache of the run that is to be repeated"
            )
        body = body_of(self._config, request)
        bound_usd = cost_bound(self._config, request)
        if self._mode == "batch":
            self._collect(batch.Collected(key, bound_usd, content, body))
        with self._slots:
            return self._insist(key, body, bound_usd)

    def _collect(self, item: batch.Collected) -> NoReturn:
        """Keep a request for `write_batch`."""
        with self._lock:
            if item.key not in self._out and item.key not in self._collected:
                self._budget.reserve(item.cost_bound_usd)
                self._budget.settle(item.cost_bound_usd, item.cost_bound_usd)
            self._collected[item.key] = item
        raise Pending(f"request {item.key} waits for a batch: write_batch, then import_replies")

    def _insist(self, key: str, body: dict[str, Any], bound_usd: float) -> Reply:
        """Ask the server until it answers, or no retry is left."""
        jitter = random.Random(key)
        attempt = 1
        while True:
            try:
                return self._attempt(body, bound_usd)
            except transport.Retry as error:
                pause_s = error.wait_s or 0.0
                if attempt > self._config.max_retries or pause_s > self._config.max_wait_s:
                    wish = f"; it asks for a pause of {pause_s:.0f} s" if pause_s else ""
                    raise ServerError(
                        f"{self._config.base_url} failed {attempt} times, last with: {error}"
                        f"{wish}. All paid replies are in {self._cache.path}; run again to go on"
                    ) from error
                self._pace.hold(pause_s)
            self._count(Usage(retried=1))
            backoff_s = min(
                _LONGEST_BACKOFF_S, self._config.backoff_s * 2.0 ** min(attempt - 1, 30)
            )
            time.sleep(max(pause_s, backoff_s * jitter.uniform(0.5, 1.0)))
            attempt += 1

    def _attempt(self, body: dict[str, Any], bound_usd: float) -> Reply:
        """One paced, paid attempt."""
        server, budget = self._connected(), self._budget
        budget.reserve(bound_usd)
        spent_usd = 0.0
        try:
            self._pace.wait()
            answer = transport.send(server, self._config, body)
            reply = transport.reply_of(answer, self._config, bound_usd)
            spent_usd = reply.cost_usd
        except transport.Retry as error:
            spent_usd = bound_usd if error.billed else 0.0
            raise
        finally:
            budget.settle(bound_usd, spent_usd)
        return reply

    def _connected(self) -> "openai.OpenAI":
        with self._lock:
            if self._server is None:
                self._server = transport.connect(self._config)
            return self._server

    def _new_budget(self) -> Budget:
        """As the cache stands now."""
        limit_usd = self._config.max_cost_usd
        spent_usd = 0.0 if limit_usd is None else self._cache.spent_usd()
        return Budget(limit_usd, spent_usd, str(self._cache.path))

    def _count(self, more: Usage) -> None:
        with self._lock:
            self._usage += more
