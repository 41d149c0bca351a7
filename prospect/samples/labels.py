"""What each frame of a clip teaches of the two decisions.

In: a clip. Out: its labels, before any silent frame is left out of an epoch.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from prospect.errors import ConfigError, DataError
from prospect.samples.config import Layout
from prospect.types import Clip, ClipKind

SILENT, ACT, UNLABELLED = 0, 1, -1
"""The label of one decision at one frame."""
_LABELLED: Mapping[ClipKind, tuple[bool, bool]] = {
    "dialogue": (True, True),
    # the talk was taken out, so silence here says nothing of when to speak
    "state": (False, True),
    # ProAssist disables silent frames too where only a summary is asked for
    "summary": (False, False),
    "narration": (True, False),
    # a caption ends where its row of the file ends: nothing in view tells when
    "caption": (False, False),
}
"""Whether frames of this kind of clip carry speak and update labels."""


def frame_labels(clip: Clip) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """(F,) speak and update labels; see `prospect.samples.sequence.Renderer.clip`."""
    num_frames = clip.stop_frame - clip.start_frame
    speak = np.full(num_frames, SILENT, np.int8)
    update = np.full(num_frames, SILENT, np.int8)
    for event in clip.events:
        index = event.frame - clip.start_frame
        update[index] = ACT if event.transitions else SILENT
        if event.speech is not None:
            speak[index] = ACT
        elif event.user is not None:
            speak[index] = UNLABELLED
    repeated = clip.decide_from - clip.start_frame
    speaks = _LABELLED[clip.kind][0]
    speak[: repeated if speaks else num_frames] = UNLABELLED
    update[: repeated if tracks_state(clip) else num_frames] = UNLABELLED
    return speak, update


def tracks_state(clip: Clip) -> bool:
    """Whether the clip's frames teach when to update the state."""
    return _LABELLED[clip.kind][1] and clip.knowledge and clip.state_known


def check_clips(layout: Layout, clips: Iterable[Clip]) -> None:
    """Refuse clips that a model of this layout can't learn from.

    Raises:
        ConfigError: states, where the next token is to tell them from speech but both turns open
            with the same one.
        DataError: a transition outside of the model's vocabulary.
    """
    for clip in clips:
        if layout.token_decisions and not layout.own_headers and tracks_state(clip):
            raise ConfigError(
                f"{clip.clip_id} tracks the state, but with decision: token and roles: chat a "
                "state turn opens like speech; choose roles: tokens"
            )
        for event in clip.events:
            for move in event.transitions:
                if move.move not in layout.moves:
                    raise DataError(
                        f"{clip.clip_id}: {move.step_id}->{move.move} at frame {event.frame}, but "
                        f"model.moves is {', '.join(layout.moves)}; add {move.move}, or label the "
                        "states without it"
                    )
