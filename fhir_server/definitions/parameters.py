"""Search parameters as the server reads them: aliases and components resolved.

https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from fhir_server.definitions.cardinality import is_code, is_single
from fhir_server.definitions.facts import Facts
from fhir_server.definitions.model import Component, SearchParameter, SearchType

Resource = Mapping[str, Any]
_NARROWED = re.compile(r"^(?P<path>.+)\.where\(resolve\(\) is (?P<type>\w+)\)$")
# A composite of composites means nothing; the others are not asked by a value.
_WHOLE = frozenset({"composite", "special"})


class ComponentError(Exception):
    """A part of a composite that is no parameter which could be one: `definition` names it."""

    def __init__(self, definition: str) -> None:
        self.definition = definition
        super().__init__(definition)


def parameter(fact: Resource, enabled: Iterable[Resource], facts: Facts) -> SearchParameter:
    """`fact` among the `enabled` parameters of its type; ComponentError."""
    alias_of, alias_type = _alias(fact, enabled)
    expression = fact.get("expression", "")
    return SearchParameter(
        code=fact["code"],
        type=cast(SearchType, fact["type"]),
        expression=expression,
        targets=tuple(fact.get("target", ())),
        url=fact["url"],
        alias_of=alias_of,
        alias_type=alias_type,
        single=is_single(facts, expression),
        codes=is_code(facts, expression),
    )


def components(
    fact: Resource, known: Mapping[str, Resource], facts: Facts
) -> tuple[Component, ...]:
    """The parts of a composite; `known` are all parameters of its type by canonical url."""
    listed = fact.get("components", fact.get("component", ()))
    parts = [(one["expression"], _definition(one["definition"], known)) for one in listed]
    return tuple(_component(fact, expression, parts, facts) for expression, _ in parts)


def _definition(url: str, known: Mapping[str, Resource]) -> Resource:
    found = known.get(url)
    if found is None or found["type"] in _WHOLE:
        raise ComponentError(url)
    return found


def _component(
    composite: Resource, expression: str, parts: Sequence[tuple[str, Resource]], facts: Facts
) -> Component:
    """What the expression leads to says what kind of part it is: R4 has exchanged the definitions
    of DocumentReference's `relationship`."""
    path = f"{composite.get('expression', '')}.{expression}"
    named = next(definition for one, definition in parts if one == expression)
    definition = next((d for _, d in parts if d.get("expression") == path), named)
    return Component(
        type=cast(SearchType, definition["type"]),
        expression=expression,
        targets=tuple(definition.get("target", ())),
        codes=is_code(facts, path),
    )


def _alias(fact: Resource, known: Iterable[Resource]) -> tuple[str | None, str | None]:
    narrowed = _NARROWED.match(fact.get("expression", ""))
    if not narrowed:
        return None, None
    code = next((p["code"] for p in known if p.get("expression") == narrowed["path"]), None)
    return (code, narrowed["type"]) if code else (None, None)
