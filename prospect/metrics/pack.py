"""All that a score rests on in one zip, so that anybody gets the same numbers, bit for bit.

In: a run folder. Out: a zip with its configuration, predictions (references inside), manifests of
its data, the sentence vectors that the matching used, the scores, and the scorer's version.

    prospect score pack.zip --out again.json

The vectors are there because a sentence model's last bits differ between machines; with them, the
pack needs no model either.
"""

import io
import json
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from prospect.embeddings import DEFAULT_MODEL, Embed, Vectors, embedder
from prospect.errors import DataError, MissingError
from prospect.files import MANIFEST, atomic_path, parse, read_records, read_text, text_hash
from prospect.metrics.match import Mode
from prospect.metrics.score import score, spoken_texts
from prospect.types import Prediction

SCHEMA = "pack/1"
CONFIG, INFO, SCORES = "config.yaml", "pack.json", "scores.json"
TEXTS, VECTORS = "texts.json", "vectors.npy"
_PREDICTIONS, _MANIFESTS = "predictions/", "manifests/"
_DATE = (1980, 1, 1, 0, 0, 0)  # the same files make the same zip


@dataclass(frozen=True, slots=True)
class Info:
    """What the pack was scored with.

    Attributes:
        scorer: `scorer_version` of the code.
        predictions: Names of the prediction files, in the order in which they were scored.
    """

    schema: str
    prospect: str
    scorer: str
    mode: Mode
    similarity_model: str
    predictions: tuple[str, ...]


@cache
def scorer_version() -> str:
    """Hash of the code that turns predictions into scores."""
    root = Path(__file__).parent
    sources = [*sorted(root.glob("*.py")), *sorted((root.parent / "states").glob("*.py"))]
    return text_hash("\n".join(f"{path.name}\n{read_text(path)}" for path in sources))


def pack(
    run: Path,
    out: Path,
    mode: Mode = "strict",
    model: str = DEFAULT_MODEL,
    embed: Embed | None = None,
) -> None:
    """Score a run's predictions and put all of it into a zip.

    Args:
        run: Folder of `prospect run`: ``config.yaml``, ``predictions/*.jsonl``,
            ``scores.baselines.jsonl`` if there, ``data/*/manifest.json``.
        out: The zip.
        mode: See `prospect.metrics.match.match`.
        model: Name of the similarity model.
        embed: Texts -> unit vectors; default: `embedder` of ``model``.

    Raises:
        MissingError: the run has no configuration or no predictions.
        DataError: as `score`.
    """
    files = [*sorted((run / "predictions").glob("*.jsonl")), *sorted(run.glob("*.baselines.jsonl"))]
    if not files:
        raise MissingError(f"{run / 'predictions'} holds no .jsonl; run `prospect predict` first")
    records = [record for file in files for record in read_records(file, Prediction)]
    texts = {_PREDICTIONS + file.name: read_text(file) for file in files}
    spoken = spoken_texts(records)
    vectors = (embed or embedder(model))(spoken)
    found = score(records, mode, _lookup(spoken, vectors), model)
    info = Info(SCHEMA, version("prospect-assistant"), scorer_version(), mode, model, tuple(texts))
    manifests = sorted((run / "data").glob(f"*/{MANIFEST}"))
    stream = io.BytesIO()
    np.save(stream, vectors)
    members = {
        INFO: _json({name: getattr(info, name) for name in Info.__slots__}),
        CONFIG: read_text(run / CONFIG).encode(),
        **{name: text.encode() for name, text in texts.items()},
        **{f"{_MANIFESTS}{path.parent.name}.json": path.read_bytes() for path in manifests},
        TEXTS: _json(spoken),
        VECTORS: stream.getvalue(),
        SCORES: _json(found),
    }
    with atomic_path(out) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, content in members.items():
            member = zipfile.ZipInfo(name, _DATE)
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, content)


def score_pack(path: Path) -> dict[str, Any]:
    """Score a pack's predictions again and make sure that the numbers are those in it.

    Raises:
        MissingError: no such file.
        DataError: no pack, or one whose parts are missing or altered; one that another version of
            the scorer made; or numbers that differ.
    """
    members = _members(path)
    info = parse(_value(path, members, INFO), Info, f"{path}: {INFO}")
    if info.scorer != scorer_version():
        raise DataError(
            f"{path} was scored by scorer {info.scorer} of prospect {info.prospect}, this is "
            f"{scorer_version()} of {version('prospect-assistant')}: install that version, or "
            "unzip the predictions and score them as new"
        )
    records = _records({name: _member(path, members, name) for name in info.predictions})
    spoken = parse(_value(path, members, TEXTS), list[str], f"{path}: {TEXTS}")
    vectors = np.load(io.BytesIO(_member(path, members, VECTORS)), allow_pickle=False)
    if len(vectors) != len(spoken):
        raise DataError(f"{path}: {len(vectors)} vectors for {len(spoken)} texts")
    if unknown := set(spoken_texts(records)) - set(spoken):
        raise DataError(f"{path}: no vector for {min(unknown)!r}; the predictions were altered")
    found = score(records, info.mode, _lookup(spoken, vectors), info.similarity_model)
    stored = _value(path, members, SCORES)
    if differing := _difference(json.loads(_json(found)), stored, ""):
        raise DataError(f"{path}: {differing}; the pack was altered, or numpy computes otherwise")
    return found


def _records(files: Mapping[str, bytes]) -> list[Prediction]:
    """Unpacked under their own names, so that errors tell file and line."""
    found: list[Prediction] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            file = Path(folder) / Path(name).name
            file.write_bytes(content)
            found += read_records(file, Prediction)
    return found


def _lookup(texts: Sequence[str], vectors: Vectors) -> Embed:
    place = {text: index for index, text in enumerate(texts)}
    return lambda wanted: vectors[[place[text] for text in wanted]]


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False).encode()


def _members(path: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    except FileNotFoundError as error:
        raise MissingError(f"no file {path}; check the path") from error
    except zipfile.BadZipFile as error:
        raise DataError(f"{path} is no whole zip ({error}); copy it again") from error


def _member(path: Path, members: Mapping[str, bytes], name: str) -> bytes:
    if name not in members:
        raise DataError(f"{path} has no {name}; it is no pack of `prospect`, or was altered")
    return members[name]


def _value(path: Path, members: Mapping[str, bytes], name: str) -> Any:
    try:
        return json.loads(_member(path, members, name))
    except ValueError as error:
        raise DataError(f"{path}: {name} is not JSON: {error}") from error


def _difference(ours: Any, stored: Any, where: str) -> str:
    """The first place where two JSON values differ, versions left out; empty if none."""
    if isinstance(ours, dict) and isinstance(stored, dict):
        for key in sorted({*ours, *stored} - {"versions"}):
            if found := _difference(ours.get(key), stored.get(key), f"{where}.{key}"):
                return found
        return ""
    return "" if ours == stored else f"{where[1:]} is {ours}, the pack says {stored}"
