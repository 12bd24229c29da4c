"""The closures that check one property of a JSON object.

https://hl7.org/fhir/R4/json.html#primitive
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from fhir_server.validation import bindings, references, rules, texts
from fhir_server.validation.place import Place
from fhir_server.validation.primitives import TESTS
from fhir_server.validation.run import Json, Run

if TYPE_CHECKING:
    from fhir_server.validation.structure import Node

# (value, the object it is a property of, the place of that object, run)
Field = Callable[[Any, Json, Place, Run], None]
# A value by itself, at its own place.
Item = Callable[[Any, Place, Run], None]

SIMPLE_QUANTITY = "http://hl7.org/fhir/StructureDefinition/SimpleQuantity"


def nothing(_value: Any, _owner: Json, _at: Place, _run: Run) -> None:
    """The check of `resourceType`, which was read before."""


def title(type_name: str) -> str:
    return type_name[0].upper() + type_name[1:]


def choice_names(name: str, facts: Json) -> Iterator[str]:
    """`value[x]` → valueString, _valueString and so on."""
    for type_name in facts["type"]:
        yield name[:-3] + title(type_name)
        if type_name in TESTS:
            yield "_" + name[:-3] + title(type_name)


class Property(NamedTuple):
    """One JSON property: `key` as it is written, `label` as a FHIRPath shows it, `path` and
    `facts` of the element it belongs to, and the `node` that has it."""

    node: Node
    key: str
    label: str
    type: str
    path: str
    facts: Json

    @property
    def repeats(self) -> bool:
        return bool(self.facts.get("max", "1") != "1")


def of_element(node: Node, name: str, path: str, facts: Json) -> dict[str, Field]:
    """The properties by which an element appears in JSON, each with its check."""
    if "content" in facts:
        shared = Property(node, name, name, facts["content"], path, facts)
        return {name: _objects(shared, _complex(shared, shared.type))}
    if not name.endswith("[x]"):
        return _of_type(Property(node, name, name, facts["type"][0], path, facts))
    found: dict[str, Field] = {}
    stem = name[:-3]
    for type_name in facts["type"]:
        key, label = stem + title(type_name), f"{stem}.ofType({type_name})"
        found |= _of_type(Property(node, key, label, type_name, path, facts))
    return found


def _of_type(one: Property) -> dict[str, Field]:
    if one.type in TESTS:
        return {one.key: _primitives(one, _primitive(one)), "_" + one.key: _siblings(one)}
    if one.type == "Resource":
        return {one.key: _objects(one, _resource(one.key))}
    return {one.key: _objects(one, _complex(one, one.node.inner(one.path, one.type)))}


def _primitive(one: Property) -> Item:
    type_name, facts = one.type, one.facts
    test = TESTS[type_name]
    code = "invalid" if type_name == "id" else "value"
    extra = texts.EXTRA.get(type_name)
    allowed = bindings.code_test(one.node.compiler.facts, facts) if type_name == "code" else None
    own_rules = rules.of_constraints(facts.get("constraint", ()))

    def check(value: Any, at: Place, run: Run) -> None:
        wrong = test(value)
        if wrong is not None:
            run.error(code, f"{type_name} {wrong}", at)
            return
        if allowed is not None and not allowed(value):
            run.error("code-invalid", f"The code is not in {facts['binding']}", at)
        if extra is not None and run.special:
            extra(value, at, run)
        if own_rules:
            rules.check(own_rules, value, at, run)

    return check


def _complex(one: Property, inner: str) -> Item:
    plain = one.node.compiler.node(inner).check
    checks = list(_element_checks(one, inner))
    if not checks:
        return plain

    def check(value: Any, at: Place, run: Run) -> None:
        plain(value, at, run)
        if type(value) is dict:
            for more in checks:
                more(value, at, run)

    return check


def _element_checks(one: Property, inner: str) -> Iterator[Item]:
    """What this element says beyond its type."""
    facts = one.facts
    if inner == "Reference":
        yield references.reference(frozenset(facts.get("target", ())))
    elif inner == "Extension":
        host = one.node.ancestry
        yield lambda value, at, run: run.resources.extension(value, at, run, host)
    elif inner in _BY_TYPE:
        yield _BY_TYPE[inner]
    listed = one.node.compiler.facts.value_sets.get(facts.get("binding", ""))
    if listed is not None:
        yield bindings.coded(listed, facts["binding"], inner)
    if SIMPLE_QUANTITY in facts.get("profile", ()):
        yield _simple
    own = rules.of_constraints(facts.get("constraint", ()))
    if own and "." not in inner:  # a backbone element's node has them itself
        yield lambda value, at, run: rules.check(own, value, at, run)


_BY_TYPE: Mapping[str, Item] = {
    "Attachment": texts.attachment,
    "Coding": bindings.absolute_system,
    "Identifier": bindings.absolute_system,
    "Narrative": texts.narrative,
}


def _simple(value: Json, at: Place, run: Run) -> None:
    if "comparator" in value:
        text = "Constraint failed: sqty-1: 'The comparator is not used on a SimpleQuantity'"
        run.error("invariant", text, at)


def _resource(key: str) -> Item:
    contained = key == "contained"
    return lambda value, at, run: run.resources.nested(value, at, run, contained=contained)


def _objects(prop: Property, item: Item) -> Field:
    """One object, or a list of objects."""
    label = prop.label

    def one(value: Any, _owner: Json, at: Place, run: Run) -> None:
        item(value, (at, label, None), run)

    def many(value: Any, _owner: Json, at: Place, run: Run) -> None:
        if _is_list(value, (at, label, None), run):
            for index, entry in enumerate(value):
                item(entry, (at, label, index), run)

    return many if prop.repeats else one


def _is_list(value: Any, at: Place, run: Run) -> bool:
    if type(value) is not list:
        run.error("structure", "must be a JSON array", at)
        return False
    if not value:
        text = "Array cannot be empty: leave the property out if it has no values"
        run.error("structure", text, at)
    return True


def _primitives(prop: Property, item: Item) -> Field:
    """One primitive, or a list, which has null where only extensions are."""
    label, sibling = prop.label, "_" + prop.key

    def one(value: Any, _owner: Json, at: Place, run: Run) -> None:
        item(value, (at, label, None), run)

    def many(value: Any, owner: Json, at: Place, run: Run) -> None:
        if _is_list(value, (at, label, None), run):
            for index, entry in enumerate(value):
                if entry is not None or _entry(owner.get(sibling), index) is None:
                    item(entry, (at, label, index), run)

    return many if prop.repeats else one


def _entry(values: Any, index: int) -> Any:
    return values[index] if type(values) is list and index < len(values) else None


def _siblings(prop: Property) -> Field:
    """`_birthDate`: the id and extensions of a primitive."""
    key, label = prop.key, prop.label
    element = prop.node.compiler.node("Element").check

    def one(value: Any, owner: Json, at: Place, run: Run) -> None:
        _beside(value, owner.get(key), (at, label, None), run, element)

    def many(value: Any, owner: Json, at: Place, run: Run) -> None:
        if _is_list(value, (at, label, None), run):
            for index, entry in enumerate(value):
                primitive, place = _entry(owner.get(key), index), (at, label, index)
                if entry is not None:
                    _beside(entry, primitive, place, run, element)
                elif primitive is None:
                    run.error("structure", "must not be null", place)

    return many if prop.repeats else one


def _beside(value: Any, primitive: Any, at: Place, run: Run, element: Item) -> None:
    """An id alone will do where there is a value."""
    if primitive is not None and type(value) is dict and value.keys() == {"id"}:
        if wrong := TESTS["string"](value["id"]):
            run.error("value", f"string {wrong}", (at, "id", None))
    else:
        element(value, at, run)
