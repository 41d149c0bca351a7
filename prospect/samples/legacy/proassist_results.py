"""ProAssist's result files <-> predictions, so that either scorer can score either system's runs.

In: its ``results/<sample>.json``, one video each (arXiv 2506.05904, ``stream_inference.py``), or
the same made from its log, which leaves silent frames out. Out: `Prediction` records with the
references in them; and back again.

    prospect score --from proassist-json RESULTS --out scores.json

Row i is frame i of the stream and ends at ``(i + 1) / fps``. Its ``text_inputs`` were said after
the frame before it; empty texts are silence. Such files know no states, no probabilities and no
user types; ours carry what they can of that in ``metadata``, which ProAssist doesn't read.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, cast, get_args

from prospect.clock import event_time_s
from prospect.errors import DataError, MissingError
from prospect.files import parse, read_json, write_json
from prospect.samples.legacy.records import FrameIndex, Name, Rate, Seconds
from prospect.types import Event, Prediction, Split, Task, UserType

Fed = Literal["self", "reference_dialogue", "reference_state", "oracle"]
_SPLIT = re.compile(rf"_({'|'.join(get_args(Split))})_")
_KNOWLEDGE = "Task knowledge: "
_THRESHOLDS = (
    "no_talk_threshold",
    "not_talk_threshold",
)  # its code says the one, its log the other


@dataclass(frozen=True, slots=True)
class RawRow:
    """One frame: what was said, should have been said, and was heard since the frame before."""

    gen: str
    timestamp_in_stream: Seconds
    ref: str | None = None
    text_inputs: list[tuple[str, str]] | None = None
    frame_idx_in_stream: FrameIndex | None = None
    frame_idx_in_original_video: FrameIndex | None = None
    context_length: int | None = None
    ips_summary: str | None = None


@dataclass(frozen=True, slots=True)
class RawAbout:
    """What a file says of its run, as far as we read it; the rest goes to ``details``.

    Only files that we wrote have the optional ones.
    """

    dataset: Name
    sample_idx: FrameIndex
    video_uid: Name
    fps: Rate
    system: Name | None = None
    dialogue_id: Name | None = None
    user_type: UserType | None = None
    split: Split | None = None
    fed: Fed | None = None


@dataclass(frozen=True, slots=True)
class Results:
    """What was read.

    Attributes:
        predictions: One a file.
        num_beyond: Rows left out since they lie beyond the last frame, by file.
    """

    predictions: tuple[Prediction, ...]
    num_beyond: Mapping[str, int]


def read_proassist_results(
    path: Path,
    num_frames: int | None = None,
    system: str = "proassist",
    user_type: UserType = "human",
    split: Split = "test",
) -> Results:
    """Read one result file, or all of a folder.

    Args:
        path: A JSON file, or a folder of them.
        num_frames: Length of the video where a file leaves silent frames out; None ends it with
            the last row.
        system: Name of the run where the files give no ``model``.
        user_type: Of dialogues whose files don't say; ProAssist's never do.
        split: Where the name of the dataset doesn't give it.

    Returns:
        Predictions in the order of the samples. References that stand beyond ``num_frames`` are
        left out and counted, since ProAssist's matcher has no column for them.

    Raises:
        MissingError: no such file, or none in the folder.
        DataError: what can't be right; names file, row and field.
    """
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise MissingError(f"{path} holds no .json; give ProAssist's folder `results`")
    read = [(file, *_read(file, num_frames, system, user_type, split)) for file in files]
    read.sort(key=lambda item: (item[1].dataset, item[1].details["sample_idx"], item[1].system))
    return Results(
        tuple(prediction for _, prediction, _ in read),
        {file.name: beyond for file, _, beyond in read if beyond},
    )


def _read(
    file: Path, num_frames: int | None, system: str, user_type: UserType, split: Split
) -> tuple[Prediction, int]:
    value = read_json(file)
    if not isinstance(value, dict) or not isinstance(value.get("predictions"), list):
        raise DataError(f"{file}: no list `predictions`; give a result file of ProAssist's stream")
    told: dict[str, Any] = value.get("metadata", value)
    wanted = {field.name for field in fields(RawAbout)}
    about = parse({key: told[key] for key in told if key in wanted}, RawAbout, str(file))
    rows = _rows(file, value["predictions"], about.fps)
    length = _length(file, rows, num_frames)
    inside = {frame: row for frame, row in rows.items() if frame < length}
    origin = _origin(file, rows)
    named = _SPLIT.search(about.dataset)
    silent = next((told[key] for key in _THRESHOLDS if key in told), None)
    known = {*wanted, *_THRESHOLDS, "use_gt_context"}
    kept = {key: value for key, value in told.items() if key not in known}
    user_type = about.user_type or user_type
    prediction = Prediction(
        dialogue_id=about.dialogue_id or f"{about.video_uid}/{user_type}-{about.sample_idx}",
        video_id=about.video_uid,
        # ProAssist looks for the word anywhere in the name
        dataset="narration" if "narration" in about.dataset else about.dataset.split("/")[0],
        split=about.split or (cast("Split", named.group(1)) if named else split),
        user_type=user_type,
        task=Task(_goal(rows), ()),
        fps=about.fps,
        start_frame=origin,
        stop_frame=origin + length,
        state={},
        references=_references(file, inside, origin, length),
        system=about.system or told.get("model", system),
        events=tuple(
            Event(origin + frame, speech=row.gen) for frame, row in inside.items() if row.gen
        ),
        fed=about.fed or ("reference_dialogue" if told.get("use_gt_context") else "self"),
        # it is silent where the probability of silence exceeds its threshold
        speak_threshold=0.5 if silent is None else round(1 - silent, 6),
        refreshes=tuple(
            origin + frame + 1
            for frame, row in inside.items()
            if row.ips_summary and frame + 1 < length
        ),
        details={
            "sample_idx": about.sample_idx,
            **{k: v for k, v in kept.items() if isinstance(v, (str, int, float, bool))},
        },
    )
    return prediction, len(rows) - len(inside)


def _rows(file: Path, values: Sequence[Any], fps: float) -> dict[int, RawRow]:
    """Frame in the stream -> row, by frame."""
    found: dict[int, RawRow] = {}
    for number, value in enumerate(values):
        where = f"{file}, row {number}"
        row = parse(value, RawRow, where)
        frame = round(row.timestamp_in_stream * fps) - 1
        if row.frame_idx_in_stream not in (None, frame):
            raise DataError(
                f"{where}: frame_idx_in_stream is {row.frame_idx_in_stream}, but at {fps:g} "
                f"frames/s {row.timestamp_in_stream} s is the end of frame {frame}"
            )
        if frame < 0:
            raise DataError(f"{where}: {row.timestamp_in_stream} s is before the first frame ends")
        if frame in found:
            raise DataError(f"{where}: frame {frame} stands in the file twice")
        found[frame] = row
    return dict(sorted(found.items()))


def _length(file: Path, rows: Mapping[int, RawRow], num_frames: int | None) -> int:
    """Frames of the stream; a file that numbers its frames must have them all."""
    if not rows:
        raise DataError(f"{file}: no rows; its run was stopped before the first frame")
    last = max(rows) + 1
    if any(row.frame_idx_in_stream is not None for row in rows.values()):
        wanted = last if num_frames is None else num_frames
        if lacking := [frame for frame in range(wanted) if frame not in rows]:
            raise DataError(
                f"{file}: {len(lacking)} of {wanted} frames are missing, first {lacking[0]}; "
                "the file is partial, run that video again"
            )
    return last if num_frames is None else num_frames


def _origin(file: Path, rows: Mapping[int, RawRow]) -> int:
    """Frame of the video that the stream starts with."""
    origins = {
        row.frame_idx_in_original_video - frame
        for frame, row in rows.items()
        if row.frame_idx_in_original_video is not None
    }
    if len(origins) > 1:
        raise DataError(f"{file}: frame_idx_in_original_video and timestamps drift apart")
    return origins.pop() if origins else 0


def _goal(rows: Mapping[int, RawRow]) -> str:
    """Title of the task's knowledge, empty if it was not told."""
    texts = (text for row in rows.values() for _, text in row.text_inputs or ())
    return next(
        (t.removeprefix(_KNOWLEDGE).splitlines()[0] for t in texts if t.startswith(_KNOWLEDGE)), ""
    )


