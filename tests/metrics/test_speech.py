"""Speech scores of one hand-worked stream."""

from dataclasses import replace

import numpy as np
import pytest

from prospect.embeddings import Vectors
from prospect.errors import DataError
from prospect.metrics.pool import table
from prospect.metrics.speech import METRICS, listen, stats, window_frames
from tests.metrics.worlds import event, stream

# cosines: right and close 0.8; right and odd 0.4
_VECTORS = {"right": (1.0, 0.0, 0.0), "close": (0.8, 0.6, 0.0), "odd": (0.4, 0.0, 0.9165151)}


def embed(texts: object) -> Vectors:
    assert isinstance(texts, list)
    return np.array([_VECTORS[text] for text in texts], np.float32).reshape(len(texts), 3)


def scores(events: tuple, references: tuple) -> dict[str, float | None]:
    prediction = stream(references, events)
    made = table([stats(prediction, listen(prediction, embed))], ["v"]).plain()
    values = {name: float(metric.function(made)[0]) for name, metric in METRICS.items()}
    return {name: None if np.isnan(value) else value for name, value in values.items()}


REFERENCES = tuple(event(frame, "", "right") for frame in (10, 30, 50, 70))


def test_every_score_by_hand() -> None:
    # at 2 fps the window is 5 frames either way: 10 is met 2 frames late with "close" (.8, right),
    # 30 on time with "odd" (.4, a pair that is wrong), 50 and 70 are missed, 90 is redundant
    events = (event(12, "", "close"), event(30, "", "odd"), event(90, "", "right"))
    found = scores(events, REFERENCES)
    assert found == pytest.approx(
        {
            "speech_precision": 1 / 3,
            "speech_recall": 1 / 4,
            "speech_f1": 2 / 7,
            "speech_jaccard": 1 / (2 + 2 + 1),
            "speech_missing_rate": 2 / 4,
            "speech_redundant_rate": 1 / 3,
            "speech_semantic_score": 0.8,
            "speech_time_diff_s": 1.0,
            "speech_when_precision": 2 / 3,
            "speech_when_recall": 2 / 4,
            "speech_when_f1": 4 / 7,
            "speech_rate_ratio": 3 / 4,
            "speech_repeat_rate": 0,
            "speech_empty_rate": 0,
            "speech_overlong_rate": 0,
        }
    )


def test_silence_and_nothing_to_say() -> None:
    silent = scores((), REFERENCES)
    assert (silent["speech_recall"], silent["speech_f1"], silent["speech_jaccard"]) == (0, 0, 0)
    assert silent["speech_precision"] is None
    assert silent["speech_semantic_score"] is None
    chatty = scores(REFERENCES, ())
    assert (chatty["speech_precision"], chatty["speech_f1"], chatty["speech_recall"]) == (
        0,
        0,
        None,
    )
    assert set(scores((), ()).values()) == {None}


def test_windows_are_cut_towards_zero() -> None:
    assert window_frames("holoassist", 2.0) == (-3, 5)
    assert window_frames("ego4d", 2.0) == (-8, 17)
    assert window_frames("a new one", 2.0) == (-5, 5)
    assert window_frames("narration", 0.5) == (-1, 1)
    assert window_frames("epickitchens", 29.97) == (-44, 89)


def test_window_depends_on_the_dataset() -> None:
    made = stream((event(20, "", "right"),), (event(14, "", "right"),))  # reference 3 s later
    assert not listen(made, embed).match.pairs
    assert listen(replace(made, dataset="assembly101"), embed).match.pairs


def test_errors_name_the_stream() -> None:
    made = stream((event(0, "", "right"),), (event(0, "", "right"),), num_frames=1)
    with pytest.raises(DataError, match="v1/no_talk-0 by model: ProAssist's matcher"):
        listen(made, embed, "proassist")


def test_text_checks() -> None:
    texts = ("right", "right", "odd", "close")
    words = {"right": "Go.", "odd": "", "close": " ".join(["word"] * 61)}
    events = tuple(event(20 * place, "", words[text]) for place, text in enumerate(texts))
    made = stream((), events)

    def alike(texts: object) -> Vectors:
        assert isinstance(texts, list)
        return np.ones((len(texts), 1), np.float32)

    pool = table([stats(made, listen(made, alike))], ["v"]).plain()
    names = ("speech_repeat_rate", "speech_empty_rate", "speech_overlong_rate")
    assert [float(METRICS[name].function(pool)[0]) for name in names] == [0.25, 0.25, 0.25]
