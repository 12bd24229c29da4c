"""Tokens: codes by themselves, by value set, by hierarchy, and by the words beside them.

https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from fhir_server.definitions.model import SearchParameter
from fhir_server.problems import Problem
from fhir_server.store.keys import name_text, value_key
from fhir_server.store.search.asking import Asking, NotSupported, bad_value
from fhir_server.store.search.compared import starting
from fhir_server.store.search.literals import split, unescaped
from fhir_server.store.search.node import Node, keys, negated
from fhir_server.store.search.terms import Ask, Coded, Untold
from fhir_server.store.values.tokens import any_code, any_system, of_type, with_system

Read = Callable[[Asking, SearchParameter, list[str]], Node]


def token(
    asking: Asking,
    _resource_type: str,
    parameter: SearchParameter,
    modifier: str,
    values: list[str],
) -> Node:
    """`code`, `system|code`, `|code`, `system|`, and the modifiers of `_MODIFIERS`."""
    read = _MODIFIERS.get(modifier)
    if read is None:
        raise NotSupported(f"{parameter.code}:{modifier[:64]} is not supported")
    return read(asking, parameter, values)


def token_form(code: str, text: str) -> str:
    """What a token asks for, as the indexer wrote it."""
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


def value_keys(asking: Asking, name: str, wanted: list[str]) -> Node:
    """Any of the values under the name."""
    return keys([value_key(asking.tenant, name, value) for value in wanted])


def _is(asking: Asking, parameter: SearchParameter, values: list[str]) -> Node:
    wanted = [token_form(parameter.code, value) for value in values]
    return value_keys(asking, parameter.alias_of or parameter.code, wanted)


def _typed(asking: Asking, parameter: SearchParameter, values: list[str]) -> Node:
    wanted = [_of_type(parameter.code, value) for value in values]
    return value_keys(asking, (parameter.alias_of or parameter.code) + ":of-type", wanted)


def _of_type(code: str, text: str) -> str:
    parts = [unescaped(part) for part in split(text, "|")]
    if len(parts) != 3:
        bad_value(code, ":of-type is system|code|value")
    return of_type(*parts)


def _text(_asking: Asking, parameter: SearchParameter, values: list[str]) -> Node:
    return starting(name_text(parameter.alias_of or parameter.code), parameter, values)


def _in(asking: Asking, parameter: SearchParameter, values: list[str]) -> Node:
    return _members(asking, parameter, [Ask("in", unescaped(value)) for value in values])


def _near(relation: Callable[[str, str], Ask]) -> Read:
    def read(asking: Asking, parameter: SearchParameter, values: list[str]) -> Node:
        asks = [relation(*_system_and_code(parameter.code, value)) for value in values]
        return _members(asking, parameter, asks)

    return read


def _system_and_code(code: str, text: str) -> tuple[str, str]:
    system, *rest = [unescaped(part) for part in split(text, "|")]
    if not system or not "".join(rest):
        bad_value(code, "what is above or below is asked as system|code")
    return system, "|".join(rest)


def _members(asking: Asking, parameter: SearchParameter, asks: list[Ask]) -> Node:
    """Any of the codes told. An element of type code carries no system: its structure has it."""
    pairs = dict.fromkeys(pair for ask in asks for pair in _told(asking, parameter.code, ask))
    wanted = [with_system(system, code) for system, code in pairs]
    if parameter.codes:
        wanted += [with_system("", code) for _, code in pairs]
    return value_keys(asking, parameter.alias_of or parameter.code, list(dict.fromkeys(wanted)))


def _told(asking: Asking, code: str, ask: Ask) -> Sequence[Coded]:
    try:
        return asking.answer(ask)
    except (NotSupported, Untold):
        raise
    except Problem as problem:
        why = f"{code}: {problem.diagnostics}"
        raise Problem(problem.status, problem.issues[0].code, why, expression=code) from None


def _negated(read: Read) -> Read:
    return lambda asking, parameter, values: negated(read(asking, parameter, values))


_MODIFIERS: Final[Mapping[str, Read]] = {
    "": _is,
    "not": _negated(_is),
    "of-type": _typed,
    "text": _text,
    "in": _in,
    "not-in": _negated(_in),
    "above": _near(lambda system, code: Ask("above", system, code)),
    "below": _near(lambda system, code: Ask("below", system, code)),
}