def _references(
    file: Path, rows: Mapping[int, RawRow], origin: int, length: int
) -> tuple[Event, ...]:
    """What was due at each frame, and what the user said after it."""
    heard: dict[int, str] = {}
    for frame, row in rows.items():
        said = [text for role, text in row.text_inputs or () if role == "user"]
        if said and frame == 0:
            raise DataError(f"{file}, row 0: the user speaks before the first frame")
        if said:
            heard[frame - 1] = "\n".join(said)
    due = {frame: row.ref for frame, row in rows.items() if row.ref}
    return tuple(
        Event(origin + frame, speech=due.get(frame), user=heard.get(frame))
        for frame in range(length)
        if frame in due or frame in heard
    )


def write_proassist_results(predictions: Sequence[Prediction], out: Path) -> list[Path]:
    """Write predictions as ``<out>/<dataset>/results/<sample>.json``, one row a frame.

    Put the folder ``results`` where ProAssist's evaluator looks for its own and let it compute the
    metrics. Samples are numbered as they were read, else from 0 in the order of their dialogues.
    An utterance without a word is written as a space, because ProAssist takes "" for silence.

    Args:
        predictions: Of one system.
        out: The folder.

    Returns:
        The paths written.

    Raises:
        DataError: predictions of several systems, or two for one sample.
    """
    names = sorted({item.system for item in predictions})
    if len(names) != 1:
        raise DataError(f"{len(names)} systems ({', '.join(names)}); write each to its own folder")
    ordered = sorted(predictions, key=lambda item: (item.dataset, item.video_id, item.dialogue_id))
    paths: list[Path] = []
    counts: dict[str, int] = {}
    for item in ordered:
        number = counts.get(item.dataset, 0)
        counts[item.dataset] = number + 1
        sample = item.details.get("sample_idx", number)
        path = out / item.dataset / "results" / f"{sample}.json"
        if path in paths:
            raise DataError(f"{item.dialogue_id}: sample {sample} of {item.dataset} is there twice")
        paths.append(path)
        about = {
            **{key: value for key, value in item.details.items() if key != "sample_idx"},
            "dataset": item.dataset,
            "sample_idx": sample,
            "video_uid": item.video_id,
            "fps": int(item.fps) if item.fps.is_integer() else item.fps,
            "use_gt_context": item.fed == "reference_dialogue",
            "no_talk_threshold": round(1 - item.speak_threshold, 6),
            "dialogue_id": item.dialogue_id,
            "user_type": item.user_type,
            "split": item.split,
            "system": item.system,
            "fed": item.fed,
        }
        write_json(path, {"metadata": about, "predictions": _frames(item)})
    return paths


def _frames(prediction: Prediction) -> list[dict[str, Any]]:
    start, fps = prediction.start_frame, prediction.fps
    said = {e.frame: e.speech or " " for e in prediction.events if e.speech is not None}
    due = {e.frame: e.speech or " " for e in prediction.references if e.speech is not None}
    heard = {e.frame + 1: e.user for e in prediction.references if e.user is not None}
    return [
        {
            "gen": said.get(frame, ""),
            "ref": due.get(frame, ""),
            "text_inputs": [["user", heard[frame]]] if frame in heard else [],
            "frame_idx_in_stream": frame - start,
            "frame_idx_in_original_video": frame,
            "timestamp_in_stream": event_time_s(frame - start, fps),
        }
        for frame in range(start, prediction.stop_frame)
    ]
