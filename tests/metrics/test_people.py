"""Ratings of people: put together, counted, refused, and compared with scores."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from prospect.errors import DataError
from prospect.files import parse
from prospect.metrics import alike
from prospect.metrics.people import (
    ASPECTS,
    JUDGEMENTS,
    PREFERENCE,
    ItemRatings,
    Key,
    KeyItem,
    Ratings,
    agreements,
    quality,
    rated,
    unit_means,
)
from prospect.metrics.score import score
from tests.metrics.worlds import embed, event, stream

NAN = np.nan
SYSTEMS = ({"A": "good", "B": "poor"}, {"A": "poor", "B": "good"}, {"A": "good", "B": "poor"})
KEY = Key(
    "rating-key/1",
    "f0",
    7,
    tuple(
        KeyItem(str(n), dataset, f"v{n}/no_talk-0", f"v{n}", systems)
        for n, (dataset, systems) in enumerate(
            zip(("wtag", "wtag", "holoassist"), SYSTEMS, strict=True), start=1
        )
    ),
)


def item(name: str, a: int | None, b: int | None, ranks: tuple[int, ...] = ()) -> ItemRatings:
    """All aspects of both letters alike; None is not rated."""
    given = {letter: value for letter, value in (("A", a), ("B", b)) if value is not None}
    return ItemRatings(
        name,
        {letter: dict.fromkeys(ASPECTS, value) for letter, value in given.items()},
        dict(zip("AB", ranks, strict=False)),
        "",
    )


def by(rater: str, *items: ItemRatings) -> Ratings:
    return Ratings("ratings/1", "f0", rater, "2026-01-01T00:00:00Z", items)


ADA = by("Ada", item("1", 4, 2, (1, 2)), item("2", 1, 3, (2, 1)), item("3", 3, 3, (1, 1)))
BOB = by("Bob", item("1", 3, 2, (1, 2)), item("2", 2, 2, (1, 1)))


def test_letters_become_systems_and_gaps_stay_gaps() -> None:
    found = rated(KEY, [ADA, BOB])
    assert found.units[0] == ("wtag", "v1/no_talk-0", "good")
    assert [unit[2] for unit in found.units] == ["good", "poor"] * 3
    expected = [[4, 2, 3, 1, 3, 3], [3, 2, 2, 2, NAN, NAN]]
    np.testing.assert_equal(found.values["alignment"], expected)
    # places 1, 2 of two systems are preferences 2, 1; a tie is 1.5 for both
    np.testing.assert_equal(
        found.values[PREFERENCE], [[2, 1, 2, 1, 1.5, 1.5], [2, 1, 1.5, 1.5, NAN, NAN]]
    )
    np.testing.assert_equal(unit_means(found.values["alignment"]), [3.5, 2, 2.5, 1.5, 3, 3])
    assert found.counts == {"used": 5 * 10, "missing": 5 * 2}


def test_means_and_agreement_by_hand() -> None:
    found = rated(KEY, [ADA, BOB])
    means = quality(KEY, found)
    assert means["good"]["helpfulness"]["value"] == pytest.approx((3.5 + 2.5 + 3) / 3)
    assert means["poor"]["helpfulness"]["value"] == pytest.approx((2 + 1.5 + 3) / 3)
    assert means["good"]["helpfulness"]["low"] < means["good"]["helpfulness"]["value"]
    agreed = agreements(found)["correctness"]
    # Ada 4 2 3 1, Bob 3 2 2 2: squares 1 0 1 1, mean 3/4; over all pairings of 4 2 3 1 with
    # 3 2 2 2: against 3: 1 1 0 4, against each 2: 4 0 1 1, so (6 + 18) / 16 = 3/2
    assert agreed["kappa"] == pytest.approx(1 - 0.75 / 1.5)
    assert agreed["exact"] == pytest.approx(1 / 4)
    assert (agreed["num_raters"], agreed["num_units"]) == (2, 4)
    alone = agreements(rated(KEY, [ADA]))["correctness"]
    assert (alone["kappa"], alone["num_units"]) == (None, 0)


def test_what_cannot_be_used_is_counted() -> None:
    odd = ItemRatings(
        "2",
        {"A": {"correctness": 5, "charm": 2, "alignment": 0}, "C": {"correctness": 1}},
        {"A": 1},
        "hm",
    )
    wild = replace(item("1", 2, None), ranks={"A": 1, "B": 3})
    found = rated(KEY, [by("Eve", odd, wild, item("9", 1, 1))])
    assert found.counts == {
        "used": 4,
        "missing": 26,
        "left out: incomplete ranking": 1,
        "left out: rank outside the number of systems": 1,
        "left out: rating outside 1 to 4": 2,
        "left out: unknown aspect": 1,
        "left out: unknown item": 1,
        "left out: unknown letter": 1,
    }
    means = quality(KEY, found)
    assert means["poor"]["correctness"]["value"] is None
    assert means["good"]["correctness"]["value"] == 2.0


def test_one_system_has_nothing_to_rank() -> None:
    single = replace(KEY, items=(replace(KEY.items[0], systems={"A": "good"}),))
    found = rated(single, [by("Ada", item("1", 3, None, (1,)))])
    assert found.counts == {"used": 4, "missing": 0}


def test_what_cannot_be_right_is_refused() -> None:
    twice = replace(KEY, items=(KEY.items[0], KEY.items[0]))
    one_system = replace(KEY, items=(replace(KEY.items[0], systems={"A": "x", "B": "x"}),))
    refusals = [
        (KEY, [], "no ratings"),
        (KEY, [replace(ADA, form="f1")], "Ada rated form f1, the key is of f0"),
        (KEY, [replace(ADA, rater=" ")], "name no rater"),
        (KEY, [ADA, ADA], "Ada has 2 files"),
        (KEY, [by("Ada", item("1", 1, 1), item("1", 2, 2))], "rates item 1 twice"),
        (twice, [ADA], "twice"),
        (one_system, [ADA], "twice"),
        (replace(KEY, items=()), [ADA], "no items"),
    ]
    for key, files, why in refusals:
        with pytest.raises(DataError, match=why):
            rated(key, files)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"schema": "ratings/2"}, "field 'schema'"),
        ({"rater": None}, "field 'rater'"),
        ({"extra": 1}, "field 'extra'"),
        ({"items": [{"item": "1", "ratings": {"A": {"correctness": "3"}}}]}, "correctness"),
        ({"items": [{"item": "1", "ratings": {"A": {"correctness": 2.5}}}]}, "correctness"),
    ],
)
def test_malformed_files_name_the_field(change: dict[str, Any], why: str) -> None:
    good = {"schema": "ratings/1", "form": "f0", "rater": "Ada", "saved": "", "items": []}
    assert parse(good, Ratings, "ada.json").rater == "Ada"
    with pytest.raises(DataError, match=f"ada.json: {why}|ada.json: field .*{why}"):
        parse(good | change, Ratings, "ada.json")


def scores(metric: str, values: dict[str, tuple[float | None, ...]]) -> dict[str, Any]:
    """A file of scores: each system's values of the three dialogues."""
    systems = {}
    for system, found in values.items():
        rows = [
            {"dataset": one.dataset, "dialogue_id": one.dialogue_id, "scores": {metric: value}}
            for one, value in zip(KEY.items, found, strict=True)
        ]
        groups: dict[str, Any] = {"pooled": {metric: {"value": 0.0, "low": None}}}
        for dataset, part in (("wtag", found[:2]), ("holoassist", found[2:])):
            known = [value for value in part if value is not None]
            mean = sum(known) / len(known) if known else None
            groups[f"dataset:{dataset}"] = {metric: {"value": mean}}
        systems[system] = {"groups": groups, "streams": rows}
    return {"systems": systems, "about": {}}


