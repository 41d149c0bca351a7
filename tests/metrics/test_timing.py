"""When to speak, by other benchmarks' definitions, on hand-worked streams."""

import math
from dataclasses import replace

import numpy as np
import pytest

from prospect.embeddings import Vectors
from prospect.metrics.pool import table
from prospect.metrics.registry import METRICS, stats
from prospect.metrics.timing import area, timeliness
from prospect.types import Prediction
from tests.metrics.worlds import event, stream

_VECTORS = {"right": (1.0, 0.0, 0.0), "close": (0.8, 0.6, 0.0), "odd": (0.4, 0.0, 0.9165151)}


def embed(texts: object) -> Vectors:
    assert isinstance(texts, list)
    return np.array([_VECTORS[text] for text in texts], np.float32).reshape(len(texts), 3)


def scores(prediction: Prediction) -> dict[str, float | None]:
    made = table([stats(prediction, embed)], ["v"]).plain()
    values = {name: float(metric.function(made)[0]) for name, metric in METRICS.items()}
    return {name: None if np.isnan(value) else value for name, value in values.items()}


def test_pauc_of_the_papers_figure() -> None:
    # ProactiveVideoQA, figure 3: judged 0, 1, 2, 2 of 2 at 312, 328, 344, 352 s of [311, 360]
    replies = [(312.0, 0.0), (328.0, 0.5), (344.0, 1.0), (352.0, 1.0)]
    assert area(replies, (311, 360), omega=0) == pytest.approx(48.5 / 98)


def test_pauc_ends() -> None:
    assert area([], (0, 10)) == 0.25
    assert area([(0, 1)], (0, 10)) == 1
    assert area([(10, 1)], (0, 10), omega=0) == 0.25
    assert area([(10, 1)], (0, 10), omega=1) == 1
    assert area([(4, 0)], (0, 10), omega=0.5) == pytest.approx(0.25 * 2 / 10)


def test_pauc_of_a_stream() -> None:
    # at 2 fps the span of 10 is [10, 30), of 60 [60, 80). "close" is 2 frames late: counts from 11.
    # "odd", redundant at 20, counts from 15 and leaves (.8 + .4) / 2. Nothing is said for 60.
    references = (event(10, "", "right"), event(60, "", "right"))
    made = stream(references, (event(12, "", "close"), event(20, "", "odd")))
    first = (1 * 0.25 + 4 * 0.8 + 15 * 0.6) / 20
    assert scores(made)["pauc"] == pytest.approx((first + 0.25) / 2, abs=1e-6)


def test_an_early_match_is_known_at_the_start() -> None:
    made = stream((event(10, "", "right"),), (event(7, "", "right"),))
    assert scores(made)["pauc"] == 1


def test_next_reference_ends_a_span() -> None:
    references = (event(10, "", "right"), event(14, "", "odd"))
    made = stream(references, (event(10, "", "right"), event(14, "", "odd")))
    assert scores(made)["pauc"] == pytest.approx(1, abs=1e-6)


def test_timeliness() -> None:
    assert [timeliness(late_s) for late_s in (-1.5, 0, 1.5)] == [1, 1, 1]
    assert timeliness(1.5 + 1.11) == pytest.approx(math.exp(-0.5))
    assert timeliness(-1.5 - 2.22) == pytest.approx(math.exp(-0.5))
    assert timeliness(-3) > timeliness(3)


def test_timeliness_f1_by_hand() -> None:
    # 10 is met on time, 30 two and a half seconds late (1 s outside), 50 by something else
    references = tuple(event(frame, "", "right") for frame in (10, 30, 50))
    events = (event(10, "", "right"), event(35, "", "close"), event(50, "", "odd"))
    found = scores(stream(references, events))
    hits = 1 + math.exp(-1 / (2 * 1.11**2))
    assert found["timeliness_precision"] == pytest.approx(hits / 3)  # 2 served and 1 false
    assert found["timeliness_recall"] == pytest.approx(hits / 3)


def test_timeliness_forgives_five_and_no_more() -> None:
    spam = tuple(event(frame, "", "right") for frame in range(8, 16))
    found = scores(stream((event(10, "", "right"),), spam))
    assert found["timeliness_recall"] == 1
    assert found["timeliness_precision"] == 1 / (1 + 3)


def test_points_by_hand() -> None:
    # pieces of 10 frames: due in 1, 3, 5; said in 1 (twice), 2
    references = tuple(event(frame, "", "right") for frame in (10, 30, 50))
    events = tuple(event(frame, "", "right") for frame in (12, 19, 20))
    found = scores(stream(references, events))
    assert found["point_speak_f1"] == 2 * 1 / (2 + 3)
    assert found["point_silent_f1"] == 2 * 6 / (8 + 7)
    assert found["point_macro_f1"] == pytest.approx((0.4 + 0.8) / 2)
    assert found["point_gmean_f1"] == pytest.approx(math.sqrt(0.4 * 0.8))


def test_points_of_a_short_last_piece() -> None:
    made = replace(stream((event(11, "", "right"),), (event(11, "", "right"),)), stop_frame=12)
    assert scores(made)["point_speak_f1"] == 1


def test_wider_moments() -> None:
    references = (event(10, "S1->start", "right"),)
    found = scores(stream(references, (event(16, "S1->start", "right"),)))
    assert [found[f"update_decision_f1_{tau}s"] for tau in (2, 5, 10)] == [0, 1, 1]
    assert found["speak_decision_recall_5s"] == 1


def test_nobody_speaks() -> None:
    found = scores(stream((), ()))
    for name in ("pauc", "timeliness_f1", "point_speak_f1", "point_macro_f1", "point_gmean_f1"):
        assert found[name] is None
    assert found["point_silent_f1"] == 1
