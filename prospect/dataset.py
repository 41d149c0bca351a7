"""What a data folder holds, written down and checked before anything long runs on it.

In: a data folder. Out: its ``manifest.json``: counts, licences of the sources, who wrote the
dialogues, and size and hash of every file that training or streaming reads; and `preflight`, which
names all that is missing or changed at once.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import track

from prospect.annotations import SOURCES
from prospect.errors import DataError, MissingError
from prospect.files import MANIFEST, file_hash, parse, read_json, read_records, write_json
from prospect.types import Clip, Dialogue

if TYPE_CHECKING:
    from prospect.samples.vision import Vision

ANNOTATIONS, DIALOGUES, STATES, CLIPS = (
    f"{name}.jsonl" for name in ("annotations", "dialogues", "states", "clips")
)
FEATURES = "features"
SCHEMA = "dataset/1"
OWN_LICENCE = {"toy": "Apache-2.0"}
_THREADS = 4
_QUIET_BYTES = 1 << 30  # about a second of hashing


@dataclass(frozen=True, slots=True)
class Recorded:
    """Size and hash of a file."""

    bytes: int
    sha256: str


Files = dict[str, Recorded]
"""Path relative to a folder -> what the file was like."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a data folder held when it was finished.

    Attributes:
        schema: `SCHEMA`.
        prospect: Version of the package that made it.
        counts: Records of each JSONL file, videos and feature files.
        licences: dataset -> licence of its annotations; None for one that has no adapter here.
        writers: Who wrote the dialogues: ``human``, ``scripted``, or model and prompt version.
        encoders: Keys of the encoders whose features are there.
        files: The JSONL files and the features of every clip's video, relative to the folder.
        videos: Videos and stores below the folder. Their hash is `video_hash`, that of size and
            ends alone, since all of a dataset's videos take hours to read.
        stores: The same of those below the frames root.
    """

    schema: str
    prospect: str
    counts: dict[str, int]
    licences: dict[str, str | None]
    writers: tuple[str, ...]
    encoders: tuple[str, ...]
    files: Files
    videos: Files
    stores: Files


def write_dataset_manifest(
    data: Path, frames_root: Path | None = None, encoder_name: str = ""
) -> Manifest:
    """Write ``manifest.json`` of a data folder; the same files give the same bytes.

    What a clip needs and is not there is not recorded; `preflight` names it.

    Args:
        data: The data folder; it has clips.
        frames_root: Folder of ProAssist's stores, if the frames are there.
        encoder_name: Whose vectors to look for below the frames root.

    Raises:
        MissingError: no clips.
        DataError: clips or dialogues that can't be read.
    """
    clips = read_records(data / CLIPS, Clip)
    lines = [data / name for name in (ANNOTATIONS, DIALOGUES, STATES, CLIPS)]
    lines = [path for path in lines if path.is_file()]
    features = _feature_files(data, clips)
    below, outside = _sources(clips, data, frames_root, encoder_name)
    written = read_records(data / DIALOGUES, Dialogue) if (data / DIALOGUES).is_file() else []
    counts = {path.stem: _line_count(path) for path in lines}
    manifest = Manifest(
        schema=SCHEMA,
        prospect=version("prospect-assistant"),
        counts=counts | {"videos": len(below) + len(outside), FEATURES: len(features)},
        licences={name: _licence(name) for name in sorted({clip.dataset for clip in clips})},
        writers=tuple(sorted({dialogue.writer for dialogue in written})),
        encoders=tuple(sorted({path.parent.name for path in features})),
        files=_recorded([*lines, *features], data, file_hash),
        videos=_recorded(below, data, _ends_hash),
        stores=_recorded(outside, frames_root, _ends_hash) if frames_root else {},
    )
    write_json(data / MANIFEST, asdict(manifest))
    return manifest


def read_dataset_manifest(data: Path) -> Manifest:
    """The manifest of a data folder.

    Raises:
        MissingError: it has none.
        DataError: not a manifest of a data folder; names the field.
    """
    path = data / MANIFEST
    if not path.is_file():
        raise MissingError(f"{path} is missing; `prospect clips` and `prospect features` write it")
    return parse(read_json(path), Manifest, str(path))


def preflight(data: Sequence[Path], vision: "Vision") -> None:
    """Make sure that every file a run will read is there, and as it was when it was made.

    Args:
        data: Data folders, or JSONL files of clips. A file of clips that is not a folder's own has
            no manifest; then only what its clips need is looked for.
        vision: Says where the frames' vectors come from. Features of other encoders may be gone.

    Raises:
        DataError: names every file that is missing or changed, of all folders.
    """
    problems: dict[Path, str] = {}
    for folder in data:
        problems |= _problems(folder, vision)
    if problems:
        count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
        listed = "\n".join(f"  {path} {what}" for path, what in problems.items())
        raise DataError(
            f"{count} with the data:\n{listed}\nput the files back, or run `prospect clips` and "
            "`prospect features` on the folder again"
        )


def _problems(data: Path, vision: "Vision") -> dict[Path, str]:
    """file -> what is wrong with it, of one folder."""
    folder = data.parent if data.suffix == ".jsonl" else data
    clips = data if data.suffix == ".jsonl" else data / CLIPS
    if clips != folder / CLIPS:
        if not clips.is_file():
            return {clips: "is missing"}
        return _clip_problems(read_records(clips, Clip), folder, None, vision)
    if not (folder / MANIFEST).is_file():
        return {folder / MANIFEST: "is missing: the data is not finished"}
    manifest = read_dataset_manifest(folder)
    found = _differing(manifest, folder, vision)
    if clips in found:
        return found  # what other clips would need says nothing
    needed = _clip_problems(read_records(clips, Clip), folder, manifest.files, vision)
    return needed | found


def _differing(manifest: Manifest, folder: Path, vision: "Vision") -> dict[Path, str]:
    """Every recorded file that is not as it was."""
    own = f"{FEATURES}/{vision.encoder_key}/"
    files = {
        name: recorded
        for name, recorded in manifest.files.items()
        if not name.startswith(f"{FEATURES}/") or name.startswith(own)
    }
    found = _changed(files, folder, file_hash) | _changed(manifest.videos, folder, _ends_hash)
    if vision.frames_root is not None:
        found |= _changed(manifest.stores, vision.frames_root, _ends_hash)
    return found


def _changed(files: Files, folder: Path, hash_of: Callable[[Path], str]) -> dict[Path, str]:
    """Missing and altered files; only those of the recorded size are hashed."""
    sizes = {folder / name: _size(folder / name) for name in files}
    recorded = {folder / name: one for name, one in files.items()}
    hashes = _hashes([path for path in sizes if sizes[path] == recorded[path].bytes], hash_of)
    return {
        path: "is missing" if sizes[path] is None else "has changed"
        for path, one in recorded.items()
        if hashes.get(path) != one.sha256
    }


def _clip_problems(
    clips: Iterable[Clip], folder: Path, known: Files | None, vision: "Vision"
) -> dict[Path, str]:
    """What is wrong with the vectors of each video; ``known`` are the recorded files."""
    from prospect.frames.features import feature_path
    from prospect.samples.vision import find_source

    last: dict[tuple[str, str | None], Clip] = {}
    for clip in clips:
        key = clip.video_id, clip.store_id
        if key not in last or clip.stop_frame > last[key].stop_frame:
            last[key] = clip
    found: dict[Path, str] = {}
    for clip in last.values():
        shard = feature_path(folder / FEATURES, vision.encoder_key, clip.video_id)
        if shard.is_file():
            unrecorded = known is not None and str(shard.relative_to(folder)) not in known
            why = f"is newer than {MANIFEST}" if unrecorded else _unfit(shard, clip)
            if why is not None:
                found[shard] = why
            continue
        try:
            source = find_source(clip, folder, vision.frames_root, vision.encoder_name)
            if not source.is_features and vision.encoder is None:
                found[shard] = "is missing"
        except MissingError as error:
            found[shard] = f"is missing, and so are the frames: {error}"
        except DataError as error:
            found[shard] = f"is missing, and its store can't be read: {error}"
    return found


def _unfit(shard: Path, clip: Clip) -> str | None:
    """Why a video's features can't serve the clip that ends last; None if they can."""
    from prospect.frames.features import feature_info

    try:
        info = feature_info(shard)
    except DataError as error:
        return f"can't be read: {error}"
    if info.fps != clip.fps:
        return f"has {info.fps:g} frames/s, but {clip.clip_id} has {clip.fps:g}"
    if info.frames < clip.stop_frame:
        return f"has {info.frames} frames, but {clip.clip_id} ends at frame {clip.stop_frame}"
    return None


def _feature_files(data: Path, clips: Iterable[Clip]) -> list[Path]:
    """The features of the clips' videos, of every encoder."""
    from prospect.frames.features import feature_path

    root = data / FEATURES
    keys = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    videos = sorted({clip.video_id for clip in clips})
    paths = (feature_path(root, key, video_id) for key in keys for video_id in videos)
    return [path for path in paths if path.is_file()]


