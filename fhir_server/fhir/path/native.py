"""A FHIRPath tree to closures `(this, resource, root) -> items`.

Two mutually recursive compilers: `values` for collections, `condition` for what is asked as a
question, which spares the lists. Semantics are those of the specification, three-valued logic
included; where FHIRPath needs types that JSON does not show, NotNative is raised.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhir_server.fhir.path import functions
from fhir_server.fhir.path.choices import DATA_TYPES, KEYS
from fhir_server.fhir.path.known import KNOWN
from fhir_server.fhir.path.logic import (
    LOGIC,
    Condition,
    code_is,
    comparison,
    equality,
    equals_literal,
    membership,
    one_of,
)
from fhir_server.fhir.path.members import (
    Values,
    is_resource,
    member,
    member_of_this,
    of_primitive,
    type_name,
)
from fhir_server.fhir.path.operators import distinct, single, truth
from fhir_server.fhir.path.parser import (
    Binary,
    Call,
    Index,
    Literal,
    Member,
    Node,
    NotNative,
    This,
    TypeTest,
    Variable,
    parse,
    rebased,
)

_UCUM = "http://unitsofmeasure.org"


def compile(expression: str) -> Values:
    """The closure of `expression`; NotNative when it is beyond the subset."""
    return KNOWN.get(expression) or values(parse(expression))


def values(node: Node) -> Values:  # noqa: PLR0911 - one case for each kind of node
    match node:
        case This():
            return lambda this, _resource, _root: [this]
        case Literal(items):
            return _constant(list(items))
        case Variable(name):
            return _variable(name)
        case Member(base, name):
            return _member(base, name)
        case Index(base, at):
            return _index(values(base), values(at))
        case TypeTest("is", _, _):
            return _listed(condition(node))
        case TypeTest(_, base, type_):
            return _of_type(base, type_)
        case Binary(operator, left, right):
            return _binary(node, operator, left, right)
        case Call(base, name, arguments):
            return _call(node, base, name, arguments)


def condition(node: Node) -> Condition:  # noqa: PLR0911 - one case for each kind of question
    match node:
        case Binary("and" | "or" | "xor" | "implies" as operator, left, right):
            return LOGIC[operator](condition(left), condition(right))
        case Binary("=" | "!=" as operator, left, right):
            return _equality(operator, left, right)
        case Binary("<" | "<=" | ">" | ">=" as operator, left, right):
            return comparison(operator, values(left), values(right))
        case Binary("in", left, right) if (constants := _constants(right)) is not None:
            return one_of(values(left), constants)
        case Binary("in", left, right):
            return membership(values(left), values(right))
        case Binary("contains", left, right):
            return membership(values(right), values(left))
        case TypeTest("is", base, type_):
            return _is_type(base, type_)
        case Call(base, name, arguments) if name in _QUESTIONS:
            return _QUESTIONS[name](base, arguments)
        case Call(base, name, arguments) if name in functions.TEXT_QUESTIONS:
            return _text_question(name, base, arguments)
        case _:
            return _truth(values(node))


def _truth(items: Values) -> Condition:
    return lambda this, resource, root: truth(items(this, resource, root))


def _listed(question: Condition) -> Values:
    def run(this: Any, resource: Any, root: Any) -> list[Any]:
        answer = question(this, resource, root)
        return [] if answer is None else [answer]

    return run


def _constant(items: list[Any]) -> Values:
    return lambda _this, _resource, _root: items


def _variable(name: str) -> Values:
    match name:
        case "resource":
            return lambda _this, resource, _root: [resource]
        case "rootResource":
            return lambda _this, _resource, root: [root]
        case "ucum":
            return _constant([_UCUM])
    raise NotNative(name)


def _member(base: Node, name: str) -> Values:
    if isinstance(base, This):
        return type_name(name) if name[0].isupper() else member_of_this(name)
    if name in ("extension", "id") and isinstance(base, Member) and base.name[0].islower():
        return of_primitive(values(base.base), base.name, name)
    return member(values(base), name)


def _index(items: Values, at: Values) -> Values:
    def run(this: Any, resource: Any, root: Any) -> list[Any]:
        place = at(this, resource, root)
        if not place:
            return []
        found = items(this, resource, root)
        number = single(place)
        return [found[number]] if 0 <= number < len(found) else []

    return run


def _binary(node: Node, operator: str, left: Node, right: Node) -> Values:
    if operator == "|":
        a, b = values(left), values(right)
        return lambda this, resource, root: _united(
            a(this, resource, root), b(this, resource, root)
        )
    if operator in ("&", "+", "-"):
        return functions.arithmetic(operator, values(left), values(right))
    return _listed(condition(node))


def _united(left: list[Any], right: list[Any]) -> list[Any]:
    if (left and right) or len(left) > 1 or len(right) > 1:
        return distinct(left + right)
    return left or right


def _call(node: Call, base: Node, name: str, arguments: tuple[Node, ...]) -> Values:
    if name in _QUESTIONS or name in functions.TEXT_QUESTIONS:
        return _listed(condition(node))
    if name == "iif" and len(arguments) in (2, 3):
        return _iif([values(rebased(each, base)) for each in arguments])
    if name in _MACROS:
        return _MACROS[name](values(base), arguments)
    if name == "extension" and len(arguments) == 1:
        return functions.call("extension", _member(base, "extension"), [values(arguments[0])])
    return functions.call(name, values(base), [values(each) for each in arguments])


def _equality(operator: str, left: Node, right: Node) -> Condition:
    wanted = operator == "="
    if isinstance(right, Literal) and len(right.values) == 1:
        literal = right.values[0]
        general = equals_literal(values(left), literal, wanted=wanted)
        if isinstance(left, Member) and isinstance(left.base, This) and isinstance(literal, str):
            return code_is(left.name, literal, general, wanted=wanted)
        return general
    return equality(values(left), values(right), wanted=wanted)


def _constants(node: Node) -> frozenset[str] | None:
    """The texts of `('a' | 'b')`; None when it is anything else."""
    match node:
        case Literal((str(text),)):
            return frozenset({text})
        case Binary("|", left, right):
            a, b = _constants(left), _constants(right)
            return None if a is None or b is None else a | b
    return None


# Types: https://hl7.org/fhirpath/N1/#types


def _typed_key(base: Node, type_: str) -> str | None:
    """The JSON key of `value as Quantity`; None when `base` is not a choice element."""
    if not isinstance(base, Member) or base.name not in KEYS:
        return None
    key = base.name + type_[0].upper() + type_[1:]
    return key if key in KEYS[base.name] else None


def _of_type(base: Node, type_: str) -> Values:
    key = _typed_key(base, type_)
    if key is not None and isinstance(base, Member):
        return _member(base.base, key)
    _must_be_resource(type_)
    items = values(base)
    return lambda this, resource, root: [
        item for item in items(this, resource, root) if is_resource(item, type_)
    ]


def _is_type(base: Node, type_: str) -> Condition:
    key = _typed_key(base, type_)
    if key is not None and isinstance(base, Member):
        return _chosen(values(base), _member(base.base, key))
    _must_be_resource(type_)
    if isinstance(base, Call) and base.name == "resolve":
        return _refers_to(values(base.base), values(base), type_)
    items = values(base)

    def run(this: Any, resource: Any, root: Any) -> bool | None:
        found = items(this, resource, root)
        return is_resource(single(found), type_) if found else None

    return run


def _refers_to(references: Values, targets: Values, type_: str) -> Condition:
    """`resolve() is Patient`: nearly always the text already starts with `Patient/`."""
    prefix = f"{type_}/"

    def run(this: Any, resource: Any, root: Any) -> bool | None:
        found = references(this, resource, root)
        if len(found) == 1 and isinstance(found[0], dict):
            text = found[0].get("reference")
            if isinstance(text, str) and text.startswith(prefix):
                return True
        target = targets(this, resource, root)
        return is_resource(single(target), type_) if target else None

    return run


def _chosen(whole: Values, typed: Values) -> Condition:
    def run(this: Any, resource: Any, root: Any) -> bool | None:
        return bool(typed(this, resource, root)) if whole(this, resource, root) else None

    return run


def _must_be_resource(type_: str) -> None:
    if type_ in DATA_TYPES or not type_[0].isupper():
        raise NotNative(f"type {type_}")


# Functions that take expressions or answer yes or no


def _exists(base: Node, arguments: tuple[Node, ...]) -> Condition:
    items = _where(values(base), arguments) if arguments else values(base)
    return lambda this, resource, root: bool(items(this, resource, root))


def _empty(base: Node, _arguments: tuple[Node, ...]) -> Condition:
    items = values(base)
    return lambda this, resource, root: not items(this, resource, root)


def _not(base: Node, _arguments: tuple[Node, ...]) -> Condition:
    question = condition(base)

    def run(this: Any, resource: Any, root: Any) -> bool | None:
        answer = question(this, resource, root)
        return None if answer is None else not answer

    return run


def _all(base: Node, arguments: tuple[Node, ...]) -> Condition:
    items, criteria = values(base), condition(_only(arguments))
    return lambda this, resource, root: all(
        criteria(item, resource, root) for item in items(this, resource, root)
    )


def _has_value(base: Node, _arguments: tuple[Node, ...]) -> Condition:
    items = values(base)

    def run(this: Any, resource: Any, root: Any) -> bool | None:
        found = items(this, resource, root)
        return len(found) == 1 and not isinstance(found[0], dict)

    return run


def _is_distinct(base: Node, _arguments: tuple[Node, ...]) -> Condition:
    items = values(base)

    def run(this: Any, resource: Any, root: Any) -> bool | None:
        found = items(this, resource, root)
        return len(found) < 2 or functions.all_different(found)

    return run


_QUESTIONS: dict[str, Callable[[Node, tuple[Node, ...]], Condition]] = {
    "exists": _exists,
    "empty": _empty,
    "not": _not,
    "all": _all,
    "hasValue": _has_value,
    "isDistinct": _is_distinct,
}


def _text_question(name: str, base: Node, arguments: tuple[Node, ...]) -> Condition:
    ask = functions.TEXT_QUESTIONS[name]
    items, argument = values(base), values(_only(arguments))

    # Of nothing the answer is no, as in the reference implementation: ref-1 and bdl-8 count on
    # it, while the specification says empty.
    def run(this: Any, resource: Any, root: Any) -> bool | None:
        found = items(this, resource, root)
        if not found:
            return False
        wanted = argument(this, resource, root)
        return ask(functions.text(found), functions.text(wanted)) if wanted else None

    return run


def _where(items: Values, arguments: tuple[Node, ...]) -> Values:
    criteria = condition(_only(arguments))
    return lambda this, resource, root: [
        item for item in items(this, resource, root) if criteria(item, resource, root)
    ]


def _select(items: Values, arguments: tuple[Node, ...]) -> Values:
    projection = values(_only(arguments))
    return lambda this, resource, root: [
        found for item in items(this, resource, root) for found in projection(item, resource, root)
    ]


def _iif(parts: list[Values]) -> Values:
    asked, then, *otherwise = parts

    def run(this: Any, resource: Any, root: Any) -> list[Any]:
        if truth(asked(this, resource, root)):
            return then(this, resource, root)
        return otherwise[0](this, resource, root) if otherwise else []

    return run


_MACROS: dict[str, Callable[[Values, tuple[Node, ...]], Values]] = {
    "where": _where,
    "select": _select,
}


def _only(arguments: tuple[Node, ...]) -> Node:
    if len(arguments) != 1:
        raise NotNative("number of arguments")
    return arguments[0]
