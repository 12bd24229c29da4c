"""Rows as CSV and as JSON lines: nothing is lost, and no spreadsheet runs what a cell says."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fhir_server.mapping.tables import FORMULAS, csv_line, json_line

NAMES = ("a", "b", "c")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1) | st.sampled_from(
    ["=1+1", "'=1+1", "''", '"', "a,b", "a\r\nb", "\t", "-5", "@x", "＝1"]
)
VALUES: st.SearchStrategy[Any] = (
    TEXTS | st.integers(-(2**31), 2**31) | st.booleans() | st.lists(TEXTS)
)
ROWS = st.lists(st.dictionaries(st.sampled_from(NAMES), VALUES))


def table(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(csv_line(map(row.get, NAMES)) for row in rows)


def read(cell: str, value: Any) -> Any:
    """The value that a cell stands for, where one like `value` is expected."""
    return cell.removeprefix("'") if isinstance(value, str) else json.loads(cell)


@given(ROWS)
@example([{"a": "=cmd|'/c calc'!A0", "b": ["=1"], "c": -5}])
def test_a_reader_of_csv_finds_every_value(rows: list[dict[str, Any]]) -> None:
    text = (csv_line(NAMES) + table(rows)).decode()
    head, *lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert tuple(head) == NAMES
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        cells = dict(zip(NAMES, line, strict=True))
        assert {n: read(cells[n], value) for n, value in row.items()} == row
        assert all(cells[name] == "" for name in NAMES if name not in row)


@given(ROWS)
def test_no_text_begins_like_a_formula(rows: list[dict[str, Any]]) -> None:
    text = table(rows).decode()
    for line, row in zip(csv.reader(io.StringIO(text, newline="")), rows, strict=True):
        for name, cell in zip(NAMES, line, strict=True):
            assert not (isinstance(row.get(name), str) and cell.startswith(FORMULAS))


@given(ROWS)
def test_each_line_of_json_is_a_row(rows: list[dict[str, Any]]) -> None:
    lines = b"".join(map(json_line, rows)).split(b"\n")
    assert lines.pop() == b""
    assert [json.loads(line) for line in lines] == rows


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("x", b'"x"'),
        ('say "x"', b'"say ""x"""'),
        ("=1+1", b'"\'=1+1"'),
        ("'x", b"\"''x\""),
        (-5, b'"-5"'),
        (True, b'"true"'),
        (["a", "b"], b'"[""a"",""b""]"'),
        (None, b'""'),
    ],
)
def test_a_cell(value: Any, cell: bytes) -> None:
    assert csv_line([value]) == cell + b"\r\n"
