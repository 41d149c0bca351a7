"""The whole pipeline from one configuration, stage by stage, skipping what is up to date.

In: a `RunConfig`. Out: a run folder with data, checkpoint, predictions, scores and report. A stage
is up to date when its output is unaltered and was made from the same inputs and settings; what an
interrupted stage left is used only if it was begun from the same ones.

    prospect run --config presets/demo.yaml
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from prospect import stages
from prospect.dialogues.edits import EDITS
from prospect.errors import ConfigError
from prospect.exchange import import_clips
from prospect.files import (
    as_yaml,
    file_hash,
    is_fresh,
    read_json,
    read_records,
    stamp,
    text_hash,
    tree_hash,
    write_json,
    write_text,
)
from prospect.model.config import ModelConfig
from prospect.run_config import DataConfig, RunConfig
from prospect.shipped import training_folder
from prospect.stages import ANNOTATIONS, CLIPS, say
from prospect.stages.score import score_records
from prospect.toy.world import write_world
from prospect.train.config import TrainConfig
from prospect.types import Prediction, Split

_WITH_STATES = {"dialogue", "state", "summarized"}
"""Variants whose frames teach when to update the state."""

_BEGUN = "begun.json"
"""In a training's folder: what it was begun from."""

_ROLES = ("train", "val")

_CHOSEN = Path("thresholds") / "val.jsonl"
"""There, too: streams by which its thresholds were chosen."""


def run(config: RunConfig) -> None:
    """Run every stage that is not up to date.

    Raises:
        ConfigError: a name in train, val or test that `data` doesn't have; or settings of model and
            training that can't work with each other, this machine or the data; or a training in
            the run folder that was begun by something else.
    """
    named = {*config.train, *config.val, *config.test}
    if named - config.data.keys():
        raise ConfigError(
            f"no data named {', '.join(sorted(named - config.data.keys()))}; there is "
            f"{', '.join(config.data)}"
        )
    shown = named if config.trained is None else {*config.test}
    blind = sorted(name for name in shown if _without_videos(config.data[name]))
    if blind:
        raise ConfigError(f"{', '.join(blind)}: without_videos, so nothing can be seen in it")
    as_given, config = as_yaml(config), _with_trained_model(config)
    if config.train and config.trained is None:
        _check_training(config)
    if config.train or config.trained is not None:
        _check_begun(config.out / "training")
    config.out.mkdir(parents=True, exist_ok=True)
    write_text(config.out / "config.yaml", as_given)
    folders = {name: config.out / "data" / name for name in config.data}
    made = {name: _data(config, source, folders[name]) for name, source in config.data.items()}
    if not config.train and config.trained is None:
        say(f"{config.out / 'data'}: the data is made; nothing to train on is named")
        return
    learned = _selected(config, folders, "train")
    checked = _selected(config, folders, "val")
    training = config.out / "training"
    _train(config, learned, checked, training, made)
    _choose_thresholds(config, folders, learned, training)
    if not config.test:
        say(f"{training}: trained; nothing to test on is named")
        return
    files = _predictions(config, folders, learned, training)
    scored = config.out / "scores.json"
    inputs = {path.name: file_hash(path) for path in files}
    tested = [
        (folders[name], _tested_split(config, folders[name], learned)) for name in config.test
    ]

    def judge() -> None:
        records = [record for path in files for record in read_records(path, Prediction)]
        score_records(records, scored, learned, tested)

    _stage(scored, inputs, judge)
    page = config.out / "report.html"
    pictures = tuple(folders[name] for name in config.test)
    _stage(
        page,
        {"scores": file_hash(scored), "log": file_hash(training / "metrics.jsonl")},
        lambda: stages.report(tuple(files), page, scored, pictures, training),
    )
    say(f"open {page}")


def _with_trained_model(config: RunConfig) -> RunConfig:
    """The model of what was trained, if something was, stands in for the default one."""
    if config.trained is None:
        return config
    if config.model != ModelConfig() or config.training != TrainConfig() or config.val:
        raise ConfigError(
            f"trained is {config.trained}, which says what its model is and was trained with; "
            "leave model, training and val out"
        )
    source, own = training_folder(config.trained).resolve(), (config.out / "training").resolve()
    if source.is_relative_to(own) or own.is_relative_to(source):
        raise ConfigError(
            f"trained is {config.trained}, where this run keeps its own; choose another out"
        )
    # the checkpoint module imports torch
    from prospect.model.checkpoint import checkpoint_model

    return replace(config, model=checkpoint_model(training_folder(config.trained) / "checkpoint"))


