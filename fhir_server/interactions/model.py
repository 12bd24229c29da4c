"""The values that pass through the write pipeline, and what a rule of the domain looks like.

Rules and operations are attached to profiles and OperationDefinitions through the registry, so
this package never imports the domain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal, Protocol

from fhir_server.context import Context
from fhir_server.store.stored import Stored
from fhir_server.store.write import Kind

Resource = dict[str, Any]
DraftKind = Kind | Literal["erase"]
LIFETIME = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer as kept for an idempotency key."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """What a write led to. `replay` is set when an earlier answer stands for it instead;
    `deleted` counts what a conditional delete took, `more` says that it left matches behind.
    `touched` are the versions written; one that deletes has the body of what it deleted."""

    stored: Stored | None = None
    resource: Resource | None = None
    parameters: Resource | None = None
    created: bool = False
    replay: Answer | None = None
    deleted: int = 0
    more: bool = False
    touched: Sequence[Stored] = ()


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A client's key. `render` makes the answer before the commit, so that key, answer and
    effect commit together; after `lifetime` the key counts as unused. `beside` are further keys of
    the same request and their lifetimes: any of them finds the answer."""

    key: str
    fingerprint: str
    render: Callable[[Result], Answer]
    lifetime: timedelta = LIFETIME
    beside: Mapping[str, timedelta] = field(default_factory=dict)

    @property
    def lifetimes(self) -> Mapping[str, timedelta]:
        """That of every key."""
        return {self.key: self.lifetime, **self.beside}


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """A resource that a decision rests on; a guarded one must not change before the commit."""

    type: str
    id: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A loaded resource; `allowed` says whether the access policy shows it to the caller."""

    stored: Stored
    resource: Resource
    allowed: bool


Snapshot = Mapping[Ref, Seen]


@dataclass(slots=True)
class Draft:
    """A version being made. Rules complete `resource` by setting its elements anew; they never
    change a nested value, which may belong to a plan that is decided again. `base` is what it
    supersedes; `chosen_id` marks a new resource whose id the client chose; `method` is that of the
    request, where it is not the kind's own; `caused` one that no request asked for but an event.
    `erases` makes of an earlier version what is left of it: then nothing else is kept of any, and
    no rule has a say, for it is no change of the domain's. A draft of kind `erase` is one earlier
    `version` by itself."""

    kind: DraftKind
    type: str
    id: str
    resource: Resource
    base: Seen | None = None
    profiles: list[str] | None = None
    operation: str | None = None
    chosen_id: bool = False
    method: str | None = None
    caused: bool = False
    erases: Callable[[Resource], Resource] | None = None
    version: int | None = None

    @property
    def made(self) -> str:
        """What the history tells of the request: its method, and the answer's status."""
        if self.kind == "create":
            return f"{self.method or ('PUT' if self.chosen_id else 'POST')} 201"
        return f"{self.method or 'PUT'} 200"

    @property
    def reference(self) -> str:
        """`Communication/0198…`."""
        return f"{self.type}/{self.id}"


@dataclass(frozen=True, slots=True)
class Read:
    """A resource that must be seen before a decision. A guarded one must not change before the
    commit; one that is claimed must not come into being meanwhile either. `names` tells which
    others must be seen for what it says."""

    ref: Ref
    guard: bool = False
    claim: bool = False
    names: Callable[[Resource], Iterable[Ref]] | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to the resource of `draft`, told to others after the commit."""

    type: str
    draft: Draft


# The data that an event of that type tells of a resource: ids and codes, no words of a patient.
Describe = Callable[[str, Resource], Mapping[str, Any]]


# The profile of a rule that stands for every resource.
EVERY: Final = "*"


class Rule(Protocol):
    """What a profile means beyond its shape."""

    @property
    def profile(self) -> str:
        """The profile's short name, a resource type for its base definition, or EVERY."""

    @property
    def announces(self) -> tuple[str, ...]:
        """The types of its events."""

    def reads(self, ctx: Context, draft: Draft) -> Iterable[Read]:
        """The resources that `complete` will look at."""

    def complete(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> None:
        """Fills the draft in and refuses (Problem) what the domain does not allow."""

    def events(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> Iterable[Event]:
        """What happened when the draft is committed."""


# The drafts that an event causes in its own transaction: the server's doing, not the caller's.
Reaction = Callable[[Context, Event, Snapshot], Iterable[Draft]]


class Operation(Protocol):
    """An OperationDefinition's code on one resource type."""

    code: str
    type: str

    def reads(self, ctx: Context, id: str, parameters: Resource) -> Iterable[Read]:
        """The resources that `decide` will look at."""

    def decide(
        self, ctx: Context, id: str, parameters: Resource, snapshot: Snapshot
    ) -> tuple[Sequence[Draft], Resource]:
        """The drafts to write and the out Parameters."""
