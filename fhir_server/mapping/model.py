"""What a file of mappings/ may say: the declarations, before anything is looked up.

A field is a lens between one v1 value and one place in a FHIR resource, a route is exactly one
FHIR interaction. Files name things; they never contain code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, RootModel, field_validator, model_validator

from fhir_server.definitions.loader import did_you_mean
from fhir_server.problems import ALL_V1_CODES

# The family of requests that a route belongs to when it names none.
DEFAULT_LIMIT = "default"
_RATE = re.compile(r"([1-9]\d{0,8})/(s|min|h)", re.ASCII)
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_SECONDS = {"s": 1, "min": 60, "h": 3600}
# What an export can be: v1's rows as a table or as lines of JSON, or the resources as they are.
Format = Literal["csv", "ndjson", "fhir"]
INTERACTIONS = ("create", "read", "search", "update", "patch", "operation")


class Declaration(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class FieldDeclaration(Declaration):
    """One line of `fields`: a lens (`path`), an address (`to` alone) or a derived field.

    `to` is the target type, or prefixes by type; `Resource` is any type, and the v1 value the whole
    reference. `each` names the list whose entries this field makes; `encoding` is how a text is
    kept; `any` maps a value to the sub-search that must find something for it.
    """

    path: str | None = None
    prefix: str | None = None
    to: str | dict[str, str] | None = None
    codes: str | None = None
    encoding: Literal["base64"] | None = None
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

    `field` names the field whose values the parameter takes (default: the one of its own name);
    `type: date` takes a day or a moment instead.
    """

    search: dict[str, str] | None = None
    field: str | None = None
    type: Literal["date"] | None = None
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
        if self.type is not None and (self.field is not None or self.search is None):
            raise ValueError("`type` belongs to `search`, and stands for a field")
        if self.default is not None and self.default not in (self.when or {}):
            raise ValueError("`default` must be one of the values of `when`")
        return self


class PageDeclaration(Declaration):
    limit: int = Field(default=25, ge=1)
    max: int = Field(default=100, ge=1)


class ContentDeclaration(Declaration):
    """Where a resource says what its bytes are: the fields of the file's name in the file store,
    its own name, media type, size in bytes, and SHA-256 in hexadecimal."""

    file: str
    name: str
    type: str
    size: str
    sha256: str


class RouteDeclaration(Declaration):
    """One line of `routes`: its key is the method and the path.

    `formats` are those an export can be had in; the first is what nobody asked for otherwise.
    """

    id: str
    summary: str
    scope: str
    module: str | None
    does: str
    takes: dict[str, Any] = {}
    set: dict[str, Any] = {}
    add: dict[str, str] = {}
    remove: dict[str, str] = {}
    always: dict[str, str] = {}
    filters: dict[str, FilterDeclaration] = {}
    page: PageDeclaration | None = None
    gives: dict[int, dict[str, Any]]
    requires: dict[str, str] = {}
    of: str | None = None
    expects: dict[str, Any] = {}
    content: Literal["upload", "append", "progress", "download", "export"] | None = None
    formats: tuple[Format, ...] = ()
    events: tuple[str, ...] = ()
    limit: str = DEFAULT_LIMIT
    roles: tuple[str, ...] = ()

    @property
    def interaction(self) -> str:
        return self.does.split()[0]

    @property
    def exports(self) -> bool:
        """Whether the answer is every match, as a file."""
        return self.content == "export"

    @property
    def moves_bytes(self) -> bool:
        """Whether it takes or gives what the file store holds of a resource."""
        return self.content is not None and not self.exports

    @property
    def operation(self) -> str:
        return self.does.partition(" ")[2]

    @field_validator("does")
    @classmethod
    def _known(cls, does: str) -> str:
        word, _, name = does.partition(" ")
        if word not in INTERACTIONS:
            raise ValueError("must be create, read, search, update, patch or operation <name>")
        if (word == "operation") != bool(name):
            raise ValueError("`operation`, and only that, takes a name")
        return does

    @model_validator(mode="after")
    def _bytes_belong_to_one(self) -> RouteDeclaration:
        writes = self.content in ("upload", "append")
        if self.moves_bytes and self.interaction != ("patch" if writes else "read"):
            raise ValueError("`content: upload` and `append` belong to a patch, others to a read")
        if self.expects and not self.moves_bytes:
            raise ValueError("`expects` belongs to `content`")
        return self

    @model_validator(mode="after")
    def _an_export_is_a_whole_search(self) -> RouteDeclaration:
        if self.exports != bool(self.formats):
            raise ValueError("`content: export` and `formats` belong together")
        if self.exports and (self.interaction != "search" or self.page):
            raise ValueError("`content: export` belongs to a search, and has no `page`")
        return self


