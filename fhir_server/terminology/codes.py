"""What searches ask about codes: the members of value sets, and what is above and below a code.

https://hl7.org/fhir/R4/search.html#modifiers, https://hl7.org/fhir/R4/codesystem.html#subsumption
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fhir_server.definitions.model import Definitions
from fhir_server.problems import Problem
from fhir_server.store.search.asking import NotSupported
from fhir_server.store.search.terms import MOST_CODES, Ask, Coded, too_many
from fhir_server.terminology.arguments import parameters
from fhir_server.terminology.library import Elsewhere, Library
from fhir_server.terminology.remote import Remote, down

Json = Mapping[str, Any]
_BY_ID = "ValueSet/"
# What `concept` within `concept` means where a code system does not say.
IS_A = "is-a"
_FILTERS = {"below": "is-a", "above": "generalizes"}


class Codes:
    """Answers from the library; `remote` is asked for the rest, None where there is none."""

    def __init__(self, definitions: Definitions, library: Library, remote: Remote | None) -> None:
        self._value_sets = definitions.resources.get("ValueSet", {})
        self._library = library
        self._remote = remote

    def known(self, ask: Ask) -> Sequence[Coded] | None:
        """See `Terms`."""
        try:
            return self._members(ask.url) if ask.relation == "in" else self._near(ask)
        except Elsewhere as missing:
            if self._remote is None:
                raise _unknown(ask, missing) from None
            return None

    async def fetch(self, ask: Ask) -> Sequence[Coded]:
        """See `Terms`."""
        if self._remote is None:
            raise _unknown(ask, Elsewhere(_asked(ask)))
        asked = parameters(
            ("url", "Uri", ask.url if ask.relation == "in" else None),
            ("valueSet", "resource", None if ask.relation == "in" else _hierarchy(ask)),
            ("count", "Integer", MOST_CODES + 1),
        )
        try:
            answer = await self._remote.call("ValueSet", "expand", asked)
        except Problem as problem:
            if problem.status < 500:
                raise _unknown(ask, Elsewhere(_asked(ask))) from None
            raise
        return _expanded(ask, answer)

    def _members(self, url: str) -> Sequence[Coded]:
        if not url.startswith(_BY_ID):
            return self._library.value_set(url)[1].pairs
        value_set = self._value_sets.get(url.removeprefix(_BY_ID))
        if value_set is None:
            raise Problem(400, "value", "a ValueSet of that id does not exist")
        return self._library.members(value_set).pairs

    def _near(self, ask: Ask) -> Sequence[Coded]:
        system = self._library.code_systems.get(ask.url)
        if system is None or system.get("content") != "complete":
            raise Elsewhere("how the codes of that system are ordered")
        if system.get("hierarchyMeaning", IS_A) != IS_A:
            raise NotSupported("the codes of that system are not ordered by meaning")
        lines = list(_lines(system.get("concept", ()), ()))
        found = (
            {code for line in lines if ask.code in line for code in line[line.index(ask.code) :]}
            if ask.relation == "below"
            else {c for line in lines if ask.code in line for c in line[: line.index(ask.code) + 1]}
        )
        if not found:
            raise Problem(400, "value", "that code system has no such code")
        return [(ask.url, code) for code in sorted(found)]


def _lines(concepts: Iterable[Json], above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Each code at the end of what is above it."""
    for concept in concepts:
        line = (*above, concept["code"])
        yield line
        yield from _lines(concept.get("concept", ()), line)


def _hierarchy(ask: Ask) -> Json:
    """A value set of what is above or below the code, the code included."""
    near = {"property": "concept", "op": _FILTERS[ask.relation], "value": ask.code}
    include = [{"system": ask.url, "filter": [near]}]
    return {"resourceType": "ValueSet", "status": "active", "compose": {"include": include}}


def _expanded(ask: Ask, answer: Json) -> Sequence[Coded]:
    """The codes of an expansion; Problem 503 where it is none."""
    expansion = answer.get("expansion")
    if not isinstance(expansion, dict):
        raise down("answered without an expansion")
    found = list(_contained(expansion.get("contains", ())))
    total = expansion.get("total")
    if len(found) > MOST_CODES or (isinstance(total, int) and total > MOST_CODES):
        too_many(ask)
    return found


def _contained(listed: Iterable[Any]) -> Iterator[Coded]:
    for one in listed:
        match one:
            case {"code": str(code)} if not one.get("abstract", False):
                yield str(one.get("system", "")), code
        if isinstance(one, dict):
            yield from _contained(one.get("contains", ()))


def _asked(ask: Ask) -> str:
    return "that value set" if ask.relation == "in" else "that code system"


def _unknown(ask: Ask, missing: Elsewhere) -> Problem:
    """400: what was asked about nobody knows."""
    if ask.relation == "in":
        return Problem(400, "value", f"{missing} is not known here")
    return NotSupported(f"{missing} is not known here")
