"""Fields are what is asked for, or the error says where they aren't; overlaps count once."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prospect.annotations.tables import covered_s, get, number, read_cells, read_table, seconds
from prospect.errors import DataError, MissingError


def test_tables(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('b,a\n"x\ny",1\n\nz,2\n')
    assert read_table(path, ["a"]) == [
        (f"{path}:3", {"b": "x\ny", "a": "1"}),
        (f"{path}:5", {"b": "z", "a": "2"}),
    ]
    path.write_text('a\t"b\n')
    assert read_cells(path, "\t") == [(f"{path}:1", ["a", '"b'])]
    path.write_text("a,b\n")
    with pytest.raises(DataError, match=r"a\.csv:1: no column 'c' among a, b"):
        read_table(path, ["c"])
    path.write_text('a,b\n1,"2')
    with pytest.raises(DataError, match=r"a\.csv:2: not a table"):
        read_table(path, ["a"])
    path.write_text("")
    with pytest.raises(DataError, match="empty, expected a line with the columns a"):
        read_table(path, ["a"])
    with pytest.raises(MissingError, match="no file"):
        read_table(tmp_path / "b.csv", ["a"])


@pytest.mark.parametrize("value", [True, "1", None, float("nan"), float("inf"), 10**400, []])
def test_seconds_are_finite_numbers(value: object) -> None:
    with pytest.raises(DataError, match=r"here: field 't' is .*, expected seconds"):
        seconds({"t": value}, "t", "here")
    assert seconds({"t": -3}, "t", "here") == -3.0


def test_fields_and_cells() -> None:
    assert get({"a": 1}, "a", int, "here") == 1
    with pytest.raises(DataError, match="here: field 'a' is 1, expected str"):
        get({"a": 1}, "a", str, "here")
    with pytest.raises(DataError, match="here: field 'a' is 3, expected str"):
        get(3, "a", str, "here")
    assert number("-1.5", "a", "here") == -1.5
    for text in ("", "x", "nan", "-inf"):
        with pytest.raises(DataError, match=r"here: column 'a' is .*, expected a number"):
            number(text, "a", "here")


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30))))
def test_covered_is_the_union(spans: list[tuple[int, int]]) -> None:
    counted = {second for start, end in spans for second in range(start, end)}
    assert covered_s(spans) == len(counted)
