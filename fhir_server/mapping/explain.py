"""`fhir-server explain sendMessage`: what a route is, from its v1 fields down to the tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from fhir_server.definitions.model import Definitions, SearchParameter, ServedType
from fhir_server.mapping.body import EITHER, OPTIONAL, REQUIRED
from fhir_server.mapping.derived import DerivedField
from fhir_server.mapping.field import Field
from fhir_server.mapping.loader import Concept, Mappings
from fhir_server.mapping.route import Route

WORDS = (REQUIRED, OPTIONAL, EITHER)
_OF_TYPE = re.compile(r"\.ofType\(\w+\)")


def explain(mappings: Mappings, definitions: Definitions, name: str) -> str:
    """The text for one route; KeyError with the nearest id when there is none."""
    route = mappings.route(name)
    file = next(file for file in mappings.files.values() if route in file.routes)
    return "\n".join(
        [
            *_head(mappings, route),
            *_checks(route),
            *_events(mappings, route),
            *_fields(file, definitions, route),
        ]
    )


def _head(mappings: Mappings, route: Route) -> Iterator[str]:
    line = route.declared
    yield f"{line.id}: {line.summary}  ({route.file})"
    yield f"  {route.method} {route.address}"
    old = mappings.service.legacy if route.prefix == mappings.service.prefix else ()
    yield from (f"  {route.method} {prefix}{route.template} (old)" for prefix in old)
    yield f"  scope {line.scope}, {f'licence {line.module}' if line.module else 'no licence'}"
    below = f" on {route.resource}" if route.written != route.resource else ""
    yield f"  one FHIR interaction: {line.does} {route.written}{below}"


def _checks(route: Route) -> Iterator[str]:
    line = route.declared
    for name, value in line.requires.items():
        yield f"  the {route.noun} must meet {name}={value}"
    for name, value in line.always.items():
        yield f"  searches {name}={value}"
    for name, one in line.filters.items():
        asks = one.search or {word: criteria or "everything" for word, criteria in _cases(one.when)}
        yield f"  ?{name}: " + ", ".join(f"{key} → {value}" for key, value in asks.items())
    for name, taken in line.takes.items():
        yield f"  takes {name}: {taken if taken in WORDS else f'default {taken}'}"
    for name, value in line.set.items():
        yield f"  sets {name} = {value}"
    if line.exports:
        yield f"  exports every match as {', '.join(line.formats)}"
    elif line.content:
        state = ", ".join(f"{name}={value}" for name, value in line.expects.items())
        yield f"  content: {line.content}, where {state}"
    for status in line.gives:
        yield f"  answers {status}: {', '.join(route.answered.names)}"


def _events(mappings: Mappings, route: Route) -> Iterator[str]:
    for name in route.declared.events:
        told = ", ".join(mappings.events[name].schema["properties"])
        yield f"  event {name}: {told}"


def _cases(when: dict[str, dict[str, str]] | None) -> Iterator[tuple[str, str]]:
    for word, criteria in (when or {}).items():
        yield word, "&".join(f"{name}={value}" for name, value in criteria.items())


def _fields(file: Concept, definitions: Definitions, route: Route) -> Iterator[str]:
    served = definitions.types.get(file.declared.resource)
    used = {*route.segments, *route.declared.takes, *route.declared.set, *route.answered.names}
    every: dict[str, Field | DerivedField] = {**file.fields, **file.derived}
    rows = [_row(name, field, served) for name, field in every.items() if name in used]
    yield ""
    yield from _table([("field", "path", "search", "column", "table"), *rows])


def _row(name: str, field: Field | DerivedField, served: ServedType | None) -> tuple[str, ...]:
    if isinstance(field, DerivedField):
        return (name, "; ".join(ask.name for ask in field.asks), "", "", "")
    path = field.declared.path
    if path is None:
        return (name, "(address)", "", "", "")
    if served is None:
        return (name, path, "", "", "")
    if path == "id":
        return (name, path, "_id", "id", served.name.lower())
    found = _searched(path, served)
    column = _column(found, served) if found else ""
    return (name, path, found.code if found else "", column, served.name.lower())


def _searched(path: str, served: ServedType) -> SearchParameter | None:
    """The parameter that indexes the element, or the one it is an alias of."""
    element = _OF_TYPE.sub("", path).removesuffix(".reference").removesuffix(".text")
    wanted = f"{served.name}.{element}"
    exact = (p for p in served.search.values() if p.expression in (wanted, element))
    return next(exact, None)


def _column(parameter: SearchParameter, served: ServedType) -> str:
    if any(hot.code == parameter.code for hot in served.hot):
        return "p_" + parameter.code.replace("-", "_")
    return "keys"


def _table(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    listed = list(rows)
    widths = [max(len(row[at]) for row in listed) for at in range(len(listed[0]))]
    for row in listed:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  " + "  ".join(cells).rstrip()
