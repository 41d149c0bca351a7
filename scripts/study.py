"""The study: what each choice is worth, on toy videos, one line of options a row.

A row trains a model, for one pass over the same videos unless its name says otherwise (with other
frames, `DRAWN`, over as many tokens), or takes another row's; it then streams the same videos of
unseen tasks, self-fed. What is finished is kept, so a stopped study goes on where it was; each
finished row goes into ``docs/results/study.json``, from which ``scripts/results.py`` writes tables.

    prospect run --config presets/study.yaml   # draws the videos
    python scripts/study.py --data runs/study/data --out runs/study
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from prospect.files import file_hash, read_json, read_records, text_hash, write_json
from prospect.shipped import SHIPPED, training_folder
from prospect.train.log import LOG, read_log
from prospect.types import Prediction

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results"
PRESET = ROOT / "presets" / "study.yaml"
TEST = "unseen"
OPTIONS = "options.json"
SECONDS = "seconds.json"
"""Of a training that was not stopped between."""
THRESHOLDS = ("update", "decline", "speak")
SPOKEN = ("speak_decision_f1", "speech_f1")
SCORES = (
    "update_decision_f1",
    "transition_f1_5s",
    "start_accuracy",
    "joint_goal_accuracy",
    "joint_goal_accuracy_refresh",
    "state_behind_rate",
    "state_ahead_rate",
    *SPOKEN,
)

BASE = {
    "model.num_layers": "8",
    "model.projector": "linear",
    "model.write": "match",
    "model.lora.dropout": "0",
    "model.context_len": "2048",
    "training.align.steps": "600",
    "training.align.kind": "contrast",
    "training.slips": "0.15",
    "training.permute_steps": "none",
    "training.losses.speak_gen": "1.0",
    "training.optim.lr": "1e-3",
    "training.optim.new_lr": "2e-3",
    "training.optim.epochs": "1",
    "training.optim.batch_size": "1",
    "training.adapter_input": "native",
    "training.log_steps": "20",
    "training.save_steps": "100",
    "training.eval_steps": "100",
}
"""Of every row: 8 layers of SmolLM2-135M, one pass over the training videos."""

STREAM = {"stream.max_new_tokens": "40", "stream.max_user_tokens": "48", "stream.overlap_s": "4"}
"""Small enough for a context of 512 tokens."""
SHORT = {"model.context_len": "512"}
NO_ALIGN = {"training.align.steps": "0", "training.align.kind": "cosine"}
PROASSIST = {  # its summaries don't fit 512
    **NO_ALIGN,  # it tells no states
    "model.context_len": "768",
    "model.decision": "token",
    "model.roles": "tokens",
    "model.write": "generate",
    "training.slips": "0",
    "training.decision_loss.kind": "plain",
    "training.decision_loss.pooled": "true",
    "training.negative_rate": "0.1",
}
FREE = {"model.write": "generate", "training.slips": "0"}
UNALIGNED = {**FREE, **NO_ALIGN}
RISING = "{kind: linear, start: 0.1, stop: 1.0, over: 300, unit: steps}"
DEEP = {"model.num_layers": "30", "training.optim.lr": "8e-4"}
SUMMARIZED = {"stream.policy": "summarize", "stream.max_summary_tokens": "64"}
DROP_MIDDLE = {"stream.policy": "drop_middle", "stream.kept_tokens": "128"}
CENTRAL = "Ours or ProAssist's way?"
POLICIES = "Which context policy?"
SHIPPED_POLICIES = "And which with all 30 layers?"
SHORT_STREAM = {"stream.context_len": "512"}
AT_512 = {
    "restate at 512 tokens": {},
    "summarize at 512 tokens": SUMMARIZED,
    "drop_all at 512 tokens": {"stream.policy": "drop_all"},
    "drop_middle at 512 tokens, re-rotated": DROP_MIDDLE,
    "drop_middle at 512 tokens, kept": DROP_MIDDLE | {"stream.positions": "kept"},
}
KNOWN = "What does knowing state and steps help speech?"
DECLINED = "What may be declined?"
RHO = "How many silent frames?"
VECTORS = "How many vectors a frame?"
FPS = "How many frames a second?"


@dataclass(frozen=True)
class Row:
    """One model, or another way to stream one.

    Attributes:
        question: Whose table it stands in.
        name: Of the row.
        train: Options that differ from `BASE`.
        stream: Options of `prospect predict`.
        of: Streams the model of this row, or one that comes with the package, instead of training.
        clips: ``2048``: the data folders as they are; else how they are cut (`CLIPS`) or drawn
            (`DRAWN`) anew.
        seeds: Of trainings; the first one bears the row's name alone.
        seed: Of this one.
    """

    question: str
    name: str
    train: Mapping[str, str] | None = None
    stream: Mapping[str, str] | None = None
    of: str | None = None
    clips: str = "2048"
    seeds: int = 1
    seed: int = 0


CLIPS = {
    "512": ("--model.context_len", "512"),
    "768 summaries": ("--model.context_len", "768", "--variants", "[proassist]"),
    "talk, no state": ("--model.context_len", "2048", "--variants", "[no_state]"),
    "talk, no knowledge": ("--model.context_len", "2048", "--variants", "[no_knowledge]"),
}

DRAWN = {
    "5 vectors": ("110", "--model.vectors_per_frame", "5"),
    "10 vectors": ("60", "--model.vectors_per_frame", "10"),
    "1 frame/s": ("390", "--fps", "1"),
    "4 frames/s": ("205", "--fps", "4"),
}
"""Training videos, so many that they have the tokens of the others' 300, and how to draw them."""

