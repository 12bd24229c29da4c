"""A request under the GDPR: who may make one, and how far it is.

The request is a Task. Whoever may make one creates it; from there on only the server itself moves
it, in a job's context, so that no client can call something done that was not. An administrator
may take back what was not begun.
https://hl7.org/fhir/R4/task.html#statemachine
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from fhir_server.communication.configuration import ADMIN
from fhir_server.communication.gdpr.export import export_of, file_of
from fhir_server.communication.gdpr.policy import CODES, Policy
from fhir_server.communication.parties import changed, local, signed
from fhir_server.context import Context
from fhir_server.definitions.loader import CANONICAL
from fhir_server.fhir.instant import now_text
from fhir_server.interactions.model import Draft, Event, Read, Ref, Resource, Snapshot
from fhir_server.interactions.plan import Criteria
from fhir_server.problems import Problem, conflict, forbidden

TYPE: Final = "Task"
CODE: Final = f"{CANONICAL}/CodeSystem/gdpr-request"
HOLD: Final = f"{CANONICAL}/CodeSystem/gdpr-hold"
OUTPUT: Final = f"{CANONICAL}/CodeSystem/gdpr-output"
TYPES: Final = "http://hl7.org/fhir/resource-types"
REQUESTED, IN_PROGRESS, ON_HOLD = "requested", "in-progress", "on-hold"
COMPLETED, FAILED, CANCELLED = "completed", "failed", "cancelled"
OF_PATIENTS: Final = ("restrict", "lift")
OPEN: Final = (REQUESTED, IN_PROGRESS, ON_HOLD)
_NEXT: Final[Mapping[str, tuple[str, ...]]] = {
    REQUESTED: (IN_PROGRESS, ON_HOLD, COMPLETED, FAILED),
    IN_PROGRESS: (IN_PROGRESS, ON_HOLD, COMPLETED, FAILED),
    ON_HOLD: (IN_PROGRESS, ON_HOLD, COMPLETED, FAILED),
    # What an export made is kept for a while only.
    COMPLETED: (COMPLETED,),
}
_TAKEN_BACK: Final = frozenset({"status", "statusReason", "meta", "text"})
MADE = "communication.gdpr.requested"
DONE = "communication.gdpr.completed"
HELD = "communication.gdpr.held"
GIVEN_UP = "communication.gdpr.failed"
_TOLD: Final = {COMPLETED: DONE, ON_HOLD: HELD, FAILED: GIVEN_UP}


@dataclass(frozen=True, slots=True)
class GdprRequestRule:
    """The profile gdpr-request."""

    policy: Policy = field(default_factory=Policy)
    profile: str = "gdpr-request"
    announces: tuple[str, ...] = (MADE, DONE, HELD, GIVEN_UP)

    def reads(self, ctx: Context, draft: Draft) -> Iterable[Read]:
        """Whose data it is about."""
        subject = subject_of(draft.resource)
        if draft.kind == "create" and subject:
            yield Read(subject)

    def complete(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> None:
        """A new one gets its date; 403 for others than administrators and trusted backends."""
        if ADMIN not in ctx.roles and not ctx.is_system:
            raise forbidden("only an administrator makes requests under the GDPR")
        if draft.kind == "create":
            self._make(ctx, draft.resource, snapshot)
        elif draft.kind == "delete":
            raise forbidden("a request under the GDPR is not deleted")
        elif ctx.face == "job":
            _check_step(draft)
        else:
            _check_taken_back(draft)

    def events(self, ctx: Context, draft: Draft, snapshot: Snapshot) -> Iterable[Event]:
        """requested; completed, held or failed, when that is new."""
        if draft.kind == "create":
            yield Event(MADE, draft)
        elif draft.base and state_of(draft.base.resource) != state_of(draft.resource):
            told = _TOLD.get(state_of(draft.resource))
            if told:
                yield Event(told, draft)

    def _make(self, ctx: Context, request: Resource, snapshot: Snapshot) -> None:
        subject, code = subject_of(request), code_of(request)
        if code not in CODES:
            raise _refused("code-invalid", f"the code must be one of {', '.join(CODES)}", "code")
        if subject is None or subject not in snapshot:
            raise _refused("not-found", "for must be a person whom this server knows", "for")
        if code in OF_PATIENTS and subject.type != "Patient":
            raise _refused("business-rule", "only a patient's data is kept and not used", "for")
        if state_of(request) != REQUESTED:
            raise _refused("value", "a new request is requested", "status")
        unfit = {"output", "businessStatus", "executionPeriod"} & request.keys()
        if unfit:
            raise _refused("business-rule", "what came of it is the server's to say", min(unfit))
        if export_of(request) or file_of(request):
            raise _refused(
                "business-rule", "which file it has is the server's to say", "identifier"
            )
        request["for"] = {"reference": f"{subject.type}/{subject.id}"}
        request["requester"] = _requester(ctx, request)
        # Another date than now's moves nobody's deadline.
        request["authoredOn"] = now_text(ctx.now)
        end = now_text(ctx.now + self.policy.due(code))
        request["restriction"] = {"period": {"start": request["authoredOn"], "end": end}}


def one_open(request: Resource) -> Criteria:
    """The open request of the same code about the same person."""
    subject, code = subject_of(request), code_of(request)
    if subject is None or not code:
        return ()
    return (
        ("subject", f"{subject.type}/{subject.id}"),
        ("code", f"{CODE}|{code}"),
        ("status", ",".join(OPEN)),
    )


def subject_of(request: Resource) -> Ref | None:
    """Whose data it is about."""
    return local(request.get("for"))


def code_of(request: Resource) -> str:
    """erase, export, restrict, lift; "" where it has none."""
    codings = request.get("code", {}).get("coding", ())
    return next((str(c.get("code", "")) for c in codings if c.get("system") == CODE), "")


def state_of(request: Resource) -> str:
    """Its status."""
    return str(request.get("status", ""))


def hold_of(request: Resource) -> str | None:
    """What it waits for: a code of the CodeSystem gdpr-hold."""
    codings = request.get("businessStatus", {}).get("coding", ())
    return next((c.get("code") for c in codings if c.get("system") == HOLD), None)


def due_by(request: Resource) -> datetime:
    """By when it is to be done."""
    return datetime.fromisoformat(request["restriction"]["period"]["end"])


def output(system: str, code: str, **value: Any) -> Resource:
    """One entry of `Task.output`: `output(TYPES, "Communication", valueInteger=3)`."""
    return {"type": {"coding": [{"system": system, "code": code}]}, **value}


def moved(
    request: Resource, state: str, outputs: Iterable[Resource] = (), hold: str | None = None
) -> Resource:
    """A copy in that state; `hold` is a code of the CodeSystem gdpr-hold."""
    found = {**request, "status": state}
    found.pop("businessStatus", None)
    if hold:
        found["businessStatus"] = {"coding": [{"system": HOLD, "code": hold}]}
    listed = list(outputs)
    return {**found, "output": listed} if listed else found


def _requester(ctx: Context, request: Resource) -> Any:
    if ctx.user is None and "requester" not in request:
        name = f"{CANONICAL}/NamingSystem/client"
        return {"identifier": {"system": name, "value": ctx.subject}}
    return signed(ctx, request, "requester")


def _check_step(draft: Draft) -> None:
    before = state_of(draft.base.resource) if draft.base else ""
    if state_of(draft.resource) not in _NEXT.get(before, ()):
        raise conflict("the request is closed", v1_code="INVALID_STATE_TRANSITION")


def _check_taken_back(draft: Draft) -> None:
    before = draft.base.resource if draft.base else {}
    if code_of(before) != code_of(draft.resource) or changed(before, draft.resource) - _TAKEN_BACK:
        raise conflict("of a request under the GDPR nothing changes but that it is cancelled")
    state = state_of(before), state_of(draft.resource)
    if state[0] != state[1] and state not in ((REQUESTED, CANCELLED), (ON_HOLD, CANCELLED)):
        raise conflict("only what was not begun can be cancelled")


def _refused(code: str, why: str, element: str) -> Problem:
    return Problem(422, code, why, expression=f"{TYPE}.{element}")
