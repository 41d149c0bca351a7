"""What each frame of a clip teaches of the two decisions.

In: a clip. Out: its labels, before any silent frame is left out of an epoch.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

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
    speaks, updates = _LABELLED[clip.kind]
    tracked = updates and clip.knowledge and clip.state_known
    speak[: repeated if speaks else num_frames] = UNLABELLED
    update[: repeated if tracked else num_frames] = UNLABELLED
    return speak, update
