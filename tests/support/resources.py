"""Random resources in which every property of R4 may be: right in shape, if not in sense."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from fhir_server.definitions.shapes import R4Shapes
from fhir_server.fhir.json import FhirDecimal
from fhir_server.fhir.shapes import Property, Shape

Draw = Any
# What XML can say.
TEXT = st.text(
    st.characters(
        exclude_categories=["Cs", "Cc"],
        include_characters="\t\n\r",
        exclude_characters="\ufffe\uffff",
    ),
    min_size=1,
    max_size=12,
)
DIVS = st.sampled_from([
    '<div xmlns="http://www.w3.org/1999/xhtml">one &amp; two<br/></div>',
    '<div xmlns="http://www.w3.org/1999/xhtml"><p title="a&lt;b">é</p> <!-- said --></div>',
    '<h:div xmlns:h="http://www.w3.org/1999/xhtml"><h:b>x</h:b></h:div>',
])  # fmt: skip
DECIMALS = st.from_regex(r"-?(0|[1-9][0-9]{0,6})(\.[0-9]{1,9}|[eE][+-]?[0-9]{1,2})", fullmatch=True)
WHOLE = st.integers(-(2**31), 2**31 - 1)
PRIMITIVES: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "decimal": st.one_of(WHOLE, DECIMALS.map(FhirDecimal)),
    "integer": WHOLE,
    "positiveInt": WHOLE,
    "unsignedInt": WHOLE,
}
DEEPEST = 4


@st.composite
def resources(draw: Draw, shapes: R4Shapes, types: list[str], depth: int = 0) -> dict[str, Any]:
    """A resource of one of `types`."""
    name = draw(st.sampled_from(types))
    tree = draw(_objects(shapes, shapes.shape(name), types, depth))
    return {"resourceType": name, **tree}


@st.composite
def _objects(
    draw: Draw, shapes: R4Shapes, shape: Shape, types: list[str], depth: int
) -> dict[str, Any]:
    usable = [p for p in shape.properties.values() if depth < DEEPEST or _is_leaf(p)]
    listed = st.lists(st.sampled_from(usable), min_size=1, max_size=4, unique_by=_element)
    tree: dict[str, Any] = {}
    for one in draw(listed):
        if one.repeats:
            count = draw(st.integers(1, 2))
            tree[one.key] = [draw(_value(shapes, one, types, depth)) for _ in range(count)]
        else:
            tree[one.key] = draw(_value(shapes, one, types, depth))
        if one.kind == "primitive" and draw(st.integers(0, 4)) == 0:
            _beside(draw, tree, one)
    return tree


def _element(one: Property) -> str:
    return one.element


def _is_leaf(one: Property) -> bool:
    return one.kind not in {"object", "resource"}


def _value(shapes: R4Shapes, one: Property, types: list[str], depth: int) -> st.SearchStrategy[Any]:
    if one.kind == "object":
        return _objects(shapes, shapes.shape(one.type), types, depth + 1)
    if one.kind == "resource":
        return resources(shapes, types, depth + 1)
    return DIVS if one.kind == "xhtml" else PRIMITIVES.get(one.type, TEXT)


def _beside(draw: Draw, tree: dict[str, Any], one: Property) -> None:
    """An id or extension next to a primitive, now and then instead of it."""
    beside = {"extension": [{"url": draw(TEXT), "valueString": draw(TEXT)}]}
    alone = draw(st.booleans())
    if one.repeats:
        tree["_" + one.key] = [beside] + [None] * (len(tree[one.key]) - 1)
        if alone:
            tree[one.key][0] = None
            if not any(item is not None for item in tree[one.key]):
                del tree[one.key]
    else:
        tree["_" + one.key] = beside if alone else {"id": draw(TEXT)}
        if alone:
            del tree[one.key]
