"""Reading the rows that a decision rests on, and the caller's idempotency key, in one statement."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Select, Text, any_, bindparam, cast, literal, null, select, union_all
from sqlalchemy.dialects.postgresql import ARRAY, JSON

from fhir_server.context import Context
from fhir_server.store.access import Access
from fhir_server.store.session import Row, Session
from fhir_server.store.stored import Stored
from fhir_server.store.tables import Tables
from fhir_server.store.write import KeptAnswer, text_of

KEPT = ""
SHAPES = 1024


@dataclass(frozen=True, slots=True)
class LoadedRow:
    """A current row; `allowed` says whether the access policy shows it to the caller."""

    stored: Stored
    allowed: bool


@dataclass(frozen=True, slots=True)
class Loaded:
    """The rows found, and the kept answer where the key was used before."""

    rows: Sequence[LoadedRow]
    kept: KeptAnswer | None


class Loader:
    """Compiles one statement per set of types and caller's rights."""

    def __init__(self, tables: Tables, access: Access) -> None:
        self._tables = tables
        self._access = access
        self._compiled: dict[tuple[Hashable, ...], str] = {}

    async def load(
        self,
        session: Session,
        ctx: Context,
        refs: Iterable[tuple[str, str]],
        key: str | None = None,
        *,
        lock: bool = False,
    ) -> Loaded:
        """Rows of `refs` (type, id) that exist in the tenant; with `lock`, held until the end
        of the transaction, in one order for everyone."""
        wanted = _by_type(refs)
        if not wanted and key is None:
            return Loaded((), None)
        args: dict[str, Any] = {f"ids_{n}": ids for n, ids in enumerate(wanted.values())}
        args |= self._access.args(ctx) | {"caller_key": ctx.subject, "key": key}
        types = tuple(wanted)
        if not lock:
            return _loaded(await session.fetch(self._sql(ctx, types, key is not None), args))
        rows = []
        for n, name in enumerate(types):
            part = self._sql(ctx, (name,), False, True)
            rows += await session.fetch(part, {**args, "ids_0": args[f"ids_{n}"]})
        if key is not None:
            rows += await session.fetch(self._sql(ctx, (), True), args)
        return _loaded(rows)

    def _sql(
        self, ctx: Context, types: tuple[str, ...], key: bool, lock: bool = False
    ) -> str:
        shape = (self._access.rights(ctx), types, key, lock)
        sql = self._compiled.get(shape)
        if sql is None:
            if len(self._compiled) >= SHAPES:
                self._compiled.clear()
            sql = self._compiled[shape] = self._compile(ctx, types, key, lock)
        return sql

    def _compile(self, ctx: Context, types: tuple[str, ...], key: bool, lock: bool) -> str:
        parts = [self._rows(ctx, n, name) for n, name in enumerate(types)]
        if lock:
            table = self._tables.resources[types[0]].current
            return text_of(parts[0].order_by(table.c.id).with_for_update(of=table))
        if key:
            parts.append(self._kept())
        return text_of(parts[0] if len(parts) == 1 else union_all(*parts))

    def _rows(self, ctx: Context, n: int, resource_type: str) -> Select[Any]:
        table = self._tables.resources[resource_type].current
        return select(
            literal(resource_type, literal_execute=True).label("kind"),
            table.c.id,
            table.c.version,
            table.c.updated,
            table.c.body,
            self._access.predicate(ctx, resource_type, table).label("allowed"),
            null().label("fingerprint"),
            cast(null(), JSON).label("headers"),
        ).where(table.c.id == any_(cast(bindparam(f"ids_{n}"), ARRAY(Text))))

    def _kept(self) -> Select[Any]:
        table = self._tables.idempotency
        return select(
            literal(KEPT, literal_execute=True).label("kind"),
            table.c.key,
            table.c.status,
            table.c.created,
            table.c.answer,
            literal(True, literal_execute=True),
            table.c.fingerprint,
            cast(table.c.headers, JSON),
        ).where(
            table.c.caller == cast(bindparam("caller_key"), Text),
            table.c.key == cast(bindparam("key"), Text),
        )


def _by_type(refs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    wanted: dict[str, list[str]] = defaultdict(list)
    for resource_type, id in sorted(refs):
        wanted[resource_type].append(id)
    return wanted


def _loaded(rows: Iterable[Row]) -> Loaded:
    found, kept = [], None
    for kind, id, version, updated, body, allowed, fingerprint, headers in rows:
        if kind == KEPT:
            kept = KeptAnswer("", id, fingerprint, version, orjson.loads(headers), body)
        else:
            found.append(LoadedRow(Stored(kind, id, version, updated, body), bool(allowed)))
    return Loaded(found, kept)