def _check_training(config: RunConfig) -> None:
    """What would stop the training, before the data for it is made."""
    from prospect.train.checks import check

    check(config.model, config.training, config.processes)
    layout = config.model.layout
    if not layout.token_decisions or layout.own_headers:
        return
    for name in (*config.train, *config.val):
        imported = config.data[name].imported
        made = imported is None and not _WITH_STATES.isdisjoint(config.variants)
        if made or (imported is not None and imported.kind == "prospect-json"):
            raise ConfigError(
                f"{name} tracks states, but with model.decision: token and model.roles: chat a "
                "state turn opens like speech; choose roles: tokens"
            )


def _check_begun(training: Path) -> None:
    """Refuse to delete, or to go on with, what something else trained there (`torchrun`)."""
    if training.exists() and not (training / _BEGUN).exists() and any(training.iterdir()):
        raise ConfigError(
            f"{training} holds a training that `prospect run` has not begun ({_BEGUN} is missing); "
            "go on with `prospect predict` and `prospect score`, choose another --out, or delete it"
        )


def _data(config: RunConfig, source: DataConfig, folder: Path) -> str:
    """Make one data folder; returns the hash of its clips."""
    inputs = {"source": _hash(source), "cut": _hash((config.fps, config.seed, config.model))}
    if source.imported is not None:
        imported = source.imported

        def read() -> None:
            import_clips(
                imported.kind,
                imported.path,
                folder,
                config.model,
                imported.frames_root,
                imported.drop_invalid,
                "test",
            )

        inputs["files"] = tree_hash(imported.path)
        _stage(folder / CLIPS, inputs, read)
    else:
        _annotated(config, source, folder, inputs)
    frames_root = source.imported.frames_root if source.imported else None
    if not _without_videos(source) and config.model.features == "stored":
        stages.features(folder, config.model, frames_root)
    return file_hash(folder / CLIPS)


def _annotated(
    config: RunConfig, source: DataConfig, folder: Path, inputs: Mapping[str, str]
) -> None:
    """Videos and annotations, then dialogues, states and clips."""
    if source.toy is not None:
        toy = source.toy
        write_world(folder, toy.split, toy.num_videos, toy.seed, without_videos=toy.without_videos)
        writer, llm = "scripted", None
    elif source.annotated is not None:
        annotated = source.annotated
        writer, llm = annotated.writer, annotated.llm
        # a model that writes the dialogues writes the knowledge too, where the dataset has none
        stages.annotate(
            annotated.dataset,
            annotated.root,
            folder,
            annotated.draw,
            group=llm is None,
            splits=annotated.splits,
            num_videos=annotated.num_videos,
        )

    def cut() -> None:
        stages.dialogues(folder, writer, config.user_types, config.seed, llm)
        stages.states(folder, config.model.moves)
        stages.clips(
            folder,
            config.fps,
            config.seed,
            config.model,
            _without_videos(source),
            config.variants,
            config.rules,
            config.num_workers,
        )

    key = {**inputs, "annotations": file_hash(folder / ANNOTATIONS), "writer": writer}
    key["made"] = _hash((config.user_types, config.variants, config.rules, llm))
    if (folder / EDITS).exists():
        key["edits"] = file_hash(folder / EDITS)
    _stage(folder / CLIPS, key, cut)


def _without_videos(source: DataConfig) -> bool:
    made = source.annotated or source.toy
    return made is not None and made.without_videos


def _selected(
    config: RunConfig, folders: Mapping[str, Path], role: Literal["train", "val"]
) -> tuple[Path, ...]:
    return tuple(folders[name] for name in getattr(config, role))


