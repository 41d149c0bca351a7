"""The film: its length, what is drawn at a frame, what is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from prospect.errors import DataError
from prospect.report import film
from prospect.types import Event, Prediction, State

Make = Callable[..., Prediction]
GREEN = np.full((48, 64, 3), (0, 200, 0), np.uint8)


def test_a_frame_of_film_a_frame_of_stream(tmp_path: Path, make_prediction: Make) -> None:
    made = make_prediction(0, steps=3, duration_s=20.0)
    film.write_film(tmp_path / "film.mp4", made, (GREEN for _ in range(40)))
    with av.open(str(tmp_path / "film.mp4")) as container:
        pages = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 2
    assert len(pages) == 40
    assert pages[0].shape == (film.HEIGHT, film.WIDTH, 3)
    left, top, side = film._PICTURE
    middle = pages[20][top + side // 2, left + side // 2].astype(int)
    assert np.abs(middle - (0, 200, 0)).max() < 12


def test_the_checklist_changes_with_the_state(make_prediction: Make) -> None:
    made = replace(make_prediction(0, steps=2), speak_prob=(), update_prob=())
    new: State = {"S1": "not_started", "S2": "not_started"}
    moved: State = {"S1": "completed", "S2": "not_started"}
    pages = [
        np.asarray(film.page_at(made, 0, GREEN, state, predicted)).astype(int)
        for state, predicted in ((new, new), (moved, new), (moved, moved))
    ]
    box = (slice(80, 88), slice(442, 448))  # inside the reference box of S1
    assert np.abs(pages[0][box] - film._BACK).max() == 0
    assert np.abs(pages[1][box] - film._REF).max() == 0
    name = (slice(70, 100), slice(528, 800))
    assert (pages[1][name] == film._WRONG).all(-1).any()
    assert not (pages[2][name] == film._WRONG).all(-1).any()


def test_many_steps_and_long_words_fit(make_prediction: Make) -> None:
    made = make_prediction(0, steps=40)
    made = replace(made, references=(Event(0, speech="word " * 200, user="x" * 500),), events=())
    state: State = dict.fromkeys(made.state, "in_progress")
    page = np.asarray(film.page_at(made, 3, GREEN, state, state)).astype(int)
    assert np.abs(page[:, -8:] - film._BACK).max() == 0  # nothing runs over the edge
    assert np.abs(page[-6:] - film._BACK).max() == 0


def test_too_few_frames(tmp_path: Path, make_prediction: Make) -> None:
    made = make_prediction(0, duration_s=20.0)
    with pytest.raises(DataError, match="its video holds 39 of 40 frames at 2 a second"):
        film.write_film(tmp_path / "film.mp4", made, (GREEN for _ in range(39)))
    assert list(tmp_path.iterdir()) == []
