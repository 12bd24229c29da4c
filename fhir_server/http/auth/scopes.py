"""What the scopes of a token allow: exact names on the v1 face, SMART scopes on the FHIR face.

Scopes only ever take away: roles and the access policy decide as well, further in.

A SMART scope may allow an interaction for a part of a type's resources only, because it has a
query (`user/Communication.rs?category=alert`) or because it is a `patient/` one. The part is
then given as search criteria that all must hold, and the interaction must apply them: to a
search as further parameters; to read, history, update and delete on the stored resource; to
create and update on the resource as it will be stored. Where several scopes allow different
parts, their union counts when one list of criteria can say it; when none can, the interaction
is refused: a grant never grows.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, NamedTuple

from fhir_server.context import Context
from fhir_server.http.auth import compartment, smart
from fhir_server.http.auth.refusal import insufficient_scope
from fhir_server.http.auth.smart import Criterion, SmartScope

Interaction = Literal[
    "create",
    "read",
    "vread",
    "history-instance",
    "update",
    "patch",
    "delete",
    "search-type",
    "history-type",
    "validate",
]
Criteria = tuple[Criterion, ...]

# https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html#scopes-for-requesting-fhir-resources
_LETTERS: dict[str, str] = {
    "create": "c",
    "read": "r",
    "vread": "r",
    "history-instance": "r",
    "update": "u",
    "patch": "u",
    "delete": "d",
    "search-type": "s",
    "history-type": "s",
    "validate": "cru",  # nothing is stored: whoever may handle one such resource may check it
}


def require_scope(ctx: Context, scope: str) -> None:
    """v1: Problem 403 unless the token has exactly this scope."""
    if scope not in ctx.scopes:
        raise insufficient_scope(f"this needs the scope {scope}", scope)


def require(ctx: Context, resource_type: str, interaction: Interaction) -> Criteria:
    """FHIR: the criteria the interaction is limited to, () for none; Problem 403 if refused."""
    found = narrowing(ctx, resource_type, interaction)
    if found is None:
        wanted = f"user/{resource_type}.{_LETTERS[interaction][0]}"
        raise insufficient_scope(f"no scope allows {interaction} of {resource_type}", wanted)
    return found


def require_whole(ctx: Context, resource_types: Iterable[str], interaction: Interaction) -> None:
    """FHIR: for types an interaction only passes through, which criteria cannot be put on.

    Call it with "read" for the types of _include and _revinclude, and with "search-type" for
    those of chains and _has. Problem 403 unless all of each type is allowed.
    """
    for resource_type in resource_types:
        if require(ctx, resource_type, interaction):
            why = f"the token's scopes allow a part of {resource_type} only"
            raise insufficient_scope(why, f"user/{resource_type}.{_LETTERS[interaction][0]}")


def allows(ctx: Context, resource_type: str, interaction: Interaction) -> bool:
    """True when allowed for every resource of the type: such a caller needs no criteria."""
    return narrowing(ctx, resource_type, interaction) == ()


def narrowing(ctx: Context, resource_type: str, interaction: Interaction) -> Criteria | None:
    """As `require`, with None for refused."""
    holder = _Holder(ctx.scopes, ctx.is_system, ctx.user is not None, ctx.patient)
    return _narrowing(holder, resource_type, interaction)


class _Holder(NamedTuple):
    """All of a Context that scopes depend on."""

    scopes: frozenset[str]
    is_system: bool
    has_user: bool
    patient: str | None

    def may_use(self, scope: SmartScope) -> bool:
        match scope.level:
            case "system":
                return self.is_system
            case "user":
                return self.has_user or self.is_system
            case "patient":
                return self.patient is not None


@lru_cache(maxsize=1024)
def _compiled(scopes: frozenset[str]) -> tuple[SmartScope, ...]:
    return tuple(found for scope in sorted(scopes) if (found := smart.parse(scope)))


@lru_cache(maxsize=16_384)
def _narrowing(holder: _Holder, resource_type: str, interaction: str) -> Criteria | None:
    parts = [
        part
        for scope in _compiled(holder.scopes)
        if holder.may_use(scope) and scope.type in (resource_type, "*")
        for letter in _LETTERS[interaction]
        if (part := _part(scope, resource_type, letter, holder.patient)) is not None
    ]
    return union(parts)


def _part(
    scope: SmartScope, resource_type: str, letter: str, patient: str | None
) -> Criteria | None:
    if letter not in scope.letters:
        return None
    if scope.level != "patient":
        return scope.criteria
    bound = compartment.binding(resource_type, patient or "", letter)
    return None if bound is None else (*bound, *scope.criteria)


def union(parts: list[Criteria]) -> Criteria | None:
    """One list of criteria that means "any of these parts"; None when there is none."""
    kept = _without_contained(parts)
    if not kept:
        return None
    first, *others = kept
    if not others:
        return first
    return _joined(kept)


def _without_contained(parts: list[Criteria]) -> list[Criteria]:
    """More criteria mean fewer resources: a part that has all of another's lies within it."""
    distinct = list({frozenset(part): part for part in parts}.values())
    return [
        part
        for part in distinct
        if not any(frozenset(other) < frozenset(part) for other in distinct)
    ]


def _joined(parts: list[Criteria]) -> Criteria | None:
    """`a=1&b=2` or `a=1&b=3` → `a=1&b=2,3`; None unless one plain parameter is the difference."""
    common = frozenset.intersection(*(frozenset(part) for part in parts))
    differing = [[criterion for criterion in part if criterion not in common] for part in parts]
    if any(len(rest) != 1 for rest in differing):
        return None
    names = {rest[0][0] for rest in differing}
    name = names.pop()
    if names or ":" in name:
        return None
    values = ",".join(rest[0][1] for rest in differing)
    return (*(criterion for criterion in parts[0] if criterion in common), (name, values))
