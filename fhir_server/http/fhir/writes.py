"""The interactions that write: what each takes from the request, and puts into the answer.

The same intent is carried out by itself or as an entry of a transaction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from fhir_server.http.fhir.call import Call
from fhir_server.http.fhir.conditions import if_none_exist, known, of_query
from fhir_server.http.fhir.done import deleted, written
from fhir_server.http.fhir.patches import asked
from fhir_server.http.fhir.service import Service
from fhir_server.http.wire import Reply
from fhir_server.interactions import Intent, Ref, Result


class Write(NamedTuple):
    """`intent` reads the request, `answer` tells the result."""

    intent: Callable[[Service, Call], Awaitable[Intent]]
    answer: Callable[[Call, Result], Reply]

    async def reply(self, service: Service, call: Call) -> Reply:
        """The interaction by itself."""
        intent = await self.intent(service, call)
        return self.answer(call, await service.interactions.write(call.ctx, intent))


async def _create(service: Service, call: Call) -> Intent:
    """https://hl7.org/fhir/R4/http.html#create"""
    criteria = call.criteria("create")
    call.check_accept()
    condition = if_none_exist(call, service.definitions)
    resource = await call.resource()
    return service.interactions.intents.create(
        call.type, resource, condition=condition, criteria=criteria
    )


async def _update(service: Service, call: Call) -> Intent:
    """https://hl7.org/fhir/R4/http.html#update"""
    criteria = call.criteria("update")
    call.check_accept()
    resource = await call.resource()
    return service.interactions.intents.update(
        call.ctx,
        Ref(call.type, call.address()),
        resource,
        if_match=known(call),
        criteria=criteria,
    )


async def _patch(service: Service, call: Call) -> Intent:
    """https://hl7.org/fhir/R4/http.html#patch"""
    criteria = call.criteria("patch")
    call.check_accept()
    return service.interactions.intents.patch(
        call.ctx,
        Ref(call.type, call.address()),
        *await asked(call, service.interactions),
        if_match=known(call),
        criteria=criteria,
    )


async def _delete(service: Service, call: Call) -> Intent:
    """https://hl7.org/fhir/R4/http.html#delete"""
    criteria = call.criteria("delete")
    return service.interactions.intents.delete(
        Ref(call.type, call.address()),
        if_match=known(call),
        criteria=criteria,
    )


async def _conditional_update(service: Service, call: Call) -> Intent:
    """https://hl7.org/fhir/R4/http.html#cond-update"""
    criteria = call.criteria("update")
    call.check_accept()
    condition = of_query(call)
    return service.interactions.intents.conditional_update(
        call.ctx,
        condition,
        await call.resource(),
        creating=lambda: call.criteria("create"),
        if_match=known(call),
        criteria=criteria,
    )


async def _conditional_patch(service: Service, call: Call) -> Intent:
    """https://hl7.org/fhir/R4/http.html#patch"""
    criteria = call.criteria("patch")
    call.check_accept()
    condition = of_query(call)
    return service.interactions.intents.conditional_patch(
        call.ctx,
        condition,
        *await asked(call, service.interactions),
        if_match=known(call),
        criteria=criteria,
    )


async def _conditional_delete(service: Service, call: Call) -> Intent:
    """https://hl7.org/fhir/R4/http.html#3.1.0.7.1"""
    criteria = call.criteria("delete")
    condition = of_query(call, service.definitions)
    return service.interactions.intents.conditional_delete(
        condition, if_match=known(call), criteria=criteria
    )


WRITES: Mapping[str, Write] = {
    "create": Write(_create, written),
    "update": Write(_update, written),
    "patch": Write(_patch, written),
    "delete": Write(_delete, deleted),
    "conditional-update": Write(_conditional_update, written),
    "conditional-patch": Write(_conditional_patch, written),
    "conditional-delete": Write(_conditional_delete, deleted),
}
