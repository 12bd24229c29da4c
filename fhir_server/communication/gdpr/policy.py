"""`capability/gdpr-policy.yaml`: by when a request is to be done, what keeps one from it, and what
concerns a person and is left of it when it is erased."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fhir_server.definitions.facts import load_facts
from fhir_server.definitions.loader import did_you_mean
from fhir_server.definitions.model import Definitions, ServedType
from fhir_server.definitions.shapes import r4_shapes
from fhir_server.fhir.path import PathError, compile
from fhir_server.interactions.model import Resource

FILE: Final = "gdpr-policy.yaml"
CODES: Final = ("erase", "export", "restrict", "lift")


class Declaration(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Label(Declaration):
    """A security label."""

    system: str
    code: str

    @property
    def token(self) -> str:
        """As a search names it."""
        return f"{self.system}|{self.code}"

    @property
    def coding(self) -> Resource:
        """As a resource bears it."""
        return {"system": self.system, "code": self.code}


class Left(Declaration):
    """`instead` stands for an element of which nothing is kept, `set` for one of which something
    is; `$id` in them is the resource's own."""

    instead: dict[str, Any] = {}
    set: dict[str, Any] = {}


class KindDeclaration(Left):
    """Resources of a type that a FHIRPath tells from the others: what it does not keep (`drop`),
    and its own values."""

    when: str
    drop: tuple[str, ...] = ()


class Erased(Left):
    """A type: the searches that find what concerns a patient and a practitioner, those that find
    where they are only named (`$subject` is the reference, `$id` its id), the elements that are
    kept, and the FHIRPath of what is spared altogether."""

    patient: tuple[str, ...] = ()
    practitioner: tuple[str, ...] = ()
    names_patient: tuple[str, ...] = ()
    names_practitioner: tuple[str, ...] = ()
    keep: tuple[str, ...]
    kinds: tuple[KindDeclaration, ...] = ()
    spare: str | None = None

    def concerning(self, subject_type: str) -> tuple[str, ...]:
        """The searches for what concerns a subject of that type."""
        return self.patient if subject_type == "Patient" else self.practitioner

    def naming(self, subject_type: str) -> tuple[str, ...]:
        """The searches for where a subject of that type is named."""
        return self.names_patient if subject_type == "Patient" else self.names_practitioner


class Erasure(Declaration):
    """`label` marks what was erased; `codes` are kept where they stand, besides those that R4 and
    the declared code systems list; `types` in the order in which they are erased."""

    label: Label = Label(
        system="http://terminology.hl7.org/CodeSystem/v3-ObservationValue", code="REDACTED"
    )
    codes: tuple[Label, ...] = ()
    types: dict[str, Erased] = {}


class Export(Declaration):
    """For how many days the file of an export is `kept`, and of which types earlier versions belong
    to it (`history`). What concerns a person is what an erasure would remove."""

    kept: int = Field(default=7, ge=1, le=90)
    history: tuple[str, ...] = ()


class Policy(Declaration):
    """`days` that a request of each code may take; `hold` are the labels of a legal hold; `erase`
    and `export` say what these do."""

    days: dict[str, int] = Field(default_factory=lambda: dict.fromkeys(CODES, 30))
    hold: tuple[Label, ...] = ()
    erase: Erasure = Erasure()
    export: Export = Export()

    @cached_property
    def known_types(self) -> frozenset[str]:
        """Types of resources that a kept reference may name."""
        return load_facts().resource_types

    def due(self, code: str) -> timedelta:
        """How long a request of that code may take."""
        return timedelta(days=self.days[code])

    def held(self, resource: Mapping[str, Any]) -> bool:
        """Whether it is under legal hold."""
        return bool(self.holding(resource))

    def holding(self, resource: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Its labels of a legal hold, as they stand."""
        labels = resource.get("meta", {}).get("security")
        # Asked of everything that is written: most has none.
        if not labels:
            return []
        known = {(label.system, label.code) for label in self.hold}
        return [one for one in labels if (one.get("system"), one.get("code")) in known]


def read_policy(path: Path, definitions: Definitions) -> tuple[Policy, list[str]]:
    """The policy, and what is wrong with it: key, why, and the nearest right name."""
    place = f"capability/{path.name}"
    try:
        policy = Policy.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        return Policy(), [f"{place}: {type(error).__name__}"]
    except ValidationError as error:
        return Policy(), [f"{place}: {fault}" for fault in _faults(error)]
    return policy, [f"{place}: {fault}" for fault in _mistakes(policy, definitions)]


def _faults(error: ValidationError) -> Iterator[str]:
    for each in error.errors():
        *above, last = map(str, each["loc"] or ("",))
        key = ".".join([*above, last])
        unknown = each["type"] == "extra_forbidden" and not above
        near = did_you_mean(last, Policy.model_fields) if unknown else ""
        yield f"{key}: {each['msg']}{near}"


def _mistakes(policy: Policy, definitions: Definitions) -> Iterator[str]:
    for code in policy.days:
        if code not in CODES:
            yield f"days.{code}: no such request{did_you_mean(code, CODES)}"
    for code in CODES:
        if policy.days.get(code, 0) < 1:
            yield f"days.{code}: at least one day"
    for name, declared in policy.erase.types.items():
        served = definitions.types.get(name)
        if served is None:
            yield f"erase.types.{name}: no such type{did_you_mean(name, definitions.types)}"
        else:
            yield from (f"erase.types.{name}.{fault}" for fault in _faulty(declared, served))
    yield from _unknown("export.history", policy.export.history, policy.erase.types)


def _faulty(declared: Erased, served: ServedType) -> Iterator[str]:
    properties = r4_shapes().shape(served.name).properties
    elements = {one.element for one in properties.values()}
    yield from _unknown("keep", declared.keep, elements)
    for left in (declared, *declared.kinds):
        yield from _unknown("instead", left.instead, properties)
        yield from _unknown("set", left.set, properties)
    for kind in declared.kinds:
        yield from _unknown("drop", kind.drop, declared.keep)
    yield from _unreadable((declared.spare, *(kind.when for kind in declared.kinds)))
    for criteria in _searches(declared):
        codes = (n.partition(":")[0] for n, _ in parse_qsl(criteria, keep_blank_values=True))
        yield from _unknown(criteria, codes, served.search)


def _unknown(key: str, names: Iterable[str], known: Collection[str]) -> Iterator[str]:
    for name in names:
        if name not in known:
            yield f"{key}: no {name}{did_you_mean(name, known)}"


def _unreadable(paths: Iterable[str | None]) -> Iterator[str]:
    for path in filter(None, paths):
        try:
            compile(path)
        except PathError as error:
            yield f"{path}: {error}"


def _searches(declared: Erased) -> tuple[str, ...]:
    return (
        *declared.patient,
        *declared.practitioner,
        *declared.names_patient,
        *declared.names_practitioner,
    )
