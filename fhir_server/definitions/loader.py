"""Reads the declared folders into one `Definitions`, reporting every error at once.

A declaration that names something that does not exist is a start-up error, with the file, the
key and the nearest name that does exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

import orjson
import yaml

from fhir_server.definitions.facts import PUBLISHED_TYPES, Facts
from fhir_server.definitions.model import (
    AccessRule,
    CodeMap,
    Definitions,
    HotIndex,
    Profile,
    SearchParameter,
    ServedType,
)
from fhir_server.definitions.parameters import ComponentError, components, parameter
from fhir_server.fhir.ids import is_id

CANONICAL = "https://fhir.ghasi.af"
APPLIES_WHEN = f"{CANONICAL}/StructureDefinition/applies-when"
SEARCH_INDEX = f"{CANONICAL}/StructureDefinition/search-index"
CARE_DATE = f"{CANONICAL}/StructureDefinition/care-date"

Resource = dict[str, Any]


class DeclarationError(Exception):
    """The declared folders are wrong; `errors` lists every place."""

    def __init__(self, errors: Iterable[str]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(self.errors))


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """` (did you mean x?)`, or nothing where no name is near."""
    near = get_close_matches(name, list(names), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def load_definitions(root: Path, facts: Facts) -> Definitions:
    """Everything `root`/profiles and `root`/capability declare; raises DeclarationError."""
    return _Loader(root, facts).load()


class _Loader:
    def __init__(self, root: Path, facts: Facts) -> None:
        self._facts = facts
        self._errors: list[str] = []
        self._capability_folder = root / "capability"
        self._files = {
            path: self._json(path)
            for folder in ("profiles", "capability")
            for path in sorted((root / folder).glob("*.json"))
        }

    def load(self) -> Definitions:
        capability = self._one("CapabilityStatement")
        declared = self._types(capability)
        types = {name: t for name, t in declared.items() if name not in PUBLISHED_TYPES}
        published = {name: t for name, t in declared.items() if name in PUBLISHED_TYPES}
        self._check_published(published)
        definitions = Definitions(
            types=types,
            profiles=self._profiles(),
            code_maps={m.name: m for _, r in self._all("ConceptMap") for m in [_code_map(r)]},
            value_sets=self._by_url("ValueSet"),
            code_systems=self._by_url("CodeSystem"),
            access=self._access(types),
            operations=self._by_url("OperationDefinition"),
            capability=capability,
            compartments={
                name: {t: tuple(codes) for t, codes in compartment.items()}
                for name, compartment in self._facts.compartments.items()
            },
            published=published,
            resources={name: self._by_id(name) for name in published},
        )
        self._check_code_maps()
        if self._errors:
            raise DeclarationError(self._errors)
        return definitions

    def _json(self, path: Path) -> Resource:
        try:
            resource = orjson.loads(path.read_bytes())
        except orjson.JSONDecodeError as error:
            self._errors.append(f"{path}: not JSON: {error}")
            return {}
        return cast(Resource, resource)

    def _all(self, resource_type: str) -> list[tuple[Path, Resource]]:
        return [(p, r) for p, r in self._files.items() if r.get("resourceType") == resource_type]

    def _one(self, resource_type: str) -> Resource:
        found = self._all(resource_type)
        if len(found) != 1:
            raise DeclarationError([*self._errors, f"capability/: one {resource_type} expected"])
        return found[0][1]

    def _by_url(self, resource_type: str) -> dict[str, Resource]:
        return {r["url"]: r for _, r in self._all(resource_type)}

    def _by_id(self, resource_type: str) -> dict[str, Resource]:
        found: dict[str, Resource] = {}
        for path, resource in self._all(resource_type):
            if not is_id(resource.get("id", "")) or resource["id"] in found:
                self._errors.append(f"{path}: id: missing, malformed or another file's")
            found[resource.get("id", "")] = resource
        return dict(sorted(found.items()))

    def _check_published(self, published: Mapping[str, ServedType]) -> None:
        for name, served in published.items():
            for code in sorted(served.interactions - {"read", "search-type"}):
                self._error(f"{name}.interaction", f"no {code}: the type is read from files only")

    def _profiles(self) -> dict[str, Profile]:
        return {
            r["url"]: Profile(r["id"], r["url"], r["type"], r, extension(r, APPLIES_WHEN))
            for _, r in self._all("StructureDefinition")
        }

    def _types(self, capability: Resource) -> dict[str, ServedType]:
        rest = capability["rest"][0]
        known = self._facts.search_parameters
        types = {}
        for declared in rest["resource"]:
            name = declared["type"]
            if name not in known:
                self._error("rest.resource", f"unknown type {name}{did_you_mean(name, known)}")
                continue
            types[name] = self._served(declared)
        return types

    def _served(self, declared: Resource) -> ServedType:
        search = self._search(declared)
        return ServedType(
            name=declared["type"],
            interactions=frozenset(i["code"] for i in declared["interaction"])
            | _conditional(declared),
            search=search,
            indexes=tuple(self._indexes(declared, search)),
            profiles=tuple(declared.get("supportedProfile", ())),
            operations={o["name"]: o["definition"] for o in declared.get("operation", ())},
            includes=tuple(declared.get("searchInclude", ())),
            revincludes=tuple(declared.get("searchRevInclude", ())),
            care_date=self._care_date(declared, search),
        )

    def _search(self, declared: Resource) -> dict[str, SearchParameter]:
        name = declared["type"]
        known = {**self._facts.search_parameters[name], **self._custom(name)}
        enabled = [p["name"] for p in declared.get("searchParam", ())]
        for code in enabled:
            if code not in known:
                self._error(f"{name}.searchParam", f"no {code}{did_you_mean(code, known)}")
        facts = {code: known[code] for code in enabled if code in known}
        every = {fact["url"]: fact for fact in known.values()}
        return {code: self._parameter(name, f, facts, every) for code, f in facts.items()}

    def _parameter(
        self,
        name: str,
        fact: Resource,
        enabled: Mapping[str, Resource],
        every: Mapping[str, Resource],
    ) -> SearchParameter:
        found = parameter(fact, enabled.values(), self._facts)
        if found.type != "composite":
            return found
        try:
            parts = components(fact, every, self._facts)
        except ComponentError as error:
            why = f"no {error.definition}{did_you_mean(error.definition, every)}"
            self._error(f"{name}.{found.code}.component", why)
            return found
        if len(parts) < 2:
            self._error(f"{name}.{found.code}.component", "a composite has two or more")
        return replace(found, components=parts)

    def _custom(self, resource_type: str) -> dict[str, Resource]:
        return {
            r["code"]: r
            for _, r in self._all("SearchParameter")
            if resource_type in r.get("base", ())
        }

    def _indexes(
        self, declared: Resource, search: Mapping[str, SearchParameter]
    ) -> Iterable[HotIndex]:
        for value in extensions(declared, SEARCH_INDEX):
            index = HotIndex(
                tuple((c.lstrip("-").strip(), c.startswith("-")) for c in value.split(","))
            )
            for code, _ in index.columns:
                if code not in search:
                    where = f"{declared['type']}.{SEARCH_INDEX}"
                    self._error(where, f"no {code}{did_you_mean(code, search)}")
                    break
            else:
                yield index

    def _care_date(self, declared: Resource, search: Mapping[str, SearchParameter]) -> str:
        code = extension(declared, CARE_DATE) or ""
        dates = [known.code for known in search.values() if known.type == "date"]
        if code and code not in dates:
            self._error(
                f"{declared['type']}.{CARE_DATE}", f"no date {code}{did_you_mean(code, dates)}"
            )
        return code

    def _access(self, types: Mapping[str, ServedType]) -> dict[str, dict[str, AccessRule]]:
        path = self._capability_folder / "access-policy.yaml"
        roles = yaml.safe_load(path.read_text())["roles"]
        for role, rules in roles.items():
            for name in rules:
                if name not in types:
                    near = did_you_mean(name, types)
                    self._errors.append(f"{path}: roles.{role}: unknown type {name}{near}")
        return {
            role: {
                name: AccessRule(tuple(rule.get("read", ())), _writing(rule.get("write", False)))
                for name, rule in rules.items()
            }
            for role, rules in roles.items()
        }

    def _check_code_maps(self) -> None:
        for path, resource in self._all("ConceptMap"):
            targets = [
                t["code"] for g in resource["group"] for e in g["element"] for t in e["target"]
            ]
            if len(targets) != len(set(targets)):
                self._errors.append(f"{path}: group: not 1:1, so it cannot be read backwards")

    def _error(self, key: str, message: str) -> None:
        self._errors.append(f"capability/CapabilityStatement.json: {key}: {message}")


def _writing(declared: bool | list[str]) -> tuple[str, ...]:  # noqa: FBT001 - as it is written
    """`true` is met by everything."""
    if isinstance(declared, bool):
        return ("",) if declared else ()
    return tuple(declared)


def _conditional(declared: Resource) -> frozenset[str]:
    """The conditional interactions, named as the others are."""
    delete = declared.get("conditionalDelete")
    offered = {
        "conditional-create": declared.get("conditionalCreate", False),
        "conditional-read": declared.get("conditionalRead") == "full-support",
        "conditional-update": declared.get("conditionalUpdate", False),
        "conditional-patch": declared.get("conditionalUpdate", False)
        and {"code": "patch"} in declared["interaction"],
        "conditional-delete": delete in {"single", "multiple"},
        "conditional-delete-multiple": delete == "multiple",
    }
    return frozenset(name for name, there in offered.items() if there)


def extensions(element: Mapping[str, Any], url: str) -> list[str]:
    """The string values of the extensions with that url."""
    return [e["valueString"] for e in element.get("extension", ()) if e["url"] == url]


def extension(element: Mapping[str, Any], url: str) -> str | None:
    """The first string value of the extension with that url."""
    return next(iter(extensions(element, url)), None)


def _code_map(resource: Resource) -> CodeMap:
    pairs = {
        element["code"]: element["target"][0]["code"]
        for group in resource["group"]
        for element in group["element"]
    }
    return CodeMap(resource["id"], pairs, {code: name for name, code in pairs.items()})
