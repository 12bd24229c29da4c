"""What a file of mappings/ may say: the declarations, before anything is looked up.

A field is a lens between one v1 value and one place in a FHIR resource, a route is exactly one
FHIR interaction. Files name things; they never contain code.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

INTERACTIONS = ("create", "read", "search", "patch", "operation")


class Declaration(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class FieldDeclaration(Declaration):
    """One line of `fields`: a lens (`path`), an address (`to` alone) or a derived field.

    `to` is the target type, or prefixes by type; `each` names the list whose entries this field
    makes; `any` maps a value to the sub-search that must find something for it.
    """

    path: str | None = None
    prefix: str | None = None
    to: str | dict[str, str] | None = None
    codes: str | None = None
    each: str | None = None
    list: bool = False
    key: str | None = None
    fields: dict[str, FieldDeclaration] | None = None
    max: int | None = Field(default=None, ge=1)
    count: str | None = None
    exists: str | None = None
    first: str | None = None
    read: str | None = None
    any: dict[str, str] | None = None
    otherwise: str | None = None

    @property
    def derived(self) -> bool:
        return any((self.count, self.exists, self.first, self.any))

    @model_validator(mode="after")
    def _one_kind(self) -> FieldDeclaration:
        kinds = [self.path, self.count, self.exists, self.first, self.any]
        named = sum(kind is not None for kind in kinds)
        if named > 1 or (named == 0 and self.to is None):
            raise ValueError("give one of path, count, exists, first, any, or `to` alone")
        if (self.first is None) != (self.read is None):
            raise ValueError("`first` and `read` belong together")
        return self


class FilterDeclaration(Declaration):
    """A query parameter: `search` criteria with `$value`, or criteria for each of its values.

    `field` names the field whose values the parameter takes (default: the one of its own name).
    """

    search: dict[str, str] | None = None
    field: str | None = None
    when: dict[str, dict[str, str]] | None = None
    default: str | None = None

    @field_validator("when", mode="before")
    @classmethod
    def _yaml_booleans(cls, when: Any) -> Any:
        if not isinstance(when, dict):
            return when
        return {str(k).lower() if isinstance(k, bool) else k: v for k, v in when.items()}

    @model_validator(mode="after")
    def _one_kind(self) -> FilterDeclaration:
        if (self.search is None) == (self.when is None):
            raise ValueError("give either `search` or `when`")
        if self.default is not None and self.default not in (self.when or {}):
            raise ValueError("`default` must be one of the values of `when`")
        return self


class PageDeclaration(Declaration):
    limit: int = Field(default=25, ge=1)
    max: int = Field(default=100, ge=1)


class RouteDeclaration(Declaration):
    """One line of `routes`: its key is the method and the path."""

    id: str
    summary: str
    scope: str
    module: str
    does: str
    takes: dict[str, Any] = {}
    set: dict[str, Any] = {}
    always: dict[str, str] = {}
    filters: dict[str, FilterDeclaration] = {}
    page: PageDeclaration | None = None
    gives: dict[int, dict[str, Any]]
    requires: dict[str, str] = {}
    events: tuple[str, ...] = ()

    @property
    def interaction(self) -> str:
        return self.does.split()[0]

    @property
    def operation(self) -> str:
        return self.does.partition(" ")[2]

    @field_validator("does")
    @classmethod
    def _known(cls, does: str) -> str:
        word, _, name = does.partition(" ")
        if word not in INTERACTIONS:
            raise ValueError("must be create, read, search, patch or operation <name>")
        if (word == "operation") != bool(name):
            raise ValueError("`operation`, and only that, takes a name")
        return does


class MappingDeclaration(Declaration):
    """A whole file: one v1 concept.

    `completed` names the elements that rules of the domain set, so that no route need set them;
    `events` the fields that each type of event tells.
    """

    resource: str
    profile: str | None = None
    completed: tuple[str, ...] = ()
    fields: dict[str, FieldDeclaration]
    routes: dict[str, RouteDeclaration] = {}
    events: dict[str, list[str]] = {}


class LegacyDeclaration(Declaration):
    """An old prefix: since when it is deprecated and when it ends (RFC 9745, RFC 8594)."""

    deprecated: date
    sunset: date


class ServiceDeclaration(Declaration):
    """`_service.yaml`: what all routes share."""

    prefix: str
    legacy: dict[str, LegacyDeclaration] = {}
    client_mutation: str = Field(alias="clientMutation")
    modules: tuple[str, ...]
    scopes: dict[str, str]
