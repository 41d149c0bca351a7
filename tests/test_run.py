"""The whole pipeline, from videos to scores: end to end, killed and resumed, existing files."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from prospect import clock
from prospect.__main__ import main
from prospect.dialogues import WRITERS, label, write_dialogues
from prospect.errors import ProspectError
from prospect.files import read_json, read_lines, read_records
from prospect.frames.stores import write_arrow_frames
from prospect.model.checkpoint import checkpoint_thresholds, store_thresholds
from prospect.model.config import ModelConfig, Thresholds
from prospect.samples.clips import cut, whole_clip
from prospect.samples.legacy.checks import Limits
from prospect.samples.legacy.export import write_clips
from prospect.stages import load_renderer, train_options, train_together
from prospect.toy.draw import draw
from prospect.toy.world import annotations
from prospect.train.config import TrainConfig
from prospect.types import Clip, Prediction, Split

HEADLINE = {
    "transition_f1_5s",
    "transition_f1_2s",
    "start_accuracy",
    "joint_goal_accuracy",
    "speech_f1",
    "speak_decision_f1",
    "update_decision_f1",
}
FPS = 1.0


def settings(llm: Path, out: Path, context_len: int = 4096) -> dict[str, object]:
    return {
        "out": str(out),
        "fps": FPS,
        "data": {
            "train": {"toy": {"split": "train", "num_videos": 3}},
            "val": {"toy": {"split": "seen_tasks", "num_videos": 1, "seed": 1}},
            "test": {"toy": {"split": "unseen_tasks", "num_videos": 2, "seed": 2}},
        },
        "train": ["train"],
        "val": ["val"],
        "test": ["test"],
        "model": {"llm": str(llm), "context_len": context_len, "lora": {"rank": 2}},
        "training": {
            "optim": {"epochs": 4, "batch_size": 1},
            "log_steps": 2,
            "eval_steps": 6,
            "save_steps": 4,
            "dtype": "float32",
        },
        "stream": {
            "max_new_tokens": 8,
            "max_user_tokens": 40,
            "speak_threshold": 0.55,
            "update_threshold": 0.55,
        },
    }


def write_config(folder: Path, config: dict[str, object]) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(scope="module")
def unbroken(tiny_llm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    config = write_config(folder, settings(tiny_llm, folder / "run"))
    assert main(["run", "--config", str(config)]) == 0
    return folder / "run"


def losses(run: Path) -> list[tuple[int, float]]:
    rows = [row for _, row in read_lines(run / "training" / "metrics.jsonl")]
    return [(row["step"], row["loss"]) for row in rows if "loss" in row]


def test_run_leads_from_videos_to_scores_and_a_report(unbroken: Path) -> None:
    scores = read_json(unbroken / "scores.json")
    assert {key for key, value in scores.items() if not isinstance(value, dict | list)} <= HEADLINE
    assert scores.keys() >= HEADLINE
    systems = scores["systems"]
    assert next(iter(systems)) == "prospect"
    assert {"blind", "silent", "periodic", "oracle"} <= systems.keys()
    best = systems["oracle"]["groups"]["pooled"]
    assert best["transition_f1_5s"]["value"] == best["joint_goal_accuracy"]["value"] == 1.0
    page = (unbroken / "report.html").read_text()
    assert "prospect" in page
    assert page.count("data:image/jpeg") > 5
    assert scores["about"]["num_streams_expected"] == scores["about"]["num_streams"] == 2


def test_predictions_carry_references_probabilities_and_legal_events(unbroken: Path) -> None:
    made = read_records(unbroken / "predictions" / "test.prospect.jsonl", Prediction)
    assert len(made) == 2
    for prediction in made:
        assert len(prediction.speak_prob) == prediction.stop_frame - prediction.start_frame
        assert prediction.references
        assert prediction.seen_task is False


def test_run_again_changes_nothing(
    unbroken: Path, tiny_llm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in unbroken.rglob("*") if path.is_file()}
    config = write_config(unbroken.parent, settings(tiny_llm, unbroken))
    assert main(["run", "--config", str(config)]) == 0
    after = {path: path.read_bytes() for path in unbroken.rglob("*") if path.is_file()}
    assert before == after


def test_a_finished_training_is_tested_without_training(
    unbroken: Path, tiny_llm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = settings(tiny_llm, tmp_path / "run") | {"trained": str(unbroken / "training")}
    data = dict(config.pop("data"))  # type: ignore[call-overload]
    of_baselines = {"split": "train", "num_videos": 3, "without_videos": True}
    config["data"] = {"train": {"toy": of_baselines}, "test": data["test"]}
    del config["val"]
    for name in ("model", "training"):
        assert main(["run", "--config", str(write_config(tmp_path, config))]) == 2
        assert "leave model, training and val out" in capsys.readouterr().err
        del config[name]
    path = write_config(tmp_path, config)
    assert main(["run", "--config", str(path), "--out", str(unbroken)]) == 2
    assert "where this run keeps its own" in capsys.readouterr().err
    assert main(["run", "--config", str(path)]) == 0
    made = tmp_path / "run"
    assert not (made / "data" / "train" / "videos").exists()
    ours, trained = (read_json(run / "scores.json")["systems"] for run in (made, unbroken))
    assert ours.keys() == trained.keys()
    for name in ours.keys() - {"prospect", "blind"}:  # which are in bf16 here
        assert ours[name] == trained[name], name
    assert losses(made) == losses(unbroken)
    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    assert main(["run", "--config", str(made / "config.yaml")]) == 0
    assert before == {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}


def test_other_thresholds_are_streamed_not_trained(
    unbroken: Path, tiny_llm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    shutil.copytree(unbroken, out)
    store_thresholds(out / "training" / "checkpoint", Thresholds(0.6, 0.6))
    config = settings(tiny_llm, out)
    del config["stream"]["speak_threshold"]  # type: ignore[attr-defined]
    assert main(["run", "--config", str(write_config(tmp_path, config))]) == 0
    assert f"{out / 'training' / 'checkpoint'}: up to date" in capsys.readouterr().err
    made = read_records(out / "predictions" / "test.prospect.jsonl", Prediction)
    assert {prediction.speak_threshold for prediction in made} == {0.6}


def test_a_run_chooses_thresholds_by_streams_once_for_a_checkpoint(
    unbroken: Path, tiny_llm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    shutil.copytree(unbroken / "data", out / "data")
    checkpoint = out / "training" / "checkpoint"
    config = settings(tiny_llm, out) | {"thresholds": "streams"}
    del config["stream"]["update_threshold"]  # type: ignore[attr-defined]
    path = write_config(tmp_path, config)
    assert main(["run", "--config", str(path)]) == 0
    chosen = checkpoint_thresholds(checkpoint)
    swept = checkpoint_thresholds(unbroken / "training" / "checkpoint")
    assert (chosen.split, chosen.speak) == ("all", swept.speak)
    made = read_records(out / "predictions" / "test.prospect.jsonl", Prediction)
    assert {prediction.update_threshold for prediction in made} == {chosen.update}
    assert main(["run", "--config", str(path), "--stream.speak_threshold", "0.6"]) == 0
    again = capsys.readouterr().err
    assert f"{checkpoint}: up to date" in again
    assert f"{out / 'training' / 'thresholds' / 'val.jsonl'}: up to date" in again
    shutil.rmtree(checkpoint)  # what is learned anew is fitted anew
    assert main(["run", "--config", str(path)]) == 0
    assert checkpoint_thresholds(checkpoint) == chosen
    assert main(["run", "--config", str(path), "--thresholds", "sweep"]) == 2
    assert "were chosen by streams" in capsys.readouterr().err


def test_thresholds_by_streams_need_one_validation_folder_and_no_others(
    tiny_llm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = settings(tiny_llm, tmp_path / "run") | {"thresholds": "streams"}
    assert main(["run", "--config", str(write_config(tmp_path, config))]) == 2
    assert "its own update_threshold" in capsys.readouterr().err
    del config["stream"]["update_threshold"]  # type: ignore[attr-defined]
    for other in ({"val": []}, {"trained": "demo"}):
        assert main(["run", "--config", str(write_config(tmp_path, config | other))]) == 2
        assert "one folder in val" in capsys.readouterr().err


def test_a_run_without_tests_ends_with_the_training(
    unbroken: Path, tiny_llm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    shutil.copytree(unbroken / "data", out / "data")
    shutil.copytree(unbroken / "training", out / "training")
    config = settings(tiny_llm, out) | {"test": []}
    assert main(["run", "--config", str(write_config(tmp_path, config))]) == 0
    assert "nothing to test on is named" in capsys.readouterr().err
    assert not (out / "scores.json").exists()


def test_a_killed_run_ends_with_the_same_losses_and_predictions(
    unbroken: Path, tiny_llm: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    config = write_config(tmp_path, settings(tiny_llm, out))
    shutil.copytree(unbroken / "data", out / "data")  # what is killed here is training
    command = [sys.executable, "-m", "prospect", "run", "--config", str(config)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (out / "training" / "checkpoint-4" / "manifest.json").exists():
        assert process.poll() is None, "finished before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / "training" / "checkpoint").exists()
    assert main(["run", "--config", str(config)]) == 0
    # on a busy machine the matrix library may split its sums otherwise: the last digit of fp32
    resumed, whole = dict(losses(out)), dict(losses(unbroken))
    assert resumed == pytest.approx(whole, rel=1e-6)
    name = "test.prospect.jsonl"
    again, first = (read_records(run / "predictions" / name, Prediction) for run in (out, unbroken))
    assert [p.events for p in again] == [p.events for p in first]
    assert [p.speak_prob for p in again] == [p.speak_prob for p in first]


@pytest.fixture(scope="module")
def existing(tiny_llm: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, int]:
    """Toy clips in the folder layout of existing PROSPECT data, frames in ProAssist's stores."""
    folder = tmp_path_factory.mktemp("existing")
    root, frames = folder / "training", folder / "frames"
    model = ModelConfig(llm=str(tiny_llm), context_len=520)
    renderer = load_renderer(model)
    clips: list[Clip] = []
    splits: tuple[Split, ...] = ("train", "train", "train", "train", "val", "test", "test")
    for annotation, split in zip(annotations("train", 7, 5), splits, strict=True):
        annotation = replace(annotation, split=split)
        total = write_arrow_frames(
            frames / "toy" / "frames" / f"{annotation.video_id}.arrow", draw(annotation, FPS)
        )
        written, _ = write_dialogues(
            [annotation], WRITERS["scripted"], ["no_talk", "talk_some", "talk_more"], 0
        )
        for dialogue in written:
            stream = whole_clip(
                replace(dialogue, video_file=f"frames/{annotation.video_id}.arrow"),
                label(annotation),
                FPS,
                min(total, clock.frame_count(annotation.duration_s, FPS)),
            )
            clips += cut(stream, renderer, 520, 0)
    # lengths differ from split to split; what matters is that no clip is left out
    write_clips(clips, root, Limits(renderer.clip_len, 520, lambda clip: None), 1)
    return root, frames, len(clips)


