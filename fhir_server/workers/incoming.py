"""One event becomes one FHIR interaction, once however often it is delivered.

Its source and id are the key of an idempotent request: key and effect commit together, so an event
that comes again, after a crash or by its old subject too, finds that it was dealt with.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fhir_server.interactions import Answer, Condition, Idempotency, Interactions, Result
from fhir_server.mapping.calls import copied
from fhir_server.mapping.consumed import Consumed
from fhir_server.mapping.inputs import Inputs
from fhir_server.problems import Problem
from fhir_server.workers.tenants import worker

# For so long an event that comes again is known.
KNOWN: Final = timedelta(days=30)
TENANT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

Effect = Literal["written", "repeated", "ignored"]


class UnusableError(Exception):
    """No delivery will make it usable; the words quote nothing of it."""


class CloudEvent(BaseModel):
    """What is read of a CloudEvent; `tenantid` says whose it is."""

    model_config = ConfigDict(extra="ignore", strict=True)

    specversion: Literal["1.0"]
    id: str = Field(min_length=1, max_length=256)
    source: str = Field(min_length=1, max_length=1024)
    type: str = Field(min_length=1, max_length=256)
    tenantid: str = Field(pattern=f"^{TENANT.pattern}$")
    data: dict[str, Any]


class Outcome(NamedTuple):
    """What an event did, and to which resource (`Patient/x`)."""

    effect: Effect
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Incoming:
    """Takes events in: `consumed` by type."""

    interactions: Interactions
    consumed: Mapping[str, Consumed]

    async def take(self, body: bytes) -> Outcome:
        """Raises UnusableError where it is no event for us, Problem where it is refused."""
        event = _read(body)
        consumed = self.consumed.get(event.type)
        if consumed is None:
            raise UnusableError("no mapping file declares its type")
        if not consumed.concerns(event.data):
            return Outcome("ignored")
        values = consumed.values(event.data)
        result = await self._perform(event, consumed, Inputs(worker(event.tenantid), body=values))
        if result.replay is not None:
            return Outcome("repeated", orjson.loads(result.replay.body))
        return Outcome("written", _reference(result))

    async def _perform(self, event: CloudEvent, consumed: Consumed, inputs: Inputs) -> Result:
        idempotency = Idempotency(_key(event), "event", _answer, KNOWN)
        type, ctx = consumed.resource, inputs.ctx
        if consumed.declared.id is not None:
            id = str(inputs.body[consumed.declared.id])
            new = {"resourceType": type, "id": id}
            return await self.interactions.replace(
                ctx,
                type,
                id,
                lambda current: consumed.write(copied(current or new), inputs),
                new=True,
                idempotency=idempotency,
            )
        resource = consumed.write({"resourceType": type}, inputs)
        once = consumed.criteria(inputs)
        condition = Condition(type, once) if once else None
        intent = self.interactions.intents.create(type, resource, condition=condition)
        return await self.interactions.write(ctx, intent, idempotency=idempotency)


def _read(body: bytes) -> CloudEvent:
    try:
        return CloudEvent.model_validate(orjson.loads(body))
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise UnusableError(f"not a CloudEvent 1.0 for this service: {place}") from None
    except ValueError:
        raise UnusableError("not JSON") from None


def _key(event: CloudEvent) -> str:
    """The same for the same event, whatever its length and characters."""
    words = orjson.dumps([event.source, event.id])
    return "event " + hashlib.blake2b(words, digest_size=24).hexdigest()


def _answer(result: Result) -> Answer:
    return Answer(200, orjson.dumps(_reference(result)))


def _reference(result: Result) -> str:
    if result.stored is not None:
        return result.stored.reference
    resource = result.resource or {}
    return f"{resource.get('resourceType', '')}/{resource.get('id', '')}"


def fault(error: Exception) -> str | None:
    """What to say of an event that was not taken in, without a word of it; None where the fault is
    not the event's: while the database or another service is away, waiting helps."""
    if isinstance(error, UnusableError):
        return str(error)
    if not isinstance(error, Problem):
        return f"failed with {type(error).__name__}"
    return None if error.status == 503 else f"refused with {error.status}"
