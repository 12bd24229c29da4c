"""One search parameter as a test on a declared resource.

https://hl7.org/fhir/R4/search.html#ptypes
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from fhir_server.definitions.model import SearchParameter, ServedType
from fhir_server.fhir.path import compile
from fhir_server.store.search.asking import NotSupported, bad_value
from fhir_server.store.search.literals import alternatives, checked, split, unescaped
from fhir_server.store.values.strings import normal
from fhir_server.store.values.uris import above

Json = Mapping[str, Any]
Test = Callable[[Json], bool]
# (a value of the resource, what was asked) → whether they match
Match = Callable[[str, str], bool]


def criterion(served: ServedType, name: str, text: str) -> Test:
    """`name=text`; NotSupported for what the type does not have, Problem 400 for no value."""
    checked(name, text)
    code, _, modifier = name.partition(":")
    parameter = parameter_of(served, code)
    if modifier == "missing":
        return _missing(parameter, text)
    match = _MATCHES.get((parameter.type, modifier.removeprefix("not")))
    if match is None or (modifier == "not" and parameter.type != "token"):
        raise NotSupported(f"{code} has no modifier {modifier[:64]}")
    wanted = alternatives(text) or bad_value(code, "no value")
    return _any(parameter, match, wanted, negated=modifier == "not")


def parameter_of(served: ServedType, code: str) -> SearchParameter:
    """The declared parameter; NotSupported when the type has none of that name."""
    found = served.search.get(code)
    if found is None:
        raise NotSupported(f"{served.name} has no search parameter {code[:64]}")
    return found


def values(parameter: SearchParameter, resource: Json) -> list[str]:
    """The resource's values of the parameter, as text."""
    return [_text(value) for value in compile(parameter.expression).values(resource)]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _any(parameter: SearchParameter, match: Match, wanted: list[str], *, negated: bool) -> Test:
    def test(resource: Json) -> bool:
        present = values(parameter, resource)
        return any(match(value, one) for value in present for one in wanted) is not negated

    return test


def _missing(parameter: SearchParameter, text: str) -> Test:
    if text not in {"true", "false"}:
        bad_value(parameter.code, ":missing is true or false")
    return lambda resource: (not values(parameter, resource)) is (text == "true")


def _token(value: str, wanted: str) -> bool:
    """These elements are codes: they carry no system of their own."""
    *system, code = split(wanted, "|")
    return not any(system) and value == unescaped(code)


def _uri(value: str, wanted: str) -> bool:
    return value == unescaped(wanted)


def _canonical(value: str, wanted: str) -> bool:
    """`url` matches every version, `url|version` that one."""
    asked = unescaped(wanted)
    return value == asked or value.partition("|")[0] == asked


def _below(value: str, wanted: str) -> bool:
    """Path-wise, as for stored resources."""
    place = above(unescaped(wanted))
    return bool(place) and place[-1] in above(value)


_MATCHES: Final[Mapping[tuple[str, str], Match]] = {
    ("token", ""): _token,
    ("uri", ""): _uri,
    ("uri", "below"): _below,
    ("uri", "above"): lambda value, wanted: _below(unescaped(wanted), value),
    ("reference", ""): _canonical,
    ("string", ""): lambda value, wanted: normal(value).startswith(normal(unescaped(wanted))),
    ("string", "contains"): lambda value, wanted: normal(unescaped(wanted)) in normal(value),
    ("string", "exact"): lambda value, wanted: value == unescaped(wanted),
}
