"""Fields of raw annotation files, checked; and how much of a video they cover.

In: a CSV file, or values parsed from JSON. Out: texts and numbers of the type that is asked for,
or a `DataError` that names file, line and field.
"""

import csv
import io
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from prospect.errors import DataError
from prospect.files import read_text
from prospect.types import Annotation

T = TypeVar("T")


def read_table(
    path: Path, columns: Sequence[str], delimiter: str = ","
) -> list[tuple[str, dict[str, str]]]:
    """The rows of a table whose first line names its columns.

    Args:
        path: A text file, one row a line.
        columns: Those that must be there, in any order; further ones are kept too.
        delimiter: Between two cells. Where it is a comma, cells may be quoted as Excel does.

    Returns:
        For every row that isn't blank ``("file:line", {column: cell})``, cells as written; a row
        of several lines is named by its last. Empty if there is only the header.

    Raises:
        MissingError: no such file.
        DataError: not a table, a column is absent, a row has too few or too many cells.
    """
    lines = read_cells(path, delimiter)
    if not lines:
        raise DataError(f"{path}: empty, expected a line with the columns {', '.join(columns)}")
    where, header = lines[0]
    absent = [column for column in columns if column not in header]
    if absent:
        raise DataError(f"{where}: no column {absent[0]!r} among {', '.join(header)}")
    for where, cells in lines[1:]:
        if len(cells) != len(header):
            raise DataError(f"{where}: {len(cells)} cells, the header names {len(header)} columns")
    return [(where, dict(zip(header, cells, strict=True))) for where, cells in lines[1:]]


def read_cells(path: Path, delimiter: str = ",") -> list[tuple[str, list[str]]]:
    """``("file:line", cells)`` of every line that isn't blank, for tables without a header.

    Raises:
        MissingError: no such file.
        DataError: not a table.
    """
    reader = csv.reader(
        io.StringIO(read_text(path), newline=""),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE,
        strict=True,
    )
    try:
        return [(f"{path}:{reader.line_num}", cells) for cells in reader if cells]
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: not a table: {error}") from error


def get(record: Any, field: str, kind: type[T], where: str) -> T:
    """A field of a JSON object that must be there and be of one type.

    Raises:
        DataError: ``record`` is no object, or the field is absent or of another type.
    """
    if not isinstance(record, dict) or not isinstance(record.get(field), kind):
        found = record.get(field) if isinstance(record, dict) else record
        raise DataError(f"{where}: field {field!r} is {found!r:.80}, expected {kind.__name__}")
    value: T = record[field]
    return value


def seconds(record: Any, field: str, where: str) -> float:
    """A field of a JSON object that must hold a finite number; it may be negative.

    Raises:
        DataError: absent, not a number, NaN or infinite.
    """
    value = record.get(field) if isinstance(record, dict) else None
    # compared, not converted: an integer may be too long for a float
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not -sys.float_info.max <= value <= sys.float_info.max
    ):
        raise DataError(f"{where}: field {field!r} is {value!r:.80}, expected seconds")
    return float(value)


def number(text: str, field: str, where: str) -> float:
    """A cell of a table that must hold a finite number; it may be negative.

    Raises:
        DataError: not a number, NaN or infinite.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{where}: column {field!r} is {text!r:.80}, expected a number")
    return value


def covered_s(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union of spans ``[start, end)`` in seconds: what overlaps counts once.

    Spans that end before they start have no length; 0 for none.
    """
    total = 0.0
    reached = -math.inf
    for start, end in sorted(spans):
        if end > reached:
            total += end - max(start, reached) if end > start else 0.0
            reached = max(reached, end)
    return total


def coverage(annotation: Annotation) -> float:
    """Share of the video, in [0, 1], that lies in a step, or in an action if there are no steps.

    ProAssist divides the summed lengths instead, which goes above 1 where steps overlap.
    """
    steps = [action for action in annotation.actions if action.kind == "step"]
    spans = [
        (max(0.0, action.start_s), min(action.end_s, annotation.duration_s))
        for action in steps or annotation.actions
        if action.kind != "pause"
    ]
    return min(1.0, covered_s(spans) / annotation.duration_s) if annotation.duration_s > 0 else 0.0
