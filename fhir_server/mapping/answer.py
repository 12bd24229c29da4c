"""What a route gives: the mapping read backwards, as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_server.interactions import Derived
from fhir_server.mapping.codec import MISSING
from fhir_server.mapping.derived import DerivedField
from fhir_server.mapping.faults import Faults
from fhir_server.mapping.field import Field

ITEMS, CURSOR = "items", "nextCursor"
# What `content: progress` can tell.
PROGRESS: Mapping[str, Mapping[str, Any]] = {
    "offset": {"type": "integer", "description": "How many bytes are here"},
    "uploadUrl": {"type": "string", "format": "uri", "description": "Where to PUT all of them"},
    "expiresAt": {"type": "string", "format": "date-time", "description": "When that ends"},
}

Row = tuple[Any, ...]
Getter = Callable[[dict[str, Any], Row, Mapping[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class Answered:
    """`schema` describes the whole answer; `asks` are the sub-searches that its rows need."""

    status: int
    names: tuple[str, ...]
    getters: tuple[tuple[str, Getter], ...]
    asks: tuple[Derived, ...]
    listed: bool
    schema: Mapping[str, Any]

    def read(self, resource: dict[str, Any], row: Row, echo: Mapping[str, Any]) -> dict[str, Any]:
        """One v1 object; `row` answers `asks`, `echo` has the v1 values of path parameters."""
        found = {}
        for name, getter in self.getters:
            value = getter(resource, row, echo)
            if value is not MISSING:
                found[name] = value
        return found


@dataclass(frozen=True, slots=True)
class AnswerCompiler:
    """Knows every name that an answer of one route may have."""

    fields: Mapping[str, Field]
    derived: Mapping[str, DerivedField]
    paths: Sequence[str]
    told: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def compile(
        self,
        gives: Mapping[int, Mapping[str, Any]],
        *,
        listed: bool,
        paged: bool,
        faults: Faults,
    ) -> Answered:
        """The answer that `gives` declares; an unknown name is a fault. A list that is not `paged`
        is given whole."""
        if len(gives) != 1:
            faults.add("a route gives one answer: { status: { names } }")
        status, shape = next(iter(gives.items()), (200, {}))
        below = faults.at(str(status))
        names = tuple(shape.get(ITEMS) or ()) if listed else tuple(shape)
        if listed and set(shape) != ({ITEMS, CURSOR} if paged else {ITEMS}):
            cursor = f", {CURSOR}" if paged else ""
            below.add(f"a list gives {{ {ITEMS}: [names]{cursor} }}")
        asks: list[Derived] = []
        getters = tuple(
            (name, getter) for name in names if (getter := self._getter(name, asks, below))
        )
        return Answered(
            status, names, getters, tuple(asks), listed, self._schema(names, listed=listed)
        )

    def _getter(self, name: str, asks: list[Derived], faults: Faults) -> Getter | None:
        if name in self.paths and (name not in self.fields or not self.fields[name].steps):
            return lambda _resource, _row, echo: echo[name]
        if name in self.fields and self.fields[name].steps:
            return _own(self.fields[name])
        if name in self.derived:
            return _derived(self.derived[name], asks)
        if name in self.told:
            return lambda _resource, _row, echo: echo.get(name, MISSING)
        faults.unknown("field", name, [*self.fields, *self.derived, *self.told])
        return None

    def _schema(self, names: Sequence[str], *, listed: bool) -> dict[str, Any]:
        every: dict[str, Field | DerivedField] = {**self.fields, **self.derived}
        properties = {name: dict(every[name].schema) for name in names if name in every}
        properties |= {name: dict(self.told[name]) for name in names if name in self.told}
        one = {"type": "object", "properties": properties}
        if not listed:
            return one
        items = {"type": "array", "items": one}
        cursor = {"type": "string", "description": "Where the next page begins; absent at the end"}
        return {
            "type": "object",
            "properties": {ITEMS: items, CURSOR: cursor},
            "required": [ITEMS],
        }


def _own(one: Field) -> Getter:
    view = one.optic.view
    if not one.declared.list:
        return lambda resource, _row, _echo: view(resource)

    def listed(resource: dict[str, Any], _row: Row, _echo: Mapping[str, Any]) -> Any:
        value = view(resource)
        return [] if value is MISSING else value

    return listed


def _derived(one: DerivedField, asks: list[Derived]) -> Getter:
    """Reads the field's columns of a row; sub-searches that were asked already are shared."""
    asks += [ask for ask in one.asks if ask not in asks]
    columns = [asks.index(ask) for ask in one.asks]
    read = one.read
    return lambda _resource, row, _echo: read([row[at] for at in columns])
