"""What the declared folders and the R4 facts say, as one frozen value the whole server reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

SearchType = Literal[
    "number", "date", "string", "token", "reference", "composite", "quantity", "uri", "special"
]


@dataclass(frozen=True, slots=True)
class Component:
    """One part of a composite parameter: `expression` is evaluated on each element that the
    composite's own expression yields; `codes` as of a search parameter."""

    type: SearchType
    expression: str
    targets: tuple[str, ...] = ()
    codes: bool = False


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """One search parameter of one resource type.

    `alias_of` names the parameter whose values this one narrows to type `alias_type`
    (`patient` = `subject` where it is a Patient): it has no index of its own. `single` says that
    no resource has more than one value (max 1 along the whole path). `codes` says that the values
    are of type code, whose system is told by the structure and not by the resource.
    """

    code: str
    type: SearchType
    expression: str
    targets: tuple[str, ...] = ()
    url: str = ""
    alias_of: str | None = None
    alias_type: str | None = None
    components: tuple[Component, ...] = ()
    single: bool = False
    codes: bool = False


@dataclass(frozen=True, slots=True)
class HotIndex:
    """A compound B-tree: parameter codes in order, each descending or not."""

    columns: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class ServedType:
    """One resource type as capability/ declares it. `care_date` is the search parameter that tells
    when the care was given that a resource records, by which `$everything` chooses."""

    name: str
    interactions: frozenset[str]
    search: Mapping[str, SearchParameter]
    indexes: tuple[HotIndex, ...] = ()
    profiles: tuple[str, ...] = ()
    operations: Mapping[str, str] = field(default_factory=dict)
    includes: tuple[str, ...] = ()
    revincludes: tuple[str, ...] = ()
    care_date: str = ""

    @property
    def writable(self) -> bool:
        """Whether clients make resources of it. The others, such as the audit trail, are no part
        of what is asked of all types: asking would make more of them."""
        return "create" in self.interactions

    @property
    def hot(self) -> tuple[SearchParameter, ...]:
        """The parameters that have a typed column of their own, in declared order."""
        codes = dict.fromkeys(code for index in self.indexes for code, _ in index.columns)
        return tuple(self.search[code] for code in codes)


@dataclass(frozen=True, slots=True)
class Profile:
    """A StructureDefinition of profiles/; `applies_when` is the FHIRPath that implies it."""

    name: str
    url: str
    type: str
    resource: Mapping[str, Any]
    applies_when: str | None = None


@dataclass(frozen=True, slots=True)
class CodeMap:
    """A 1:1 ConceptMap: v1 code to FHIR code, and back."""

    name: str
    forward: Mapping[str, str]
    backward: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AccessRule:
    """For one role and resource type: the search criteria that make a resource visible (OR), and
    those that one must meet to be written (OR, "" is met by all); none where it may not be."""

    criteria: tuple[str, ...]
    write: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Definitions:
    """Everything declared, checked and cross-referenced.

    `types` are stored; `published` ones are answered from `resources`: type → id → the file.
    """

    types: Mapping[str, ServedType]
    profiles: Mapping[str, Profile]
    code_maps: Mapping[str, CodeMap]
    value_sets: Mapping[str, Mapping[str, Any]]
    code_systems: Mapping[str, Mapping[str, Any]]
    access: Mapping[str, Mapping[str, AccessRule]]
    operations: Mapping[str, Mapping[str, Any]]
    capability: Mapping[str, Any]
    compartments: Mapping[str, Mapping[str, tuple[str, ...]]]
    published: Mapping[str, ServedType] = field(default_factory=dict)
    resources: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)

    def profile(self, name: str) -> Profile:
        """The profile of that short name; KeyError when there is none."""
        return next(p for p in self.profiles.values() if p.name == name)
