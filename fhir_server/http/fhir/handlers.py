"""What each interaction takes from the request and puts into the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from fhir_server.definitions.model import Definitions
from fhir_server.http.auth.scopes import require
from fhir_server.http.fhir.call import Call, check_accept
from fhir_server.http.fhir.conditions import if_none_exist, of_query, unless_known
from fhir_server.http.fhir.done import deleted, written
from fhir_server.http.fhir.patches import change
from fhir_server.http.fhir.replies import json_reply
from fhir_server.http.fhir.searchset import searchset_reply
from fhir_server.http.fhir.versions import asked, history_reply, timeline_reply
from fhir_server.http.wire import Reply
from fhir_server.interactions import Interactions, Resource
from fhir_server.problems import Problem, invalid, not_found


@dataclass(frozen=True, slots=True)
class Service:
    """What the handlers work with."""

    interactions: Interactions
    definitions: Definitions


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
        before=wanted.before,
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
    types = [name for name in service.definitions.types if call.past(name) is not None]
    if not types:
        require(call.ctx, "*", "history-type")
    return await _timeline(service, call, types)


async def _timeline(service: Service, call: Call, types: list[str]) -> Reply:
    call.check_accept()
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
    formats = [value for name, value in given if name == "_format"]
    check_accept(call.request, formats[0] if formats else None)
    page = await service.interactions.search(
        call.ctx,
        call.type,
        [(name, value) for name, value in given if name != "_format"],
        handling="lenient" if call.preference("handling") == "lenient" else "strict",
        reach=call.reach,
        compartment=compartment,
    )
    return searchset_reply(call, page, compartment)


async def create(service: Service, call: Call) -> Reply:
    """https://hl7.org/fhir/R4/http.html#create"""
    criteria = call.criteria("create")
    call.check_accept()
    condition = if_none_exist(call, service.definitions)
    resource = await call.resource()
    if condition is None:
        result = await service.interactions.create(call.ctx, call.type, resource, criteria=criteria)
    else:
        result = await service.interactions.conditional.create(
            call.ctx, condition, resource, criteria=criteria
        )
    return written(call, result)


async def update(service: Service, call: Call) -> Reply:
    """https://hl7.org/fhir/R4/http.html#update"""
    criteria = call.criteria("update")
    call.check_accept()
    resource = await call.resource()
    result = await service.interactions.update(
        call.ctx,
        call.type,
        call.address(),
        resource,
        if_match=call.request.header("if-match"),
        criteria=criteria,
    )
    return written(call, result)


async def patch(service: Service, call: Call) -> Reply:
    """https://hl7.org/fhir/R4/http.html#patch"""
    criteria = call.criteria("patch")
    call.check_accept()
    result = await service.interactions.patch(
        call.ctx,
        call.type,
        call.address(),
        await change(call, service.interactions),
        if_match=call.request.header("if-match"),
        criteria=criteria,
    )
    return written(call, result)


async def delete(service: Service, call: Call) -> Reply:
    """https://hl7.org/fhir/R4/http.html#delete"""
    criteria = call.criteria("delete")
    result = await service.interactions.delete(
        call.ctx,
        call.type,
        call.address(),
        if_match=call.request.header("if-match"),
        criteria=criteria,
    )
    return deleted(call, result)


async def conditional_update(service: Service, call: Call) -> Reply:
    """https://hl7.org/fhir/R4/http.html#cond-update"""
    criteria = call.criteria("update")
    call.check_accept()
    condition = of_query(call)
    result = await service.interactions.conditional.update(
        call.ctx,
        condition,
        await call.resource(),
        creating=lambda: call.criteria("create"),
        if_match=call.request.header("if-match"),
        criteria=criteria,
    )
    return written(call, result)


async def conditional_patch(service: Service, call: Call) -> Reply:
    """https://hl7.org/fhir/R4/http.html#patch"""
    criteria = call.criteria("patch")
    call.check_accept()
    condition = of_query(call)
    result = await service.interactions.conditional.patch(
        call.ctx,
        condition,
        await change(call, service.interactions),
        if_match=call.request.header("if-match"),
        criteria=criteria,
    )
    return written(call, result)


async def conditional_delete(service: Service, call: Call) -> Reply:
    """https://hl7.org/fhir/R4/http.html#3.1.0.7.1"""
    criteria = call.criteria("delete")
    condition = of_query(call, service.definitions)
    result = await service.interactions.conditional.delete(
        call.ctx, condition, if_match=call.request.header("if-match"), criteria=criteria
    )
    return deleted(call, result)


async def operation(service: Service, call: Call) -> Reply:
    """https://hl7.org/fhir/R4/operations.html"""
    if call.tail not in service.definitions.types[call.type].operations:
        raise Problem(404, "not-supported", f"{call.type} has no operation ${call.tail[:64]}")
    call.check_accept()
    if call.tail == "validate":
        return await _validate(service, call)
    criteria = call.criteria("update")
    parameters = await call.resource()
    if parameters.get("resourceType") != "Parameters":
        raise invalid("the body of an operation must be Parameters", "resourceType")
    result = await service.interactions.operation(
        call.ctx, call.tail, call.type, call.address(), parameters, criteria=criteria
    )
    return json_reply(result.parameters or {"resourceType": "Parameters"})


async def _validate(service: Service, call: Call) -> Reply:
    call.criteria("validate")
    body = await call.resource()
    profile = dict(call.request.query()).get("profile")
    resource, profile = _unwrapped(body, profile) if _wrapped(body, call) else (body, profile)
    return json_reply(service.interactions.validate(call.type, resource, profile))


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


HANDLERS: Mapping[str, Callable[[Service, Call], Awaitable[Reply]]] = {
    "read": read,
    "vread": vread,
    "history-instance": history,
    "history-type": history_type,
    "history-system": history_system,
    "search-type": search,
    "search-compartment": search_compartment,
    "create": create,
    "update": update,
    "patch": patch,
    "delete": delete,
    "conditional-update": conditional_update,
    "conditional-patch": conditional_patch,
    "conditional-delete": conditional_delete,
    "operation": operation,
}
