"""Can all four losses be learned? Overfit 8 clips of real dialogues over drawn video.

In: nothing; the annotations come with the package. Out: the curve of the four losses, printed and
written as JSON.

    python scripts/overfit_losses.py --out runs/overfit_losses
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from prospect import stages
from prospect.dataset import write_dataset_manifest
from prospect.files import read_records, write_records
from prospect.model.config import LoraConfig, ModelConfig
from prospect.toy.world import draw_world
from prospect.train.config import OptimConfig, TrainConfig
from prospect.train.log import read_log
from prospect.types import Annotation

MODEL = ModelConfig(num_layers=8, context_len=640, tuning="full", lora=LoraConfig(dropout=0.0))
LOSSES = ("speak_gen", "state_gen", "speak_bin", "update_bin")
NUM_CLIPS, NUM_VIDEOS = 8, 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=30)
    arguments = parser.parse_args()
    data, training = arguments.out / "data", arguments.out / "training"
    make_clips(data)
    config = TrainConfig(
        optim=OptimConfig(epochs=arguments.epochs, batch_size=1, lr=5e-4),
        permute_steps="none",
        negative_rate=1.0,
        log_steps=NUM_CLIPS,
        eval_steps=10_000,
        save_steps=5 * NUM_CLIPS,
    )
    stages.train((data,), training, (data,), MODEL, config)
    rows = [row for row in read_log(training / "metrics.jsonl") if LOSSES[0] in row]
    curve = [{name: row[name] for name in ("step", *LOSSES)} for row in rows]
    (arguments.out / "curve.json").write_text(json.dumps(curve, indent=1))
    for row in curve[::5]:
        print("  ".join(f"{name} {value:.3f}" for name, value in row.items()))


def make_clips(data: Path) -> None:
    """The first clips with speech and transitions of the shortest bundled videos."""
    stages.annotate("holoassist", Path("bundled"), data)
    shortest = sorted(
        read_records(data / stages.ANNOTATIONS, Annotation), key=lambda one: one.duration_s
    )
    write_records(data / stages.ANNOTATIONS, shortest[:NUM_VIDEOS])
    draw_world(data)
    stages.dialogues(data, "human")
    stages.states(data)
    stages.clips(data, model=MODEL)
    clips = stages.load_clips(data, None)
    full = [
        clip
        for clip in clips
        if any(event.speech for event in clip.events)
        if any(event.transitions for event in clip.events)
    ]
    assert len(full) >= NUM_CLIPS, f"only {len(full)} clips have both speech and transitions"
    # whatever split they are of: nothing here is about what was not seen
    write_records(data / stages.CLIPS, (replace(one, split="train") for one in full[:NUM_CLIPS]))
    write_dataset_manifest(data)
    stages.features(data, MODEL)


if __name__ == "__main__":
    main()
