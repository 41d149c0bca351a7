"""Manufactured scores, predictions and pictures: seeded, and shaped like real ones."""

import functools
import hashlib
import io
import math
import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, sync_playwright

from prospect.embeddings import Embed, Vectors
from prospect.report.tables import HEADLINE
from prospect.states.transitions import initial_state
from prospect.types import Event, Prediction, Step, Task, Transition

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
FPS = 2.0
SYSTEMS = ("demo", "periodic", "listed_order", "blind", "silent", "oracle")
STEPS = (
    "Attach the red wheel to the chassis with the wrench.",
    "Slide the battery into its tray.",
    "Screw the cover plate on.",
    "Wipe the windscreen with the cloth.",
    "Press the horn button into the wheel.",
    "Tighten the rear axle.",
)


def prediction(seed: int, steps: int = 5, duration_s: float = 180.0) -> Prediction:
    """A video whose steps are done in a shuffled order, and a system that is roughly right."""
    rng = random.Random(seed)
    frames = int(duration_s * FPS)
    task = Task(
        "Assemble the toy car", tuple(Step(f"S{i + 1}", STEPS[i % 6]) for i in range(steps))
    )
    references: dict[int, Event] = {4: Event(4, user="I want to build the car. What is first?")}
    order = rng.sample(task.steps, steps)
    length = (frames - 30) // max(steps, 1)
    for place, step in enumerate(order):
        start = 12 + place * length + rng.randrange(6)
        stop = start + length * 2 // 3 + rng.randrange(5)
        said = f"Well done. Go on with this: {step.name}"
        references[start] = Event(start, (Transition(step.id, "start"),), said)
        references[stop] = Event(stop, (Transition(step.id, "complete"),))
        if place % 2:
            asks = "Is this the right part?"
            references[stop - 6] = Event(stop - 6, speech="No, take the longer one.", user=asks)
    predicted = {}
    for frame, event in references.items():
        if event.user is None and rng.random() < 0.85:
            moved = min(max(frame + rng.randrange(-4, 5), 0), frames - 1)
            predicted[moved] = replace(event, frame=moved)
    return Prediction(
        dialogue_id=f"toy-{seed:03d}/talk_some-0",
        video_id=f"toy-{seed:03d}",
        dataset="toy",
        split="test",
        user_type="talk_some",
        task=task,
        fps=FPS,
        start_frame=0,
        stop_frame=frames,
        state=initial_state(task),
        references=tuple(sorted(references.values(), key=lambda event: event.frame)),
        system="demo",
        events=tuple(sorted(predicted.values(), key=lambda event: event.frame)),
        speak_prob=_probs(rng, frames, [f for f, e in predicted.items() if e.speech]),
        update_prob=_probs(rng, frames, [f for f, e in predicted.items() if e.transitions]),
        speak_threshold=0.4,
        update_threshold=0.55,
        refreshes=(frames // 2,),
        seen_task=bool(seed % 2),
        details={"mode": "frame by frame", "torch": "2.13", "latency_p95_ms": 41.0},
    )


def _probs(rng: random.Random, frames: int, peaks: list[int]) -> tuple[float, ...]:
    values = []
    for frame in range(frames):
        nearest = min((abs(frame - peak) for peak in peaks), default=frames)
        value = 0.9 * math.exp(-((nearest / 2) ** 2)) + 0.2 * rng.random() ** 2
        values.append(round(min(value, 1.0), 4))
    return tuple(values)


def scored(value: float | None, width: float = 0.06) -> dict[str, Any]:
    if value is None:
        return {"value": None, "low": None, "high": None, "n": 0}
    return {"value": value, "low": max(value - width, 0), "high": min(value + width, 1), "n": 24}


@pytest.fixture
def scores() -> dict[str, Any]:
    rng = random.Random(7)
    systems = {}
    for place, name in enumerate(SYSTEMS):
        level = 1.0 if name == "oracle" else 0.0 if name == "silent" else 0.72 - 0.13 * place

        def metrics(level: float = level) -> dict[str, Any]:
            noise = 0.0 if level in (0.0, 1.0) else 0.08
            return {m: scored(min(max(level + rng.gauss(0, noise), 0), 1)) for m in HEADLINE}

        groups = {
            group: metrics()
            for group in (
                "pooled",
                "macro",
                "task:seen",
                "task:unseen",
                "user_type:no_talk",
                "user_type:talk_some",
                "user_type:talk_more",
                "dataset:toy",
                "dataset:holoassist",
            )
        }
        groups["pooled"]["delay_mean_s"] = scored(0.41)
        groups["pooled"]["rate_ratio"] = scored(1.12)
        groups["dataset:holoassist"]["start_accuracy"] = scored(None)
        other = {"mode": "proassist", "scores": {"speech_f1": 0.5, "speech_delay_mean_s": None}}
        systems[name] = {"groups": groups, "other_mode": other}
    pooled = systems["demo"]["groups"]["pooled"]
    differences = {
        f"demo - {other}": {
            metric: {
                "value": (gap := pooled[metric]["value"] - base["value"]),
                "low": gap - 0.09,
                "high": gap + 0.09,
            }
            for metric, base in systems[other]["groups"]["pooled"].items()
            if metric in HEADLINE
        }
        for other in ("periodic", "listed_order", "blind", "silent")
    }
    return {
        **{metric: pooled[metric]["value"] for metric in HEADLINE},
        "systems": systems,
        "differences": differences,
        "diagnosis": ["2 of 24 videos never complete a step; lower update_threshold (now 0.55)."],
        "about": {"mode": "strict", "similarity": "all-MiniLM-L6-v2", "bootstrap": 1000},
    }


@pytest.fixture
def make_prediction() -> Callable[..., Prediction]:
    return prediction


@pytest.fixture
def predictions() -> list[Prediction]:
    return [prediction(seed) for seed in range(9)]


@pytest.fixture
def training() -> list[dict[str, Any]]:
    rng = random.Random(3)
    rows: list[dict[str, Any]] = []
    for step in range(5, 405, 5):
        row: dict[str, Any] = {"step": step, "lr": 2e-4 * min(step / 40, 1 - step / 420)}
        for place, name in enumerate(("speak_gen", "state_gen", "speak_bin", "update_bin")):
            row[name] = 0.3 + (3 - place / 2) * math.exp(-step / 90) + rng.gauss(0, 0.05)
        row["loss"] = sum(row[name] for name in row if name.endswith(("gen", "bin")))
        row["tokens_per_s"] = 760 + rng.gauss(0, 20)
        rows.append(row)
        if step % 80 == 0:
            rows.append({"step": step, "eval_loss": row["loss"] + 0.4, "eval_speak_bin": 0.5})
    return rows


@functools.cache
def picture(place: int) -> bytes:
    """A noisy JPEG of 160 x 160, about as heavy as a small real frame."""
    noise = random.Random(place).randbytes(40 * 40)
    image = Image.frombytes("L", (40, 40), noise).resize((160, 160)).convert("RGB")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 110, 160, 160), fill=(150, 110, 80))
    draw.ellipse((place % 110, 80, place % 110 + 40, 120), fill=(40 + place % 200, 90, 160))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


