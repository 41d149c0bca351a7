"""The examples of docs/metrics_differences.md, run."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from prospect.embeddings import Vectors
from prospect.errors import DataError
from prospect.metrics import speech
from prospect.metrics.match import Match, Mode, match
from prospect.metrics.pool import table
from tests.metrics.worlds import stream

PAGE = Path(__file__).parents[2] / "docs" / "metrics_differences.md"
FENCED = r"<!-- example -->\n```json\n(.*?)```"
EXAMPLES = [json.loads(text) for text in re.findall(FENCED, PAGE.read_text("utf-8"), re.DOTALL)]


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 5


@pytest.mark.parametrize("mode", get_args(Mode))
@pytest.mark.parametrize("example", EXAMPLES)
def test_example(example: dict[str, Any], mode: Mode) -> None:
    expected = example[mode]
    if isinstance(expected, str):
        with pytest.raises(DataError, match=expected):
            heard(example, mode)
        return
    found = heard(example, mode)
    pool = table([speech.stats(stream(()), found)], ["v"]).plain()
    f1, off_s = (
        float(speech.METRICS[name].function(pool)[0])
        for name in ("speech_f1", "speech_time_diff_s")
    )
    got = {
        "right": sum(pair.correct for pair in found.match.pairs),
        "missed": len(found.match.missed),
        "redundant": len(found.match.redundant),
        "f1": f1,
        "time_diff_s": None if np.isnan(off_s) else off_s,
    }
    assert {key: got[key] for key in expected} == expected


def heard(example: dict[str, Any], mode: Mode) -> speech.Heard:
    said, due = (
        [(int(frame), text) for frame, text in example[side].items()] for side in ("said", "due")
    )
    left, right = (vectors([text for _, text in side]) for side in (said, due))
    found: Match = match(
        np.array([frame for frame, _ in said], np.int64),
        np.array([frame for frame, _ in due], np.int64),
        left,
        right,
        (0, example["num_frames"]),
        tuple(example["window"]),
        mode,
    )
    return speech.Heard(said, due, left, right, found, mode)


def vectors(texts: list[str]) -> Vectors:
    """Texts that are equal have a cosine of exactly 1, others of 0."""
    axes = {"Well done.": 0, "Next.": 1}
    return np.eye(2, dtype=np.float32)[[axes[text] for text in texts]].reshape(len(texts), 2)
