"""What the records of a compartment refer to: practitioners, organisations, places.

Only what is of a type that the compartment does not have supports them, so never another patient.
It is found from the records' bodies, and comes with each page that refers to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import orjson

from fhir_server.problems import Problem
from fhir_server.store.search.asking import Asking
from fhir_server.store.search.node import Node, all_of
from fhir_server.store.search.order import complete
from fhir_server.store.search.statement import SearchShape, several_sql
from fhir_server.store.session import Session
from fhir_server.store.stored import Stored
from fhir_server.store.tables import Tables
from fhir_server.store.values.references import targets

# What supports the records, and what supports that in turn: the organisation of a role.
ROUNDS = 2
MOST = 5_000


class Supporters:
    """Reads what resources refer to, as far as the caller may see it."""

    def __init__(self, tables: Tables) -> None:
        self._sql = lru_cache(maxsize=256)(lambda shapes: several_sql(tables, shapes))

    async def of(
        self, session: Session, asking: Asking, types: Sequence[str], records: Sequence[Stored]
    ) -> list[Stored]:
        """Resources of `types` that support `records`, each once; Problem 400 for too many."""
        found: dict[str, Stored] = {}
        fresh = records
        for _ in range(ROUNDS):
            ids = _referred(fresh, types, found, asking.base)
            if not any(ids.values()):
                break
            fresh = await self._visible(session, asking, ids)
            found |= {stored.reference: stored for stored in fresh}
            if len(found) > MOST:
                why = f"more than {MOST} supporting resources: ask for a smaller _count"
                raise Problem(400, "too-costly", why, expression="_count")
        return list(found.values())

    async def _visible(
        self, session: Session, asking: Asking, ids: dict[str, list[str]]
    ) -> list[Stored]:
        """Those that the caller may see. Every type stands in the statement, with ids or none."""
        nodes = {
            name: all_of([Node(("id",), (listed,)), asking.policy(name)])
            for name, listed in ids.items()
        }
        shapes = tuple(
            SearchShape(name, node.shape, order=complete(()), limit=MOST + 1)
            for name, node in nodes.items()
        )
        values = [value for node in nodes.values() for value in node.values]
        args = {f"v{n}": value for n, value in enumerate(values)}
        return [Stored(*row) for row in await session.fetch(self._sql(shapes), args)]


def _referred(
    fresh: Iterable[Stored], types: Iterable[str], found: dict[str, Stored], base: str | None
) -> dict[str, list[str]]:
    """The ids of what is referred to anywhere in the resources, by type."""
    named = {
        reference
        for stored in fresh
        for text in _references(orjson.loads(stored.body))
        for reference in targets(text, base)
        if reference not in found
    }
    split = [reference.partition("/") for reference in sorted(named)]
    return {name: [id for kind, _, id in split if kind == name] for name in types}


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _references(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "reference" and isinstance(value, str):
                yield value
            else:
                yield from _references(value)
