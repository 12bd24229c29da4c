"""Reading the rows that a decision rests on, and the caller's idempotency key, in one statement."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from psycopg.errors import DeadlockDetected
from sqlalchemy import Select, Text, any_, bindparam, cast, null, select, true, union_all
from sqlalchemy.dialects.postgresql import ARRAY, JSON

from fhir_server.context import Context
from fhir_server.store.access import Access
from fhir_server.store.commit import OvertakenError
from fhir_server.store.search.node import Shape
from fhir_server.store.search.predicates import Binds, Builder
from fhir_server.store.session import Row, Session
from fhir_server.store.sql import constant, sql_text
from fhir_server.store.stored import Stored
from fhir_server.store.tables import Tables
from fhir_server.store.write import KeptAnswer
from fhir_server.store.write.erasing import erased_key

KEPT = ""
CLAIM = (
    "SELECT pg_advisory_xact_lock(hashtextextended(name, 0)) FROM unnest(%(names)s::text[]) AS name"
)


@dataclass(frozen=True, slots=True)
class LoadedRow:
    """A current row; `allowed` says whether the access policy shows it to the caller."""

    stored: Stored
    allowed: bool


@dataclass(frozen=True, slots=True)
class Loaded:
    """The rows found, and what is kept of each key that was used before."""

    rows: Sequence[LoadedRow]
    kept: Sequence[KeptAnswer]


class Loader:
    """Compiles one statement per set of types and caller's rights."""

    def __init__(self, tables: Tables, access: Access) -> None:
        self._tables = tables
        self._access = access
        self._sql = lru_cache(maxsize=1024)(self._compile)

    async def load(
        self,
        session: Session,
        ctx: Context,
        refs: Iterable[tuple[str, str]],
        keys: Sequence[str] = (),
        *,
        lock: bool = False,
    ) -> Loaded:
        """Rows of `refs` (type, id) that exist in the tenant; with `lock`, held until the end
        of the transaction, in one order for everyone."""
        wanted = _by_type(refs)
        if not lock:
            return await self._together(session, ctx, wanted, keys)
        # FOR UPDATE and UNION exclude each other: a statement for each type.
        parts = [
            await self._together(session, ctx, {name: ids}, (), lock=True)
            for name, ids in wanted.items()
        ]
        kept = await self._together(session, ctx, {}, keys)
        return Loaded([row for part in parts for row in part.rows], kept.kept)

    async def claim(self, session: Session, ctx: Context, refs: Iterable[tuple[str, str]]) -> None:
        """Until the end of the transaction nobody else who claims one of these ids can create it;
        a row that is not there cannot be locked."""
        await self._claim(session, [f"{ctx.tenant} {type_}/{id}" for type_, id in refs])

    async def claim_searches(
        self, session: Session, ctx: Context, asked: Iterable[tuple[str, str]]
    ) -> None:
        """Until the end of the transaction nobody else who claims a search of that type and
        meaning gets past this line; what is not there cannot be locked, nor can the lack of it."""
        await self._claim(session, [f"{ctx.tenant} {type_}?{meaning}" for type_, meaning in asked])

    async def _claim(self, session: Session, names: Iterable[str]) -> None:
        """In one order for everyone."""
        ordered = sorted(set(names))
        if not ordered:
            return
        try:
            await session.fetch(CLAIM, {"names": ordered})
        except DeadlockDetected as error:
            raise OvertakenError from error

    async def _together(
        self,
        session: Session,
        ctx: Context,
        wanted: Mapping[str, list[str]],
        keys: Sequence[str],
        *,
        lock: bool = False,
    ) -> Loaded:
        if not wanted and not keys:
            return Loaded((), ())
        rights = [(name, self._access.node(ctx, name)) for name in wanted]
        values = [value for _, node in rights for value in node.values]
        args: dict[str, Any] = {f"v{n}": value for n, value in enumerate(values)}
        args |= {f"ids{n}": ids for n, ids in enumerate(wanted.values())}
        known = [*keys, *map(erased_key, keys)]
        args |= {"caller": ctx.subject, "keys": known, "now": ctx.now}
        shape = tuple((name, node.shape) for name, node in rights)
        try:
            return _loaded(await session.fetch(self._sql(shape, bool(keys), lock), args))
        except DeadlockDetected as error:
            # Rows that a rule asks for late are locked late, out of the common order.
            raise OvertakenError from error

    def _compile(
        self,
        types: tuple[tuple[str, Shape], ...],
        key: bool,  # noqa: FBT001 - the arguments are the key of the statement cache
        lock: bool,  # noqa: FBT001
    ) -> str:
        build = Builder(self._tables, Binds())
        parts = [self._rows(build, n, *part, lock=lock) for n, part in enumerate(types)]
        if key:
            parts.append(self._kept())
        return sql_text(parts[0] if len(parts) == 1 else union_all(*parts))

    def _rows(
        self, build: Builder, n: int, resource_type: str, rights: Shape, *, lock: bool
    ) -> Select[Any]:
        row = build.row(resource_type)
        found = select(
            constant(resource_type).label("kind"),
            row.c.id,
            row.c.version,
            row.c.updated,
            row.c.body,
            build.where(rights, row).label("allowed"),
            cast(null(), Text).label("fingerprint"),
            cast(null(), JSON).label("headers"),
        ).where(row.c.id == any_(cast(bindparam(f"ids{n}"), ARRAY(Text))))
        return found.order_by(row.c.id).with_for_update(of=row.source) if lock else found

    def _kept(self) -> Select[Any]:
        table = self._tables.idempotency
        return select(
            constant(KEPT).label("kind"),
            table.c.key,
            table.c.status,
            table.c.expires,
            table.c.answer,
            true(),
            table.c.fingerprint,
            cast(table.c.headers, JSON),
        ).where(
            table.c.caller == cast(bindparam("caller"), Text),
            table.c.key == any_(cast(bindparam("keys"), ARRAY(Text))),
            table.c.expires > bindparam("now", type_=table.c.expires.type),
        )


def _by_type(refs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    wanted: dict[str, list[str]] = defaultdict(list)
    for resource_type, id in sorted(refs):
        wanted[resource_type].append(id)
    return wanted


def _loaded(rows: Iterable[Row]) -> Loaded:
    found, kept = [], []
    for kind, id, version, updated, body, allowed, fingerprint, headers in rows:
        if kind == KEPT:
            told = orjson.loads(headers)
            kept.append(KeptAnswer("", fingerprint, version, told, body, {id: updated}))
        else:
            found.append(LoadedRow(Stored(kind, id, version, updated, body), bool(allowed)))
    return Loaded(found, kept)
