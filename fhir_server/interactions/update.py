"""update and patch: a new version of a resource. https://hl7.org/fhir/R4/http.html#update

A resource that is not there is created only for a system client (update as create). `If-Match`
names the version that the change is meant for: another one is 412.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from fhir_server.context import Context
from fhir_server.interactions.model import Draft, Read, Ref, Resource, Result, Seen, Snapshot
from fhir_server.problems import Problem, forbidden, invalid, not_found

Change = Callable[[Resource], Resource]


@dataclass(frozen=True, slots=True)
class Update:
    """Replaces the resource by `change` of the current one; `create` where it may be new."""

    ctx: Context
    ref: Ref
    change: Change
    if_match: str | None = None
    create: bool = False
    preview: Resource | None = None

    @property
    def type(self) -> str:
        """The resource type."""
        return self.ref.type

    def reads(self) -> Iterable[Read]:
        """The current version."""
        return (Read(self.ref, claim=self.create and self.ctx.is_system),)

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
        draft.method = "PATCH" if self.preview is None else None
        return (draft,), Result()

    def _first(self) -> Draft:
        if not self.create:
            raise not_found(f"{self.ref.type}/{self.ref.id}")
        if not self.ctx.is_system:
            raise Problem(405, "not-supported", "only a system client may choose an id")
        resource = dict(self.change({}))
        check_id(self.ref, resource)
        return Draft("create", self.ref.type, self.ref.id, resource, chosen_id=True)


def check_version(current: Seen | None, if_match: str | None) -> None:
    """412 where `If-Match` (`W/"3"`) names another version than the current one."""
    if if_match is None:
        return
    wanted = if_match.strip().removeprefix("W/").strip('"')
    if current is None or (wanted != "*" and wanted != str(current.stored.version)):
        raise Problem(412, "conflict", "the resource has another version than If-Match names")


def check_id(ref: Ref, resource: Resource) -> None:
    """400 where the body's type or id differs from the address."""
    if resource.get("resourceType") != ref.type:
        raise invalid(f"the body must be a {ref.type}, as the address says", "resourceType")
    if resource.get("id", ref.id) != ref.id:
        raise invalid("the body's id must be the one of the address", f"{ref.type}.id")


def check_open(seen: Seen | None, ref: Ref) -> Seen:
    """404 where it is not there, 403 where the access policy does not show it."""
    if seen is None:
        raise not_found(f"{ref.type}/{ref.id}")
    check_shown(seen, ref)
    return seen


def check_shown(seen: Seen | None, ref: Ref) -> None:
    """403 where it is there and the access policy does not show it: nothing of it is told."""
    if seen is not None and not seen.allowed:
        raise forbidden(f"{ref.type}/{ref.id} is not open to you")
