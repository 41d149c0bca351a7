"""From predictions to scores, the report, the form for people, and packs that score again."""

from pathlib import Path
from typing import Any, Literal

from prospect.errors import ConfigError
from prospect.files import read_json, read_records, read_text, write_json, write_records
from prospect.stages.judge import rating_form as write_rating_form
from prospect.stages.shared import load_clips, say
from prospect.types import Prediction

Mode = Literal["strict", "proassist"]
RESULTS = "proassist-json"
"""ProAssist's per-video result files."""


def score(
    predictions: tuple[Path, ...],
    out: Path,
    baselines_from: tuple[Path, ...] = (),
    expected: tuple[Path, ...] = (),
    mode: Mode = "strict",
    similarity: str = "all-minilm-l6-v2",
    meteor: bool = False,
    pack: Path | None = None,
    num_frames: int | None = None,
    source: tuple[str, str] | None = None,
    target: tuple[str, str] | None = None,
) -> None:
    """Score predictions of one or more systems; the first is the one that the headline is of.

    Args:
        predictions: JSONL files; or one pack, which is scored again and has to give its numbers.
        out: JSON of scores.
        baselines_from: Data folders of the training data. With them the baselines answer the same
            references, are scored beside, and written to ``<out>.baselines.jsonl``.
        expected: Data folders; every dialogue there has to be predicted.
        mode: ``proassist`` repeats its matching faults, for comparison with its tables.
        similarity: Sentence model of the matching; ProAssist's is all-mpnet-base-v2.
        meteor: Also METEOR, which needs Java.
        pack: Run folder that is packed with its scores into ``<out>.zip``, to be scored elsewhere.
        num_frames: Length of an imported video whose file leaves silent frames out; references
            beyond it are left out, as by ProAssist. None ends it with its last row.
        source: Whose result files to read beside.
        target: Whose form to write the predictions in too.
    """
    from prospect.embeddings import embedder
    from prospect.metrics.pack import pack as write_pack
    from prospect.metrics.pack import score_pack
    from prospect.metrics.score import score as run

    if len(predictions) == 1 and predictions[0].suffix == ".zip":
        write_json(out, score_pack(predictions[0]))
        say(f"{out}: {predictions[0]} gives the numbers it was packed with")
        return
    records = [record for path in predictions for record in read_records(path, Prediction)]
    records += _imported(source, num_frames)
    if not records:
        raise ConfigError("nothing to score; name prediction files, or --from KIND PATH")
    _export(target, records)
    if baselines_from:
        answers = _baselines(records, baselines_from)
        write_records(out.with_suffix(".baselines.jsonl"), answers)
        records += answers
    due = {
        (clip.dataset, clip.dialogue_id) for folder in expected for clip in load_clips(folder, None)
    }
    found = run(records, mode, embedder(similarity), similarity, meteor, due or None)
    write_json(out, found)
    say(f"{out}: {len(records)} streams scored")
    if pack is not None:
        write_pack(pack, out.with_suffix(".zip"), mode, similarity)
        say(f"{out.with_suffix('.zip')}: {pack} packed with its scores")


def _baselines(records: list[Prediction], learned_from: tuple[Path, ...]) -> list[Prediction]:
    """What the baselines answer to the first system's references."""
    from prospect.metrics.baselines import BASELINES, training_statistics

    learned = [clip for folder in learned_from for clip in load_clips(folder, "train")]
    statistics = training_statistics(learned)
    streams = [record for record in records if record.system == records[0].system]
    return [make(one, statistics) for make in BASELINES.values() for one in streams]


def _imported(source: tuple[str, str] | None, num_frames: int | None) -> tuple[Prediction, ...]:
    """ProAssist's result files as predictions."""
    if source is None:
        return ()
    from prospect.samples.legacy.proassist_results import read_proassist_results

    kind, path = source
    if kind != RESULTS:
        raise ConfigError(f"can't read results of {kind!r}; there is {RESULTS}")
    read = read_proassist_results(Path(path), num_frames)
    for name, number in read.num_beyond.items():
        say(f"{name}: {number} rows beyond the last frame are left out")
    return read.predictions


def _export(target: tuple[str, str] | None, records: list[Prediction]) -> None:
    if target is None:
        return
    from prospect.samples.legacy.proassist_results import write_proassist_results

    kind, path = target
    if kind != RESULTS:
        raise ConfigError(f"can't write results as {kind!r}; there is {RESULTS}")
    paths = write_proassist_results(records, Path(path))
    say(f"{path}: {len(paths)} result files for ProAssist's evaluator")


def report(
    predictions: tuple[Path, ...],
    out: Path,
    scores: Path | None = None,
    data: tuple[Path, ...] = (),
    run: Path | None = None,
    rating_form: bool = False,
    seed: int = 0,
    num_dialogues: int | None = None,
) -> None:
    """Write one self-contained HTML page: the report, or the form on which people rate dialogues.

    Args:
        predictions: The files that were scored.
        out: The page.
        scores: From `score`; the report needs them.
        data: Data folders of the predicted videos, for pictures of the timeline.
        run: Run folder of the training, for its curves and configuration.
        rating_form: Write the form instead, blinded; its key goes beside it.
        seed: Of the form's choice and order of dialogues and systems.
        num_dialogues: How many dialogues the form shows; None takes all.
    """
    if rating_form:
        write_rating_form(predictions, out, data, seed, num_dialogues)
        return
    if scores is None:
        raise ConfigError("the report is about scores; give --scores, from `prospect score`")
    from prospect.report.page import write_report
    from prospect.report.pictures import thumbnails
    from prospect.train.log import read_log

    records = [record for path in predictions for record in read_records(path, Prediction)]
    training = read_log(run / "metrics.jsonl") if run else None
    about: dict[str, Any] = {}
    if run:
        about = read_json(run / "about.json") | {"configuration": read_text(run / "config.yaml")}
    write_report(out, read_json(scores), records, training, thumbnails(data), about)
    say(f"{out}: the report of {len(records)} streams")
