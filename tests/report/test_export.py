"""Tables for spreadsheets and papers."""

import csv
import re
from pathlib import Path
from typing import Any

import pytest

from prospect.errors import DataError
from prospect.report.export import latex, write_tables
from prospect.report.tables import HEADLINE, Cell, Row, Section, Table


def test_every_number_is_there(tmp_path: Path, scores: dict[str, Any]) -> None:
    paths = write_tables(tmp_path / "t", scores)
    assert sorted(path.name for path in paths) == sorted(p.name for p in (tmp_path / "t").iterdir())
    with (tmp_path / "t" / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    wanted = scores["systems"]["demo"]["groups"]["dataset:holoassist"]
    found = {
        row["metric"]: row
        for row in rows
        if (row["system"], row["group"]) == ("demo", "dataset:holoassist")
    }
    assert found.keys() == wanted.keys()
    assert float(found["speech_f1"]["low"]) == wanted["speech_f1"]["low"]
    assert (found["start_accuracy"]["value"], found["start_accuracy"]["n"]) == ("", "0")
    with (tmp_path / "t" / "differences.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 4 * len(HEADLINE)


def test_latex_by_hand() -> None:
    rows = (Row("listed_order", (Cell("0.5", "[0.4, 0.6]", strong=True), Cell("n/a"))),)
    table = Table("100 %", (("F1 ±5 s", ""), ("a&b", "")), (Section("All", rows),))
    assert latex(table).splitlines() == [
        "% 100 %",
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r" & F1 $\pm$5 s & a\&b \\",
        r"\midrule",
        r"\multicolumn{3}{l}{\emph{All}} \\",
        r"listed\_order & \textbf{0.5} {\scriptsize [0.4, 0.6]} & n/a \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_every_row_has_all_columns(tmp_path: Path, scores: dict[str, Any]) -> None:
    for path in write_tables(tmp_path, scores):
        if path.suffix == ".tex":
            lines = [line for line in path.read_text().splitlines() if re.search(r"[^l] &", line)]
            assert lines
            assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {len(HEADLINE)}


def test_what_is_no_score_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="scores have no 'systems'"):
        write_tables(tmp_path, {})