ASKED = (
    Row("Ours", "ours", seeds=3),
    Row("And trained again, at a later commit?", "ours, again"),
    Row(CENTRAL, "ours at 512 tokens", SHORT, clips="512", seeds=3),
    Row(
        CENTRAL,
        "summaries, token decision at 768 tokens",
        PROASSIST,
        SUMMARIZED,
        clips="768 summaries",
        seeds=3,
    ),
    Row("And with all 30 layers?", "the shipped model", of="demo"),
    Row(
        "And with all 30 layers?",
        "summaries, token decision at 768 tokens, 30 layers",
        PROASSIST | DEEP | {"training.optim.epochs": "1.35"},  # the tokens of the shipped model
        SUMMARIZED,
        clips="768 summaries",
    ),
    Row("What should sentences weigh?", "speech weight .5", {"training.losses.speak_gen": "0.5"}),
    Row(
        "What should sentences weigh?",
        "speech weight .5 at 512 tokens",
        SHORT | {"training.losses.speak_gen": "0.5"},
        clips="512",
    ),
    Row(POLICIES, "drop_all", None, {"stream.policy": "drop_all"}, "ours at 512 tokens", "512"),
    Row(POLICIES, "drop_middle, re-rotated", None, DROP_MIDDLE, "ours at 512 tokens", "512"),
    Row(
        POLICIES,
        "drop_middle, kept",
        None,
        DROP_MIDDLE | {"stream.positions": "kept"},
        "ours at 512 tokens",
        "512",
    ),
    *(
        Row(SHIPPED_POLICIES, f"{name}, 30 layers", None, SHORT_STREAM | policy, "demo")
        for name, policy in AT_512.items()
    ),
    Row(KNOWN, "no state", UNALIGNED, clips="talk, no state"),
    Row(KNOWN, "neither state nor steps", UNALIGNED, clips="talk, no knowledge"),
    Row("How is a transition written?", "point", {"model.write": "point"}),
    Row("How is a transition written?", "generate", FREE),
    Row("Is the alignment needed?", "generate, no alignment", UNALIGNED),
    Row("Is the alignment needed?", "60 steps of alignment", {"training.align.steps": "60"}),
    Row("Does it learn from slips?", "without slips", {"training.slips": "0"}),
    *(
        Row(DECLINED, f"declines above {prob}", None, {"stream.decline_prob": prob}, "ours, again")
        for prob in ("1", ".9", ".5", ".2")
    ),
    Row("Does a belief help?", "belief filter", None, {"stream.belief": "{}"}, "ours"),
    Row(
        "Fixed or adaptive thresholds?",
        "adaptive moments",
        None,
        {
            "stream.update_rule": "{kind: rate, threshold: 0.8, per_minute: 3}",
            "stream.speak_rule": "{kind: rate, threshold: 0.8, per_minute: 6}",
        },
        "ours",
    ),
    Row(
        "Heads or tokens?",
        "token decision",
        {"model.decision": "token", "model.roles": "tokens"},
        seeds=3,
    ),
    Row("Is speak read again?", "cascade", {"model.cascade": "true"}),
    Row(RHO, "rho .1", {"training.negative_rate": "0.1"}, seeds=3),
    Row(RHO, "rho 1", {"training.negative_rate": "1.0"}, seeds=3),
    Row(RHO, "rho .02", {"training.negative_rate": "0.02"}, seeds=3),
    Row(RHO, "rho rising from .1 to 1", {"training.negative_rate": RISING}),
    Row("Which decision loss?", "plain", {"training.decision_loss.kind": "plain"}),
    Row("Which decision loss?", "focal", {"training.decision_loss.kind": "focal"}),
    Row("Are permuted lists needed?", "permuted lists and ids", {"training.permute_steps": "both"}),
    Row(VECTORS, "5 vectors", {"model.vectors_per_frame": "5"}, clips="5 vectors"),
    Row(VECTORS, "10 vectors", {"model.vectors_per_frame": "10"}, clips="10 vectors"),
    Row(FPS, "1 frame/s", clips="1 frame/s"),
    Row(FPS, "4 frames/s", clips="4 frames/s"),
    Row("How large an adapter?", "rank 4", {"model.lora.rank": "4", "model.lora.alpha": "8"}),
    Row("How large an adapter?", "rank 64", {"model.lora.rank": "64", "model.lora.alpha": "128"}),
    Row("How deep?", "2 layers", {"model.num_layers": "2"}),
    Row("How deep?", "16 layers", {"model.num_layers": "16", "training.optim.lr": "8e-4"}),
    Row("How deep?", "30 layers", DEEP),
    Row("How long?", "two passes", {"training.optim.epochs": "2"}),
    Row("How long?", "half a pass", {"training.optim.epochs": "0.5"}),
)
ROWS = tuple(
    replace(row, name=f"{row.name}, seed {seed}" if seed else row.name, seed=seed)
    for row in ASKED
    for seed in range(row.seeds)
)


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("runs/study/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/study"))
    parser.add_argument("--only", nargs="*", help="names of rows")
    parser.add_argument("--collect", action="store_true", help="take what is finished, run nothing")
    given = parser.parse_args()
    unknown = set(given.only or ()) - {row.name for row in ROWS}
    if unknown:
        raise SystemExit(f"--only: no rows {sorted(unknown)}; names stand in {Path(__file__).name}")
    for row in ROWS:
        if given.only and row.name not in given.only:
            continue
        if not given.collect:
            _run(row, given.data, given.out)
        if (_folder(row.name, given.out) / "scores.json").exists():
            _collect(row, given.out)


