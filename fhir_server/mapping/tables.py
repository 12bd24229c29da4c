"""Rows as lines of a file: CSV for spreadsheets, JSON lines for programs.

CSV as https://www.rfc-editor.org/rfc/rfc4180: every cell in quotes, lines end with CRLF, the first
one names the fields. Lists and objects are written as JSON; an empty cell says that there is no
value. A spreadsheet would run a text that begins like a formula, so an apostrophe goes before it
(https://owasp.org/www-community/attacks/CSV_Injection), and before one that begins with an
apostrophe: so the first apostrophe of a cell is always ours, and can be taken away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

# What a spreadsheet takes for the beginning of a formula, also in full width.
FORMULAS: Final = tuple("=+-@\t\r\n＝＋－＠")
_GUARDED: Final = (*FORMULAS, "'")


def csv_line(values: Iterable[Any]) -> bytes:
    """One line of cells; None is an empty one."""
    return ",".join(map(_cell, values)).encode() + b"\r\n"


def json_line(row: Mapping[str, Any]) -> bytes:
    """https://github.com/ndjson/ndjson-spec"""
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def _cell(value: Any) -> str:
    if value is None:
        return '""'
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    if isinstance(value, str) and text.startswith(_GUARDED):
        text = "'" + text
    return '"' + text.replace('"', '""') + '"'
