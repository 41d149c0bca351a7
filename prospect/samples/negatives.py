"""Which silent frames count in the decision losses of an epoch.

In: a rendered clip's labels. Out: the labels with dropped silent frames unlabelled. The inputs
never change. ProAssist's negative frame sub-sampling (arXiv 2506.05904, section 4.2): of a run of
silent frames before a turn keep ``max(int(rho * (n - 1)), 1)``, n counting the deciding frame.
"""

import numpy as np
from numpy.typing import NDArray

from prospect.samples.labels import ACT, SILENT, UNLABELLED


def subsample(
    speak: NDArray[np.int8],
    update: NDArray[np.int8],
    negative_rate: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Drop silent frames; one draw serves both decisions.

    Args:
        speak, update: (F,) labels of `prospect.samples.sequence`.
        negative_rate: rho in [0, 1]; 1 keeps all, 0 keeps one a run.
        rng: Seeded by (seed, epoch, clip).

    Returns:
        (F,) labels of both. A frame where only one decision fires is a negative of the other and
        always counts; so does the frame before a user turn for the update. Where no frame has a
        speak label, runs are those of the update.
    """
    labelled = speak if (speak != UNLABELLED).any() else update
    silent = (labelled == SILENT) & (update != ACT)
    drop = np.zeros(len(speak), bool)
    for run in _runs(silent):
        keep = max(int(negative_rate * len(run)), 1)
        drop[rng.permutation(run)[keep:]] = True
    return np.where(drop, UNLABELLED, speak), np.where(drop, UNLABELLED, update)


def _runs(mask: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Indices of each maximal run of True."""
    indices = np.flatnonzero(mask)
    return [run for run in np.split(indices, np.flatnonzero(np.diff(indices) > 1) + 1) if len(run)]
