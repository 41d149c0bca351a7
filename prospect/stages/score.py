"""From predictions to scores, and to packs that score again."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from prospect.errors import ConfigError
from prospect.files import read_records, write_json, write_records
from prospect.stages.shared import load_clips, say
from prospect.types import Prediction, Split

Mode = Literal["strict", "proassist"]
RESULTS = "proassist-json"
"""ProAssist's per-video result files."""


def score(
    predictions: tuple[Path, ...],
    out: Path,
    baselines_from: tuple[Path, ...] = (),
    expected: tuple[Path, ...] = (),
    expected_split: Split | None = None,
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
        expected: Data folders; every stream there has to be predicted, against the references
            there. Without them a file cut short can't be told from a whole one.
        expected_split: Only their clips of this split; None takes all.
        mode: ``proassist`` repeats its matching faults, for comparison with its tables.
        similarity: Sentence model of the matching; ProAssist's is all-mpnet-base-v2.
        meteor: Also METEOR, which needs Java.
        pack: Run folder that is packed with its scores into ``<out>.zip``, to be scored elsewhere.
        num_frames: Length of an imported video whose file leaves silent frames out; references
            beyond it are left out, as by ProAssist. None ends it with its last row.
        source: Whose result files to read beside.
        target: Whose form to write the predictions in too.
    """
    from prospect.metrics.pack import pack as write_pack
    from prospect.metrics.pack import score_pack

    if len(predictions) == 1 and predictions[0].suffix == ".zip":
        write_json(out, score_pack(predictions[0]))
        say(f"{out}: {predictions[0]} gives the numbers it was packed with")
        return
    records = [record for path in predictions for record in read_records(path, Prediction)]
    records += _imported(source, num_frames)
    export_results(target, records)
    selected = [(folder, expected_split) for folder in expected]
    score_records(records, out, baselines_from, selected, mode, similarity, meteor)
    if pack is not None:
        write_pack(pack, out.with_suffix(".zip"), mode, similarity)
        say(f"{out.with_suffix('.zip')}: {pack} packed with its scores")


def score_records(
    records: Sequence[Prediction],
    out: Path,
    baselines_from: Sequence[Path] = (),
    expected: Sequence[tuple[Path, Split | None]] = (),
    mode: Mode = "strict",
    similarity: str = "all-minilm-l6-v2",
    meteor: bool = False,
) -> None:
    """`score` of predictions that have been read.

    Args:
        records: Of one system or more.
        out, baselines_from, mode, similarity, meteor: As for `score`.
        expected: Data folders, each with the split that was predicted there; None takes all.
    """
    from prospect.embeddings import embedder
    from prospect.metrics.score import score as run

    if not records:
        raise ConfigError("nothing to score; name prediction files, or --from KIND PATH")
    answers: list[Prediction] = []
    if baselines_from:
        answers = _baselines(records, baselines_from)
        write_records(out.with_suffix(".baselines.jsonl"), answers)
    streams = _expected(expected)
    everyone = [*records, *answers]
    found = run(everyone, mode, embedder(similarity), similarity, meteor, streams)
    write_json(out, found)
    say(f"{out}: {_counts(found['about'])}")


def _counts(about: Mapping[str, Any]) -> str:
    """How many streams were scored, and what is odd about them."""
    checked = "all" if about["num_streams_expected"] is not None else "not compared with --expected"
    return (
        f"{about['num_streams']} streams ({checked}) of {about['num_videos']} videos; nothing is "
        f"due in {about['num_streams_nothing_due']}, {about['main']} does nothing in "
        f"{about['num_streams_nothing_done']}"
    )


def _expected(selected: Sequence[tuple[Path, Split | None]]) -> list[Prediction] | None:
    """The streams of data folders, as `predict` cuts them; None without folders."""
    if not selected:
        return None
    from prospect.samples.clips import by_dialogue, join, without_answers

    clips = [clip for folder, split in selected for clip in load_clips(folder, split)]
    streamed = [clip for clip in clips if clip.kind not in ("summary", "caption")]
    return [without_answers(join(parts), "the data") for parts in by_dialogue(streamed)]


def _baselines(records: Sequence[Prediction], learned_from: Sequence[Path]) -> list[Prediction]:
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


def check_target(target: tuple[str, str] | None) -> None:
    """Refuse a form (kind, path) that results can't be written in."""
    if target is not None and target[0] != RESULTS:
        raise ConfigError(f"can't write results as {target[0]!r}; there is {RESULTS}")


def export_results(target: tuple[str, str] | None, records: Sequence[Prediction]) -> None:
    """Write predictions in another project's form too; ``target`` is (kind, path)."""
    check_target(target)
    if target is None:
        return
    from prospect.samples.legacy.proassist_results import write_proassist_results

    path = Path(target[1])
    paths = write_proassist_results(records, path)
    say(f"{path}: {len(paths)} result files for ProAssist's evaluator")
