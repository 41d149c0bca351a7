"""Thresholds by what streams of the validation split come to.

The sweep that ends a training reads probabilities of true histories, which know nothing of
declining, and so asks for more certainty than is needed. Here the videos are streamed, once for
each threshold that is tried; nothing is said meanwhile, which is twice as fast.

    prospect thresholds --checkpoint runs/x/training/checkpoint --data runs/x/data/val
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from prospect.files import read_json, write_json
from prospect.model.config import Thresholds
from prospect.stages.score import score
from prospect.stages.shared import say
from prospect.stages.stream import predict
from prospect.stream.config import StreamConfig
from prospect.types import Split

CHOSEN = "chosen.json"
UPDATE = (0.95, 0.9, 0.8, 0.7)
DECLINE = (0.5, 0.2, 0.1)
_FIRST = 0.2  # while thresholds of the update are tried


def thresholds(
    checkpoint: Path,
    data: tuple[Path, ...],
    split: Split | None = None,
    out: Path | None = None,
    stream: StreamConfig = StreamConfig(),  # noqa: B008  frozen
    dtype: str = "auto",
) -> None:
    """Choose thresholds by streams of validation videos, and store them in the checkpoint.

    Of the update decision, then of declining if the model chooses steps (`ModelConfig.write`): the
    one with the highest sum of typed transition F1 @5 s and joint goal accuracy. The threshold of
    speech stays.

    Args:
        checkpoint: Folder of a finished model.
        data: Folders of validation data.
        split: Only clips of this split; None takes all.
        out: Folder of the trials, beside the checkpoint by default; what it has is not streamed
            again.
        stream: How streams are watched.
        dtype: Of weights and arithmetic: auto, bfloat16, float16 or float32.
    """
    # the checkpoint module imports torch
    from prospect.model.checkpoint import checkpoint_model, checkpoint_thresholds, store_thresholds

    out = out or checkpoint.parent / "thresholds"
    fitted = checkpoint_thresholds(checkpoint)

    def worth(tried: Thresholds) -> float:
        path = out / f"update-{tried.update}-decline-{tried.decline}.json"
        silent = replace(
            stream,
            speak_threshold=1.0,
            update_threshold=tried.update,
            decline_prob=tried.decline,
        )
        made = [path.with_suffix(f".{place}.jsonl") for place in range(len(data))]
        for folder, one in zip(data, made, strict=True):
            predict(checkpoint, folder, one, split=split, stream=silent, dtype=dtype)
        score(tuple(made), path)
        scores = read_json(path)
        found: float = scores["transition_f1_5s"] + scores["joint_goal_accuracy"]
        say(f"update {tried.update}, decline {tried.decline}: {found:.3f}")
        return found

    best = max((replace(fitted, update=x, decline=_FIRST) for x in UPDATE), key=worth)
    if checkpoint_model(checkpoint).write != "generate":
        best = max((replace(best, decline=x) for x in DECLINE), key=worth)
    name = split or _names(data)
    store_thresholds(checkpoint, replace(best, split=name))
    write_json(out / CHOSEN, {"update": best.update, "decline": best.decline, "of": name})


def _names(data: Sequence[Path]) -> str:
    return ", ".join(folder.name for folder in data)