def test_scores_against_people_by_hand() -> None:
    """People prefer good, good, neither; the score prefers good, poor."""
    people = rated(KEY, [ADA, BOB])
    file = scores("speech_f1", {"good": (0.9, 0.1, 0.5), "poor": (0.2, 0.3, None)})
    read = alike.read_scores(file, "scores.json", ["good", "poor"])
    found = alike.compared(people, read)
    match = found["match_rate"]["dialogue"]["speech_f1"][PREFERENCE]
    assert (match["value"], match["n"]) == (0.5, 2)
    # by data set: good is preferred in wtag, and has the score 0.5 there, poor 0.25
    match = found["match_rate"]["dataset"]["speech_f1"][PREFERENCE]
    assert (match["value"], match["n"]) == (1.0, 1)
    both = found["correlation"]["dialogue"]["speech_f1"]["correctness"]
    left, right = np.array([0.9, 0.2, 0.1, 0.3, 0.5]), np.array([3.5, 2, 2.5, 1.5, 3])
    assert both["pearson"]["value"] == pytest.approx(np.corrcoef(left, right)[0, 1])
    # ranks 5 2 1 3 4 and 5 2 3 1 4: differences 0 0 2 2 0, so 1 - 6 * 8 / (5 * 24)
    assert both["spearman"]["value"] == pytest.approx(0.6)
    assert both["spearman"]["n"] == 5
    assert found["correlation"]["dataset"]["speech_f1"].keys() == {*JUDGEMENTS}


