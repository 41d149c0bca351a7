"""Zero-shot on real footage: the shipped model watches three clips of ProAssist's project page.

In: the folder of the clips, with ``<clip>.frames.csv`` and ``<clip>.turns.json``, and the published
validation rows of EPIC-KITCHENS, which name what is done in one clip. Out: data, and scores.

The clips are renderings: a speaking frame stands eight times with the dialogue drawn over it, and a
clock runs in a corner. The first frame of every stream time gives the 2-fps stream back. The upper
part and the corner are grey in *all* frames, or the grey would tell when somebody speaks.

    python scripts/real_clips.py --clips CLIPS --rows EPIC_100_validation.csv --out runs/real_clips
"""

import argparse
import csv
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from prospect import stages
from prospect.files import read_json, write_records
from prospect.model.checkpoint import checkpoint_model
from prospect.shipped import checkpoint_folder
from prospect.stream.config import StreamConfig
from prospect.types import Dialogue, StateTrack, Step, Task, TimedTransition, Transition, Turn

FPS = 2
OVERLAY, CLOCK = slice(0, 150), (slice(350, None), slice(320, None))
"""Rows of the longest dialogue, and the corner of the clock, of 384 x 384 pixels."""
MODEL = checkpoint_folder("demo")


def main() -> None:
    """Make the data, stream it, score it beside the baselines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    made = [_recover(path, given.rows, given.out) for path in sorted(given.clips.glob("*.mp4"))]
    write_records(given.out / "dialogues.jsonl", [dialogue for dialogue, _ in made])
    write_records(given.out / "states.jsonl", [track for _, track in made])
    model = checkpoint_model(MODEL)
    stages.clips(given.out, model=model, num_workers=1)
    stages.features(given.out, model)
    found = given.out / "predictions.jsonl"
    stages.predict(MODEL, given.out, found, stream=StreamConfig(max_new_tokens=40))
    stages.score((found,), given.out / "scores.json")


def _recover(path: Path, rows: Path, out: Path) -> tuple[Dialogue, StateTrack]:
    """Write the 2-fps stream of a clip; what is said in it, and what is done if rows tell."""
    about = read_json(path.with_suffix(".turns.json"))
    turns = [Turn(turn["role"], turn["time"], turn["content"]) for turn in about["turns"]]
    duration_s = about["stream_duration_s"]
    _write(out / "videos" / path.name, _frames(path))
    spans = _spans(rows, about.get("video_uid"), duration_s)
    steps = {name: f"S{number}" for number, name in enumerate(spans, 1)}
    task = Task(turns[0].text, tuple(Step(id_, name) for name, id_ in steps.items()))
    moves = [
        TimedTransition(time_s, Transition(steps[name], move))
        for name, span in spans.items()
        for time_s, move in zip(span, ("start", "complete"), strict=True)
        if time_s < duration_s
    ]
    track = StateTrack(path.stem, task, tuple(sorted(moves, key=lambda move: move.time_s)))
    dialogue = Dialogue(
        f"{path.stem}/talk_some-0",
        path.stem,
        about["dataset"],
        "test",
        "talk_some",
        "human",
        task,
        "real clip",
        duration_s,
        tuple(turns),
        f"videos/{path.name}",
    )
    return dialogue, track


def _frames(path: Path) -> list[NDArray[np.uint8]]:
    """(384, 384, 3) masked, the first of every stream time."""
    with path.with_suffix(".frames.csv").open(newline="") as file:
        times = [row["stream_time_s"] for row in csv.DictReader(file)]
    firsts = {times.index(time) for time in times}
    with av.open(str(path)) as container:
        found = [
            frame.to_ndarray(format="rgb24")
            for index, frame in enumerate(container.decode(video=0))
            if index in firsts
        ]
    for frame in found:
        frame[OVERLAY] = frame[CLOCK] = 127
    return found


def _write(path: Path, frames: list[NDArray[np.uint8]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", FPS, options={"crf": "18"})
        stream.height, stream.width, _ = frames[0].shape
        stream.pix_fmt = "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode(None))


def _spans(rows: Path, video_id: str | None, duration_s: float) -> dict[str, tuple[float, float]]:
    """What is done -> from its first beginning to its last end, as EPIC-KITCHENS' rows say."""
    found: dict[str, tuple[float, float]] = {}
    with rows.open(newline="") as file:
        told = [row for row in csv.DictReader(file) if row["video_id"] == video_id]
    for row in sorted(told, key=lambda row: row["start_timestamp"]):
        start_s, stop_s = _seconds(row["start_timestamp"]), _seconds(row["stop_timestamp"])
        if start_s < duration_s:
            found[row["narration"]] = (found.get(row["narration"], (start_s, 0.0))[0], stop_s)
    return found


def _seconds(timestamp: str) -> float:
    hours, minutes, seconds = timestamp.split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)


if __name__ == "__main__":
    main()
