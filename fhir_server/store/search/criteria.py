"""One search parameter, name and value, as a `Node`.

https://hl7.org/fhir/R4/search.html#modifiers, https://hl7.org/fhir/R4/search.html#chaining
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from fhir_server.definitions.model import SearchParameter
from fhir_server.store.keys import absent_key, present_key
from fhir_server.store.search import (
    coded,
    compared,
    composite,
    equal,
    filter,
    full_text,
    linked,
    lists,
)
from fhir_server.store.search.asking import Asking, NotSupported, bad_value, checked_hops
from fhir_server.store.search.literals import alternatives, checked
from fhir_server.store.search.node import EVERYTHING, NOTHING, Node, all_of, keys, negated
from fhir_server.store.tables import WORDS

Read = Callable[[Asking, str, SearchParameter, str, list[str]], Node]
_READ: Final[Mapping[str, Read]] = {
    "token": coded.token,
    "reference": equal.reference,
    "uri": equal.uri,
    "string": compared.string,
    "date": compared.date,
    "number": compared.number,
    "quantity": compared.number,
    "composite": composite.composite,
}


def criterion(asking: Asking, resource_type: str, name: str, value: str, hops: int = 0) -> Node:
    """The condition `name=value` on `resource_type`.

    Raises NotSupported for a parameter or modifier that does not exist, Problem 400 for a value
    that is not one.
    """
    checked_hops(hops)
    if name == "_filter":
        return all_of(filter.conjuncts(asking, resource_type, value, criterion, hops))
    if name == "_list":
        name, value = lists.membership(asking, value)
    if name.startswith("_has:"):
        return linked.has(asking, resource_type, name, _tail(asking, value, hops))
    head, dot, rest = name.partition(".")
    if dot:
        return linked.chain(asking, resource_type, head, rest, _tail(asking, value, hops))
    return _plain(asking, resource_type, name, value)


def conditions(asking: Asking, resource_type: str, name: str, value: str) -> list[Node]:
    """The same as conditions that must all hold, of which a search may drive by one."""
    if name == "_filter":
        return filter.conjuncts(asking, resource_type, value, criterion)
    return [criterion(asking, resource_type, name, value)]


def _tail(asking: Asking, value: str, hops: int) -> linked.Tail:
    """The rest of a chain on its target type, with what the caller may see of that type."""

    def tail(target: str, name: str) -> Node:
        return criterion(asking, target, name, value, hops + 1)

    return tail


def _plain(asking: Asking, resource_type: str, name: str, text: str) -> Node:
    code, _, modifier = name.partition(":")
    checked(name, text)
    if code == "_id" and modifier in {"", "not"}:
        found = equal.identity(asking, _values(asking, code, text))
        return negated(found) if modifier else found
    parameter = asking.parameter(resource_type, code)
    if modifier == "missing" and code not in WORDS:
        return _missing(asking, resource_type, parameter, text)
    read = full_text.full_text if code in WORDS else _READ.get(parameter.type)
    if read is None or not (parameter.expression or code in WORDS):
        raise NotSupported(f"{code} is not supported")
    values = _values(asking, code, text)
    return read(asking, resource_type, parameter, modifier, values) if values else NOTHING


# No resource lacks these.
ALWAYS = frozenset({"_id", "_lastUpdated"})


def _values(asking: Asking, code: str, text: str) -> list[str]:
    values = alternatives(text)
    if not values:
        bad_value(code, "no value")
    if asking.variables is None:
        return values
    known = (asking.variables.get(value, value) for value in values)
    return [value for value in known if value is not None]


def _missing(asking: Asking, resource_type: str, parameter: SearchParameter, text: str) -> Node:
    if text not in {"true", "false"}:
        bad_value(parameter.code, ":missing is true or false")
    if parameter.code in ALWAYS:
        return EVERYTHING if text == "false" else NOTHING
    present = keys([present_key(asking.tenant, parameter.code)])
    if text == "false":
        return present
    hot = parameter.alias_of or parameter.code
    if any(found.code == hot for found in asking.types[resource_type].hot):
        return keys([absent_key(asking.tenant, parameter.code)])
    return negated(present)
