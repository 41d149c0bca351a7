"""Sentence embeddings, cached on disk by model and text; used to match and to align sentences.

In: texts. Out: unit vectors, so that a dot product is a cosine.

    python -c "from prospect.embeddings import embedder; print(embedder()(['Attach the wheel.']))"
"""

import functools
import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt

from prospect.errors import DataError
from prospect.files import read_json, tree_hash

Vectors = npt.NDArray[np.float32]
Embed = Callable[[Sequence[str]], Vectors]
"""texts -> unit vectors [num_texts, D], in the order of the texts; [0, 0] for no texts."""

DEFAULT_MODEL = "all-minilm-l6-v2"
_BATCH = 128
_TOKENS = 256  # where the folder names no max_seq_length; MiniLM's own limit
_POOLINGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
_TABLE = (
    "CREATE TABLE IF NOT EXISTS embeddings "
    "(model TEXT, text TEXT, vector BLOB, PRIMARY KEY (model, text)) WITHOUT ROWID"
)


def embedder(model: str = DEFAULT_MODEL, cache: Path | None = None) -> Embed:
    """A function from texts to unit vectors; the model is loaded at the first text not cached.

    Args:
        model: A name that `prospect.pretrained.model_folder` knows, of a sentence-transformers
            model with mean or CLS pooling.
        cache: SQLite file, shared by processes; default ``embeddings.sqlite`` in the cache folder.
            Its keys are the hash of the model's files and the text.

    Raises:
        MissingError: there is no such model.
        DataError: the model pools its tokens in another way.
    """
    # pulls in torch, which must not slow down `--help`
    from prospect.pretrained import cache_folder, model_folder

    folder = model_folder(model)
    path = cache or cache_folder() / "embeddings.sqlite"
    path.parent.mkdir(parents=True, exist_ok=True)
    encode = functools.cache(lambda: _encoder(folder))
    key = functools.cache(lambda: tree_hash(folder))

    def embed(texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.zeros((0, 0), np.float32)
        distinct = list(dict.fromkeys(texts))
        with closing(sqlite3.connect(path, timeout=60)) as connection:
            connection.execute(_TABLE)
            known = _read(connection, key(), distinct)
            fresh = [text for text in distinct if text not in known]
            if fresh:
                known.update(zip(fresh, encode()(fresh), strict=True))
                _write(connection, key(), ((text, known[text]) for text in fresh))
        return np.stack([known[text] for text in texts])

    return embed


def _read(connection: sqlite3.Connection, key: str, texts: list[str]) -> dict[str, Vectors]:
    found: dict[str, Vectors] = {}
    for start in range(0, len(texts), 500):
        chunk = texts[start : start + 500]
        marks = ", ".join("?" * len(chunk))
        rows = connection.execute(
            f"SELECT text, vector FROM embeddings WHERE model = ? AND text IN ({marks})",
            (key, *chunk),
        )
        found.update((text, np.frombuffer(vector, np.float32)) for text, vector in rows)
    return found


def _write(connection: sqlite3.Connection, key: str, rows: Iterable[tuple[str, Vectors]]) -> None:
    with connection:  # one transaction: all or nothing
        connection.executemany(
            "INSERT OR IGNORE INTO embeddings VALUES (?, ?, ?)",
            ((key, text, vector.tobytes()) for text, vector in rows),
        )


def _encoder(folder: Path) -> Callable[[list[str]], Vectors]:
    """Load the model: tokens -> last hidden states -> pooled -> unit length, fp32."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    pooling = _pooling(folder)
    settings = folder / "sentence_bert_config.json"
    max_len = read_json(settings)["max_seq_length"] if settings.exists() else _TOKENS
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()

    @torch.inference_mode()
    def embed(tokens: list[list[int]]) -> Vectors:
        torch.set_num_threads(1)
        inputs = tokenizer.pad({"input_ids": tokens}, return_tensors="pt")
        hidden = network(**inputs).last_hidden_state  # [B, L, D]
        if pooling == "cls":
            pooled = hidden[:, 0]
        else:
            mask = inputs["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            pooled = (hidden * mask).sum(1) / mask.sum(1)
        unit: Vectors = torch.nn.functional.normalize(pooled, dim=-1).numpy()
        return unit

    def encode(texts: list[str]) -> Vectors:
        tokens = tokenizer(texts, truncation=True, max_length=max_len)["input_ids"]
        # equal lengths together: hardly any padding
        order = sorted(range(len(texts)), key=lambda index: len(tokens[index]))
        batches = [order[start : start + _BATCH] for start in range(0, len(order), _BATCH)]
        # a batch a thread: threads that share one wait for each other at every layer, which on
        # busy cores costs more than the second thread brings
        num_threads = torch.get_num_threads()
        with ThreadPoolExecutor(num_threads) as pool:
            found = pool.map(embed, [[tokens[index] for index in batch] for batch in batches])
            vectors = np.concatenate(list(found))
        torch.set_num_threads(num_threads)
        return vectors[np.argsort(order)]

    return encode


def _pooling(folder: Path) -> str:
    path = folder / "1_Pooling" / "config.json"
    if not path.exists():
        return "mean"
    config = read_json(path)
    modes = [key for key, value in config.items() if key.startswith("pooling_mode_") and value]
    if len(modes) != 1 or modes[0] not in _POOLINGS:
        raise DataError(f"{path}: pooling {json.dumps(modes)}; only mean or CLS pooling is known")
    return _POOLINGS[modes[0]]
