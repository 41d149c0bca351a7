"""Choose by what streams of the validation split come to: when to update, and when to decline.

In: a checkpoint and validation data. Out: the threshold of the update decision and, for a model
that points, that of declining, with the highest sum of typed transition F1 @5 s and joint goal
accuracy, stored in the checkpoint. The sweep that ends a training reads probabilities of true
histories, which know nothing of declining, and so asks for more certainty than is needed. Nothing
is said meanwhile: that is twice as fast.

    python scripts/thresholds.py --checkpoint runs/toy/training/checkpoint --data runs/toy/data/val
"""

from dataclasses import replace
from pathlib import Path

from jsonargparse import ArgumentParser

from prospect import stages
from prospect.files import read_json, write_json
from prospect.model.checkpoint import checkpoint_model, checkpoint_thresholds, store_thresholds
from prospect.model.config import Thresholds
from prospect.stream.config import StreamConfig

UPDATE = (0.95, 0.9, 0.8, 0.7)
DECLINE = (0.5, 0.2, 0.1)
FIRST = 0.2  # while thresholds of the update are tried


def main() -> None:
    """Try the first threshold, then, with the best one, the other."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="validation data")
    parser.add_argument("--split", help="of a folder that has several; all of it without")
    parser.add_argument("--out", type=Path, help="folder of the trials; beside the checkpoint")
    parser.add_argument("--stream", type=StreamConfig, default=StreamConfig(speak_threshold=1.0))
    given = parser.instantiate(parser.parse_args())
    out = given.out or given.checkpoint.parent / "thresholds"
    fitted = checkpoint_thresholds(given.checkpoint)

    def worth(tried: Thresholds) -> float:
        """Of a trial; what was streamed before is not streamed again."""
        path = out / f"update-{tried.update}-decline-{tried.decline}.json"
        limits = {"update_threshold": tried.update, "decline_prob": tried.decline}
        made = path.with_suffix(".jsonl")
        stream = replace(given.stream, **limits)
        stages.predict(given.checkpoint, given.data, made, split=given.split, stream=stream)
        stages.score((made,), path)
        scores = read_json(path)
        found: float = scores["transition_f1_5s"] + scores["joint_goal_accuracy"]
        print(f"update {tried.update}, decline {tried.decline}: {found:.3f}", flush=True)
        return found

    best = max((replace(fitted, update=x, decline=FIRST) for x in UPDATE), key=worth)
    if checkpoint_model(given.checkpoint).write != "generate":
        best = max((replace(best, decline=x) for x in DECLINE), key=worth)
    store_thresholds(given.checkpoint, replace(best, split=given.split or given.data.name))
    write_json(out / "chosen.json", {"update": best.update, "decline": best.decline})


if __name__ == "__main__":
    main()
