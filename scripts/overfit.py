"""Does the path from picture to step text work? Overfit 10 videos and ask which step starts.

In: nothing. Out: a curve of start-only accuracy on the training videos, printed and written as
JSON. The model is told when something happens and has to write what; listed order and chance stand
beside it.

    python scripts/overfit.py --out runs/overfit
"""

import argparse
import json
from pathlib import Path

from prospect import stages
from prospect.metrics.score import score
from prospect.model.checkpoint import Checkpoint, load_weights
from prospect.model.config import LossWeights, ModelConfig, Thresholds
from prospect.model.network import build
from prospect.model.precision import resolve_dtype
from prospect.stream.config import StreamConfig
from prospect.stream.engine import make_engine
from prospect.stream.fed import predict_streams
from prospect.stream.predict import Viewer
from prospect.train.config import OptimConfig, TrainConfig

MODEL = ModelConfig(num_layers=8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--num-videos", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=30)
    arguments = parser.parse_args()
    data = arguments.out / "data"
    stages.toy("train", arguments.num_videos, data, seed=11)
    stages.features(data, MODEL)
    config = TrainConfig(
        optim=OptimConfig(epochs=arguments.epochs, batch_size=1, lr=1e-3),
        losses=LossWeights(speak_gen=0.1, speak_bin=0.1, update_bin=0.1),
        permute_steps="none",
        log_steps=10,
        eval_steps=1000,
        save_steps=60,
        keep_checkpoints=100,
    )
    stages.train((data,), arguments.out / "training", (data,), MODEL, config)
    curve = measure(data, arguments.out / "training")
    (arguments.out / "curve.json").write_text(json.dumps(curve, indent=1))
    for row in curve:
        print(f"step {row['step']:4d}  start-only {row['start_accuracy']:.3f}")


def measure(data: Path, training: Path) -> list[dict[str, float]]:
    """Start-only accuracy of every checkpoint on the videos it was trained on."""
    vectors, dim = stages.open_features((data,), MODEL, None)
    network, renderer = build(MODEL, dim, resolve_dtype("auto"))
    model = Checkpoint(network.eval(), renderer, MODEL, Thresholds(), 2.0, {})
    config = StreamConfig()
    engine = make_engine(model, config, config.num_slots)
    viewer = Viewer(model, vectors, config, "told", False, engine)
    clips = stages.load_clips(data, None)
    folders = sorted(training.glob("checkpoint-*"), key=lambda p: int(p.name.split("-")[1]))
    curve = []
    for folder in folders:
        load_weights(network, folder)
        told = predict_streams(viewer, "told", [[clip] for clip in clips])
        found = score(list(told))["systems"]["told [reference_dialogue]"]["groups"]["pooled"]
        right = found["start_accuracy_told"]["value"]
        curve.append({"step": int(folder.name.split("-")[1]), "start_accuracy": right})
    return curve


if __name__ == "__main__":
    main()
