"""One function a stage of the pipeline, each from files to files; the command line calls these.

A data folder holds ``annotations.jsonl``, ``dialogues.jsonl``, ``states.jsonl``, ``clips.jsonl``,
``videos/`` and ``features/``. Heavy imports stand inside the functions: `--help` needs none.
"""

from prospect.stages.data import ToySplit, annotate, clips, dialogues, features, states, toy
from prospect.stages.judge import agree, judge
from prospect.stages.learn import train, train_options, train_together
from prospect.stages.report import report
from prospect.stages.score import score
from prospect.stages.shared import (
    ANNOTATIONS,
    CLIPS,
    DIALOGUES,
    STATES,
    load_clips,
    load_renderer,
    open_features,
    say,
)
from prospect.stages.stream import predict

__all__ = [
    "ANNOTATIONS",
    "CLIPS",
    "DIALOGUES",
    "STATES",
    "ToySplit",
    "agree",
    "annotate",
    "clips",
    "dialogues",
    "features",
    "judge",
    "load_clips",
    "load_renderer",
    "open_features",
    "predict",
    "report",
    "say",
    "score",
    "states",
    "toy",
    "train",
    "train_options",
    "train_together",
]
