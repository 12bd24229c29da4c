"""What an intent asks for and led to, as the audit trail tells it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from fhir_server.context import Context
from fhir_server.interactions.audit import Asked
from fhir_server.interactions.audit.record import Record, of_result
from fhir_server.interactions.intents import Intent, Method
from fhir_server.interactions.model import Result

_INTERACTIONS: Final[Mapping[Method, str]] = {
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}


def asked(ctx: Context, intent: Intent) -> Asked:
    """A new resource has no address yet, nor has one that a search is to find."""
    known = intent.condition is None and intent.method != "POST"
    ref = intent.ref
    return Asked(ctx, _INTERACTIONS[intent.method], ref.type, ref.id if known else "")


def carried_out(
    ctx: Context, intents: Iterable[Intent], results: Iterable[Result]
) -> Iterator[Record]:
    """A record of each."""
    for intent, result in zip(intents, results, strict=True):
        yield Record(ctx, _INTERACTIONS[intent.method], of_result(result))
