"""update and patch: a new version of a resource. https://hl7.org/fhir/R4/http.html#update

A resource that is not there is created only for a system client (update as create). `If-Match`
names the version that the change is meant for, `If-Unmodified-Since` the last moment at which it
may have come about: another one is 412.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from fhir_server.context import Context
from fhir_server.interactions.model import Draft, Read, Ref, Resource, Result, Seen, Snapshot
from fhir_server.problems import Problem, forbidden, invalid, not_found

Change = Callable[[Resource], Resource]
# The version that a change is meant for: its ETag, or the second at which it was current.
Known = str | datetime


@dataclass(frozen=True, slots=True)
class Update:
    """Replaces the resource by `change` of the current one; `create` where it may be new, `ours`
    where its id is the server's choice; `method` where it is not the one that the body tells."""

    ctx: Context
    ref: Ref
    change: Change
    if_match: Known | None = None
    create: bool = False
    preview: Resource | None = None
    ours: bool = False
    method: str | None = None

    @property
    def type(self) -> str:
        """The resource type."""
        return self.ref.type

    def reads(self) -> Iterable[Read]:
        """The current version."""
        return (Read(self.ref, claim=self.create and self._may_name),)

    def previews(self) -> Iterable[Draft]:
        """The new content, where it does not depend on the current one."""
        if self.preview is not None:
            yield Draft("update", self.ref.type, self.ref.id, dict(self.preview))

    def decide(self, snapshot: Snapshot) -> tuple[Sequence[Draft], Result]:
        """One new version, or the first one."""
        current = snapshot.get(self.ref)
        check_shown(current, self.ref)
        check_version(current, self.if_match)
        if current is None:
            return (self._first(),), Result()
        resource = dict(self.change(current.resource))
        check_id(self.ref, resource)
        draft = Draft("update", self.ref.type, self.ref.id, resource, current)
        draft.method = self.method or ("PATCH" if self.preview is None else None)
        return (draft,), Result()

    @property
    def _may_name(self) -> bool:
        return self.ctx.is_system or self.ours

    def _first(self) -> Draft:
        if not self.create:
            raise not_found(self.ref.type)
        if not self._may_name:
            raise Problem(405, "not-supported", "only a system client may choose an id")
        resource = dict(self.change({}))
        check_id(self.ref, resource)
        return Draft("create", self.ref.type, self.ref.id, resource, chosen_id=True)


def check_version(current: Seen | None, if_match: Known | None) -> None:
    """412 where the client means another version than the current one: `W/"3"`, or one that was
    there at that second."""
    if isinstance(if_match, datetime):
        check_unmodified(current, if_match)
    elif if_match is not None:
        check_tag(current, if_match)


def check_tag(current: Seen | None, if_match: str) -> None:
    """https://www.rfc-editor.org/rfc/rfc9110#section-13.1.1"""
    wanted = if_match.strip().removeprefix("W/").strip('"')
    if current is None or (wanted != "*" and wanted != str(current.stored.version)):
        raise Problem(412, "conflict", "the resource has another version than If-Match names")


def check_unmodified(current: Seen | None, since: datetime) -> None:
    """What is not there was not modified. https://www.rfc-editor.org/rfc/rfc9110#section-13.1.4"""
    if current is not None and current.stored.updated.replace(microsecond=0) > since:
        raise Problem(
            412, "conflict", "the resource was updated since the If-Unmodified-Since date"
        )


def check_id(ref: Ref, resource: Resource) -> None:
    """400 where the body's type or id differs from the address."""
    if resource.get("resourceType") != ref.type:
        raise invalid(f"the body must be a {ref.type}, as the address says", "resourceType")
    if resource.get("id", ref.id) != ref.id:
        raise invalid("the body's id must be the one of the address", f"{ref.type}.id")


def check_open(seen: Seen | None, ref: Ref) -> Seen:
    """404 where it is not there, 403 where the access policy does not show it."""
    if seen is None:
        raise not_found(ref.type)
    check_shown(seen, ref)
    return seen


def check_shown(seen: Seen | None, ref: Ref) -> None:
    """403 where it is there and the access policy does not show it: nothing of it is told."""
    if seen is not None and not seen.allowed:
        raise forbidden(f"this {ref.type} is not open to you")