def _trained(row: Row) -> dict[str, str] | None:
    """All options of the training, or nothing if it streams another row's model."""
    if row.of is not None:
        return None
    return {**BASE, **(row.train or {}), "training.seed": str(row.seed)}


def _streamed(row: Row) -> dict[str, str]:
    return {**STREAM, **(row.stream or {})}


def _training(row: Row, out: Path) -> Path:
    """The training whose model it streams."""
    return (
        training_folder(Path(row.of))
        if row.of in SHIPPED
        else _folder(row.of or row.name, out) / "training"
    )


def _tracks(row: Row) -> bool:
    """Whether it tells a state."""
    return row.clips in ("2048", "512", *DRAWN)


def _folder(name: str, out: Path) -> Path:
    return out / re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")  # rho 1 is not rho .1


def _run(row: Row, data: Path, out: Path) -> None:
    folder = _folder(row.name, out)
    folder.mkdir(parents=True, exist_ok=True)
    data = _data(row.clips, data, out)
    asked = {
        "train": _trained(row),
        "stream": _streamed(row),
        "of": row.of,
        "clips": row.clips,
        "videos": _videos(data),
    }
    if (folder / OPTIONS).exists() and read_json(folder / OPTIONS) != asked:
        raise SystemExit(f"{folder} was begun with other options ({OPTIONS}); delete it")
    write_json(folder / OPTIONS, asked)
    if (folder / "scores.json").exists():
        return
    checkpoint = _training(row, out) / "checkpoint"
    if row.of is not None and not checkpoint.exists():
        raise SystemExit(
            f"{row.name} streams {row.of}: no {checkpoint}; run --only '{row.of}' first"
        )
    if row.of is None and not checkpoint.exists():
        whole, began_s = not checkpoint.parent.exists(), time.time()
        made_of = {"data": data / "train", "val": data / "val", "out": checkpoint.parent}
        _prospect("train", *_flags(made_of), *_flags(_trained(row)))
        if whole:
            write_json(folder / SECONDS, {"train": time.time() - began_s})
    if row.of is None and _tracks(row):
        chosen = checkpoint.parent / "thresholds" / "val.jsonl"  # written last
        if not chosen.exists():
            val = {"checkpoint": checkpoint, "data": data / "val", "out": chosen}
            _prospect("predict", "--sweep_streams", *_flags(val), *_flags(_streamed(row)))
    found = folder / f"{TEST}.jsonl"
    test = {"checkpoint": checkpoint, "data": data / TEST, "out": found}
    _prospect("predict", *_flags(test), *_flags(_streamed(row)))
    _prospect("score", str(found), "--out", str(folder / "scores.json"))