def _sources(
    clips: Iterable[Clip], data: Path, frames_root: Path | None, encoder_name: str
) -> tuple[list[Path], list[Path]]:
    """The files with the clips' frames that there are, below the data folder and outside of it."""
    from prospect.samples.vision import find_source

    found: set[Path] = set()
    for clip in clips:
        try:
            found.add(find_source(clip, data, frames_root, encoder_name).path)
        except MissingError:
            continue  # not recorded, as said above
    below = {path for path in found if path.is_relative_to(data)}
    return sorted(below), sorted(found - below)


def _recorded(paths: Sequence[Path], root: Path, hash_of: Callable[[Path], str]) -> Files:
    hashes = _hashes(paths, hash_of)
    return {
        str(path.relative_to(root)): Recorded(path.stat().st_size, hashes[path]) for path in paths
    }


def _hashes(paths: Sequence[Path], hash_of: Callable[[Path], str]) -> dict[Path, str]:
    """The hashes of files, several at a time (hashing lets other threads run)."""
    total = sum(path.stat().st_size for path in paths)
    with ThreadPoolExecutor(_THREADS) as pool:
        answers = track(
            pool.map(hash_of, paths),
            "check files",
            total=len(paths),
            transient=True,
            disable=total < _QUIET_BYTES,
        )
        return dict(zip(paths, answers, strict=True))


def _ends_hash(path: Path) -> str:
    from prospect.frames.features import video_hash

    return video_hash(path)


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _line_count(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for line in file if line.strip())


def _licence(dataset: str) -> str | None:
    if dataset in OWN_LICENCE:
        return OWN_LICENCE[dataset]
    return SOURCES[dataset].licence if dataset in SOURCES else None
