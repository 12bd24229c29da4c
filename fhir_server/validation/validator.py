"""The validator's door: one resource in, its issues out; never an exception.

https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fhir_server.definitions.facts import Facts
from fhir_server.fhir import json
from fhir_server.problems import Issue, Problem
from fhir_server.validation import bundle, extensions, profiles, references
from fhir_server.validation.comments import without_comments
from fhir_server.validation.declared import mistakes
from fhir_server.validation.options import DEFAULT, Options
from fhir_server.validation.place import Place, root
from fhir_server.validation.run import Json, Run, TooMany
from fhir_server.validation.structure import Compiler
from fhir_server.validation.terminology import Terminology


class Validator:
    """Holds what is compiled; `profiles`, `value_sets` and `code_systems` are FHIR resources."""

    def __init__(
        self,
        facts: Facts,
        profiles_: Iterable[Json] = (),
        value_sets: Iterable[Json] = (),
        code_systems: Iterable[Json] = (),
    ) -> None:
        self.resource_types = facts.resource_types
        self._compiler = Compiler(facts)
        terminology = Terminology(facts, value_sets, code_systems)
        self._declared = tuple(profiles_)
        self.profiles = profiles.Profiles(self._compiler, self._declared, terminology)

    def mistakes(self) -> list[str]:
        """What is wrong with the declared profiles themselves, a line each."""
        return list(mistakes(self._compiler, self._declared))

    def validate(
        self, resource: Json, profiles: Sequence[str] = (), options: Options = DEFAULT
    ) -> list[Issue]:
        """Every issue of `resource`, by R4, by the profiles it claims and by `profiles`."""
        run = Run(resource, options, self)
        try:
            self._check(resource, root(_name(resource)), run, profiles)
        except TooMany:
            run.issues.append(Issue("information", "too-costly", "There may be more issues"))
        except RecursionError:
            run.issues.append(Issue("error", "too-costly", "The resource is nested too deeply"))
        return run.issues

    def validate_text(
        self, data: bytes, profiles: Sequence[str] = (), options: Options = DEFAULT
    ) -> list[Issue]:
        """As `validate`, from the JSON text; what is wrong with that is an issue too."""
        try:
            resource = json.parse(without_comments(data) if options.comments else data)
        except Problem as problem:
            return list(problem.issues)
        return self.validate(resource, profiles, options)

    def nested(self, value: Any, at: Place, run: Run, *, contained: bool) -> None:
        """A resource inside another: part of it (`contained`), or with a life of its own."""
        if type(value) is not dict:
            run.error("structure", "must be a JSON object", at)
            return
        if contained and not run.options.contained:
            return
        outer = run.resource, run.root
        run.resource = value
        if not contained:
            run.root = value
        self._check(value, at, run)
        run.resource, run.root = outer

    def extension(self, value: Json, at: Place, run: Run, host: tuple[str, ...]) -> None:
        """An extension on an element of the types `host`: its own and those it derives from."""
        extensions.check(value, at, run, self.profiles, host)

    def _check(self, value: Any, at: Place, run: Run, claimed: Sequence[str] = ()) -> None:
        type_name = value.get("resourceType") if type(value) is dict else None
        if not isinstance(type_name, str) or type_name not in self.resource_types:
            what = "is not an R4 resource type" if type_name else "is required"
            run.error("structure", f"resourceType {what}", at)
            return
        if references.too_many(value):
            most = references.MOST_CONTAINED
            run.error(
                "too-costly", f"More than {most} contained resources", (at, "contained", None)
            )
            return
        if type_name in ("Bundle", "Parameters"):
            self._enter(value, run)
        self._compiler.node(type_name).check(value, at, run)
        if isinstance(value.get("contained"), list) and run.options.contained:
            references.check_contained(value, at, run)
        if type_name == "Bundle":
            bundle.check(value, at, run)
        claims = _claims(value) if run.options.claims else ()
        for url in dict.fromkeys((*claimed, *claims)):
            self.profiles.check(url, value, at, run)

    def _enter(self, value: Json, run: Run) -> None:
        if run.options.references_exist and run.within is None:
            run.within = bundle.members(value)


def _name(resource: Any) -> str:
    name = resource.get("resourceType") if isinstance(resource, dict) else None
    return name if isinstance(name, str) and name.isidentifier() else "Resource"


def _claims(resource: Json) -> list[str]:
    meta = resource.get("meta")
    claimed = meta.get("profile") if isinstance(meta, dict) else None
    return [url for url in claimed if isinstance(url, str)] if isinstance(claimed, list) else []
