"""A prediction as a recording for the Rerun viewer (https://rerun.io).

In: a `Prediction` and its frames. Out: an ``.rrd`` file with the video, both probabilities and
their thresholds, the states and all that was said, on the timeline ``video``. Needs the extra
``rerun``; nothing else in the package does.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prospect.clock import event_time_s
from prospect.errors import MissingError
from prospect.files import atomic_path
from prospect.metrics.registry import check
from prospect.report import progress
from prospect.states.notation import format_transition
from prospect.types import Prediction

if TYPE_CHECKING:
    import rerun


def write_recording(out: Path, prediction: Prediction, frames: Iterable[NDArray[np.uint8]]) -> None:
    """Write ``out``, whole or not at all.

    Args:
        out: The ``.rrd`` file.
        prediction: One that can be scored.
        frames: uint8 RGB (H, W, 3), from the stream's first frame on.

    Raises:
        MissingError: the Rerun SDK is not installed.
        DataError: a record that can't be scored.
    """
    try:
        import rerun
    except ImportError as error:
        raise MissingError(
            "the Rerun SDK is not installed; `pip install 'prospect-assistant[rerun]'` gets it, or "
            "write an mp4 with --video"
        ) from error

    check(prediction)
    with atomic_path(out) as temporary:
        recording = rerun.RecordingStream("prospect", recording_id=prediction.dialogue_id)
        recording.save(temporary)
        for frame, image in enumerate(frames, prediction.start_frame):
            _at(recording, prediction, frame)
            recording.log("video", rerun.Image(image).compress())
        sides = (
            ("speak", prediction.speak_prob, prediction.speak_threshold),
            ("update", prediction.update_prob, prediction.update_threshold),
        )
        for name, probs, threshold in sides:
            for frame, prob in enumerate(probs, prediction.start_frame):
                _at(recording, prediction, frame)
                recording.log(f"probability/{name}", rerun.Scalars(prob))
                recording.log(f"probability/{name}_threshold", rerun.Scalars(threshold))
        for name, events in (
            ("reference", prediction.references),
            ("predicted", prediction.events),
        ):
            for run in progress.state_runs(prediction, events):
                _at(recording, prediction, run.start)
                lines = [f"{step}: {status}" for step, status in run.value.items()]
                recording.log(f"state/{name}", rerun.TextDocument("\n".join(lines)))
            for event in events:
                _at(recording, prediction, event.frame)
                moves = " ".join(format_transition(move) for move in event.transitions)
                for who, text in ((name, moves), (name, event.speech), ("user", event.user)):
                    if text:
                        recording.log(f"log/{who}", rerun.TextLog(text))
        recording.disconnect()


def _at(recording: "rerun.RecordingStream", prediction: Prediction, frame: int) -> None:
    recording.set_time("video", duration=event_time_s(frame, prediction.fps))
