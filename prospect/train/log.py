"""``metrics.jsonl``: one row a logged step, written by the trainer, read by the report."""

import json
from pathlib import Path
from typing import Any

from prospect.files import read_lines, write_text

LOG = "metrics.jsonl"
"""Its name in the run folder."""


def read_log(path: Path) -> list[dict[str, Any]]:
    """The rows; `MissingError` if there is no file."""
    return [row for _, row in read_lines(path)]


def append_log(path: Path, row: dict[str, Any]) -> None:
    """Add a row at once, so that a killed run has lost none."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def trim_log(path: Path, last_step: int) -> None:
    """Drop the rows after ``last_step``, which a resumed run will write again."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    # a killed process may have left half a line; it is beyond the checkpoint by construction
    whole = [line for line in lines if line.endswith("\n")]
    write_text(path, "".join(line for line in whole if json.loads(line)["step"] <= last_step))
