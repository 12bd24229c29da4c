"""What each interaction takes from the request and puts into the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fhir_server.http.auth.scopes import allows, require
from fhir_server.http.fhir.call import Call
from fhir_server.http.fhir.conditions import unless_known
from fhir_server.http.fhir.everything import everything
from fhir_server.http.fhir.replies import json_reply
from fhir_server.http.fhir.searchset import searchset_reply
from fhir_server.http.fhir.service import Handler, Service
from fhir_server.http.fhir.types import split_types, with_types
from fhir_server.http.fhir.versions import asked, history_reply, timeline_reply
from fhir_server.http.fhir.writes import WRITES
from fhir_server.http.wire import Reply
from fhir_server.interactions import Handling, Resource
from fhir_server.problems import invalid, not_found


async def read(service: Service, call: Call) -> Reply:
    """https://hl7.org/fhir/R4/http.html#read"""
    criteria = call.criteria("read")
    call.check_accept()
    stored = await service.interactions.read(call.ctx, call.type, call.address(), criteria=criteria)
    return unless_known(call, stored)


async def vread(service: Service, call: Call) -> Reply:
    """https://hl7.org/fhir/R4/http.html#vread"""
    criteria = call.criteria("vread")
    call.check_accept()
    stored = await service.interactions.vread(
        call.ctx, call.type, call.address(), call.version(), criteria=criteria
    )
    return unless_known(call, stored)


async def history(service: Service, call: Call) -> Reply:
    """https://hl7.org/fhir/R4/http.html#history"""
    criteria = call.criteria("history-instance")
    call.check_accept()
    wanted = asked(call)
    page = await service.interactions.history(
        call.ctx,
        call.type,
        call.address(),
        place=wanted.place,
        limit=wanted.count,
        span=wanted.span,
        criteria=criteria,
    )
    return history_reply(call, page, wanted)


async def history_type(service: Service, call: Call) -> Reply:
    """https://hl7.org/fhir/R4/http.html#history"""
    call.criteria("history-type")
    return await _timeline(service, call, [call.type])


async def history_system(service: Service, call: Call) -> Reply:
    """https://hl7.org/fhir/R4/http.html#history"""
    served = service.definitions.types
    types = [name for name in served if served[name].writable and call.past(name) is not None]
    if not types:
        require(call.ctx, "*", "history-type")
    return await _timeline(service, call, types)


async def _timeline(service: Service, call: Call, types: list[str]) -> Reply:
    call.check_accept(types)
    wanted = asked(call)
    page = await service.interactions.timeline(
        call.ctx,
        types,
        reach=call.past,
        span=wanted.span,
        limit=wanted.count,
        cursor=wanted.cursor,
    )
    return timeline_reply(call, page, wanted)


async def search_compartment(service: Service, call: Call) -> Reply:
    """https://hl7.org/fhir/R4/http.html#vsearch, `GET /Patient/x/Communication`"""
    owner = f"{call.type}/{call.address()}"
    if call.tail not in service.definitions.compartments[call.type]:
        raise not_found("what the path names")
    return await search(service, replace(call, type=call.tail), owner)


async def search(service: Service, call: Call, compartment: str | None = None) -> Reply:
    """https://hl7.org/fhir/R4/http.html#search"""
    call.criteria("search-type")
    given = await call.parameters()
    call.check_accept(counts=True)
    page = await service.interactions.search(
        call.ctx,
        call.type,
        given,
        handling=_handling(call),
        reach=call.reach,
        compartment=compartment,
    )
    return searchset_reply(call, page, compartment)


async def search_system(service: Service, call: Call) -> Reply:
    """https://hl7.org/fhir/R4/http.html#search, `GET [base]?_type=Communication,Encounter`"""
    named, params = split_types(await call.parameters(), service.definitions.types)
    for name in named:
        require(call.ctx, name, "search-type")
    served = service.definitions.types
    types = named or [
        name for name in served if served[name].writable and call.reach(name) is not None
    ]
    if not types:
        require(call.ctx, "*", "search-type")
    call.check_accept(types, counts=True)
    page = await service.interactions.search_across(
        call.ctx, types, params, handling=_handling(call), reach=call.reach
    )
    return searchset_reply(call, with_types(page, named))


def _handling(call: Call) -> Handling:
    return "lenient" if call.preference("handling") == "lenient" else "strict"


async def operation(service: Service, call: Call) -> Reply:
    """https://hl7.org/fhir/R4/operations.html"""
    call.check_accept()
    if call.tail in READING:
        return await READING[call.tail](service, call)
    criteria = call.criteria("update")
    parameters = await call.resource()
    if parameters.get("resourceType") != "Parameters":
        raise invalid("the body of an operation must be Parameters", "resourceType")
    result = await service.interactions.operation(
        call.ctx, call.tail, call.type, call.address(), parameters, criteria=criteria
    )
    return json_reply(result.parameters or {"resourceType": "Parameters"})


async def _everything(service: Service, call: Call) -> Reply:
    return await everything(service.interactions, service.definitions, call)


async def _validate(service: Service, call: Call) -> Reply:
    call.criteria("validate")
    body = await call.resource()
    profile = dict(call.request.query()).get("profile")
    resource, profile = _unwrapped(body, profile) if _wrapped(body, call) else (body, profile)
    ruled = allows(call.ctx, call.type, "create")
    outcome = await service.interactions.validate(
        call.ctx, call.type, resource, profile, ruled=ruled
    )
    return json_reply(outcome)


def _wrapped(body: Resource, call: Call) -> bool:
    return body.get("resourceType") == "Parameters" != call.type


def _unwrapped(body: Resource, profile: str | None) -> tuple[Resource, str | None]:
    listed = body.get("parameter")
    parameters = [p for p in listed if isinstance(p, dict)] if isinstance(listed, list) else []
    named = {p["name"]: p for p in parameters if isinstance(p.get("name"), str)}
    resource = named.get("resource", {}).get("resource")
    if not isinstance(resource, dict):
        raise invalid("the parameter resource is required", "Parameters.parameter")
    given = named.get("profile", {})
    asked = given.get("valueUri") or given.get("valueCanonical") or profile
    if not isinstance(asked, str | None):
        raise invalid("the parameter profile must be a uri", "Parameters.parameter")
    return resource, asked


# Operations of any type that write nothing, by code; all others are the domain's.
READING: Mapping[str, Handler] = {"validate": _validate, "everything": _everything}
HANDLERS: Mapping[str, Handler] = {
    "read": read,
    "vread": vread,
    "history-instance": history,
    "history-type": history_type,
    "history-system": history_system,
    "search-type": search,
    "search-compartment": search_compartment,
    "search-system": search_system,
    "operation": operation,
    **{name: write.reply for name, write in WRITES.items()},
}