class ConsumeDeclaration(Declaration):
    """One line of `consumes`: an event, and the interaction that it is here.

    `subjects` are where another service's event comes from; our own comes from where it is
    published, and names none. `when` the data it must have to concern us; `takes` and
    `set` as in a route, where data that is not named is ignored; `id` the field that names the
    resource of an update; `once` the search that finds what a create made already, or
    {} where the domain knows of itself what there may be one of.
    """

    subjects: tuple[str, ...] = ()
    does: Literal["create", "update"]
    when: dict[str, str | bool] = {}
    takes: dict[str, Any]
    set: dict[str, Any] = {}
    id: str | None = None
    once: dict[str, str] | None = None

    @model_validator(mode="after")
    def _is_one_resource(self) -> ConsumeDeclaration:
        if self.does == "update" and (self.id is None or self.once):
            raise ValueError("an update needs `id`, the field that names the resource")
        if self.does == "create" and (self.once is None or self.id):
            raise ValueError("a create needs `once`, the search that finds what is there already")
        return self


class MappingDeclaration(Declaration):
    """A whole file: one v1 concept.

    `prefix` is what its routes lie under where that is not the service's; `at` is the id of the
    one resource of this kind that a tenant has, which its routes mean;
    `completed` names the elements that rules of the domain set, so that no route need set them;
    `events` the fields that each type of event tells; `consumes` are events that
    mean an interaction here.
    """

    resource: str
    profile: str | None = None
    prefix: str | None = Field(default=None, pattern=r"^(/[a-z0-9-]+)+$")
    at: str | None = None
    completed: tuple[str, ...] = ()
    fields: dict[str, FieldDeclaration]
    content: ContentDeclaration | None = None
    routes: dict[str, RouteDeclaration] = {}
    events: dict[str, list[str]] = {}
    consumes: dict[str, ConsumeDeclaration] = {}


class LegacyDeclaration(Declaration):
    """An old prefix: since when it is deprecated and when it ends (RFC 9745, RFC 8594)."""

    deprecated: date
    sunset: date


class EventsDeclaration(Declaration):
    """Where events are published: `communication.message.sent` to `message.sent` below `subject`,
    where `types` is `communication`. `legacy` are the old subjects, by the day that ends them and
    by what an event's name begins with: `thread: ghasi.messaging.thread`. `dead` is where inbound
    events go that cannot be used."""

    types: str
    subject: str
    dead: str
    legacy: dict[date, dict[str, str]] = {}

    def own(self, type_: str) -> bool:
        """Whether it is one of ours."""
        return type_.startswith(self.types + ".")

    def place(self, type_: str) -> str:
        """The subject of our own event that stays."""
        return f"{self.subject}.{type_.removeprefix(self.types + '.')}"

    def subjects(self, type_: str, today: date) -> list[str]:
        """Where an event of that type goes: first the subject that stays."""
        name = type_.removeprefix(self.types + ".")
        return [self.place(type_), *self._old(name, today)]

    def roots(self) -> list[str]:
        """What every subject begins with."""
        old = {
            subject.split(".")[0] if "." not in subject else ".".join(subject.split(".")[:2])
            for names in self.legacy.values()
            for subject in names.values()
        }
        return [self.subject, *sorted(old)]

    def _old(self, name: str, today: date) -> Iterator[str]:
        for sunset, names in self.legacy.items():
            for prefix, subject in names.items():
                if today <= sunset and name.startswith(prefix + "."):
                    yield subject + name.removeprefix(prefix)


class Rate(NamedTuple):
    """At most `most` requests in any `seconds`."""

    most: int
    seconds: int


class LimitDeclaration(Declaration):
    """A family of requests: how many all users of a tenant together, and each of them, may make;
    written `1000/min`, `10/s` or `500/h`."""

    tenant: Rate | None = None
    user: Rate | None = None

    @field_validator("tenant", "user", mode="before")
    @classmethod
    def _rate(cls, text: Any) -> Any:
        found = _RATE.fullmatch(str(text))
        if found is None:
            raise ValueError("a rate is a number and a time: 1000/min")
        return Rate(int(found[1]), _SECONDS[found[2]])


class ErrorTexts(RootModel[dict[str, dict[str, str]]]):
    """`_errors.yaml`: what a refusal says, by language and by `error.code`."""

    model_config = ConfigDict(frozen=True)

    @field_validator("root")
    @classmethod
    def _known(cls, texts: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        for tag, said in texts.items():
            if not _LANGUAGE.fullmatch(tag):
                raise ValueError(f"{tag} is no language: two or three small letters")
            for code in said:
                if code not in ALL_V1_CODES:
                    raise ValueError(
                        f"{tag}: unknown code {code}{did_you_mean(code, ALL_V1_CODES)}"
                    )
        return texts


class ServiceDeclaration(Declaration):
    """`_service.yaml`: what all routes share."""

    prefix: str
    legacy: dict[str, LegacyDeclaration] = {}
    client_mutation: str = Field(alias="clientMutation")
    modules: tuple[str, ...]
    scopes: dict[str, str]
    limits: dict[str, LimitDeclaration]
    events: EventsDeclaration

    @field_validator("limits")
    @classmethod
    def _has_default(cls, limits: dict[str, LimitDeclaration]) -> dict[str, LimitDeclaration]:
        if DEFAULT_LIMIT not in limits:
            raise ValueError(f"`{DEFAULT_LIMIT}` is missing")
        return limits