def _data(clips: str, data: Path, out: Path) -> Path:
    """The data folders; of other clips cut anew, with links to the videos, or drawn anew."""
    if clips == "2048":
        return data
    there = _folder(f"data {clips}", out)
    if clips in DRAWN:
        num_videos, *options = DRAWN[clips]
        train = f"{{split: train, num_videos: {num_videos}, seed: 0}}"
        drawn = ("--data.train.toy", train, *options)
        _prospect("run", "--config", str(PRESET), "--out", str(there), *drawn)
        return there / "data"
    for name in ("train", "val", TEST):
        if not (there / name / "cut").exists():
            shutil.rmtree(there / name, ignore_errors=True)
            shutil.copytree(data / name, there / name, copy_function=os.link)
            _prospect("clips", "--data", str(there / name), "--num_workers", "1", *CLIPS[clips])
            (there / name / "cut").touch()
    return there


def _videos(data: Path) -> str:
    """Hash of the clips that are trained, validated and tested on."""
    folders = [data / name for name in ("train", "val", TEST)]
    return text_hash(" ".join(file_hash(folder / "clips.jsonl") for folder in folders))


def _flags(options: Mapping[str, str | Path]) -> list[str]:
    return [part for name, value in options.items() for part in (f"--{name}", str(value))]


def _prospect(*command: str) -> None:
    print("prospect", *command, flush=True)
    subprocess.run([sys.executable, "-m", "prospect", *command], check=True)


def _collect(row: Row, out: Path) -> None:
    """Put a finished row into the committed results; refreshes are the mean of its videos."""
    folder = _folder(row.name, out)
    pooled = read_json(folder / "scores.json")["systems"]["prospect"]["groups"]["pooled"]
    streamed = read_records(folder / f"{TEST}.jsonl", Prediction)
    training = _training(row, out)
    checked: dict[str, Any] = {}
    if row.of is None or (row.of in SHIPPED and not row.stream):
        checked = [line for line in read_log(training / LOG) if "eval_loss" in line][-1]
    stored = read_json(training / "checkpoint" / "prospect.json")
    path = RESULTS / "study.json"
    results: dict[str, Any] = read_json(path) if path.exists() else {}
    results[row.name] = {
        "question": row.question,
        **read_json(folder / OPTIONS),
        "commit": read_json(training / "about.json")["commit"][:7],
        "steps": stored["about"]["steps"],
        "thresholds": {name: stored["thresholds"][name] for name in THRESHOLDS},
        "seconds": read_json(folder / SECONDS)["train"] if (folder / SECONDS).exists() else None,
        "refreshes": fmean(len(one.refreshes) for one in streamed),
        "validation": {key: value for key, value in checked.items() if key.startswith("eval_")},
        "scores": {name: pooled[name] for name in (SCORES if _tracks(row) else SPOKEN)},
    }
    write_json(path, results)


if __name__ == "__main__":
    main()