@pytest.fixture
def thumbnails() -> Callable[[Prediction, Sequence[int]], Mapping[int, bytes]]:
    return lambda of, frames: {frame: picture(frame // 20) for frame in frames}


@pytest.fixture
def embed() -> Embed:
    """Equal texts are equal vectors, all others are far apart."""

    def vector(text: str) -> Vectors:
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])
        drawn = np.random.default_rng(seed).normal(size=64)
        return (drawn / np.linalg.norm(drawn)).astype(np.float32)

    def embedded(texts: Sequence[str]) -> Vectors:
        return np.stack([vector(text) for text in texts]) if texts else np.zeros((0, 64))

    return embedded


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a file in a window of a size, in a color scheme; the test fails on any complaint."""
    complaints: list[str] = []
    contexts = []

    def open_page(
        path: Path, width: int = 1280, height: int = 900, at: str = "", **options: Any
    ) -> Page:
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, **options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path.as_uri() + at)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def about() -> dict[str, Any]:
    return {
        "date": "2026-11-21 14:03 UTC",
        "hardware": "2 CPU cores, 8 GB",
        "data": "toy, 24 held-out videos",
        "duration": "9 min 12 s",
        "git": "1207cae",
        "versions": {"prospect": "0.1.0", "torch": "2.13.0", "transformers": "5.23.0"},
        "config": "model:\n  llm: SmolLM2-135M\n  layers: 8\noptim:\n  lr: 0.0002\n",
    }
