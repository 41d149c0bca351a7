"""Numbers, intervals and marks of the tables."""

from typing import Any

import pytest

from prospect.errors import DataError
from prospect.report import tables

KEYS = list(tables.HEADLINE)


def one(value: float | None, low: float | None, high: float | None) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": 8}


def small(**values: float | None) -> dict[str, Any]:
    """Scores with one metric, the same for every group of a system."""
    systems = {
        name: {"groups": {"pooled": {KEYS[0]: one(value, 0.25, 0.75)}}}
        for name, value in values.items()
    }
    return {"systems": systems, "differences": {}, "diagnosis": [], "about": {}}


def test_cell_by_hand() -> None:
    table = tables.systems_table(small(ours=0.5))
    cell = table.sections[0].rows[0].cells[0]
    assert (cell.text, cell.interval, cell.bar) == ("0.500", "[0.25, 0.75]", (25.0, 50.0, 75.0))
    assert cell.hint == "95 % interval [0.25, 0.75]; n = 8"
    assert table.sections[0].rows[0].cells[1].text == "n/a"  # not scored


def test_best_is_not_the_oracle_and_ties_as_printed() -> None:
    scores = small(oracle=1.0, silent=0.5, ours=0.50001, blind=0.4)
    scores["systems"] = {"ours": scores["systems"].pop("ours"), **scores["systems"]}
    rows = tables.systems_table(scores).sections[0].rows
    assert [row.label for row in rows] == ["ours", "silent", "blind", "oracle"]
    assert [row.cells[0].strong for row in rows] == [True, True, False, False]
    assert [row.kind for row in rows] == ["main", "baseline", "baseline", "oracle"]


def test_tiles_name_the_best_baseline() -> None:
    tile = tables.tiles(small(ours=0.5, blind=0.3, periodic=0.4, oracle=1.0))[0]
    assert (tile.cell.text, tile.rival) == ("0.500", "best baseline 0.400 (periodic)")
    assert tables.tiles(small(ours=0.5))[0].rival == ""
    assert tables.tiles(small(ours=0.5, blind=None))[0].rival == ""


def test_undefined_value_and_missing_interval() -> None:
    assert tables.systems_table(small(ours=None)).sections[0].rows[0].cells[0].text == "n/a"
    scores = small(ours=0.5)
    scores["systems"]["ours"]["groups"]["pooled"][KEYS[0]] = one(0.5, None, None)
    cell = tables.systems_table(scores).sections[0].rows[0].cells[0]
    assert (cell.text, cell.bar) == ("0.500", None)


def test_differences_by_hand() -> None:
    scores = small(a=0.5, b=0.4)
    scores["differences"] = {
        "a - b": {KEYS[0]: one(0.1, 0.05, 0.2), KEYS[1]: one(-0.1, -0.2, 0.1)},
        "a - c": {KEYS[0]: one(None, None, None), KEYS[1]: one(-0.1, -0.2, -0.05)},
    }
    first, second = tables.differences_table(scores).sections[0].rows
    assert (first.cells[0].text, first.cells[0].strong) == ("+0.100*", True)
    assert first.cells[0].bar == (62.5, 75.0, 100.0)  # on -0.2 to 0.2
    assert (first.cells[1].text, first.cells[1].strong) == ("-0.100", False)
    assert second.cells[0].text == "n/a"
    assert second.cells[1].strong


def test_groups_in_sections(scores: dict[str, Any]) -> None:
    found = tables.groups_tables(scores)
    assert len(found) == len(scores["systems"])
    assert [[row.label for row in section.rows] for section in found[0].sections] == [
        ["pooled", "macro"],
        ["seen", "unseen"],
        ["no_talk", "talk_some", "talk_more"],
        ["toy", "holoassist"],
    ]
    scores["systems"]["demo"]["groups"]["moon:full"] = {}
    with pytest.raises(DataError, match="'demo' have an unknown group 'moon:full'"):
        tables.groups_tables(scores)


def test_all_metrics(scores: dict[str, Any]) -> None:
    rows = tables.all_metrics_table(scores).sections[0].rows
    assert [row.label for row in rows] == [*KEYS, "delay_mean_s", "rate_ratio"]
    assert rows[-1].cells[0].text == "1.120"
    assert rows[-1].cells[0].bar is None


def test_adaptive_thresholds_stand_beside_the_decisions_as_streamed() -> None:
    scores = small(ours=0.5, theirs=0.5, silent=0.0)
    pooled = scores["systems"]["ours"]["groups"]["pooled"]
    pooled["speak_decision_recall"] = one(0.75, 0.5, 1.0)
    pooled["speak_decision_recall_adaptive"] = one(0.25, 0.0, 0.5)
    table = tables.adaptive_table(scores)
    assert [title for title, _ in table.columns] == ["Precision", "Recall", "F1"]
    assert [section.heading for section in table.sections] == ["ours", "theirs"]
    rows = {row.label: [cell.text for cell in row.cells] for row in table.sections[0].rows}
    assert rows["speak, as streamed"] == ["n/a", "0.750", "n/a"]
    assert rows["speak, adaptive"] == ["n/a", "0.250", "n/a"]
    assert sum(label.startswith("update") for label in rows) == 2


def test_the_other_mode(scores: dict[str, Any]) -> None:
    table = tables.other_mode(scores)
    assert isinstance(table, tables.Table)
    assert [title for title, _ in table.columns] == ["strict", "proassist"]
    speech, delay = table.sections[0].rows
    now = scores["systems"]["demo"]["groups"]["pooled"]["speech_f1"]["value"]
    assert [cell.text for cell in speech.cells] == [f"{now:.3f}", "0.500"]
    assert [cell.text for cell in delay.cells] == ["n/a", "n/a"]
    system = scores["systems"]["demo"]
    system["other_mode"]["scores"] = {}
    assert tables.other_mode(scores) == "In mode proassist every score of demo is the same."
    system["other_mode"] = {"mode": "proassist", "error": "no assignment"}
    assert tables.other_mode(scores) == "In mode proassist demo can't be scored: no assignment"


def test_what_is_no_scores_file() -> None:
    with pytest.raises(DataError, match="scores have no 'systems'; write them with"):
        tables.check_scores({})
    with pytest.raises(DataError, match="scores have no system;"):
        tables.check_scores(small())
    with pytest.raises(DataError, match="'ours' have no 'other_mode'; score them again"):
        tables.check_scores(small(ours=1.0))
    scores = small(ours=1.0)
    scores["systems"]["ours"]["groups"] = {}
    with pytest.raises(DataError, match="'ours' have no group 'pooled'"):
        tables.check_scores(scores)