def _train(
    config: RunConfig,
    learned: Sequence[Path],
    checked: Sequence[Path],
    out: Path,
    made: Mapping[str, str],
) -> None:
    """Train, or take what was trained, unless the checkpoint is of these clips and settings."""
    names = (*config.train, *config.val)
    if config.trained is not None:
        inputs = {"trained": tree_hash(training_folder(config.trained))}
    else:
        settings = _hash((config.model, config.training))
        clips = {f"{role} {name}": made[name] for role in _ROLES for name in getattr(config, role)}
        inputs = {"settings": settings, **clips}
    begun = out / _BEGUN
    if begun.exists() and read_json(begun) != inputs:
        say(f"{out}: begun with other clips or settings; starting anew")
        shutil.rmtree(out)
    write_json(begun, inputs)
    # folders that only validate give all their clips, whatever split they call themselves
    val = tuple(folder for folder in checked if folder not in learned)
    frames = {c.imported.frames_root for n, c in config.data.items() if n in names and c.imported}
    root = frames.pop() if frames else None

    def fit() -> None:
        (out / _CHOSEN).unlink(missing_ok=True)  # which told of the checkpoint that is made anew
        if config.trained is not None:
            left = shutil.ignore_patterns(_BEGUN, ".*", "checkpoint-*", "best", _CHOSEN.parent.name)
            shutil.copytree(training_folder(config.trained), out, ignore=left, dirs_exist_ok=True)
        else:
            made_of = (tuple(learned), out, val, config.model, config.training, root)
            if config.processes == 1:
                stages.train(*made_of)
            else:
                stages.train_together(config.processes, out, stages.train_options(*made_of))

    _stage(out / "checkpoint", inputs, fit)


def _choose_thresholds(
    config: RunConfig, folders: Mapping[str, Path], learned: Sequence[Path], training: Path
) -> None:
    """Choose thresholds by streams of the validation videos, once for a checkpoint."""
    out = training / _CHOSEN
    if config.thresholds == "sweep":
        if out.exists():
            raise ConfigError(
                f"{out}: thresholds were chosen by streams, and are in the checkpoint; set "
                f"thresholds: streams, or fit others (`prospect predict --sweep`) and delete {out}"
            )
        return
    (name,) = config.val
    folder, imported = folders[name], config.data[name].imported
    split: Split | None = "val" if folder in learned else None
    silent = replace(config.stream, speak_threshold=None, speak_rule=None)
    inputs = {"training": file_hash(training / _BEGUN), "stream": _hash((silent, split))}

    def choose() -> None:
        stages.predict(
            training / "checkpoint",
            folder,
            out,
            split=split,
            stream=config.stream,
            dtype=config.training.dtype,
            frames_root=imported.frames_root if imported else None,
            sweep_streams=True,
        )

    _stage(out, inputs, choose)


def _predictions(
    config: RunConfig, folders: Mapping[str, Path], learned: Sequence[Path], training: Path
) -> list[Path]:
    """Stream every test folder, with open eyes and shut; the open ones come first."""
    found = []
    for blind in (False, True) if config.blind else (False,):
        for name in config.test:
            system = "blind" if blind else "prospect"
            out = config.out / "predictions" / f"{name}.{system}.jsonl"
            _predict(config, name, folders[name], learned, training / "checkpoint", blind, out)
            found.append(out)
    return found


def _predict(
    config: RunConfig,
    name: str,
    folder: Path,
    learned: Sequence[Path],
    checkpoint: Path,
    blind: bool,
    out: Path,
) -> None:
    split = _tested_split(config, folder, learned)
    imported = config.data[name].imported
    inputs = {
        "checkpoint": tree_hash(checkpoint),
        "clips": file_hash(folder / CLIPS),
        "stream": _hash((config.stream, split, blind)),
    }

    def stream() -> None:
        stages.predict(
            checkpoint,
            folder,
            out,
            "blind" if blind else "prospect",
            split,
            config.stream,
            blind,
            config.training.dtype,
            imported.frames_root if imported else None,
            tuple(learned),
        )

    _stage(out, inputs, stream)


def _tested_split(config: RunConfig, folder: Path, learned: Sequence[Path]) -> Split | None:
    """What of a folder is tested on; None for all of it."""
    return config.test_split if folder in learned else None


def _stage(output: Path, inputs: Mapping[str, str], make: Callable[[], None]) -> None:
    """Make ``output`` unless it is up to date."""
    if is_fresh(output, inputs):
        say(f"{output}: up to date")
        return
    make()
    stamp(output, inputs)


def _hash(value: Any) -> str:
    """Of any settings; records print all their fields."""
    return text_hash(repr(value))
