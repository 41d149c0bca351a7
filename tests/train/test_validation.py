"""What validation says, by hand."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from prospect.model.config import DecisionLoss
from prospect.model.losses import Batch, Readout, counts, four_losses
from prospect.model.teacher import probabilities
from prospect.samples.dataset import ClipDataset, collate
from prospect.samples.labels import ACT, UNLABELLED
from prospect.samples.sequence import NONE, SPEAK_GEN, STATE_GEN
from prospect.train.config import EVAL_METRICS
from prospect.train.objective import Objective
from prospect.train.validation import Observed, Validation, exact_turns, observe, summarize
from prospect.types import Clip, Event, Transition
from tests.models import tiny_model
from tests.train.runs import VAL, clip, features

CPU = torch.device("cpu")


def test_a_transition_is_exact_if_all_after_its_header_is() -> None:
    # frames end at 1, 6 and 11; headers are two tokens
    targets = [NONE] * 2 + [STATE_GEN] * 4 + [NONE] + [STATE_GEN] * 4 + [NONE] + [SPEAK_GEN] * 2
    right = [*[0, 0, 1, 1], *[1, 1, 1, 0], *[0, 0]]
    found = exact_turns(
        np.array(targets, np.int8), np.array(right, bool), np.array([1, 6, 11]), header_len=2
    )
    assert found.tolist() == [True, False]
    assert exact_turns(np.zeros(5, np.int8), np.zeros(0, bool), np.array([1]), 2).tolist() == []


@pytest.fixture(scope="module")
def real(tiny_llm: Path) -> tuple[Objective, list[Observed]]:
    model = tiny_model(tiny_llm)
    objective = Objective(model.network, DecisionLoss(), 0, CPU, torch.float32)
    dataset = ClipDataset(VAL, model.renderer, features, None)
    return objective, observe(objective, dataset, model.renderer, range(3), CPU)


def test_losses_and_probabilities_are_those_of_the_model(
    real: tuple[Objective, list[Observed]], tiny_llm: Path
) -> None:
    objective, observed = real
    model = tiny_model(tiny_llm)
    dataset = ClipDataset(VAL, model.renderer, features, None)
    samples = [dataset[index] for index in range(3)]
    batch = Batch(**collate(samples, model.renderer.end_id))
    expected = four_losses(model.network, batch, counts(batch.targets, batch.labels))
    found = summarize(objective, list(reversed(observed)), VAL).metrics
    names = ("speak_gen", "state_gen", "speak_bin", "update_bin")
    assert [found[name] for name in names] == pytest.approx(
        torch.stack(expected).tolist(), abs=1e-4
    )
    assert found["loss"] == pytest.approx(sum(found[name] for name in names))
    assert found["speak_perplexity"] == pytest.approx(math.exp(found["speak_gen"]), rel=1e-5)
    for one, sample in zip(observed, samples, strict=True):
        probs = probabilities(model.network, *sample)
        torch.testing.assert_close(one.readout.decisions.sigmoid(), probs, atol=1e-5, rtol=0)
    assert found.keys() <= EVAL_METRICS.keys()


def test_sentences_and_summaries_have_perplexities_of_their_own(
    real: tuple[Objective, list[Observed]], tiny_llm: Path
) -> None:
    objective, plain = real
    model = tiny_model(tiny_llm)
    summed = [*VAL[:2], replace(VAL[2], summary="S1 is done, S2 is next.")]
    dataset = ClipDataset(summed, model.renderer, features, None)
    observed = observe(objective, dataset, model.renderer, range(3), CPU)
    got = summarize(objective, observed, summed).metrics
    expected = summarize(objective, plain, VAL).metrics
    # what comes before is not changed by a summary at the end
    assert got["speak_perplexity"] == pytest.approx(expected["speak_perplexity"], rel=1e-5)
    assert "summary_perplexity" not in expected
    whole, losses = observed[2].readout, plain[2].readout.token_losses
    assert got["summary_perplexity"] == pytest.approx(
        whole.token_losses[len(losses) :].mean().exp().item(), rel=1e-5
    )
    assert math.log(got["summary_perplexity"]) != pytest.approx(got["speak_gen"], abs=1e-3)


def observed_clip(logits: list[float], due: list[int]) -> tuple[Observed, Clip]:
    """One clip that decides updates alone; every frame is labelled."""
    base = clip(0, len(logits))
    move = (Transition("S1", "start"),)
    stream = replace(base, events=tuple(Event(frame, move) for frame in due))
    labels = torch.zeros(len(logits), 2, dtype=torch.int8)
    labels[:, 0] = UNLABELLED
    labels[due, 1] = ACT
    decisions = torch.stack([torch.full((len(logits),), -9.0), torch.tensor(logits)], 1)
    losses = torch.nn.functional.binary_cross_entropy_with_logits(
        decisions, labels.clamp(min=0).float(), reduction="none"
    )
    nothing = torch.zeros(0)
    readout = Readout(nothing, nothing, nothing, decisions, losses * (labels != UNLABELLED))
    counted = counts(torch.zeros(1, 2, dtype=torch.int8), labels)
    return Observed(0, readout, labels, counted, np.array([True, False]), 0), stream


def measured(
    real: tuple[Objective, list[Observed]], logits: list[float], due: list[int]
) -> Validation:
    observed, stream = observed_clip(logits, due)
    return summarize(real[0], [observed], [stream])


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def test_decisions_by_hand(real: tuple[Objective, list[Observed]]) -> None:
    # due at 10 and 30; it is sure at 10, wrongly sure at 20, and blind for 30
    logits = [logit(0.05)] * 40
    logits[10], logits[20] = logit(0.92), logit(0.82)
    found = measured(real, logits, [10, 30])
    # above .82 only the right one fires: 1 of 1 right, 1 of 2 found
    assert 0.82 < found.update_threshold < 0.92
    got = found.metrics
    assert (got["update_precision"], got["update_recall"]) == (1.0, 0.5)
    assert got["update_f1"] == pytest.approx(2 / 3)
    # ranked: right, wrong, then 30 among 38 equals: recall rises by half at 1/1 and half at 2/40
    assert got["update_average_precision"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 40)
    # bins: 38 frames at .05 with one positive, one at .92 (1), one at .82 (0)
    ece = (abs(38 * 0.05 - 1) + abs(0.92 - 1) + 0.82) / 40
    assert got["update_calibration_error"] == pytest.approx(ece, abs=1e-4)
    assert got["transition_exact"] == 0.5
    bce = (-(math.log(0.92) + math.log(0.05)) / 2, -(37 * math.log(0.95) + math.log(0.18)) / 38)
    assert got["update_bin"] == pytest.approx(sum(bce) / 2, rel=1e-4)
    # nothing is to be said, so there is nothing to measure
    assert got["speak_bin"] == 0
    assert not {"speak_recall", "speak_average_precision", "speak_perplexity"} & got.keys()
