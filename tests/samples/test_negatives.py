"""How many silent frames count, by hand; ProAssist's own numbers are in tests/parity."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from prospect.samples.labels import ACT, SILENT, UNLABELLED
from prospect.samples.negatives import subsample

LABELS = {"A": ACT, ".": SILENT, "?": UNLABELLED}


def labels(text: str) -> NDArray[np.int8]:
    return np.array([LABELS[char] for char in text], np.int8)


def draw(
    speak: str, update: str, rate: float, seed: int = 0
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    return subsample(labels(speak), labels(update), rate, np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("rate", "kept"),
    [
        (1.0, [10, 1, 4]),
        (0.5, [5, 1, 2]),
        (0.25, [2, 1, 1]),
        (0.1, [1, 1, 1]),
        (0.0, [1, 1, 1]),  # a run never vanishes
    ],
)
def test_each_run_keeps_its_share(rate: float, kept: list[int]) -> None:
    #        a run of 10, of 1 and of 4
    speak = "..........A.A...."
    found, update = draw(speak, "." * len(speak), rate)
    runs = (slice(0, 10), slice(11, 12), slice(13, 17))
    assert [int((found[run] == SILENT).sum()) for run in runs] == kept
    assert found[10] == found[12] == ACT
    # one draw serves both; where something is said the update's negative counts
    expected = np.where(found == ACT, SILENT, found)
    assert update.tolist() == expected.tolist()


def test_frames_where_one_decision_fires_are_never_dropped() -> None:
    speak, update = draw(".....A.......", "..A..........", 0.0)
    assert (speak[2], update[2]) == (SILENT, ACT)
    assert (speak[5], update[5]) == (ACT, SILENT)
    # runs [0, 2), [3, 5), [6, 13) keep one frame each
    assert (speak == SILENT).sum() == 3 + 1
    assert (update == SILENT).sum() == 3 + 1


def test_a_frame_before_a_user_turn_counts_for_the_update_and_parts_the_run() -> None:
    speak, update = draw("....?....", ".........", 0.0)
    assert (speak[4], update[4]) == (UNLABELLED, SILENT)
    assert (speak == SILENT).sum() == 2
    assert (update == SILENT).sum() == 3


def test_where_only_the_update_is_labelled_its_runs_are_drawn_from() -> None:
    speak, update = draw("?" * 13, "..A..........", 0.5)
    assert speak.tolist() == labels("?" * 13).tolist()
    assert [int((update[run] == SILENT).sum()) for run in (slice(0, 2), slice(3, 13))] == [1, 5]
    assert update[2] == ACT


def test_unlabelled_stays_unlabelled_and_nothing_gives_nothing() -> None:
    speak, update = draw("??..A", "?????", 1.0)
    assert speak.tolist() == labels("??..A").tolist()
    assert update.tolist() == labels("?????").tolist()
    assert [len(part) for part in draw("", "", 0.5)] == [0, 0]


@given(
    st.lists(st.tuples(st.sampled_from("A.?"), st.sampled_from("A.?")), max_size=60),
    st.floats(0, 1),
    st.integers(0, 5),
)
def test_a_draw_only_unlabels_and_depends_on_the_generator_alone(
    pairs: list[tuple[str, str]], rate: float, seed: int
) -> None:
    speak, update = ("".join(column) for column in zip(*pairs, strict=True)) if pairs else ("", "")
    before = labels(speak), labels(update)
    found = draw(speak, update, rate, seed)
    for new, old in zip(found, before, strict=True):
        assert ((new == old) | ((old == SILENT) & (new == UNLABELLED))).all()
        assert ((new == ACT) == (old == ACT)).all()
    again = draw(speak, update, rate, seed)
    assert all((new == old).all() for new, old in zip(found, again, strict=True))
