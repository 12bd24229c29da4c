"""The planning of one request: its parameters become one shape and the values to bind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fhir_server.context import Context
from fhir_server.definitions.model import ServedType
from fhir_server.problems import Problem
from fhir_server.store.search import order, result
from fhir_server.store.search.asking import Asking, NotSupported
from fhir_server.store.search.compartment import Compartments, membership
from fhir_server.store.search.criteria import conditions, criterion
from fhir_server.store.search.cursor import Cursors, Place, scope_of
from fhir_server.store.search.drive import by_keys, driven, filtering, natural
from fhir_server.store.search.includes import Include, at_once, includes_of
from fhir_server.store.search.node import Node, all_of
from fhir_server.store.search.page import Derived, Pair
from fhir_server.store.search.statement import USUAL_LIMITS, DerivedShape, Drive, SearchShape


class Planned(NamedTuple):
    """`scope` is what the cursors of this search are bound to, `place` where the page is by the
    `cursor` that was given. `estimate` asks for an estimated total."""

    shape: SearchShape
    values: list[Any]
    size: int
    scope: bytes
    includes: tuple[Include, ...]
    used: list[Pair]
    place: Place | None
    cursor: str
    estimate: bool


class Planning:
    """`asking` as the caller, `trusted` as the server for criteria of its own."""

    def __init__(
        self,
        ctx: Context,
        resource_type: str,
        asking: Asking,
        trusted: Asking,
        cursors: Cursors,
        keys_of: Callable[[str, str], tuple[order.Key, ...]],
    ) -> None:
        self._ctx = ctx
        self._type = resource_type
        self._asking = asking
        self._trusted = trusted
        self._cursors = cursors
        self._keys_of = keys_of
        self._served: ServedType = asking.served(resource_type)
        self._unknown: list[str] = []
        self._used: list[Pair] = []
        self._compartment: Node | None = None
        self._bound: list[Pair] = []

    def within(self, owner: str, compartments: Compartments) -> None:
        """Only what lies in the compartment of `owner` (`Patient/x`)."""
        self._compartment = membership(self._trusted, compartments, owner, self._type)
        self._bound = [("compartment", owner)]

    def planned(
        self,
        params: Sequence[Pair],
        derived: Sequence[Derived],
        required: Sequence[Pair],
        *,
        lenient: bool,
    ) -> Planned:
        """The whole plan; Problem 400 for what cannot be asked."""
        asked = result.read(params)
        nodes = self._criteria(asked.criteria)
        includes = self._includes(asked.includes)
        sort = self._sort(asked.sort)
        if self._unknown and not lenient:
            raise Problem(400, "not-supported", "; ".join(self._unknown))
        self._used += [pair for pair in asked.others if pair[0] != "_sort" or sort]
        nodes += [criterion(self._trusted, self._type, *pair) for pair in required]
        nodes += [self._compartment] if self._compartment else []
        drive, values, nodes = driven(self._served, nodes, sort)
        where = self._where(self._type, nodes, drive)
        keys = sort or natural(self._served, drive)
        values += where.values
        scope = scope_of(self._ctx, self._type, [*asked.criteria, *self._bound], keys)
        place = self._cursors.read(scope, keys, asked.cursor) if asked.cursor else None
        if place:
            values += [value for value in place.values if value is not None]
        shapes = tuple(self._derived(one, values) for one in derived)
        referring = at_once(self._asking, includes, self._type)
        values += [value for _, of_one in referring for value in of_one]
        limit = asked.count + 1
        shape = SearchShape(
            self._type,
            where.shape,
            drive,
            order.backward(keys) if place and place.before else keys,
            tuple(value is None for value in place.values) if place and place.values else None,
            limit if limit in USUAL_LIMITS else None,
            shapes,
            asked.total == "accurate",
            rows=asked.count > 0,
            referring=tuple(one for one, _ in referring),
        )
        return Planned(
            shape,
            values,
            asked.count,
            scope,
            tuple(includes),
            self._used,
            place,
            asked.cursor,
            asked.total == "estimate",
        )

    def _where(self, resource_type: str, nodes: list[Node], drive: Drive | None) -> Node:
        where = all_of([*nodes, self._asking.policy(resource_type)])
        return filtering(where) if drive else where

    def _criteria(self, criteria: Sequence[Pair]) -> list[Node]:
        budget = self._asking.budget
        budget.test(len(criteria))
        budget.link(sum(name.count(".") + name.count("_has:") for name, _ in criteria))
        nodes = []
        for pair in criteria:
            try:
                nodes += conditions(self._asking, self._type, *pair)
            except NotSupported as error:
                self._unknown.append(error.diagnostics)
            else:
                self._used.append(pair)
        return nodes

    def _includes(self, includes: Sequence[Pair]) -> list[Include]:
        found, used, unknown = includes_of(self._asking, [self._type], includes)
        self._used += used
        self._unknown += unknown
        return found

    def _sort(self, sort: str) -> tuple[order.Key, ...]:
        try:
            return self._keys_of(self._type, sort) if sort else ()
        except NotSupported as error:
            self._unknown.append(error.diagnostics)
            return ()

    def _derived(self, one: Derived, values: list[Any]) -> DerivedShape:
        """The shape of a derived field; its values are added to the statement's."""
        served = self._asking.served(one.type)
        asked = result.read(one.params)
        nodes = [criterion(self._trusted, one.type, *pair) for pair in asked.criteria]
        sort = self._keys_of(one.type, asked.sort) if asked.sort else ()
        drive, targets, nodes = (
            (None, [], nodes)
            if by_keys(one.kind, nodes)
            else driven(served, nodes, sort, self._type)
        )
        where = self._where(one.type, nodes, drive)
        values += [*targets, *where.values]
        keys = sort or natural(served, drive)
        return DerivedShape(one.kind, SearchShape(one.type, where.shape, drive, keys))
