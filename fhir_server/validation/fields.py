"""The closures that check one property of a JSON object.

https://hl7.org/fhir/R4/json.html#primitive
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

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


def nothing(value: Any, owner: Json, at: Place, run: Run) -> None:
    """`resourceType` was read before."""


def title(type_name: str) -> str:
    return type_name[0].upper() + type_name[1:]


def choice_names(name: str, facts: Json) -> Iterator[str]:
    """`value[x]` → valueString, _valueString …"""
    for type_name in facts["type"]:
        yield name[:-3] + title(type_name)
        if type_name in TESTS:
            yield "_" + name[:-3] + title(type_name)


def of_element(node: Node, name: str, path: str, facts: Json) -> dict[str, Field]:
    """The properties by which an element appears in JSON, each with its check."""
    repeats = facts.get("max", "1") != "1"
    if "content" in facts:
        return {name: _shaped(name, name, _complex(node, facts["content"], facts), repeats)}
    if name.endswith("[x]"):
        found: dict[str, Field] = {}
        for type_name in facts["type"]:
            stem = name[:-3]
            label = f"{stem}.ofType({type_name})"
            key = stem + title(type_name)
            found |= _of_type(node, key, label, type_name, path, facts, repeats)
        return found
    return _of_type(node, name, name, facts["type"][0], path, facts, repeats)


def _of_type(
    node: Node, key: str, label: str, type_name: str, path: str, facts: Json, repeats: bool
) -> dict[str, Field]:
    if type_name in TESTS:
        item = _primitive(node, type_name, facts)
        shape = _list_of_primitives if repeats else _one_primitive
        sibling = "_" + key
        element = node.compiler.node("Element").check
        beside = _list_beside if repeats else _one_beside
        return {key: shape(key, label, item), sibling: beside(key, label, element)}
    if type_name == "Resource":
        return {key: _shaped(key, label, _resource(key), repeats)}
    inner = path if _has_children(node, path) else type_name
    return {key: _shaped(key, label, _complex(node, inner, facts), repeats)}


def _has_children(node: Node, path: str) -> bool:
    elements = node.compiler.facts.structures[path.partition(".")[0]]["elements"]
    return any(other.startswith(path + ".") for other in elements)


def _primitive(node: Node, type_name: str, facts: Json) -> Item:
    test = TESTS[type_name]
    code = "invalid" if type_name == "id" else "value"
    extra = texts.EXTRA.get(type_name)
    codes = bindings.codes(node.compiler.facts, facts) if type_name == "code" else None
    own_rules = rules.of_constraints(facts.get("constraint", ()))

    def check(value: Any, at: Place, run: Run) -> None:
        wrong = test(value)
        if wrong is not None:
            return run.error(code, f"{type_name} {wrong}", at)
        if codes is not None and value not in codes:
            run.error("code-invalid", f"The code is not in {facts['binding']}", at)
        if extra is not None and run.special:
            extra(value, at, run)
        if own_rules:
            rules.check(own_rules, value, at, run)

    return check


def _complex(node: Node, inner: str, facts: Json) -> Item:
    plain = node.compiler.node(inner).check
    checks = list(_element_checks(node, inner, facts))
    if not checks:
        return plain

    def check(value: Any, at: Place, run: Run) -> None:
        plain(value, at, run)
        if type(value) is dict:
            for more in checks:
                more(value, at, run)

    return check


def _element_checks(node: Node, inner: str, facts: Json) -> Iterator[Item]:
    """What this element says beyond its type."""
    if inner == "Reference":
        yield references.reference(frozenset(facts.get("target", ())))
    if inner == "Extension":
        yield lambda value, at, run: run.resources.extension(value, at, run)
    if inner == "Attachment":
        yield texts.attachment
    if inner == "Narrative":
        yield texts.narrative
    if inner in ("Coding", "CodeableConcept", "Quantity") and "binding" in facts:
        if bound := bindings.coded(node.compiler.facts.value_sets, facts["binding"], inner):
            yield bound
    if inner == "Quantity" and SIMPLE_QUANTITY in facts.get("profile", ()):
        yield _simple
    if own := rules.of_constraints(facts.get("constraint", ())):
        if "." not in inner:  # a backbone element's node has them itself
            yield lambda value, at, run: rules.check(own, value, at, run)


def _simple(value: Json, at: Place, run: Run) -> None:
    if "comparator" in value:
        text = "Constraint failed: sqty-1: 'The comparator is not used on a SimpleQuantity'"
        run.error("invariant", text, at)


def _resource(key: str) -> Item:
    contained = key == "contained"
    return lambda value, at, run: run.resources.nested(value, at, run, contained=contained)


def _shaped(key: str, label: str, item: Item, repeats: bool) -> Field:
    """One object, or a list of objects."""

    def one(value: Any, owner: Json, at: Place, run: Run) -> None:
        item(value, (at, label, None), run)

    def many(value: Any, owner: Json, at: Place, run: Run) -> None:
        if _is_list(value, (at, label, None), run):
            for index, entry in enumerate(value):
                item(entry, (at, label, index), run)

    return many if repeats else one


def _is_list(value: Any, at: Place, run: Run) -> bool:
    if type(value) is not list:
        run.error("structure", "must be a JSON array", at)
        return False
    if not value:
        text = "Array cannot be empty: leave the property out if it has no values"
        run.error("structure", text, at)
    return True


def _one_primitive(key: str, label: str, item: Item) -> Field:
    def check(value: Any, owner: Json, at: Place, run: Run) -> None:
        item(value, (at, label, None), run)

    return check


def _list_of_primitives(key: str, label: str, item: Item) -> Field:
    def check(value: Any, owner: Json, at: Place, run: Run) -> None:
        if not _is_list(value, (at, label, None), run):
            return
        for index, entry in enumerate(value):
            if entry is None and _entry(owner.get("_" + key), index) is not None:
                continue
            item(entry, (at, label, index), run)

    return check


def _entry(values: Any, index: int) -> Any:
    return values[index] if type(values) is list and index < len(values) else None


def _one_beside(key: str, label: str, element: Item) -> Field:
    """`_birthDate`: the id and extensions of a primitive."""

    def check(value: Any, owner: Json, at: Place, run: Run) -> None:
        _beside(value, owner.get(key), (at, label, None), run, element)

    return check


def _beside(value: Any, primitive: Any, at: Place, run: Run, element: Item) -> None:
    """An id alone will do where there is a value."""
    if primitive is not None and type(value) is dict and value.keys() == {"id"}:
        if wrong := TESTS["string"](value["id"]):
            run.error("value", f"string {wrong}", (at, "id", None))
    else:
        element(value, at, run)


def _list_beside(key: str, label: str, element: Item) -> Field:
    def check(value: Any, owner: Json, at: Place, run: Run) -> None:
        if not _is_list(value, (at, label, None), run):
            return
        for index, entry in enumerate(value):
            if entry is not None:
                primitive = _entry(owner.get(key), index)
                _beside(entry, primitive, (at, label, index), run, element)
            elif _entry(owner.get(key), index) is None:
                run.error("structure", "must not be null", (at, label, index))

    return check
