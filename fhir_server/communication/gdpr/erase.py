"""The plan of an erasure: a batch of resources and earlier versions, in one transaction.

Whether something is under legal hold is decided on what is locked at that moment: a hold that was
set while the batch was on its way is met. With the batch goes the Provenance that says who had it
erased. https://hl7.org/fhir/R4/provenance.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from fhir_server.communication.attachment_state import FILE, is_attachment
from fhir_server.communication.gdpr.redact import Redact, Redactor
from fhir_server.context import Context
from fhir_server.fhir.ids import new_id
from fhir_server.fhir.instant import now_text
from fhir_server.interactions.model import Draft, Read, Ref, Resource, Result, Snapshot

ARTICLE: Final = "https://eur-lex.europa.eu/eli/reg/2016/679/art_17/oj"
LIFECYCLE: Final = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
REASON: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_METHOD: Final = "PUT"


class Version(NamedTuple):
    """An earlier version of a resource."""

    ref: Ref
    version: int
    resource: Resource


@dataclass(frozen=True, slots=True)
class Erase:
    """Erases `refs` and the `versions` of others. `naming`: they stay, and only no longer say what
    the subject is called; `filed`: the names of their files stay, which are not removed yet."""

    ctx: Context
    redactor: Redactor
    request: Ref
    subject: Ref
    refs: Sequence[Ref]
    versions: Sequence[Version] = ()
    naming: bool = False
    filed: bool = False
    provenance: str = field(default_factory=new_id)

    @property
    def type(self) -> str:
        """Of one of them."""
        return self.refs[0].type if self.refs else self.versions[0].ref.type

    def reads(self) -> Iterable[Read]:
        """All of them, whom it is about, who must not be put under hold meanwhile, and the
        request."""
        yield from (Read(ref) for ref in self.refs)
        yield from (Read(version.ref) for version in self.versions)
        yield from (Read(self.subject, guard=True), Read(self.request))

    def previews(self) -> Iterable[Draft]:
        """Unknown before they are seen."""
        return ()

    def decide(self, snapshot: Snapshot) -> tuple[Sequence[Draft], Result]:
        """What is left of each, unless it is under hold."""
        held = self.redactor.policy.held
        person = snapshot.get(self.subject)
        if person and held(person.resource):
            return (), Result()
        drafts = [*self._current(snapshot), *self._past(snapshot)]
        if not drafts:
            return (), Result()
        return [*drafts, self._provenance(snapshot, drafts)], Result(deleted=len(drafts))

    def _current(self, snapshot: Snapshot) -> Iterator[Draft]:
        held = self.redactor.policy.held
        for ref in self.refs:
            seen = snapshot.get(ref)
            if seen is None or held(seen.resource):
                continue
            left = self._left(seen.resource)
            if self.filed:
                left |= filed(seen.resource)
            if left != seen.resource:
                yield Draft("update", *_parts(ref), left, seen, method=_METHOD, erases=self._left)

    def _past(self, snapshot: Snapshot) -> Iterator[Draft]:
        held = self.redactor.policy.held
        for ref, version, resource in self.versions:
            seen = snapshot.get(ref)
            if not held(seen.resource if seen else resource):
                left = self._left(resource)
                yield Draft("erase", *_parts(ref), left, version=version, erases=self._left)

    @property
    def _left(self) -> Redact:
        if self.naming:
            return lambda resource: self.redactor.unnamed(resource, self.subject)
        return self.redactor.redact

    def _provenance(self, snapshot: Snapshot, drafts: Sequence[Draft]) -> Draft:
        request = f"{self.request.type}/{self.request.id}"
        asked = snapshot.get(self.request)
        who: Any = asked.resource.get("requester") if asked else None
        resource: Resource = {
            "resourceType": "Provenance",
            "target": [{"reference": one} for one in dict.fromkeys(d.reference for d in drafts)],
            "recorded": now_text(self.ctx.now),
            "policy": [ARTICLE],
            "reason": [{"coding": [{"system": REASON, "code": "PATRQT"}]}],
            "activity": {"coding": [{"system": LIFECYCLE, "code": "destroy"}]},
            "agent": [{"who": who or {"display": self.ctx.subject}}],
            "entity": [{"role": "source", "what": {"reference": request}}],
        }
        return Draft("create", "Provenance", self.provenance, resource)


def filed(resource: Resource) -> Resource:
    """The element by which an attachment names its file; none where it has no file."""
    named = resource.get("masterIdentifier", {})
    if not is_attachment(resource) or named.get("system") != FILE:
        return {}
    return {"masterIdentifier": {"system": FILE, "value": named.get("value")}}


def _parts(ref: Ref) -> tuple[str, str]:
    return ref.type, ref.id
