"""All that lies in the compartment of one resource, a page at a time, and what it refers to.

The records of a page come from one statement: each type of the compartment adds its rows in the
order of their ids, cut at the limit. Type and id are a place in that order which no later write
shifts. All types stand in the statement whatever was asked for; those left out, and those that
earlier pages have finished, are switched off by a bound list and cost nothing.

https://hl7.org/fhir/R4/patient-operation-everything.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    Integer,
    Select,
    Text,
    bindparam,
    case,
    cast,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from fhir_server.context import Context
from fhir_server.definitions.model import Definitions
from fhir_server.store.history import instant
from fhir_server.store.search.asking import Asking
from fhir_server.store.search.compared import overlapping
from fhir_server.store.search.compartment import membership
from fhir_server.store.search.criteria import criterion
from fhir_server.store.search.cursor import Cursors, scope_of
from fhir_server.store.search.node import NOTHING, Node, Shape, all_of, any_of
from fhir_server.store.search.order import Key
from fhir_server.store.search.page import Reach
from fhir_server.store.search.planner import Planner
from fhir_server.store.search.predicates import Binds, Builder
from fhir_server.store.session import Session
from fhir_server.store.span import ALWAYS, Span
from fhir_server.store.sql import constant, sql_text
from fhir_server.store.stored import Stored
from fhir_server.store.supporting import Supporters
from fhir_server.store.tables import Tables

_COLUMNS = ("id", "version", "updated", "body")
_PLACE = (Key("name", "type", descending=False), Key("id", "_id", descending=False))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of the compartment of `owner` (`Patient/x`): care in [`span.low`, `span.high`), changed
    at `span.since` or later, of `types` (None: of all)."""

    owner: str
    span: Span = ALWAYS
    types: frozenset[str] | None = None

    @property
    def kind(self) -> str:
        """The type of the owner."""
        return self.owner.partition("/")[0]

    def takes(self, stored: Stored) -> bool:
        """Whether it is of a type that is to be shown."""
        return self.types is None or stored.type in self.types


class Everything(NamedTuple):
    """`records` lie in the compartment, `supporting` ones are what they refer to; `next` is the
    cursor of the next page."""

    records: list[Stored]
    supporting: list[Stored]
    next: str | None


class _Part(NamedTuple):
    """A type and the condition on its rows; `own` where it is the owner's."""

    type: str
    where: Shape
    own: bool


