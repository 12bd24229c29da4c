"""The terminology operations: answered here where the codes are known, else by a terminology
server where one is set.

https://hl7.org/fhir/R4/terminology-service.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.definitions.facts import load_facts
from fhir_server.definitions.model import Definitions
from fhir_server.problems import Problem, not_found
from fhir_server.terminology.arguments import Arguments
from fhir_server.terminology.catalogue import Catalogue
from fhir_server.terminology.codes import Codes
from fhir_server.terminology.expand import Declared, expand
from fhir_server.terminology.library import Elsewhere, Library
from fhir_server.terminology.lookup import lookup
from fhir_server.terminology.relay import relayed
from fhir_server.terminology.remote import Remote
from fhir_server.terminology.translate import translate
from fhir_server.terminology.validate_code import in_code_system, in_value_set

Json = dict[str, Any]
Run = Callable[[Library, Arguments, Declared], Json]


@dataclass(frozen=True, slots=True)
class Operation:
    """`takes` are the parameters it heeds; `idle` those whose every value changes nothing here.
    `instance` says whether it can be asked of one resource."""

    run: Run
    takes: frozenset[str]
    idle: frozenset[str] = frozenset()
    instance: bool = True

    @property
    def whole(self) -> frozenset[str]:
        """The parameters that are more than a text: a query cannot give them."""
        return self.takes & WHOLE


WHOLE: Final = frozenset({"coding", "codeableConcept", "valueSet", "codeSystem", "conceptMap"})
_CODED: Final = frozenset({"code", "system", "display", "coding", "codeableConcept"})
_IDLE: Final = frozenset({"date", "displayLanguage", "abstract"})
OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    ("ValueSet", "expand"): Operation(
        expand,
        frozenset({"url", "valueSet", "valueSetVersion", "filter", "offset", "count"})
        | {"includeDefinition"},
        frozenset({"activeOnly", "date", "displayLanguage", "excludeNested", "excludeNotForUI"})
        | {"excludePostCoordinated", "includeDesignations"},
    ),
    ("ValueSet", "validate-code"): Operation(
        in_value_set,
        _CODED | {"url", "valueSet", "valueSetVersion", "systemVersion"},
        _IDLE,
    ),
    ("CodeSystem", "lookup"): Operation(
        lookup,
        frozenset({"code", "system", "version", "coding", "property"}),
        frozenset({"date", "displayLanguage"}),
        instance=False,
    ),
    ("CodeSystem", "validate-code"): Operation(
        in_code_system, _CODED | {"url", "codeSystem", "version"}, _IDLE
    ),
    ("ConceptMap", "translate"): Operation(
        translate,
        (_CODED - {"display"})
        | {"url", "conceptMap", "conceptMapVersion", "version", "source", "target"}
        | {"targetsystem", "reverse"},
    ),
}


class Terminologies:
    """What the HTTP face asks, and `codes` what searches ask; `remote` is None where no
    terminology server is set."""

    def __init__(
        self, catalogue: Catalogue, library: Library, codes: Codes, remote: Remote | None
    ) -> None:
        self.catalogue = catalogue
        self.library = library
        self.codes = codes
        self._remote = remote

    async def run(
        self,
        type: str,
        name: str,
        declared: Declared,
        arguments: Arguments,
        *,
        lenient: bool = False,
    ) -> Json:
        """The answer to $name; 404 for what nobody knows, 503 where who may know is down."""
        operation = OPERATIONS[type, name]
        unknown = sorted(set(arguments.given) - operation.takes - operation.idle)
        if unknown and not lenient:
            why = f"${name} has no parameter {', '.join(unknown)[:200]}"
            raise Problem(400, "not-supported", why)
        arguments = arguments.without(unknown)
        try:
            return operation.run(self.library, arguments, declared)
        except Elsewhere as missing:
            if self._remote is None:
                raise not_found(str(missing)) from None
        if declared is None and type == "ValueSet":
            declared = self.library.value_sets.get((arguments.text("url") or "").partition("|")[0])
        return await self._remote.call(type, name, relayed(type, name, arguments, declared))

    async def aclose(self) -> None:
        if self._remote is not None:
            await self._remote.aclose()


def build_terminologies(definitions: Definitions, url: str | None, timeout: float) -> Terminologies:
    """On the declared folders and the R4 tables; `url` is a terminology server's FHIR base."""
    remote = Remote(url, timeout) if url else None
    library = Library(load_facts(), definitions)
    codes = Codes(definitions, library, remote)
    return Terminologies(Catalogue(definitions), library, codes, remote)
