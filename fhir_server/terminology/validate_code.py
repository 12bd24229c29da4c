"""$validate-code of ValueSet and CodeSystem.

https://hl7.org/fhir/R4/valueset-operation-validate-code.html
https://hl7.org/fhir/R4/codesystem-operation-validate-code.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fhir_server.problems import invalid
from fhir_server.store.values.strings import normal
from fhir_server.terminology.arguments import Arguments, parameters
from fhir_server.terminology.codings import Coded, asked
from fhir_server.terminology.expand import Declared, subject
from fhir_server.terminology.library import Library, Members, System, system_of

Json = dict[str, Any]
# A coding → what it is called: None where it does not belong.
Named = Callable[[Coded], str | None]


def in_value_set(library: Library, arguments: Arguments, declared: Declared) -> Json:
    """Whether a code is in a value set; of a CodeableConcept one coding suffices."""
    value_set, members = subject(library, arguments, declared)
    codings = asked(arguments, arguments.text("system"), "systemVersion")
    where = f"the value set {value_set.get('url', '')}".strip()
    return _answer(codings, lambda coded: _member(library, members, coded), where)


def in_code_system(library: Library, arguments: Arguments, declared: Declared) -> Json:
    """Whether a code is in a code system."""
    codings = asked(arguments, None)
    system = _system(library, arguments, declared, codings)
    return _answer(
        codings, lambda coded: _concept(system, coded), f"the code system {system.url}".strip()
    )


def _system(
    library: Library, arguments: Arguments, declared: Declared, codings: Sequence[Coded]
) -> System:
    inline = arguments.element("codeSystem")
    url = arguments.text("url") or arguments.text("system")
    given = [one for one in (declared, inline, url) if one is not None]
    if len(given) > 1 or not (given or codings[0].system):
        raise invalid("one of url and codeSystem is required, or the address of a code system")
    whole: Mapping[str, Any] | None = declared if declared is not None else inline
    if whole is None:
        return library.system(url or codings[0].system or "", codings[0].version)
    if whole.get("resourceType") != "CodeSystem":
        raise invalid("codeSystem must be a CodeSystem", "codeSystem")
    return system_of(whole)


def _member(library: Library, members: Members, coded: Coded) -> str | None:
    systems = [system for system, code in members.pairs if code == coded.code]
    if coded.system is not None:
        systems = [system for system in systems if system == coded.system]
    if len(systems) != 1:
        return None
    return library.display((systems[0], coded.code), members) or coded.code


def _concept(system: System, coded: Coded) -> str | None:
    if coded.system not in (None, system.url) or coded.code not in system.concepts:
        return None
    display: str = system.concepts[coded.code].get("display", coded.code)
    return display


def _answer(codings: Sequence[Coded], named: Named, where: str) -> Json:
    known = [(coded, name) for coded in codings if (name := named(coded)) is not None]
    if not known:
        return _result(False, f"the code is not in {where}", None)
    wrong = [name for coded, name in known if not _agrees(coded.display, name)]
    if wrong:
        return _result(False, "the display is not that of the code", wrong[0])
    return _result(True, None, known[0][1])


def _agrees(display: str | None, name: str) -> bool:
    return display is None or normal(display) == normal(name)


def _result(result: bool, message: str | None, display: str | None) -> Json:  # noqa: FBT001 - as named
    return parameters(
        ("result", "Boolean", result),
        ("message", "String", message),
        ("display", "String", display),
    )
