"""Parameters that ask for equality, answered by hashed keys: token, reference, uri, `_id`."""

from __future__ import annotations

from fhir_server.definitions.model import SearchParameter
from fhir_server.fhir.reference import parse
from fhir_server.store.keys import hot_reference, reference_key, value_key
from fhir_server.store.search.asking import Asking, NotSupported, bad_value
from fhir_server.store.search.literals import split, unescaped
from fhir_server.store.search.node import NOTHING, Node, keys, negated
from fhir_server.store.values.tokens import any_code, any_system, of_type, with_system

THIS = "$this"


def token(
    asking: Asking,
    _resource_type: str,
    parameter: SearchParameter,
    modifier: str,
    values: list[str],
) -> Node:
    """`code`, `system|code`, `|code`, `system|`; `:not`; `:of-type`."""
    code = parameter.alias_of or parameter.code
    if modifier == "of-type":
        wanted = [_of_type(parameter.code, value) for value in values]
        return _value_keys(asking, code + ":of-type", wanted)
    if modifier not in {"", "not"}:
        raise NotSupported(f"{parameter.code}:{modifier[:64]} is not supported")
    found = _value_keys(asking, code, [_token(parameter.code, value) for value in values])
    return negated(found) if modifier else found


def _token(code: str, text: str) -> str:
    if "|" not in text:
        return any_system(unescaped(text))
    parts = [unescaped(part) for part in split(text, "|")]
    if len(parts) == 1:
        return any_system(parts[0])
    # A bar that nobody escaped belongs to the code: systems are URIs.
    system, value = parts[0], "|".join(parts[1:])
    if not value and not system:
        bad_value(code, "neither system nor code")
    return with_system(system, value) if value else any_code(system)


def _of_type(code: str, text: str) -> str:
    parts = [unescaped(part) for part in split(text, "|")]
    if len(parts) != 3:
        bad_value(code, ":of-type is system|code|value")
    return of_type(*parts)


def uri(
    asking: Asking,
    _resource_type: str,
    parameter: SearchParameter,
    modifier: str,
    values: list[str],
) -> Node:
    """The whole URI."""
    if modifier:
        raise NotSupported(f"{parameter.code}:{modifier[:64]} is not supported")
    return _value_keys(asking, parameter.code, [unescaped(value) for value in values])


def identity(_asking: Asking, values: list[str]) -> Node:
    """`_id`."""
    return Node(("id",), (values,)) if values else NOTHING


def reference(
    asking: Asking, resource_type: str, parameter: SearchParameter, modifier: str, values: list[str]
) -> Node:
    """`Type/id`, `id`, URL; `:Type`; `:identifier`."""
    code = parameter.alias_of or parameter.code
    if modifier == "identifier":
        wanted = [_token(parameter.code, value) for value in values]
        return _value_keys(asking, code + ":identifier", wanted)
    if modifier and modifier not in asking.types and modifier not in parameter.targets:
        raise NotSupported(f"{parameter.code}:{modifier[:64]} is not supported")
    narrowed = modifier or parameter.alias_type
    if values == [THIS] and asking.variables is not None:
        return Node(("this", code))
    types = [narrowed] if narrowed else list(parameter.targets)
    wanted = [target for value in values for target in _targets(asking, types, unescaped(value))]
    if narrowed:
        wanted = [target for target in wanted if target.startswith(f"{narrowed}/")]
    if not wanted:
        return NOTHING
    found = keys([reference_key(asking.tenant, code, target) for target in wanted])
    if not _is_hot(asking, resource_type, code):
        return found
    return found._replace(hot=(code, [hot_reference(target) for target in wanted]))


def _targets(asking: Asking, types: list[str], text: str) -> list[str]:
    """What `text` may point at: a bare id at any of `types`."""
    if "/" not in text and ":" not in text:
        return [f"{target}/{text}" for target in types]
    found = parse(text, asking.base)
    return [found.local or text]


def _is_hot(asking: Asking, resource_type: str, code: str) -> bool:
    indexes = asking.types[resource_type].indexes
    return any(index.columns[0][0] == code for index in indexes)


def _value_keys(asking: Asking, parameter: str, wanted: list[str]) -> Node:
    return keys([value_key(asking.tenant, parameter, value) for value in wanted])