class Compartment:
    """Reads compartments as far as the caller may see; `planner` knows what that is."""

    def __init__(
        self, definitions: Definitions, tables: Tables, planner: Planner, cursor_key: bytes
    ) -> None:
        self._definitions = definitions
        self._tables = tables
        self._planner = planner
        self._cursors = Cursors(cursor_key)
        self._supporters = Supporters(tables)
        self._sql = lru_cache(maxsize=256)(self._compile)

    async def page(
        self,
        session: Session,
        ctx: Context,
        wanted: Wanted,
        owner: Stored,
        *,
        reach: Reach,
        limit: int,
        cursor: str = "",
    ) -> Everything:
        """A page, which begins with `owner` if it is the first; Problem 400 for a cursor that is
        none of this compartment."""
        scope = _scope(ctx, wanted)
        after = self._cursors.read(scope, _PLACE, cursor).values if cursor else ["", ""]
        asking = self._planner.asking(ctx, reach)
        first = [] if cursor or owner.updated < wanted.span.since else [owner]
        found = await self._records(session, asking, wanted, after, limit + 1 - len(first))
        records, more = [*first, *found][:limit], len(first) + len(found) > limit
        supporting = await self._supporters.of(session, asking, self._outside(wanted), records)
        last = self._cursors.write(scope, _place(records[-1], owner)) if more else None
        shown = [stored for stored in records if wanted.takes(stored)]
        return Everything(shown, supporting, last)

    def _types(self, wanted: Wanted) -> list[str]:
        """The served types of the compartment, the owner's among them."""
        inside = {*self._definitions.compartments[wanted.kind], wanted.kind}
        served, asked = self._definitions.types, wanted.types or ()
        return sorted(
            name for name in inside if name in served and (served[name].writable or name in asked)
        )

    def _outside(self, wanted: Wanted) -> list[str]:
        """The types of which a resource may support the records."""
        found = set(self._definitions.types) - set(self._types(wanted))
        return sorted(found if wanted.types is None else found & wanted.types)

    def _open(self, wanted: Wanted, after: Sequence[str]) -> list[str]:
        """The types that this page may have: all, where their references are to be followed."""
        inside = self._types(wanted)
        if wanted.types is not None and not self._outside(wanted):
            inside = [name for name in inside if name in wanted.types]
        return [name for name in inside if name >= after[0]]

    async def _records(
        self, session: Session, asking: Asking, wanted: Wanted, after: Sequence[str], limit: int
    ) -> list[Stored]:
        parts, values = self._parts(asking, wanted)
        if not parts:
            return []
        args = _args(values) | {
            "types": self._open(wanted, after),
            "since": wanted.span.since,
            "owner": wanted.owner.partition("/")[2],
            "after_type": after[0],
            "after_id": after[1],
            "limit": limit,
        }
        return [Stored(*row) for row in await session.fetch(self._sql(parts), args)]

    def _parts(self, asking: Asking, wanted: Wanted) -> tuple[tuple[_Part, ...], list[Any]]:
        seen = [(name, self._node(asking, wanted, name)) for name in self._types(wanted)]
        kept = [(name, node) for name, node in seen if node is not None]
        parts = tuple(_Part(name, node.shape, name == wanted.kind) for name, node in kept)
        return parts, [value for _, node in kept for value in node.values]

    def _node(self, asking: Asking, wanted: Wanted, name: str) -> Node | None:
        """What of a type is wanted; None where the caller may see nothing of it."""
        shown = asking.policy(name)
        if shown == NOTHING:
            return None
        inside = membership(asking, self._definitions.compartments, wanted.owner, name)
        code = self._definitions.types[name].care_date
        if not (code and wanted.span.bounded):
            return all_of([inside, shown])
        return all_of([inside, shown, _in_span(asking, name, code, wanted.span)])

    def _compile(self, parts: tuple[_Part, ...]) -> str:
        build = Builder(self._tables, Binds())
        limit = bindparam("limit", type_=Integer)
        cut = [
            select(found.order_by(found.selected_columns.id).limit(limit).subquery())
            for found in (_select(build, part) for part in parts)
        ]
        page = union_all(*cut).subquery("page")
        return sql_text(select(page).order_by(page.c.type.collate("C"), page.c.id).limit(limit))


def _in_span(asking: Asking, name: str, code: str, span: Span) -> Node:
    """In the time, or of no time: what has no date is not left out for it."""
    parameter = asking.parameter(name, code)
    held = overlapping(asking, name, parameter, span.low, span.high)
    return any_of([held, criterion(asking, name, f"{code}:missing", "true")])


def _select(build: Builder, part: _Part) -> Select[Any]:
    """The rows of a part behind the cursor. OFFSET keeps the search for them apart from their
    order, for which PostgreSQL would walk the whole table by id to find the few of a small chart.
    """
    row, kind = build.row(part.type), constant(part.type)
    found = select(kind.label("type"), *(row.c[name] for name in _COLUMNS)).where(
        kind == bindparam("types", type_=ARRAY(Text)).any_(),
        row.c.updated >= instant("since"),
        build.where(part.where, row),
    )
    found = found.where(row.c.id != _text("owner")) if part.own else found
    chart = found.offset(literal_column("0")).subquery()
    start = case(
        (kind == bindparam("after_type", type_=Text()), _text("after_id")), else_=constant("")
    )
    return select(chart).where(chart.c.id > start)


def _text(name: str) -> Any:
    return cast(bindparam(name), Text)


def _place(stored: Stored, owner: Stored) -> list[str]:
    """The owner comes before every place."""
    return ["", ""] if stored is owner else [stored.type, stored.id]


def _args(values: Sequence[Any]) -> dict[str, Any]:
    return {f"v{n}": value for n, value in enumerate(values)}


def _scope(ctx: Context, wanted: Wanted) -> bytes:
    def text(moment: datetime) -> str:
        return moment.isoformat()

    span = wanted.span
    asked = [("owner", wanted.owner), ("since", text(span.since))]
    asked += [("low", text(span.low)), ("high", text(span.high))]
    asked += [("type", name) for name in wanted.types or ()]
    return scope_of(ctx, "$everything", asked, _PLACE)
