"""What is left of a resource when what was said in it is erased.

An element that the policy does not keep goes, whatever it is: so nothing can hide in a place that
nobody thought of. Of what is kept, only what cannot carry words stays: numbers, times, codes that a
value set knows, and references to resources of this server. Free text, names, identifiers, URLs,
narrative, contained resources, element ids and extensions that nobody declared never do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.communication.gdpr.policy import Policy
from fhir_server.definitions.facts import Facts
from fhir_server.definitions.model import Definitions
from fhir_server.definitions.shapes import r4_shapes
from fhir_server.fhir.path import compile
from fhir_server.fhir.reference import parse
from fhir_server.fhir.shapes import Property, Shape, Shapes
from fhir_server.interactions.model import Ref, Resource

Redact = Callable[[Resource], Resource]
Pair = tuple[str, str]
# They cannot spell a word.
_PLAIN: Final = frozenset(
    {
        *("boolean", "date", "dateTime", "decimal", "instant"),
        *("integer", "positiveInt", "time", "unsignedInt"),
    }
)
_LABELS: Final = frozenset({"http://terminology.hl7.org/CodeSystem/v3-Confidentiality"})
_ID: Final = re.compile(r"[A-Za-z0-9.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Known:
    """The codes that R4 and the declared code systems know, and the declared extensions: url → the
    urls within."""

    pairs: frozenset[Pair]
    codes: frozenset[str]
    extensions: Mapping[str, frozenset[str]]
    profiles: frozenset[str]


@dataclass(frozen=True, slots=True)
class Redactor:
    """Redacts as the policy says; `bound` are the paths of codes with a required value set."""

    policy: Policy
    shapes: Shapes
    known: Known
    bound: frozenset[str]

    def redact(self, resource: Resource) -> Resource:
        """The resource without what is erased, labelled so. The same of what it makes."""
        type_ = resource["resourceType"]
        declared = self.policy.erase.types[type_]
        kind = next((k for k in declared.kinds if compile(k.when).test(resource)), None)
        keep = set(declared.keep) - set(kind.drop if kind else ())
        instead = {**declared.instead, **(kind.instead if kind else {})}
        given = {**declared.set, **(kind.set if kind else {})}
        shape = self.shapes.shape(type_)
        head = {"resourceType": type_, "id": resource.get("id"), "meta": self._meta(resource)}
        found: Resource = {name: value for name, value in head.items() if value}
        for key, value in resource.items():
            one = shape.properties.get(key)
            if one is None or key in head:
                continue
            left = self._kept(shape, one, value) if one.element in keep else None
            if left not in (None, [], {}):
                found[key] = _filled(given[key], resource) if key in given else left
            elif key in instead:
                found[key] = _filled(instead[key], resource)
        return found

    def is_redacted(self, resource: Resource) -> bool:
        """Whether nothing more would go."""
        return self.redact(resource) == resource

    def unnamed(self, resource: Resource, subject: Ref) -> Resource:
        """The resource, whose references to the subject say no more than who it is."""
        found: Resource = _unnamed(resource, f"{subject.type}/{subject.id}")
        return found

    def _meta(self, resource: Resource) -> Resource:
        meta = resource.get("meta", {})
        label = self.policy.erase.label.coding
        security = [_coding(c) for c in meta.get("security", ()) if self._label(c)]
        found = {
            "versionId": meta.get("versionId"),
            "lastUpdated": meta.get("lastUpdated"),
            "profile": [url for url in meta.get("profile", ()) if url in self.known.profiles],
            "security": [*(c for c in security if c != label), label],
        }
        return {name: value for name, value in found.items() if value}

    def _label(self, coding: Mapping[str, Any]) -> bool:
        pair = coding.get("system", ""), coding.get("code", "")
        held = {(label.system, label.code) for label in self.policy.hold}
        return pair in held or (pair[0] in _LABELS and pair in self.known.pairs)

    def _kept(self, shape: Shape, one: Property, value: Any) -> Any:
        if isinstance(value, list):
            left = (self._one(shape, one, item) for item in value)
            return [item for item in left if item not in (None, {})]
        return self._one(shape, one, value)

    def _one(self, shape: Shape, one: Property, value: Any) -> Any:
        """What may stay of one value; None for nothing."""
        if one.kind == "primitive":
            plain = one.type in _PLAIN or (one.type == "code" and self._bound(shape, one))
            return value if plain else None
        if one.kind != "object" or not isinstance(value, dict):
            return None
        special = _SPECIAL.get(one.type)
        return special(self, value) if special else self._object(one.type, value)

    def _object(self, name: str, value: Resource) -> Resource | None:
        shape, found = self.shapes.shape(name), {}
        for key, item in value.items():
            one = shape.properties.get(key)
            if one is None or key in ("extension", "modifierExtension"):
                continue
            left = self._kept(shape, one, item)
            if left not in (None, [], {}):
                found[key] = left
        required = {p.element for p in shape.properties.values() if p.required}
        there = {shape.properties[key].element for key in found}
        # What is left of an object that lacks something is no such object.
        return found if found and required <= there else None

    def _bound(self, shape: Shape, one: Property) -> bool:
        return f"{shape.name}.{one.element}" in self.bound

    def reference(self, value: Resource) -> Resource | None:
        """Whom it names, if that is somebody of this server."""
        text = value.get("reference")
        found = parse(text) if isinstance(text, str) else None
        if found is None or not found.local or not _ID.fullmatch(found.id or ""):
            return None
        if found.type not in self.policy.known_types:
            return None
        return {"reference": found.local}

    def coding(self, value: Resource) -> Resource | None:
        """System and code, where that is a known one."""
        pair = value.get("system", ""), value.get("code", "")
        return _coding(value) if pair in self.known.pairs else None

    def concept(self, value: Resource) -> Resource | None:
        """Its known codings."""
        found = [c for c in map(self.coding, value.get("coding", ())) if c]
        return {"coding": found} if found else None

    def extension(self, value: Resource) -> Resource | None:
        """A declared one, with what may stay of its value."""
        return self._extension(value, self.known.extensions)

    def _extension(self, value: Resource, urls: Collection[str]) -> Resource | None:
        url = str(value.get("url"))
        if url not in urls:
            return None
        inner = self.known.extensions.get(url, frozenset())
        parts = (self._extension(part, inner) for part in value.get("extension", ()))
        nested = [part for part in parts if part]
        values = {key: left for key, left in self._values(value) if left is not None}
        found = {**({"extension": nested} if nested else {}), **values}
        return {"url": url, **found} if found else None

    def _values(self, extension: Resource) -> Iterator[tuple[str, Any]]:
        shape = self.shapes.shape("Extension")
        for key, value in extension.items():
            one = shape.properties.get(key)
            if one is None or one.element != "value":
                continue
            if one.type == "code":
                yield key, value if value in self.known.codes else None
            else:
                yield key, self._one(shape, one, value)


_SPECIAL: Mapping[str, Callable[[Redactor, Resource], Resource | None]] = {
    "Reference": Redactor.reference,
    "Coding": Redactor.coding,
    "CodeableConcept": Redactor.concept,
    "Extension": Redactor.extension,
}


def build_redactor(policy: Policy, definitions: Definitions, facts: Facts) -> Redactor:
    """The redactor of a policy that was checked."""
    return Redactor(policy, r4_shapes(), _known(policy, definitions, facts), _bound(policy, facts))


def _known(policy: Policy, definitions: Definitions, facts: Facts) -> Known:
    declared = {
        (url, concept["code"])
        for url, system in definitions.code_systems.items()
        for concept in system.get("concept", ())
    }
    sets = (pair for url in facts.value_sets for pair in facts.value_sets[url])
    own = ((label.system, label.code) for label in policy.erase.codes)
    urls = {
        profile.url: frozenset(
            element["fixedUri"]
            for element in profile.resource["differential"]["element"]
            if "fixedUri" in element and element["fixedUri"] != profile.url
        )
        for profile in definitions.profiles.values()
        if profile.type == "Extension"
    }
    codes = frozenset(code for _, code in declared)
    pairs = frozenset({*declared, *sets, *own})
    return Known(pairs, codes, urls, frozenset(definitions.profiles))


def _bound(policy: Policy, facts: Facts) -> frozenset[str]:
    return frozenset(
        path
        for type_ in policy.erase.types
        for path, element in facts.structures[type_]["elements"].items()
        if "binding" in element
    )


def _coding(value: Mapping[str, Any]) -> Resource:
    return {"system": value["system"], "code": value["code"]}


def _filled(value: Any, resource: Resource) -> Any:
    """The declared value, in which `$id` is the resource's."""
    if isinstance(value, str):
        return value.replace("$id", str(resource.get("id", "")))
    if isinstance(value, list):
        return [_filled(item, resource) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, resource) for key, item in value.items()}
    return value


def _unnamed(node: Any, subject: str) -> Any:
    if isinstance(node, list):
        return [_unnamed(item, subject) for item in node]
    if not isinstance(node, dict):
        return node
    text = node.get("reference")
    if isinstance(text, str) and parse(text).local == subject:
        return {"reference": text}
    return {key: _unnamed(value, subject) for key, value in node.items()}