def test_existing_files_run_through_to_scores(
    existing: tuple[Path, Path, int], tiny_llm: Path, tmp_path: Path
) -> None:
    root, frames, count = existing
    assert count >= 40
    config = settings(tiny_llm, tmp_path / "run", context_len=520)
    config["data"] = {
        "old": {
            "imported": {"kind": "prospect-json", "path": str(root), "frames_root": str(frames)}
        }
    }
    config["train"] = config["val"] = config["test"] = ["old"]
    assert main(["run", "--config", str(write_config(tmp_path, config))]) == 0
    account = json.loads((tmp_path / "run/data/old/clips.jsonl.account.json").read_text())
    assert account["kept"] == count
    scores = read_json(tmp_path / "run" / "scores.json")
    assert scores.keys() >= HEADLINE
    clips = read_records(tmp_path / "run/data/old/clips.jsonl", Clip)
    tested = {clip.dialogue_id for clip in clips if clip.split == "test"}
    assert scores["about"]["num_streams_expected"] == len(tested) == 2 * 3


def test_two_processes_train_and_the_run_goes_on(
    tiny_llm: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = settings(tiny_llm, tmp_path / "run") | {"processes": 2, "blind": False}
    config["training"] = {"optim": {"epochs": 1, "batch_size": 1, "global_batch": 2}}
    config["training"] |= {"dtype": "float32", "log_steps": 1, "save_steps": 1}  # type: ignore
    assert main(["run", "--config", str(write_config(tmp_path, config))]) == 0
    training = tmp_path / "run" / "training"
    # each has generators of its own
    assert {"rng_state_0.pth", "rng_state_1.pth"} <= {
        path.name for path in (training / "checkpoint-2").iterdir()
    }
    assert read_json(tmp_path / "run" / "scores.json").keys() >= HEADLINE
    capfd.readouterr()
    # one goes on with what two have made
    assert main(["run", "--config", str(write_config(tmp_path, config | {"processes": 1}))]) == 0
    assert "training/checkpoint: up to date" in capfd.readouterr().err
    assert main(["run", "--config", str(tmp_path / "config.yaml"), "--processes", "0"]) == 2
    assert "processes is 0; it must be at least 1" in capfd.readouterr().err


def test_what_fails_in_one_process_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, nowhere = tmp_path / "out", (tmp_path / "nowhere",)
    options = train_options(nowhere, out, (), ModelConfig(), TrainConfig(), None)
    with pytest.raises(ProspectError, match="out: of 1 processes that train, one ended"):
        train_together(1, out, options)
    assert f"no file {nowhere[0]}" in capfd.readouterr().err


def test_a_run_folder_is_not_continued_with_other_settings(
    unbroken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = unbroken / "training" / "config.yaml"
    before = config.read_text()
    assert main(["train", "--config", str(config), "--training.optim.lr", "1e-5"]) == 2
    assert "holds a run of other settings or clips" in capsys.readouterr().err
    assert config.read_text() == before


def test_an_unknown_data_name_is_an_error_without_traceback(
    tiny_llm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = settings(tiny_llm, tmp_path / "run") | {"test": ["nowhere"]}
    assert main(["run", "--config", str(write_config(tmp_path, config))]) == 2
    assert "no data named nowhere" in capsys.readouterr().err


def test_a_training_that_something_else_began_is_neither_deleted_nor_continued(
    tiny_llm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training = tmp_path / "run" / "training"
    training.mkdir(parents=True)
    (training / "config.yaml").write_text("of torchrun")
    config = write_config(tmp_path, settings(tiny_llm, tmp_path / "run"))
    assert main(["run", "--config", str(config)]) == 2
    error = capsys.readouterr().err
    assert "holds a training that `prospect run` has not begun (begun.json is missing)" in error
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["training"]  # no time is spent
    assert (training / "config.yaml").read_text() == "of torchrun"
