"""The model that comes with the package does what its card says."""

from pathlib import Path

import pytest

from prospect import stages
from prospect.errors import ConfigError
from prospect.files import check_manifest, read_json
from prospect.model.checkpoint import checkpoint_model
from prospect.shipped import SHIPPED, checkpoint_folder, training_folder
from prospect.stream.config import StreamConfig

EXPECTED = {
    "transition_f1_5s": 0.871,
    "transition_f1_2s": 0.871,
    "start_accuracy": 0.929,
    "joint_goal_accuracy": 0.451,
    "speech_f1": 0.630,
    "speak_decision_f1": 0.822,
    "update_decision_f1": 0.871,
}
"""Of three videos in fp32."""


def test_three_videos_score_as_ever(tmp_path: Path) -> None:
    model = checkpoint_folder("demo")
    stages.toy("unseen_tasks", 3, tmp_path, seed=41)
    stages.features(tmp_path, checkpoint_model(model))
    found = tmp_path / "p.jsonl"
    config = StreamConfig(max_new_tokens=40)
    stages.predict(model, tmp_path, found, stream=config, dtype="float32")
    stages.score((found,), tmp_path / "scores.json")
    scores = read_json(tmp_path / "scores.json")
    # one event in forty may fall on the other side of a threshold on another processor
    assert {name: scores[name] for name in EXPECTED} == pytest.approx(EXPECTED, abs=0.04)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_trainings_are_whole_and_small(name: str) -> None:
    folder = training_folder(name)
    check_manifest(checkpoint_folder(name))
    assert sum(file.stat().st_size for file in folder.rglob("*")) < 25e6
    for file in ("README.md", "about.json", "config.yaml", "metrics.jsonl"):
        assert (folder / file).is_file()


def test_other_names_are_folders() -> None:
    assert checkpoint_folder("runs/x/checkpoint") == Path("runs/x/checkpoint")
    assert training_folder(Path("runs/x")) == Path("runs/x")


def test_a_sweep_leaves_the_package_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="came with the package"):
        stages.predict("demo", tmp_path, tmp_path / "p.jsonl", sweep=True)
