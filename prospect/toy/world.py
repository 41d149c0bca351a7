"""A folder of toy videos: split, number and seed in, ``annotations.jsonl`` and mp4 files out.

``prospect toy --split train --num_videos 8 --seed 0 --out toy/train``
"""

import random
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import get_args

import av
from rich.progress import track

from prospect import files
from prospect.errors import ConfigError
from prospect.parallel import ordered
from prospect.toy.draw import draw
from prospect.toy.looks import VIEW, ToySplit, split_of
from prospect.toy.people import perform
from prospect.toy.plans import training_plans, unseen_plan
from prospect.types import Annotation

__all__ = ["ToySplit", "annotations", "split_of", "write_video", "write_world"]

DRAWING = "toy-3"
"""Part of each video's stamp; rises when the same annotation is drawn otherwise."""


def annotations(split: ToySplit, num_videos: int, seed: int) -> tuple[Annotation, ...]:
    """The first ``num_videos`` annotations of a split; the i-th is the same for every number.

    ``seen_tasks`` and ``unseen_looks`` perform the training plans anew, the latter drawn with
    looks that occur nowhere else; ``unseen_tasks`` performs plans of verb-noun pairs that no
    training plan has.

    Raises:
        ConfigError: an unknown split.
    """
    if split not in get_args(ToySplit):
        raise ConfigError(f"no toy split {split!r}; use one of {', '.join(get_args(ToySplit))}")
    return tuple(_annotation(split, seed, index) for index in range(num_videos))


def write_world(
    out: Path,
    split: ToySplit,
    num_videos: int,
    seed: int,
    draw_fps: float = 4.0,
    num_workers: int = 2,
    without_videos: bool = False,
) -> files.Account:
    """Write ``out/annotations.jsonl`` and ``out/videos/<video_id>.mp4``, or the former alone.

    Finished videos of the same annotation and frame rate are kept, so an interrupted run goes on
    where it stopped. The bytes depend on the arguments alone (and on the encoder's version).

    Raises:
        ConfigError: an unknown split, or a number that is not positive.
    """
    made = annotations(split, num_videos, seed)
    if without_videos:
        files.write_records(out / "annotations.jsonl", made)
    else:
        _draw_all(out, made, f"toy {split}", draw_fps, num_workers)
    account = files.Account(len(made), {})
    files.write_account(out / "annotations.jsonl", account)
    return account


def draw_world(out: Path, draw_fps: float = 4.0, num_workers: int = 2) -> None:
    """Draw the videos of any ``out/annotations.jsonl``, for data whose own are not at hand.

    The annotations are written back with the drawn videos as their ``video_file``.
    """
    read = files.read_records(out / "annotations.jsonl", Annotation)
    drawn = tuple(replace(one, video_file=f"videos/{one.video_id}.mp4") for one in read)
    _draw_all(out, drawn, "drawing", draw_fps, num_workers)


def _draw_all(
    out: Path, made: tuple[Annotation, ...], title: str, draw_fps: float, num_workers: int
) -> None:
    """Draw what is missing, then write the annotations."""
    if draw_fps <= 0:
        raise ConfigError(f"draw_fps is {draw_fps}; it must be positive")
    (out / "videos").mkdir(parents=True, exist_ok=True)
    for left in (out / "videos").glob(".*.mp4"):  # half-drawn by a run that was killed
        left.unlink()
    missing = [one for one in made if not files.is_fresh(*_target(out, one, draw_fps))]
    write = partial(write_video, out, draw_fps=draw_fps)
    finished = ordered(write, missing, min(num_workers, max(1, len(missing))))
    for _ in track(finished, title, total=len(missing), disable=not missing):
        pass
    files.write_records(out / "annotations.jsonl", made)


def write_video(out: Path, annotation: Annotation, draw_fps: float) -> None:
    """Draw and encode one video (H.264, 4:2:0) into ``out/videos``, atomically, and stamp it."""
    path, inputs = _target(out, annotation, draw_fps)
    rate = Fraction(draw_fps).limit_denominator(1001)
    # one thread and bitexact: the same frames give the same bytes
    options = {"preset": "ultrafast", "crf": "28", "g": "250", "threads": "1"}
    with (
        files.atomic_path(path) as temporary,
        av.open(str(temporary), "w", format="mp4", options={"fflags": "+bitexact"}) as container,
    ):
        stream = container.add_stream("libx264", rate, options=options)
        stream.width = stream.height = VIEW
        stream.pix_fmt = "yuv420p"
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        for pixels in draw(annotation, draw_fps):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode(None))
    files.stamp(path, inputs)


def _annotation(split: ToySplit, seed: int, index: int) -> Annotation:
    rng = random.Random(f"toy {split} {seed} {index}")
    plan = unseen_plan(rng) if split == "unseen_tasks" else rng.choice(training_plans())
    video_id = f"toy-{split}-{seed}-{index:05d}"
    return perform(plan, rng, video_id, "train" if split == "train" else "test")


def _target(out: Path, annotation: Annotation, draw_fps: float) -> tuple[Path, dict[str, str]]:
    """Where a video goes, and what it is made from."""
    path = out / "videos" / f"{annotation.video_id}.mp4"
    made_from = files.text_hash(files.record_to_json(annotation))
    return path, {"annotation": made_from, "draw_fps": str(draw_fps), "drawing": DRAWING}
