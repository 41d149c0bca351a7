"""A form on which people judge dialogues without knowing whose they are.

In: predictions of one or more systems on the same streams. Out: one HTML file that works offline
and saves what a rater says as JSON, and the key beside it that tells which letter is which system.
The page holds no name of a system, video or dialogue; the order of dialogues, and of the systems
in each, depends on the seed. `prospect.metrics.people` reads key and ratings.

    prospect report --rating-form form.html --predictions a.jsonl b.jsonl
"""

import base64
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from prospect.clock import event_time_s
from prospect.errors import ConfigError
from prospect.files import text_hash, write_json, write_text
from prospect.metrics.judge import dialogue_turns
from prospect.metrics.people import ASPECTS, Key, KeyItem
from prospect.metrics.score import by_system
from prospect.report import svg
from prospect.report.page import environment
from prospect.report.pictures import Thumbnails
from prospect.types import Prediction, Turn

LETTERS = "ABCDEFGH"
NUM_PICTURES = 16
GRADES = {1: "bad", 2: "weak", 3: "good", 4: "great"}


@dataclass(frozen=True, slots=True)
class Side:
    """One system's dialogue as a rater sees it."""

    letter: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame of the video: when, and a data URI."""

    time_s: float
    source: str


@dataclass(frozen=True, slots=True)
class Item:
    """One recording, and what each system said in it."""

    item: str
    goal: str
    steps: tuple[str, ...]
    pictures: tuple[Picture, ...]
    sides: tuple[Side, ...]


def key_path(out: Path) -> Path:
    """``form.html`` -> ``form.key.json``."""
    return out.with_suffix(".key.json")


def write_form(
    out: Path,
    predictions: Sequence[Prediction],
    thumbnails: Thumbnails,
    seed: int = 0,
    num_dialogues: int | None = None,
) -> Key:
    """Write the form to ``out`` and its key to `key_path`.

    Args:
        predictions: Each system's of the same streams. The references are shown if they stand
            among the systems (the ``oracle``), as one of them.
        thumbnails: (prediction, frames) -> bytes of JPEGs, of the frames there are. Up to
            `NUM_PICTURES` of each stream are shown, evenly spaced.
        seed: Of the choice of dialogues, their order, and the letters.
        num_dialogues: How many to show, chosen at random; None for all.

    Raises:
        ConfigError: more systems than letters, or more dialogues asked for than there are.
        DataError: systems on different streams (`prospect.metrics.score.by_system`).
    """
    systems = by_system(predictions)
    if len(systems) > len(LETTERS):
        raise ConfigError(
            f"{len(systems)} systems; people can rank up to {len(LETTERS)} side by side"
        )
    names = sorted(systems)
    streams = list(zip(*(systems[name] for name in names), strict=True))
    number = len(streams) if num_dialogues is None else num_dialogues
    if not 1 <= number <= len(streams):
        raise ConfigError(f"num_dialogues is {number}; there are {len(streams)} to choose from")
    order = random.Random(seed)
    items, listed = list[Item](), list[KeyItem]()
    for place, stream in enumerate(order.sample(streams, number), start=1):
        shuffled = order.sample(list(zip(names, stream, strict=True)), len(names))
        named = dict(zip(LETTERS, shuffled, strict=False))
        about = stream[0]
        letters = {letter: system for letter, (system, _) in named.items()}
        sides = tuple(
            Side(letter, dialogue_turns(one, one.events)) for letter, (_, one) in named.items()
        )
        steps = tuple(step.name for step in about.task.steps)
        pictures = _pictures(about, thumbnails)
        items.append(Item(str(place), about.task.goal, steps, pictures, sides))
        listed.append(
            KeyItem(str(place), about.dataset, about.dialogue_id, about.video_id, letters)
        )
    form = text_hash(repr((seed, listed, [(item.sides, item.pictures) for item in items])))
    key = Key("rating-key/1", form, seed, tuple(listed))
    page = (
        environment()
        .get_template("rating.html.j2")
        .render(form=form, items=items, aspects=ASPECTS, grades=GRADES, clock=svg.clock_text)
    )
    write_json(key_path(out), asdict(key))
    write_text(out, page)
    return key


def _pictures(prediction: Prediction, thumbnails: Thumbnails) -> tuple[Picture, ...]:
    span = prediction.stop_frame - prediction.start_frame
    number = min(NUM_PICTURES, span)
    frames = [prediction.start_frame + span * place // number for place in range(number)]
    return tuple(
        Picture(
            event_time_s(frame, prediction.fps),
            f"data:image/jpeg;base64,{base64.b64encode(image).decode('ascii')}",
        )
        for frame, image in sorted(thumbnails(prediction, frames).items())
    )
