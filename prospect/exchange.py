"""Clips from and to other projects' files, counted, and as the model sees them.

In: PROSPECT's training JSON (a folder or a file), ProAssist's prepared JSONL, or captions. Out: a
data folder with ``clips.jsonl`` and an account of every drop, deviation and moved label; and back
again.
"""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from prospect.dataset import write_dataset_manifest
from prospect.errors import ConfigError
from prospect.files import Account, read_records, write_account, write_json, write_records
from prospect.model.config import ModelConfig
from prospect.stages import CLIPS, load_renderer, say
from prospect.types import Clip, Split

if TYPE_CHECKING:
    from prospect.samples.legacy.checks import Import, Limits

IMPORTS = ("prospect-json", "proassist-jsonl", "captions")
EXPORTS = ("prospect-json", "proassist-jsonl")


def import_clips(
    kind: str,
    path: Path,
    data: Path,
    model: ModelConfig,
    frames_root: Path | None,
    drop_invalid: bool,
    split: Split,
    fps: float = 2.0,
) -> "Import | None":
    """Read existing files into a data folder.

    Args:
        kind: One of `IMPORTS`.
        path: Folder or file.
        data: The data folder that gets ``clips.jsonl``.
        model: Counts tokens; a clip longer than its context is dropped and counted.
        frames_root: Folder of the frame stores; None skips the comparison with stored frames.
        drop_invalid: Drop and count what can't be right instead of stopping.
        split: Of files that are not named after theirs.
        fps: Of captioned frames; other files say theirs.

    Returns:
        What was read, with all its findings; None for captions, which have none.

    Raises:
        ConfigError: an unknown kind.
        DataError: a sample that can't be right; names file, sample, turn and field.
    """
    from prospect.samples.legacy.proassist_jsonl import read_proassist_jsonl
    from prospect.samples.legacy.prospect_json import read_prospect_json

    if kind == "captions":
        _import_captions(path, data, model, split, fps)
        return None
    readers = {"prospect-json": read_prospect_json, "proassist-jsonl": read_proassist_jsonl}
    if kind not in readers:
        raise ConfigError(f"can't import {kind!r}; there are {', '.join(IMPORTS)}")
    imported = readers[kind](path, _limits(model, data, frames_root), drop_invalid, split)
    write_records(data / CLIPS, imported.clips)
    write_dataset_manifest(data, frames_root, model.encoder)
    write_json(
        data / f"{CLIPS}.account.json",
        {
            "kept": imported.account.kept,
            "dropped": dict(imported.account.dropped),
            "listed": imported.dropped,
            "unknown_keys": dict(imported.unknown_keys),
            "deviating_fields": imported.deviating_fields(),
            "deviations": [asdict(item) for item in imported.deviations],
            "moved": [asdict(item) for item in imported.moved],
        },
    )
    say(f"{data / CLIPS}: {imported.account}")
    fields = ", ".join(f"{name} {count}" for name, count in imported.deviating_fields().items())
    say(f"{len(imported.moved)} labels moved; stored values that deviate: {fields or 'none'}")
    return imported


def _import_captions(path: Path, data: Path, model: ModelConfig, split: Split, fps: float) -> None:
    """Pack captions into clips of a dataset named after the file."""
    from prospect.samples.captions import pack, read_captions

    found = read_captions(path)
    clips, account = pack(found, path.stem, split, fps, load_renderer(model), model.context_len)
    write_records(data / CLIPS, clips)
    write_dataset_manifest(data)
    write_account(data / CLIPS, account)
    say(f"{data / CLIPS}: {len(clips)} clips; captions: {account}")


def export_clips(
    kind: str, out: Path, imported: "Import | None", data: Path, model: ModelConfig
) -> None:
    """Write clips in PROSPECT's training JSON or ProAssist's prepared JSONL.

    Args:
        kind: One of `EXPORTS`.
        out: The folder.
        imported: Files of this kind that were just read are repaired and written back.
        data: Without them, the data folder whose clips are written.
        model: Counts tokens.

    Raises:
        ConfigError: an unknown kind.
    """
    from prospect.frames.encoders import num_vectors
    from prospect.samples.legacy import export, proassist_export

    if kind not in EXPORTS:
        raise ConfigError(f"can't export {kind!r}; there are {', '.join(EXPORTS)}")
    limits = _limits(model, data, None)
    proassist = kind == "proassist-jsonl"
    if imported is not None:
        repair = proassist_export.write_proassist_back if proassist else export.write_prospect_json
        paths = repair(imported, out, limits)
    else:
        holds = proassist_export.holds if proassist else export.holds
        write = proassist_export.write_proassist_clips if proassist else export.write_clips
        clips = read_records(data / CLIPS, Clip)
        held = [clip for clip in clips if holds(clip)]
        vectors = num_vectors(model.encoder, model.vectors_per_frame)
        paths = write(held, out, limits, vectors)
        say(str(Account(len(held), {f"clips that {kind} can't hold": len(clips) - len(held)})))
    say(f"wrote {', '.join(str(path) for path in paths) or 'no file'}")


def inspect(
    data: Path,
    clip: str | None = None,
    model: ModelConfig = ModelConfig(),  # noqa: B008  frozen
    html: Path | None = None,
) -> None:
    """Count clips, check them, and print one as the model sees it.

    Args:
        data: The data folder, or a JSONL file of clips.
        clip: Id of the clip to draw; None takes the first.
        model: Whose renderer counts the tokens.
        html: A page that gets the same.

    Raises:
        ConfigError: no such clip.
    """
    from prospect.report.inspect import as_text, write_page
    from prospect.samples.statistics import count

    path = data if data.suffix == ".jsonl" else data / CLIPS
    clips = read_records(path, Clip)
    drawn = next((one for one in clips if clip in (None, one.clip_id)), None)
    if drawn is None:
        raise ConfigError(f"{path} has no clip {clip!r}")
    renderer = load_renderer(model)
    statistics = count(clips, renderer)
    for line in as_text(statistics, drawn, renderer):
        print(line)
    if html is not None:
        write_page(html, path.name, statistics, drawn, renderer)
        say(f"wrote {html}")


def _limits(model: ModelConfig, data: Path, frames_root: Path | None) -> "Limits":
    from prospect.samples.legacy.checks import Limits
    from prospect.samples.vision import stored_frames

    stored: Callable[[Clip], range | None] = lambda clip: None  # noqa: E731
    if frames_root is not None:
        stored = partial(
            stored_frames, data=data, frames_root=frames_root, encoder_name=model.encoder
        )
    return Limits(load_renderer(model).clip_len, model.context_len, stored)
