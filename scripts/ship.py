"""Take a training into the package: its configuration, curves, and weights in 16 bit.

In: the folder of a finished training. Out: a folder of `prospect.shipped`, whose card is written by
hand. What was learned loses digits that it doesn't need: scores are those of the shipped weights.

    prospect run --config presets/toy.yaml
    python scripts/ship.py runs/toy/training prospect/shipped/demo
"""

import argparse
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file

from prospect.files import check_manifest, write_manifest

_FILES = ("about.json", "config.yaml", "metrics.jsonl")
_WEIGHTS = "weights.safetensors"


def main() -> None:
    """Copy, halve the weights, and record what the checkpoint holds now."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("training", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    check_manifest(given.training / "checkpoint")
    folder = given.out / "checkpoint"
    folder.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        shutil.copyfile(given.training / name, given.out / name)
    shutil.copyfile(given.training / "checkpoint" / "prospect.json", folder / "prospect.json")
    weights = load_file(given.training / "checkpoint" / _WEIGHTS)
    save_file({name: weight.half() for name, weight in weights.items()}, folder / _WEIGHTS)
    (folder / _WEIGHTS).chmod(0o644)
    write_manifest(folder)
    size = (folder / _WEIGHTS).stat().st_size
    print(f"{folder / _WEIGHTS}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
