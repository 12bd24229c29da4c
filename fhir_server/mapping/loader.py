"""Reads mappings/ and compiles it; DeclarationError names everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from fhir_server.definitions.loader import DeclarationError, did_you_mean
from fhir_server.definitions.model import Definitions, Profile
from fhir_server.mapping.causes import circles
from fhir_server.mapping.compiler import RouteCompiler
from fhir_server.mapping.consumed import Consumed, compile_consumed
from fhir_server.mapping.derived import DerivedCompiler, DerivedField
from fhir_server.mapping.events import EventShape, compile_events
from fhir_server.mapping.faults import Faults
from fhir_server.mapping.field import Field, FieldCompiler
from fhir_server.mapping.model import (
    ErrorTexts,
    FieldDeclaration,
    MappingDeclaration,
    ServiceDeclaration,
)
from fhir_server.mapping.route import Route
from fhir_server.mapping.searches import SearchNames
from fhir_server.mapping.shapes import Shapes, Structures

# What all concepts share; every other file is a concept.
SERVICE, ERRORS = "_service.yaml", "_errors.yaml"

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Concept:
    """One compiled file."""

    name: str
    declared: MappingDeclaration
    fields: Mapping[str, Field]
    derived: Mapping[str, DerivedField]
    routes: tuple[Route, ...]
    events: Mapping[str, EventShape]
    consumed: Mapping[str, Consumed]


@dataclass(frozen=True, slots=True)
class Mappings:
    """All of mappings/, compiled."""

    service: ServiceDeclaration
    files: Mapping[str, Concept]
    errors: Mapping[str, Mapping[str, str]]

    @property
    def routes(self) -> tuple[Route, ...]:
        return tuple(route for file in self.files.values() for route in file.routes)

    @property
    def events(self) -> dict[str, EventShape]:
        """The shape of each event type."""
        return {
            type_: shape for file in self.files.values() for type_, shape in file.events.items()
        }

    @property
    def consumed(self) -> dict[str, Consumed]:
        """What each type of event that is taken in is here."""
        return {
            type_: found for file in self.files.values() for type_, found in file.consumed.items()
        }

    def route(self, name: str) -> Route:
        """The route of that id; KeyError with the nearest one when there is none."""
        known = {route.id: route for route in self.routes}
        if name not in known:
            raise KeyError(f"no route {name}{did_you_mean(name, known)}")
        return known[name]


def load_mappings(folder: Path, definitions: Definitions, structures: Structures) -> Mappings:
    """Every file of `folder`, checked against profiles/, capability/ and the R4 structures."""
    return _Loader(folder, definitions, structures).load()


class _Loader:
    def __init__(self, folder: Path, definitions: Definitions, structures: Structures) -> None:
        self._folder = folder
        self._definitions = definitions
        self._shapes = Shapes(structures)
        self._errors: list[str] = []

    def load(self) -> Mappings:
        service = self._read(self._folder / SERVICE, ServiceDeclaration)
        errors = self._read(self._folder / ERRORS, ErrorTexts)
        declared = self._declared()
        compilers = {name: self._compiler(name, file) for name, file in declared.items()}
        fields = {
            name: compilers[name].fields(file.fields, self._faults(name, "fields"))
            for name, file in declared.items()
        }
        searches = DerivedCompiler(SearchNames(self._definitions.types), fields)
        derived = {
            name: searches.fields(file.fields, self._faults(name, "fields"))
            for name, file in declared.items()
        }
        if service is None or errors is None:
            raise DeclarationError(self._errors)
        kinds = self._kinds(declared.values())
        files = {
            name: self._concept(service, kinds, name, compiler, fields[name], derived[name])
            for name, compiler in compilers.items()
        }
        self._check_unique(files.values())
        self._check_events(files.values())
        self._check_consumed(service, declared)
        if self._errors:
            raise DeclarationError(dict.fromkeys(self._errors))
        return Mappings(service, files, errors.root)

    def _declared(self) -> dict[str, MappingDeclaration]:
        paths = sorted(p for p in self._folder.glob("*.yaml") if p.name not in (SERVICE, ERRORS))
        found = {path.stem: self._read(path, MappingDeclaration) for path in paths}
        return {name: file for name, file in found.items() if file is not None}

    def _concept(
        self,
        service: ServiceDeclaration,
        kinds: Mapping[tuple[str, str], str],
        name: str,
        compiler: FieldCompiler,
        fields: Mapping[str, Field],
        derived: Mapping[str, DerivedField],
    ) -> Concept:
        declared = compiler.declared
        mutation = self._mutation(service, compiler)
        compiled = RouteCompiler(
            f"mappings/{name}.yaml",
            service,
            self._definitions,
            compiler,
            fields,
            derived,
            kinds,
            mutation,
        )
        routes = compiled.routes(self._faults(name, "routes"))
        events = compile_events(declared.events, fields, self._faults(name, "events"))
        consumed = compile_consumed(compiled, self._faults(name, "consumes"))
        return Concept(name, declared, fields, derived, tuple(routes), events, consumed)

    def _faults(self, name: str, key: str = "") -> Faults:
        return Faults(f"mappings/{name}.yaml", key, self._errors)

    def _read(self, path: Path, model: type[Model]) -> Model | None:
        faults = self._faults(path.stem)
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            return model.model_validate(content)
        except FileNotFoundError:
            faults.add("the file is missing")
        except yaml.YAMLError as error:
            faults.add(f"not YAML: {error}")
        except ValidationError as error:
            for each in error.errors():
                _report(each, model, faults)
        return None

    def _compiler(self, name: str, file: MappingDeclaration) -> FieldCompiler:
        shapes, faults = self._shapes, self._faults(name)
        if file.resource not in shapes.structures:
            faults.at("resource").unknown("type", file.resource, shapes.structures)
        profile = self._profile(file, faults.at("profile"))
        if profile is not None:
            shapes = shapes.of(profile.resource)
        url = profile.url if profile else None
        return FieldCompiler(file, shapes, self._definitions.code_maps, url)

    def _profile(self, file: MappingDeclaration, faults: Faults) -> Profile | None:
        if file.profile is None:
            return None
        known = {p.name: p for p in self._definitions.profiles.values()}
        found = known.get(file.profile)
        if found is None:
            faults.unknown("profile", file.profile, known)
        elif found.type != file.resource:
            faults.add(f"{file.profile} is a profile of {found.type}, not of {file.resource}")
        return found

    def _kinds(self, files: Iterable[MappingDeclaration]) -> dict[tuple[str, str], str]:
        """Type and prefix of ids → profile, as far as files have both."""
        urls = {p.name: p.url for p in self._definitions.profiles.values()}
        return {
            (file.resource, line.prefix or ""): urls[file.profile]
            for file in files
            for line in file.fields.values()
            if line.path == "id" and file.profile in urls
        }

    def _mutation(self, service: ServiceDeclaration, compiler: FieldCompiler) -> Field | None:
        routes = compiler.declared.routes.values()
        if not any(route.interaction == "create" for route in routes):
            return None
        path = f"identifier.where(system='{service.client_mutation}').value"
        line = FieldDeclaration(path=path, each="identifier")
        faults = self._faults("_service", "clientMutation")
        return compiler.fields({"clientMutation": line}, faults).get("clientMutation")

    def _check_unique(self, files: Iterable[Concept]) -> None:
        seen: dict[str, str] = {}
        for file in files:
            for route in file.routes:
                for name in (route.id, f"{route.method} {route.address}"):
                    if name in seen:
                        faults = self._faults(file.name, "routes")
                        faults.add(f"{name} is declared in {seen[name]} as well")
                    seen[name] = route.file
            for type_ in file.consumed:
                if type_ in seen:
                    faults = self._faults(file.name, "consumes")
                    faults.add(f"{type_} is declared in {seen[type_]} as well")
                seen[type_] = f"mappings/{file.name}.yaml"

    def _check_events(self, files: Iterable[Concept]) -> None:
        known = {type_ for file in files for type_ in file.events}
        for file in files:
            for key, line in file.declared.routes.items():
                for type_ in line.events:
                    if type_ not in known:
                        faults = self._faults(file.name, "routes").at(key, "events")
                        faults.unknown("event", type_, known)

    def _check_consumed(
        self, service: ServiceDeclaration, files: Mapping[str, MappingDeclaration]
    ) -> None:
        known = {type_ for file in files.values() for type_ in file.events}
        for name, file in files.items():
            for type_ in file.consumes:
                if service.events.own(type_) and type_ not in known:
                    self._faults(name, "consumes").unknown("event", type_, known)
        for name, type_, way in circles(files):
            why = f"it may cause itself, for ever: {' → '.join(way)}"
            self._faults(name, "consumes").at(type_).add(why)


def _report(error: Any, model: type[BaseModel], faults: Faults) -> None:
    """One of pydantic's errors, with the nearest key where one is unknown."""
    *above, last = map(str, error["loc"]) if error["loc"] else ("",)
    if error["type"] == "extra_forbidden":
        faults.at(*above).unknown("key", last, _keys(model, above))
    else:
        faults.at(*above, last).add(error["msg"].removeprefix("Value error, "))


def _keys(model: type[BaseModel], above: list[str]) -> list[str]:
    """The keys that fit below `above`."""
    kinds: dict[str, Any] = {"fields": "FieldDeclaration", "routes": "RouteDeclaration"}
    from fhir_server.mapping import model as declarations

    named = [kinds[key] for key in above if key in kinds]
    fitting = getattr(declarations, named[-1]) if named else model
    return [f.alias or name for name, f in fitting.model_fields.items()]