def test_where_less_is_better_the_choice_turns_around() -> None:
    people = rated(KEY, [ADA, BOB])
    values = {"good": (0.1, 0.1, 0.5), "poor": (0.2, 0.3, 0.5)}
    for metric, expected in (("speech_missing_rate", 1.0), ("speech_f1", 0.0), ("overall", 0.0)):
        read = alike.read_scores(scores(metric, values), "s", ["good", "poor"])
        match = alike.compared(people, read)["match_rate"]["dialogue"][metric][PREFERENCE]
        assert match["value"] == expected
    assert [alike.direction(name) for name in ("speech_rate_ratio", "unheard_of")] == [0, 0]
    read = alike.read_scores(scores("speech_rate_ratio", values), "s", ["good", "poor"])
    found = alike.compared(people, read)
    assert found["match_rate"]["dialogue"] == {}
    assert "speech_rate_ratio" in found["correlation"]["dialogue"]


def test_what_score_writes_is_read_by_stream() -> None:
    due = (event(10, "S1->start", "Go."), event(30, "S1->complete", "Well done."))
    good = replace(stream(due), system="good", events=due)
    poor = replace(good, system="poor", events=due[1:])
    written = json.loads(json.dumps(score([good, poor], embed=embed)))
    read = alike.read_scores(written, "scores.json", ["good", "poor"])
    cell = "toy/v1/no_talk-0"
    assert read["dialogue"]["speech_f1"] == {(cell, "good"): 1.0, (cell, "poor"): 2 / 3}
    assert read["dialogue"]["transition_recall_5s"][cell, "poor"] == 1 / 2
    assert read["dataset"]["speech_f1"]["toy", "poor"] == 2 / 3
    written["systems"]["poor"]["streams"] *= 2
    with pytest.raises(
        DataError, match=r"scores\.json: v1/no_talk-0 of toy is several streams of p"
    ):
        alike.read_scores(written, "scores.json", ["poor"])


def test_score_files_that_cannot_be_right() -> None:
    file = scores("overall", {"good": (1, 2, 3), "poor": (1, 2, 3)})
    with pytest.raises(DataError, match=r"s\.json has no scores of other"):
        alike.read_scores(file, "s.json", ["good", "other"])
    with pytest.raises(DataError, match=r"s\.json: field 'systems'.*prospect score"):
        alike.read_scores({"scores": 1}, "s.json", ["good"])
    read = alike.read_scores(file, "s.json", ["good"])
    with pytest.raises(DataError, match=r"a\.json and b\.json both hold overall"):
        alike.joined({"a.json": read, "b.json": read})
    without = {"systems": {"good": {"groups": {"dataset:x": {"f1": {"value": None}}}}}}
    assert alike.joined({"s": alike.read_scores(without, "s", ["good"])})["dataset"] == {}
