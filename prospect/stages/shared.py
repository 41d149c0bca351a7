"""What several stages need: names of files, the renderer, clips, features, a client, a voice."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from prospect.dataset import ANNOTATIONS, CLIPS, DIALOGUES, STATES
from prospect.files import read_records
from prospect.llm import Client
from prospect.model.config import ModelConfig
from prospect.types import Clip, Split

if TYPE_CHECKING:
    from prospect.dialogues.llm import LLMSettings
    from prospect.judging import JudgeSettings
    from prospect.samples.sequence import Renderer
    from prospect.samples.vision import Vision

__all__ = [
    "ANNOTATIONS",
    "CLIPS",
    "DIALOGUES",
    "STATES",
    "asking",
    "load_clips",
    "load_renderer",
    "open_features",
    "say",
]

BATCHES = "batches"
"""Folder of the requests that wait to be sent as a batch."""

_console = Console(stderr=True, highlight=False)


def say(line: str) -> None:
    """One line for the person who watches."""
    _console.print(line, soft_wrap=True, markup=False)


@cache
def load_renderer(model: ModelConfig) -> "Renderer":
    """The renderer of a model that isn't loaded: its tokenizer is enough."""
    from transformers import AutoTokenizer

    from prospect.frames.encoders import num_vectors
    from prospect.pretrained import model_folder
    from prospect.samples.sequence import Renderer

    tokenizer = AutoTokenizer.from_pretrained(model_folder(model.llm))
    vectors = num_vectors(model.encoder, model.vectors_per_frame)
    return Renderer(tokenizer, vectors, model.layout)


def load_clips(data: Path, split: Split | None) -> list[Clip]:
    """Clips of a data folder, or of a JSONL file of clips."""
    path = data if data.suffix == ".jsonl" else data / CLIPS
    found = read_records(path, Clip)
    return [clip for clip in found if split is None or clip.split == split]


def open_features(
    data: Sequence[Path], model: ModelConfig, frames_root: Path | None
) -> tuple["Vision", int]:
    """The function that finds any clip's frame vectors in these folders, and their width."""
    from prospect.frames.encoders import load_encoder
    from prospect.model.precision import default_device
    from prospect.samples.vision import Vision

    live = model.features == "on_the_fly"
    device = default_device() if live else "cpu"
    encoder = load_encoder(model.encoder, model.vectors_per_frame, str(device))
    folders = tuple(folder.parent if folder.suffix == ".jsonl" else folder for folder in data)
    vision = Vision(
        folders,
        frames_root,
        encoder.name,
        encoder.key,
        encoder.vectors,
        encoder if live else None,
    )
    return vision, encoder.dim


@contextmanager
def asking(llm: "LLMSettings | JudgeSettings", out: Path) -> Iterator[Client]:
    """A client that knows the replies of earlier batches; tells at the end what was used.

    Args:
        llm: Whom to ask.
        out: Folder in which requests that wait to be sent as a batch get a folder of their own.
    """
    with Client(llm.server, llm.cache, llm.mode) as client:
        for path in llm.replies:
            imported = client.import_replies(path)
            say("\n".join([f"{path}: {imported.account}", *imported.problems]))
        try:
            yield client
        finally:
            say(f"{llm.cache}: {client.usage()}")
        for path in client.write_batch(out / BATCHES) if llm.mode == "batch" else ():
            say(f"{path}: send it, then run again with --llm.replies and its results")
