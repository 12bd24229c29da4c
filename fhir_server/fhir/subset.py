"""Parts of a resource, as `_summary` and `_elements` ask for them, each marked as a part.

Mandatory elements always stay, so that what remains is a resource of its type.
https://hl7.org/fhir/R4/search.html#summary, https://hl7.org/fhir/R4/search.html#elements
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal

from fhir_server.fhir.shapes import Property, Shape, Shapes

Json = dict[str, Any]
Mode = Literal["true", "text", "data"]
# Element → what is wanted of it; of an empty one, all: {"name": {"family": {}}, "gender": {}}.
Wanted = Mapping[str, "Wanted"]
Part = Callable[[Property, Any], Iterator[Any]]

SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
CODE: Final = "SUBSETTED"
_TAG: Final = {"system": SYSTEM, "code": CODE, "display": "subsetted"}
_TEXT: Final = frozenset({"id", "meta", "text"})


def summary(resource: Json, mode: Mode, shapes: Shapes) -> Json:
    """The resource with what `_summary=mode` leaves of it."""
    shape = shapes.shape(resource["resourceType"])
    if mode == "data":
        return _tagged({key: value for key, value in resource.items() if key != "text"})
    if mode == "text":
        return _tagged(_kept(resource, shape, _of_text))
    return _tagged(_summarized(resource, shape, shapes))


def elements(resource: Json, wanted: Wanted, shapes: Shapes) -> Json:
    """The resource with the wanted elements and the mandatory ones."""
    shape = shapes.shape(resource["resourceType"])
    return _tagged(_only(resource, shape, {**wanted, "id": {}, "meta": {}}, shapes))


def unknown(wanted: Wanted, shape: Shape, shapes: Shapes) -> str | None:
    """The first name that no element of the shape has, with those before it: `name.middle`."""
    for name, inner in wanted.items():
        named = [one for one in shape.properties.values() if name in _names(one)]
        if not named:
            return name
        within = [_missing(one, inner, shapes) for one in named] if inner else [None]
        if None not in within:
            return f"{name}.{within[0]}"
    return None


def is_subset(resource: Mapping[str, Any]) -> bool:
    """Whether it is marked as a part of a resource."""
    meta = resource.get("meta")
    tags = meta.get("tag") if isinstance(meta, dict) else None
    return isinstance(tags, list) and any(
        isinstance(tag, dict) and (tag.get("system"), tag.get("code")) == (SYSTEM, CODE)
        for tag in tags
    )


def _names(one: Property) -> tuple[str, ...]:
    """`value`, `value[x]` and `valueString` ask for the same."""
    return (one.element, one.key, f"{one.element}[x]") if one.key != one.element else (one.key,)


def _missing(one: Property, inner: Wanted, shapes: Shapes) -> str | None:
    if one.kind != "object":
        return next(iter(inner))
    return unknown(inner, shapes.shape(one.type), shapes)


def _of_text(one: Property, value: Any) -> Iterator[Any]:
    if one.key in _TEXT or one.required:
        yield value


def _kept(tree: Json, shape: Shape, part: Part) -> Json:
    """What `part` leaves of each element; nothing of what becomes empty."""
    found: Json = {}
    for key, value in tree.items():
        one = shape.properties.get(key.removeprefix("_"))
        if one is None:
            found[key] = value
            continue
        for kept in part(one, value):
            if kept or kept is False or kept == 0:
                found[key] = kept
    return found


def _summarized(tree: Json, shape: Shape, shapes: Shapes) -> Json:
    def part(one: Property, value: Any) -> Iterator[Any]:
        if one.summary or one.required:
            yield _each(one, value, inner)

    def inner(one: Property, value: Json) -> Json:
        name = value["resourceType"] if one.kind == "resource" else one.type
        below = shapes.shape(name)
        return _summarized(value, below, shapes) if below.summarized else value

    return _kept(tree, shape, part)


def _only(tree: Json, shape: Shape, wanted: Wanted, shapes: Shapes) -> Json:
    def part(one: Property, value: Any) -> Iterator[Any]:
        named = [wanted[name] for name in _names(one) if name in wanted]
        if not named and one.required:
            yield value
        elif named and all(named):
            below = {name: inner for each in named for name, inner in each.items()}
            yield _each(one, value, lambda one, item: within(one, item, below))
        elif named:
            yield value

    def within(one: Property, value: Json, below: Wanted) -> Json:
        return (
            _only(value, shapes.shape(one.type), below, shapes) if one.kind == "object" else value
        )

    return _kept(tree, shape, part)


def _each(one: Property, value: Any, inner: Callable[[Property, Json], Json]) -> Any:
    """`inner` of an object, or of each of a list; a primitive, and what stands beside it, whole."""
    if one.kind not in {"object", "resource"}:
        return value
    if not isinstance(value, list):
        return inner(one, value)
    return [left for item in value if (left := inner(one, item))]


def _tagged(resource: Json) -> Json:
    if is_subset(resource):
        return resource
    meta = resource.get("meta", {})
    marked = {**meta, "tag": [*meta.get("tag", ()), _TAG]}
    head: Json = {key: resource[key] for key in ("resourceType", "id") if key in resource}
    rest = {key: value for key, value in resource.items() if key not in {*head, "meta"}}
    return {**head, "meta": marked, **rest}
