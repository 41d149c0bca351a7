"""The report and what else shows a run: tables for papers, a film of one video, the rating form."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prospect.dataset import CLIPS
from prospect.errors import ConfigError, DataError, MissingError
from prospect.files import read_json, read_records, read_text, write_json
from prospect.stages.judge import rating_form as write_rating_form
from prospect.stages.shared import say
from prospect.types import Prediction

Log = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Material:
    """What a report is made of; ``scores`` are None where nothing was scored."""

    records: list[Prediction]
    scores: Any
    data: tuple[Path, ...]
    logs: dict[str, Log]
    about: dict[str, Any]


def report(
    predictions: tuple[Path, ...] = (),
    out: Path | None = None,
    scores: Path | None = None,
    data: tuple[Path, ...] = (),
    run: Path | None = None,
    rating_form: bool = False,
    seed: int = 0,
    num_dialogues: int | None = None,
    runs: tuple[Path, ...] = (),
    tables: Path | None = None,
    video: tuple[str, str] | None = None,
    rerun: tuple[str, str] | None = None,
) -> None:
    """Write one self-contained HTML page: the report, or the form on which people rate dialogues.

    Args:
        predictions: The files that were scored, where no run folders are named.
        out: The page; ``report.html`` in the first run folder if there is one.
        scores: From `score`; the report needs them.
        data: Data folders of the predicted videos, for pictures; a run folder has its own.
        run: Run folder of the training, for its curves and configuration.
        rating_form: Write the form instead, blinded; its key goes beside it.
        seed: Of the form's choice and order of dialogues and systems.
        num_dialogues: How many dialogues the form shows; None takes all.
        runs: Folders that `run` made. Several are scored together, each under its folder's name,
            and compared pairwise with the first; their scores go beside the page.
        tables: Folder that gets the scores as CSV and LaTeX too.
        video: Of which video, or dialogue, to write an annotated mp4 instead, and where.
        rerun: The same as a recording for the Rerun viewer.
    """
    if runs and (predictions or scores or run):
        raise ConfigError("name either run folders or --predictions with --scores, not both")
    page = out or (runs[0] / "report.html" if runs else None)
    if rating_form:
        if page is None:
            raise ConfigError("say with --out where the form goes")
        files = [path for folder in runs for path in _predictions(folder)]
        folders = data + tuple(one for folder in runs for one in _data(folder))
        write_rating_form((*predictions, *files), page, folders, seed, num_dialogues)
        return
    if video is not None or rerun is not None:
        records, folders = _streams(predictions, runs, data)
        if video is not None:
            _film(records, folders, *video)
        if rerun is not None:
            _recording(records, folders, *rerun)
        return
    if page is None:
        raise ConfigError("name run folders, or --predictions, --scores and --out")
    material = _of_runs(runs, data, page) if runs else _of_files(predictions, scores, data, run)
    _write(material, page, tables)


def _write(material: _Material, page: Path, tables: Path | None) -> None:
    from prospect.embeddings import embedder
    from prospect.report.export import write_tables
    from prospect.report.page import write_report
    from prospect.report.pictures import thumbnails

    write_report(
        page,
        material.scores,
        material.records,
        material.logs,
        thumbnails(material.data),
        material.about,
        embedder(material.scores["about"]["similarity_model"]),
    )
    say(f"{page}: the report of {len(material.records)} streams")
    if tables is not None:
        paths = write_tables(tables, material.scores)
        say(f"{tables}: {', '.join(path.name for path in paths)}")


def _of_files(
    predictions: Sequence[Path], scores: Path | None, data: tuple[Path, ...], run: Path | None
) -> _Material:
    if scores is None:
        raise ConfigError("the report is about scores; give --scores, from `prospect score`")
    logs, about = _training(run, "training") if run else ({}, {})
    return _Material(_read(predictions), read_json(scores), data, logs, about)


def _of_runs(runs: Sequence[Path], data: tuple[Path, ...], page: Path) -> _Material:
    """One run as it was scored; several scored together under their folders' names."""
    folders = data + tuple(folder for run in runs for folder in _data(run))
    if len(runs) == 1:
        scores = read_json(_scores(runs[0]))
        logs, about = _training(runs[0] / "training", scores["about"]["main"])
        return _Material(_read(_predictions(runs[0])), scores, folders, logs, about)
    names = [run.resolve().name for run in runs]
    if len(set(names)) < len(names):
        raise ConfigError(f"runs are told apart by their folders' names, not {', '.join(names)}")
    records: list[Prediction] = []
    logs, about = {}, {}
    for name, run in zip(names, runs, strict=True):
        records += _renamed(run, name)
        log, told = _training(run / "training", name)
        logs |= log
        about |= {f"{name} configuration": told.pop("configuration"), name: told}
    scores = _scored_together(runs[0], records, page)
    return _Material(records, scores, folders, logs, about)


