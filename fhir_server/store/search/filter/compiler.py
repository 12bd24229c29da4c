"""A filter as Nodes: each term is what the parameter of its name would ask, so all that holds of
parameters (columns that drive, the access policy, limits) holds of terms.

What a parameter cannot say: `eq` and `ew` on strings, `po` on dates, and `ne` beside dates and
numbers, which means a value, and none that is equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from fhir_server.definitions.model import SearchParameter
from fhir_server.problems import Problem
from fhir_server.store.search import compared, linked
from fhir_server.store.search.asking import Asking, NotSupported, bad_value, checked_hops
from fhir_server.store.search.filter.expression import Expression, Joined, Not, Step, Term, terms
from fhir_server.store.search.filter.parser import parse, wrong
from fhir_server.store.search.literals import PREFIXES, checked
from fhir_server.store.search.node import Node, all_of, any_of, negated

# What one parameter asks: type, name, value, and how many hops led there.
Criterion = Callable[[Asking, str, str, str, int], Node]

# The modifier that says the same, by type of parameter and operator.
_MODIFIERS: Final[Mapping[str, Mapping[str, str]]] = {
    "token": {"eq": "", "in": ":in", "ni": ":not-in", "ss": ":below", "sb": ":above"},
    "reference": {"eq": "", "re": ""},
    "uri": {"eq": "", "ss": ":below", "sb": ":above"},
    "composite": {"eq": ""},
}
_COMPARED: Final = frozenset({"date", "number", "quantity"})
_TEXTS: Final = {"eq": "equals", "co": "contains", "sw": "starts", "ew": "ends"}


def conjuncts(
    asking: Asking, resource_type: str, text: str, criterion: Criterion, hops: int = 0
) -> list[Node]:
    """The conditions that must all hold; Problem 400 that names the position of what is wrong."""
    found = parse(text)
    every = list(terms(found))
    asking.budget.test(len(every) - 1)  # the parameter itself is counted
    asking.budget.link(sum(len(term.path) - 1 for term in every))
    compiler = _Compiler(asking, criterion)
    parts = found.parts if isinstance(found, Joined) and found.word == "and" else (found,)
    return [compiler.node(resource_type, part, hops) for part in parts]


class _Compiler:
    def __init__(self, asking: Asking, criterion: Criterion) -> None:
        self._asking = asking
        self._criterion = criterion

    def node(self, resource_type: str, one: Expression, hops: int) -> Node:
        """The condition on `resource_type`."""
        match one:
            case Not(of):
                return negated(self.node(resource_type, of, hops))
            case Joined(word, parts):
                nodes = [self.node(resource_type, part, hops) for part in parts]
                return all_of(nodes) if word == "and" else any_of(nodes)
            case Term():
                return self._placed(resource_type, one, hops)

    def _placed(self, resource_type: str, term: Term, hops: int) -> Node:
        """A refusal says where the term is, or its value."""
        try:
            checked(term.path[0].name, term.value)
            return self._path(resource_type, term, term.path, hops)
        except NotSupported as error:
            raise NotSupported(_at(term.at, error)) from None
        except Problem as error:
            code = error.issues[0].code
            at = term.value_at if code == "value" else term.at
            raise Problem(400, code, _at(at, error), expression="_filter") from None

    def _path(self, resource_type: str, term: Term, path: tuple[Step, ...], hops: int) -> Node:
        checked_hops(hops)
        step, *rest = path
        if not rest:
            return self._test(resource_type, term, step.name, hops)

        def tail(target: str, _name: str) -> Node:
            met = self._path(target, term, tuple(rest), hops + 1)
            if step.filter is None:
                return met
            return all_of([self.node(target, step.filter, hops + 1), met])

        names = ".".join(one.name for one in rest)
        return linked.chain(self._asking, resource_type, step.name, names, tail)

    def _test(self, resource_type: str, term: Term, name: str, hops: int) -> Node:
        code = name.partition(":")[0]
        if term.operator == "pr":
            return self._present(resource_type, code, term.value, hops)
        parameter = self._asking.parameter(resource_type, code)
        if term.operator == "ne" and parameter.type not in _COMPARED:
            equal = self._compared(resource_type, parameter, name, "eq", term.value, hops)
            present = self._present(resource_type, code, "true", hops)
            return all_of([present, negated(equal)])
        return self._compared(resource_type, parameter, name, term.operator, term.value, hops)

    def _present(self, resource_type: str, code: str, value: str, hops: int) -> Node:
        if value not in {"true", "false"}:
            bad_value(code, "pr is true or false")
        missing = "false" if value == "true" else "true"
        return self._criterion(self._asking, resource_type, f"{code}:missing", missing, hops)

    def _compared(
        self,
        resource_type: str,
        parameter: SearchParameter,
        name: str,
        operator: str,
        value: str,
        hops: int,
    ) -> Node:
        kind = parameter.type
        if not parameter.expression and kind != "composite":
            raise NotSupported(f"{name[:64]} is not supported")
        if kind == "string" and operator in _TEXTS and name == parameter.code:
            return compared.texts(parameter, _TEXTS[operator], [value])
        if kind == "date" and operator == "po":
            _, bounds = compared.date_wanted(self._asking, parameter.code, "eq" + value)
            return compared.overlapping(self._asking, resource_type, parameter, *bounds)
        if kind in _COMPARED and operator in PREFIXES:
            value = operator + value
        elif operator in _MODIFIERS.get(kind, ()):
            name += _MODIFIERS[kind][operator]
        else:
            raise NotSupported(f"{operator} does not apply to {name[:64]}, a {kind}")
        return self._criterion(self._asking, resource_type, name, _escaped(value), hops)


def _escaped(value: str) -> str:
    """As one value of a parameter; a bar keeps its meaning."""
    return value.replace("\\", "\\\\").replace(",", "\\,")


def _at(position: int, error: Problem) -> str:
    """Says it once: the innermost position is that of the cause."""
    if error.diagnostics.startswith("_filter at "):
        return error.diagnostics
    return wrong(position, error.diagnostics).diagnostics
