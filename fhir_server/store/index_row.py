"""What a resource leaves behind to be searched by."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

SortValue = str | float | int


@dataclass(frozen=True, slots=True)
class ValueRow:
    """One row of the value table: which columns are set depends on the parameter's type. `part`
    is the same for the parts of one element of a composite."""

    param: str
    norm: str | None = None
    exact: str | None = None
    low: Decimal | None = None
    high: Decimal | None = None
    since: datetime | None = None
    until: datetime | None = None
    unit: str | None = None
    part: int | None = None


@dataclass(slots=True)
class IndexRow:
    """`keys[0]` is the resource's own; `sorts` holds a code's least value, and under `-code` its
    greatest where that differs; `hot` is column name → value, every hot column present, and every
    column of words. `fingerprint` is that of the declarations it was made by."""

    keys: list[int] = field(default_factory=list)
    sorts: dict[str, SortValue] = field(default_factory=dict)
    hot: dict[str, Any] = field(default_factory=dict)
    values: list[ValueRow] = field(default_factory=list)
    fingerprint: int = 0