def _renamed(run: Path, name: str) -> list[Prediction]:
    """What the run's own system did, under the run's name."""
    main = read_json(_scores(run))["about"]["main"]
    own = [item for item in _read(_predictions(run)) if item.system == main]
    if not own:
        raise DataError(f"{run}: its scores are of {main!r}, which predicted nothing there")
    return [replace(item, system=name) for item in own]


def _scored_together(first: Path, records: list[Prediction], page: Path) -> Any:
    """Scores of all runs on the same streams, beside the baselines of the first."""
    from prospect.embeddings import embedder
    from prospect.metrics.baselines import BLIND
    from prospect.metrics.score import score

    answers = first / "scores.baselines.jsonl"
    beside = [item for item in _read(_predictions(first)) if item.system == BLIND]
    beside += _read([answers]) if answers.is_file() else []
    about = read_json(_scores(first))["about"]
    model = about["similarity_model"]
    found = score([*records, *beside], about["mode"], embedder(model), model)
    path = page.with_suffix(".scores.json")
    write_json(path, found)
    say(f"{path}: the runs scored together")
    return found


def _training(run: Path, name: str) -> tuple[dict[str, Log], dict[str, Any]]:
    """The training's log, and what was run where."""
    from prospect.train.log import LOG, read_log

    about = read_json(run / "about.json") | {"configuration": read_text(run / "config.yaml")}
    return {name: read_log(run / LOG)}, about


def _predictions(run: Path) -> list[Path]:
    found = sorted((run / "predictions").glob("*.jsonl"))
    if not found:
        raise MissingError(
            f"{run / 'predictions'}: no predictions; finish it with `prospect run --config "
            f"{run / 'config.yaml'}`, or name files with --predictions and --scores"
        )
    return found


def _scores(run: Path) -> Path:
    path = run / "scores.json"
    if not path.is_file():
        raise MissingError(
            f"{path} is missing; finish it with `prospect run --config {run / 'config.yaml'}`"
        )
    return path


def _data(run: Path) -> tuple[Path, ...]:
    return tuple(sorted(path.parent for path in (run / "data").glob(f"*/{CLIPS}")))


def _read(paths: Sequence[Path]) -> list[Prediction]:
    return [record for path in paths for record in read_records(path, Prediction)]


def _streams(
    predictions: Sequence[Path], runs: Sequence[Path], data: tuple[Path, ...]
) -> tuple[list[Prediction], tuple[Path, ...]]:
    files = [*predictions, *(path for run in runs for path in _predictions(run))]
    if not files:
        raise ConfigError("name a run folder, or --predictions and --data")
    return _read(files), data + tuple(folder for run in runs for folder in _data(run))


def _film(records: list[Prediction], folders: tuple[Path, ...], wanted: str, out: str) -> None:
    from prospect.report.film import write_film
    from prospect.report.pictures import all_frames

    chosen = _chosen(records, wanted)
    write_film(Path(out), chosen, all_frames(folders, chosen))
    say(f"{out}: {chosen.dialogue_id} by {chosen.system}")


def _recording(records: list[Prediction], folders: tuple[Path, ...], wanted: str, out: str) -> None:
    from prospect.report.pictures import all_frames
    from prospect.report.recording import write_recording

    chosen = _chosen(records, wanted)
    write_recording(Path(out), chosen, all_frames(folders, chosen))
    say(f"{out}: {chosen.dialogue_id} by {chosen.system}; open it with `rerun {out}`")


def _chosen(records: Sequence[Prediction], wanted: str) -> Prediction:
    """The one stream of that video or dialogue that a model fed itself on."""
    from prospect.metrics.baselines import BASELINES, BLIND

    own = [
        item for item in records if item.fed == "self" and item.system not in {*BASELINES, BLIND}
    ]
    found = [item for item in own if wanted in (item.video_id, item.dialogue_id)]
    if not found:
        known = ", ".join(sorted({item.video_id for item in own})[:5])
        raise MissingError(f"no prediction of video {wanted!r}; there is {known or 'none at all'}")
    if len(found) > 1:
        several = ", ".join(f"{item.dialogue_id} by {item.system}" for item in found)
        raise ConfigError(
            f"{wanted!r} is predicted {len(found)} times: {several}; name a dialogue, and the "
            "predictions of one system"
        )
    return found[0]
