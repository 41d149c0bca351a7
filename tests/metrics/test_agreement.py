"""Agreement: numbers worked by hand, published examples, and other people's implementations."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import cohen_kappa_score

from prospect.errors import DataError
from prospect.metrics.agreement import (
    agreement,
    krippendorff_alpha,
    match_rate,
    pearson,
    spearman,
    weighted_kappa,
)
from prospect.metrics.judge import ASPECTS
from prospect.metrics.pool import Floats

NAN = np.nan
KRIPPENDORFF = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
)
"""Four observers, twelve units: section C of "Computing Krippendorff's Alpha-Reliability"."""


def floats(*values: float) -> Floats:
    return np.array(values, np.float64)


def test_weighted_kappa_by_hand() -> None:
    """Two units: (1, 1) and (2, 3). Observed squares 0 and 1, mean 1/2; of the four pairings
    (1, 1) (1, 3) (2, 1) (2, 3) the squares are 0, 4, 1, 1, mean 3/2: kappa 1 - 1/3. Linear:
    observed 1/2, chance (0 + 2 + 1 + 1) / 4 = 1: kappa 1/2."""
    left, right = floats(1, 2), floats(1, 3)
    assert weighted_kappa(left, right) == pytest.approx(2 / 3)
    assert weighted_kappa(left, right, power=1.0) == pytest.approx(1 / 2)
    assert weighted_kappa(floats(2.5, 3.5), floats(2.5, 3.5)) == 1.0
    assert weighted_kappa(floats(1, 2), floats(2, 1)) == -1.0
    assert weighted_kappa(floats(3, 3), floats(3, 3)) is None
    assert weighted_kappa(floats(), floats()) is None


@pytest.mark.parametrize(("power", "weights"), [(1.0, "linear"), (2.0, "quadratic")])
def test_weighted_kappa_is_scikit_learns(power: float, weights: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        left = rng.integers(1, 5, 30)
        right = np.clip(left + rng.integers(-1, 2, 30), 1, 4)
        expected = cohen_kappa_score(left, right, labels=[1, 2, 3, 4], weights=weights)
        found = weighted_kappa(left.astype(float), right.astype(float), power)
        assert found == pytest.approx(expected)


def test_alpha_is_krippendorffs() -> None:
    assert krippendorff_alpha(KRIPPENDORFF, "nominal") == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(KRIPPENDORFF, "ordinal") == pytest.approx(0.815, abs=5e-4)
    assert krippendorff_alpha(KRIPPENDORFF, "interval") == pytest.approx(0.849, abs=5e-4)


def test_alpha_by_hand() -> None:
    """Units (1, 1), (1, 2): coincidences o11 = 2, o12 = o21 = 1; n1 = 3, n2 = 1, n = 4. Observed
    2/4, chance 2 * 3 * 1 / (4 * 3) = 1/2: alpha 0. A third unit with one rating changes nothing."""
    assert krippendorff_alpha(np.array([[1.0, 1, 5], [1, 2, NAN]]), "nominal") == pytest.approx(0)
    assert krippendorff_alpha(np.array([[1.0, 2], [1, 2]]), "ordinal") == 1.0
    assert krippendorff_alpha(np.array([[1.0, 1], [1, 1]]), "ordinal") is None
    assert krippendorff_alpha(np.array([[1.0, NAN], [NAN, 1]]), "ordinal") is None


def test_agreement_of_three_raters_with_gaps() -> None:
    """A-B share units 0 to 2, apart by 0, 1, 0; A-C 0, apart by 2; B-C 0 and 3, by 2 and 0."""
    ratings = np.array([[1.0, 2, 3, NAN], [1, 3, 3, 4], [3, NAN, NAN, 4]])
    found = agreement(ratings, "ordinal")
    assert found.exact == pytest.approx(3 / 6)
    assert found.mean_abs_difference == pytest.approx(5 / 6)
    # B-C has kappa 1 - 2 / ((4 + 9 + 1 + 0) / 4); A-C is a single unit: 1 - 4 / 4
    first = weighted_kappa(floats(1, 2, 3), floats(1, 3, 3))
    assert first is not None
    assert found.kappa == pytest.approx((first + 0 + 1 - 2 / 3.5) / 3)
    assert (found.num_raters, found.num_units) == (3, 4)
    alone = agreement(ratings[:1], "ordinal")
    assert (alone.exact, alone.kappa, alone.alpha, alone.num_raters) == (None, None, None, 1)
    with pytest.raises(DataError, match="raters, units"):
        agreement(floats(1, 2), "ordinal")
    with pytest.raises(DataError, match="finite"):
        agreement(np.array([[np.inf]]), "ordinal")


def test_correlations_are_scipys_and_have_fishers_interval() -> None:
    rng = np.random.default_rng(1)
    left = rng.integers(1, 5, 40).astype(float)
    right = left + rng.normal(size=40).round(1)
    expected = scipy.stats.pearsonr(left, right)
    found = pearson(left, right)
    assert found.value == pytest.approx(expected.statistic)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    ranked = spearman(left, right)
    assert ranked.value == pytest.approx(scipy.stats.spearmanr(left, right).statistic)
    assert ranked.low is not None
    assert ranked.high is not None
    assert ranked.low < ranked.value < ranked.high


def test_correlations_that_do_not_exist() -> None:
    assert pearson(floats(1, 2), floats(3, 3)).value is None
    assert pearson(floats(1), floats(3)).value is None
    assert spearman(floats(), floats()).n == 0
    two = pearson(floats(1, 2), floats(3, 9))
    assert (two.value, two.low) == (pytest.approx(1.0), None)
    assert spearman(floats(1, 2, 3, 9), floats(1, 4, 5, 6)).low == 1.0


def test_match_rate_by_hand() -> None:
    """Right; half right (the score ties two, people like one); wrong; two that say nothing."""
    scores = np.array([[0.9, 0.1, 0.2], [0.5, 0.5, 0.2], [0.1, 0.2, 0.3], [1, 2, 3], [NAN, 1, 2]])
    people = np.array([[4.0, 4, 1], [3, 2, 1], [3, 2, 1], [2, 2, 2], [1, 2, 3]])
    found = match_rate(scores, people)
    assert found.value == pytest.approx(1.5 / 3)
    assert found.n == 3
    # Wilson's interval of 1/2 of 3: 1/2 +- z / 2 / sqrt(3 + z ** 2)
    reach = 1.959964 / 2 / np.sqrt(3 + 1.959964**2)
    assert (found.low, found.high) == pytest.approx((0.5 - reach, 0.5 + reach), abs=1e-6)
    assert match_rate(scores[3:], people[3:]).value is None
    assert match_rate(np.zeros((0, 2)), np.zeros((0, 2))).n == 0
    with pytest.raises(DataError, match="one \\(G, S\\) of both"):
        match_rate(scores, people.T)


def test_two_real_runs_of_a_judge(data_dir: Path) -> None:
    """ProAssist's judge, twice about the same 96 streams: the means are near each other, what it
    says of a single stream is not; by their index the runs do not correlate at all."""
    folder = data_dir / "proassist-samples" / "llm_judge"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}")
    first, second = (
        json.loads((folder / f"ego4d_val_scores_run_{run}.json").read_text()) for run in "ab"
    )
    assert len(first["per_sample"]) == len(second["per_sample"]) == 96
    apart, together = {}, {}
    for name in ASPECTS:
        runs = [[row[name] for row in run["per_sample"]] for run in (first, second)]
        for run, values in zip((first, second), runs, strict=True):
            assert np.mean(values) == pytest.approx(run["mean"][name], abs=0.006)
        found = agreement(np.array(runs), "interval")
        assert found.num_units == 96
        apart[name] = found.mean_abs_difference
        together[name] = found.pearson
    assert apart == pytest.approx(
        {"correctness": 0.7067, "promptness": 0.7442, "efficiency": 0.7384, "overall": 0.6448},
        abs=1e-4,
    )
    assert together == pytest.approx(
        {"correctness": -0.0613, "promptness": -0.1625, "efficiency": -0.1264, "overall": -0.1157},
        abs=1e-4,
    )
