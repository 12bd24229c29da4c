"""The query of a list route: v1 parameters in, FHIR search parameters out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.definitions.loader import did_you_mean
from fhir_server.mapping.codec import MOMENT, Codec, Refused
from fhir_server.mapping.faults import Faults
from fhir_server.mapping.field import Field
from fhir_server.mapping.inputs import Inputs, Supply, escaped, supply
from fhir_server.mapping.model import FilterDeclaration, PageDeclaration
from fhir_server.mapping.searches import SearchNames
from fhir_server.problems import invalid

# How a value of an order is compared: https://hl7.org/fhir/R4/search.html#prefix
COMPARED = re.compile(r"(?:eq|ne|gt|lt|ge|le|sa|eb|ap)(?=\$)")
# Digits of a limit that are looked at; Python refuses to read very long numbers.
LONGEST = 9

Pairs = Sequence[tuple[str, str]]
Criteria = tuple[tuple[str, Supply], ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """One v1 query parameter: its JSON Schema, and the criteria that a value stands for."""

    name: str
    schema: Mapping[str, Any]
    criteria: Callable[[str, Inputs], Pairs]
    default: str | None


@dataclass(frozen=True, slots=True)
class Query:
    """What a list route may be asked, beside its `controls`."""

    always: Criteria
    filters: Mapping[str, Filter]
    page: PageDeclaration
    controls: Sequence[str] = ("cursor", "limit")

    def params(self, asked: Pairs, inputs: Inputs) -> tuple[Pairs, str | None]:
        """FHIR search parameters and the cursor; Problem 400 names what is wrong."""
        given = _once(asked, [*self.filters, *self.controls])
        if given.get("cursor") == "":
            raise invalid("cursor is not one of this list", "cursor")
        found = [(name, value(inputs)) for name, value in self.always]
        for name, one in self.filters.items():
            value = given.get(name, one.default)
            if value is not None:
                found += one.criteria(value, inputs)
        found.append(("_count", str(self._limit(given.get("limit")))))
        return found, given.get("cursor")

    def _limit(self, text: str | None) -> int:
        if text is None:
            return self.page.limit
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= LONGEST else 0
        if not 0 < number <= self.page.max:
            raise invalid(f"limit must be a number from 1 to {self.page.max}", "limit")
        return number


def _once(asked: Pairs, known: Sequence[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for name, value in asked:
        if name not in known:
            short = name[:64]
            near = did_you_mean(short, known)
            raise invalid(f"{short} is not a parameter of this request{near}", short)
        if name in given:
            raise invalid(f"{name} may be given once", name)
        given[name] = value
    return given


@dataclass(frozen=True, slots=True)
class QueryCompiler:
    """Compiles the `always`, `filters` and `page` of one list route; `$profile` is its file's."""

    resource: str
    fields: Mapping[str, Field]
    paths: Sequence[str]
    searches: SearchNames
    profile: str | None = None

    def criteria(self, declared: Mapping[str, str], faults: Faults) -> Criteria:
        """Search criteria with words in them."""
        self.searches.check(self.resource, declared.items(), faults)
        compiled = ((n, self._asked(n, value, faults.at(n))) for n, value in declared.items())
        return tuple((name, value) for name, value in compiled if value)

    def _asked(self, name: str, value: str, faults: Faults) -> Supply | None:
        if value == "$profile" and self.profile:
            value = self.profile
        prefix = COMPARED.match(value)
        if prefix is None or not self.searches.ordered(self.resource, name):
            return supply(value, self.paths, (), faults)
        word = supply(value[prefix.end() :], self.paths, (), faults)
        return word and (lambda inputs: prefix[0] + str(word(inputs)))

    def filters(
        self, declared: Mapping[str, FilterDeclaration], faults: Faults
    ) -> dict[str, Filter]:
        """Each query parameter; one whose field does not exist is a fault."""
        found = ((n, self._filter(n, line, faults.at(n))) for n, line in declared.items())
        return {name: one for name, one in found if one}

    def _filter(self, name: str, line: FilterDeclaration, faults: Faults) -> Filter | None:
        if line.when is not None:
            return self._choice(name, line.when, line.default, faults.at("when"))
        values: Field | Codec | None = self.fields.get(line.field or name)
        if line.type is not None:
            values = MOMENT
        if values is None or line.search is None:
            faults.unknown("field", line.field or name, self.fields)
            return None
        return _by_value(name, values, self.criteria(line.search, faults.at("search")))

    def _choice(
        self,
        name: str,
        when: Mapping[str, Mapping[str, str]],
        default: str | None,
        faults: Faults,
    ) -> Filter:
        cases = {word: self.criteria(found, faults.at(word)) for word, found in when.items()}
        words = ", ".join(cases)

        def criteria(value: str, inputs: Inputs) -> Pairs:
            if value not in cases:
                raise invalid(f"{name} must be one of {words}", name)
            return [(code, ask(inputs)) for code, ask in cases[value]]

        return Filter(name, {"type": "string", "enum": list(cases)}, criteria, default)


def _by_value(name: str, values: Field | Codec, asks: Criteria) -> Filter:
    def criteria(value: str, inputs: Inputs) -> Pairs:
        try:
            raw = values.encode(value)
        except Refused as refused:
            raise invalid(f"{name} {refused}", name) from None
        asked = replace(inputs, value=escaped(raw))
        return [(code, ask(asked)) for code, ask in asks]

    return Filter(name, values.schema, criteria, None)
