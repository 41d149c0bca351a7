"""Reading and writing the pipeline's files, whole or not at all.

JSONL: one record of `prospect.types` a line, with a ``schema`` key naming record and version.
Writes go to a temporary file in the same folder and are renamed when complete, so that a reader
never sees half a file. `stamp` and `is_fresh` tell whether a stage must run again.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from prospect.errors import DataError, MissingError
from prospect.types import Annotation, Clip, Dialogue, Edit, Prediction, StateTrack

T = TypeVar("T")

SCHEMAS: dict[type, str] = {
    Annotation: "annotation/1",
    Dialogue: "dialogue/1",
    StateTrack: "states/1",
    Edit: "edit/1",
    Clip: "clip/1",
    Prediction: "prediction/1",
}
"""record -> schema name and version; a version rises when old files can't be read any more."""

_ADAPTERS: dict[type, TypeAdapter[Any]] = {}


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that replaces it on success and vanishes on failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files private; a finished one gets the permissions any other file would
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write any JSON value, indented, atomically; NaN is refused, since JSON has none."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def as_yaml(value: Any) -> str:
    """Settings (records, paths, tuples) as YAML that ``--config`` takes again."""
    return yaml.safe_dump(json.loads(json.dumps(value, default=_plain)), sort_keys=False)


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        MissingError: no such file.
        DataError: not JSON; names file, line and column.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not JSON: {error.msg}") from error


def read_text(path: Path) -> str:
    """Read a UTF-8 file; `MissingError` if there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise MissingError(f"no file {path}; check the path, or run the stage before") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text at byte {error.start}") from error


def read_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """(line number from 1, JSON value) of every non-blank line; errors name file and line."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(f"{path}:{number}: not JSON: {error.msg}") from error


def write_records(path: Path, records: Iterable[Any]) -> int:
    """Write records of one type of `SCHEMAS` as JSONL, atomically; returns how many."""
    count = 0
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(record_to_json(record) + "\n")
            count += 1
    return count


def record_to_json(record: Any) -> str:
    """One record as a line of JSON with its schema."""
    cls = type(record)
    values = _adapter(cls).dump_python(record, mode="json")
    return json.dumps({"schema": SCHEMAS[cls], **values}, ensure_ascii=False, allow_nan=False)


def read_records(path: Path, cls: type[T]) -> list[T]:
    """Read JSONL written by `write_records`.

    Raises:
        MissingError: no such file.
        DataError: wrong schema, unknown, missing or mistyped field; names file, line and field.
    """
    return [_record(value, cls, f"{path}:{number}") for number, value in read_lines(path)]


def _record(value: Any, cls: type[T], where: str) -> T:
    expected = SCHEMAS[cls]
    found = value.pop("schema", None) if isinstance(value, dict) else None
    if found != expected:
        raise DataError(f"{where}: schema is {found!r}, expected {expected!r}")
    return parse(value, cls, where)


def parse(value: Any, cls: type[T], where: str) -> T:
    """Check plain JSON data against a record's types; `DataError` names ``where`` and the field."""
    try:
        text = json.dumps(value, allow_nan=False)
    except ValueError as error:
        raise DataError(
            f"{where}: holds NaN or an infinite number; every number is finite"
        ) from error
    try:
        return _adapter(cls).validate_json(text, strict=True, extra="forbid")
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        shown = repr(first["input"])[:80]
        raise DataError(f"{where}: field {field!r}: {first['msg']}, got {shown}") from error


def _adapter(cls: type[T]) -> TypeAdapter[T]:
    if cls not in _ADAPTERS:
        _ADAPTERS[cls] = TypeAdapter(cls)
    return _ADAPTERS[cls]


def text_hash(text: str) -> str:
    """First 16 hex digits of the SHA-256 of ``text``: a key for caches and seeds."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class Account:
    """What a stage kept and dropped: the line it ends with, and the file beside its output."""

    kept: int
    dropped: Mapping[str, int]

    def __str__(self) -> str:
        total = sum(self.dropped.values())
        line = f"kept {self.kept} of {self.kept + total}; dropped {total}"
        reasons = ", ".join(f"{n} {why}" for why, n in sorted(self.dropped.items()) if n)
        return f"{line} ({reasons})" if reasons else line


def write_account(output: Path, account: Account, listed: Iterable[str] = ()) -> None:
    """Write ``<output>.account.json``: the counts and one line for every listed item."""
    write_json(
        output.with_name(output.name + ".account.json"),
        {"kept": account.kept, "dropped": dict(account.dropped), "listed": list(listed)},
    )


def stamp(path: Path, inputs: Mapping[str, str]) -> None:
    """Record beside a stage's output what it was made from and what it holds."""
    write_json(_stamp_path(path), {"inputs": dict(inputs), "sha256": tree_hash(path)})


def is_fresh(path: Path, inputs: Mapping[str, str]) -> bool:
    """Whether ``path`` exists complete, unaltered, and made from just these inputs."""
    if not path.exists() or not _stamp_path(path).exists():
        return False
    recorded: dict[str, Any] = read_json(_stamp_path(path))
    return recorded == {"inputs": dict(inputs), "sha256": tree_hash(path)}


def restamp(path: Path) -> None:
    """Record that a finished output was altered on purpose: it counts as made from the same."""
    if _stamp_path(path).exists():
        stamp(path, read_json(_stamp_path(path))["inputs"])


def tree_hash(path: Path) -> str:
    """Hash of a file, or of the names and hashes of all files under a folder."""
    if path.is_file():
        return file_hash(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return text_hash("\n".join(f"{file.relative_to(path)} {file_hash(file)}" for file in files))


def _stamp_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.stamp.json")


MANIFEST = "manifest.json"


def write_manifest(folder: Path) -> None:
    """Record the hash of every file in ``folder``; a folder without it is not complete."""
    hashes = {
        str(file.relative_to(folder)): file_hash(file)
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != MANIFEST
    }
    write_json(folder / MANIFEST, hashes)


def check_manifest(folder: Path) -> None:
    """Make sure that a folder is complete and unaltered.

    Raises:
        MissingError: no such folder, or no manifest in it: its writing was interrupted.
        DataError: files are missing or altered; names them all.
    """
    if not (folder / MANIFEST).exists():
        raise MissingError(f"{folder} has no {MANIFEST}: not there, or its writing was interrupted")
    faulty = [
        f"{folder / name} is missing or altered"
        for name, recorded in read_json(folder / MANIFEST).items()
        if not (folder / name).is_file() or file_hash(folder / name) != recorded
    ]
    if faulty:
        raise DataError(f"{', '.join(faulty)} since {folder / MANIFEST} was written")
