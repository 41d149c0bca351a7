"""scores.json -> tables for spreadsheets and papers.

In: the dict that `prospect score` writes. Out: a folder with ``scores.csv`` and
``differences.csv``, one number a row, every metric and digit; and ``systems.tex``, ``groups.tex``
and ``differences.tex``, the headline metrics as the report prints them (packages ``booktabs``).
"""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from prospect.files import write_text
from prospect.report import tables

_SPECIAL = str.maketrans(
    {
        **{char: f"\\{char}" for char in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\\": r"\textbackslash{}",
        "±": r"$\pm$",
    }
)


def write_tables(out: Path, scores: Mapping[str, Any]) -> tuple[Path, ...]:
    """Write all five files into the folder ``out``; returns their paths.

    Raises:
        DataError: scores without a required key.
    """
    tables.check_scores(scores)
    texts = {
        "scores.csv": _csv(
            ("system", "group", "metric", "value", "low", "high", "n"), _rows(scores)
        ),
        "differences.csv": _csv(("pair", "metric", "value", "low", "high"), _gaps(scores)),
        "systems.tex": latex(tables.systems_table(scores)),
        "groups.tex": latex(tables.groups_tables(scores)[0]),
        "differences.tex": latex(tables.differences_table(scores)),
    }
    for name, text in texts.items():
        write_text(out / name, text)
    return tuple(out / name for name in texts)


def latex(table: tables.Table) -> str:
    """A ``tabular`` with intervals as subscripts; strong values are bold."""
    lines = [
        f"% {table.caption}",
        rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        r"\toprule",
        "".join(f" & {_escaped(title)}" for title, _ in table.columns) + r" \\",
    ]
    for section in table.sections:
        lines.append(r"\midrule")
        if section.heading:
            width = len(table.columns) + 1
            lines.append(
                rf"\multicolumn{{{width}}}{{l}}{{\emph{{{_escaped(section.heading)}}}}} \\"
            )
        lines += [
            " & ".join([_escaped(row.label), *map(_cell, row.cells)]) + r" \\"
            for row in section.rows
        ]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _cell(cell: tables.Cell) -> str:
    text = rf"\textbf{{{cell.text}}}" if cell.strong else cell.text
    return text + (rf" {{\scriptsize {cell.interval}}}" if cell.interval else "")


def _escaped(text: str) -> str:
    return text.translate(_SPECIAL)


def _rows(scores: Mapping[str, Any]) -> Iterable[tuple[Any, ...]]:
    for system, found in scores["systems"].items():
        for group, metrics in found["groups"].items():
            for metric, one in metrics.items():
                yield system, group, metric, one["value"], one["low"], one["high"], one["n"]


def _gaps(scores: Mapping[str, Any]) -> Iterable[tuple[Any, ...]]:
    for pair, metrics in scores["differences"].items():
        for metric, one in metrics.items():
            yield pair, metric, one["value"], one["low"], one["high"]


def _csv(head: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    """Comma separated; a score that does not exist is an empty field."""
    with io.StringIO() as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
        return text.getvalue()
