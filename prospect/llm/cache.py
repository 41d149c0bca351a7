"""Replies on disk, and which requests are out in batch files.

One SQLite file with its default rollback journal: a reply is committed, with `fsync`, before it is
used, and a process killed in the middle of a commit leaves the earlier state. Chosen over a file a
reply, which would be tens of thousands of small files, and over SQLite's write-ahead log, which
doesn't work on network file systems; a commit takes milliseconds, a reply seconds.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from prospect.errors import DataError, MissingError
from prospect.files import parse
from prospect.llm.records import Reply

# long columns last: a sum over the costs then doesn't read them
_TABLES = """
    CREATE TABLE IF NOT EXISTS replies (
        key TEXT PRIMARY KEY, cost_usd REAL, input_tokens INTEGER, output_tokens INTEGER,
        finish_reason TEXT, model TEXT, text TEXT, request TEXT
    );
    CREATE TABLE IF NOT EXISTS batched (
        key TEXT PRIMARY KEY, file TEXT, cost_bound_usd REAL, request TEXT
    );
"""
_FIELDS = ("text", "finish_reason", "model", "input_tokens", "output_tokens", "cost_usd")
_PUT = (
    f"INSERT OR IGNORE INTO replies ({', '.join(_FIELDS)}, key, request) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_PUT_BATCHED = (
    f"INSERT OR IGNORE INTO replies ({', '.join(_FIELDS)}, key, request) "
    "SELECT ?, ?, ?, ?, ?, ?, key, request FROM batched WHERE key = ?"
)


class ReplyCache:
    """The replies of one file. Threads and processes may share it; a reply is never replaced.

    Args:
        create: Make the file and its tables if they are not there.

    Raises:
        MissingError: no such file, and it is not to be made.
        DataError: the file is no cache of replies, or can't be read or written.
    """

    def __init__(self, path: Path, create: bool) -> None:
        self.path = path
        if create:
            path.parent.mkdir(parents=True, exist_ok=True)
        elif not path.is_file():
            raise MissingError(f"no cache of replies {path}; check the path, or run online first")
        with self._open("rwc" if create else "rw") as connection:
            if create:
                connection.executescript(_TABLES)
            connection.execute("SELECT key, request FROM replies LIMIT 1").fetchall()

    def get(self, key: str) -> Reply | None:
        """The reply, marked as cached."""
        with self._open() as connection:
            return self._get(connection, key)

    def put(self, key: str, request: str, reply: Reply) -> Reply:
        """Keep a reply, on disk on return; the earlier one's if another process was first."""
        with self._open() as connection:
            with connection:
                connection.execute(_PUT, (*_values(reply), key, request))
            kept = self._get(connection, key)
        if kept is None:
            raise DataError(f"{self.path}: the reply to {key} was written, but is not there")
        return reply if replace(kept, cached=False) == reply else kept

    def spent_usd(self) -> float:
        """What all replies cost, and what the requests out in batches may cost at most."""
        with self._open() as connection:
            (paid,) = connection.execute("SELECT total(cost_usd) FROM replies").fetchone()
            (out,) = connection.execute("SELECT total(cost_bound_usd) FROM batched").fetchone()
        return float(paid) + float(out)

    def batched(self) -> dict[str, tuple[str, float]]:
        """Key -> (file name, highest cost in US dollars) of the requests out in batch files."""
        with self._open() as connection:
            rows = connection.execute("SELECT key, file, cost_bound_usd FROM batched")
            return {key: (file, bound) for key, file, bound in rows}

    def send_out(self, file: str, requests: Iterable[tuple[str, float, str]]) -> None:
        """Note requests, as (key, highest cost, identity), before they stand in a batch file."""
        with self._open() as connection, connection:
            connection.executemany(
                "INSERT OR REPLACE INTO batched (file, key, cost_bound_usd, request) "
                "VALUES (?, ?, ?, ?)",
                ((file, *request) for request in requests),
            )

    def take_in(self, replies: Iterable[tuple[str, Reply | None]]) -> None:
        """Keep what came back for requests that were out, all or nothing; None is a failure."""
        with self._open() as connection, connection:
            for key, reply in replies:
                if reply is not None:
                    connection.execute(_PUT_BATCHED, (*_values(reply), key))
                connection.execute("DELETE FROM batched WHERE key = ?", (key,))

    def _get(self, connection: sqlite3.Connection, key: str) -> Reply | None:
        row = connection.execute(
            f"SELECT {', '.join(_FIELDS)} FROM replies WHERE key = ?", (key,)
        ).fetchone()
        if row is None:
            return None
        if any(isinstance(value, bytes) for value in row):
            raise DataError(f"{self.path}: reply {key} is damaged; move the file away")
        values = {**dict(zip(_FIELDS, row, strict=True)), "cached": True}
        return parse(values, Reply, f"{self.path}: reply {key}")

    @contextmanager
    def _open(self, mode: str = "rw") -> Iterator[sqlite3.Connection]:
        # a folder that can't be written is opened for reading by SQLite itself
        address = f"{self.path.absolute().as_uri()}?mode={mode}"
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=60)) as connection:
                yield connection
        except (
            sqlite3.Error,
            UnicodeDecodeError,
        ) as error:  # damage may lie in names of columns too
            raise DataError(
                f"{self.path}: this cache of replies can't be read or written: {error}. "
                "If it is damaged, move it away: what it held is asked, and paid for, again"
            ) from error


def _values(reply: Reply) -> tuple[object, ...]:
    return tuple(getattr(reply, name) for name in _FIELDS)
