"""The in parameters of an operation, from a query or from Parameters, and the out Parameters.

https://hl7.org/fhir/R4/operations.html#request
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fhir_server.problems import Problem, invalid

Json = dict[str, Any]
Kind = TypeVar("Kind", str, bool, int, dict[str, Any])


@dataclass(frozen=True, slots=True)
class Arguments:
    """What was given, by name; a query gives texts, Parameters give typed values."""

    given: Mapping[str, Sequence[Any]]

    def without(self, names: Iterable[str]) -> Arguments:
        """All but those."""
        left_out = frozenset(names)
        return Arguments({name: v for name, v in self.given.items() if name not in left_out})

    def joined(self, others: Arguments) -> Arguments:
        """These and the others."""
        names = dict.fromkeys((*self.given, *others.given))
        both = {n: [*self.given.get(n, ()), *others.given.get(n, ())] for n in names}
        return Arguments(both)

    def text(self, name: str) -> str | None:
        """A string, uri or code."""
        return self._typed(name, str)

    def flag(self, name: str) -> bool:
        """A boolean; False where it is missing."""
        value = self._one(name)
        if value in ("true", "false"):
            return bool(value == "true")
        return self._typed(name, bool) or False

    def number(self, name: str) -> int | None:
        """A whole number, 0 or more."""
        value = self._one(name)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 9:
            return int(value)
        if isinstance(value, bool) or (isinstance(value, int) and value < 0):
            raise invalid(f"{name} must be a whole number, 0 or more", name)
        return self._typed(name, int)

    def element(self, name: str) -> Json | None:
        """A Coding, a CodeableConcept or a whole resource."""
        return self._typed(name, dict)

    def texts(self, name: str) -> list[str]:
        """Every text of a parameter that may be repeated."""
        return [value for value in self.given.get(name, ()) if isinstance(value, str)]

    def _typed(self, name: str, kind: type[Kind]) -> Kind | None:
        value = self._one(name)
        if value is None or isinstance(value, kind):
            return value
        raise invalid(f"{name} has a value of another kind", name)

    def _one(self, name: str) -> Any:
        found = self.given.get(name, ())
        if len(found) > 1:
            raise invalid(f"{name} is given more than once", name)
        return found[0] if found else None


def of_query(pairs: Iterable[tuple[str, str]]) -> Arguments:
    """Every query parameter."""
    given: dict[str, list[Any]] = {}
    for name, value in pairs:
        given.setdefault(name, []).append(value)
    return Arguments(given)


def of_parameters(resource: Json) -> Arguments:
    """Every parameter of a valid Parameters resource; Problem 400 for another resource."""
    if resource.get("resourceType") != "Parameters":
        raise invalid("the body of an operation must be Parameters", "resourceType")
    given: dict[str, list[Any]] = {}
    for parameter in resource.get("parameter", ()):
        given.setdefault(parameter["name"], []).append(_value(parameter))
    return Arguments(given)


def _value(parameter: Json) -> Any:
    found = [v for key, v in parameter.items() if key.startswith("value") or key == "resource"]
    if not found:
        why = f"the parameter {parameter['name'][:64]} has no value"
        raise Problem(400, "invalid", why, expression="Parameters.parameter")
    return found[0]


def parameters(*named: tuple[str, str, Any]) -> Json:
    """Parameters of (name, type, value); what is None is left out. The type `part` takes more."""
    listed = [_parameter(*one) for one in named if one[2] is not None]
    return {"resourceType": "Parameters", "parameter": listed}


def _parameter(name: str, type: str, value: Any) -> Json:
    if type == "part":
        return {"name": name, "part": parameters(*value)["parameter"]}
    return {"name": name, "resource" if type == "resource" else f"value{type}": value}
