"""A small hospital to try the server with: one Bundle for each tenant, and a token to begin.

`demo` has every licence, `demo-north` is its neighbour, `demo-plain` has no licence for messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from fhir_server.app import Core, build_core
from fhir_server.context import Context
from fhir_server.http.auth import mint
from fhir_server.problems import Problem
from fhir_server.settings import Settings

TENANTS: Final = ("demo", "demo-north", "demo-plain")
UNLICENSED: Final = "demo-plain"
SCOPE: Final = "messaging:read messaging:write messaging:escalate user/*.cruds"
WORKDAY: Final = 12 * 3600


async def load(settings: Settings) -> None:
    """Stores what is not there yet; what somebody changed stays as it is. PermissionError in
    production: demo people would be known to everybody."""
    if settings.environment == "production":
        raise PermissionError("production takes no demo data")
    core = build_core(settings)
    await core.store.sessions.open()
    try:
        for tenant in TENANTS:
            await _load_tenant(core, tenant)
    finally:
        await core.store.sessions.close()


async def _load_tenant(core: Core, tenant: str) -> None:
    modules = () if tenant == UNLICENSED else core.mappings.service.modules
    ctx = Context(tenant, "fhir-server-demo", roles=frozenset({"SERVICE"}), face="job")
    async with core.store.sessions.session(ctx) as session:
        await core.store.tenants.license(session, tenant, modules)
    for resource in resources(tenant):
        if not await _stored(core, ctx, resource):
            await core.interactions.update(ctx, resource["resourceType"], resource["id"], resource)


async def _stored(core: Core, ctx: Context, resource: Mapping[str, Any]) -> bool:
    try:
        await core.interactions.read(ctx, resource["resourceType"], resource["id"])
    except Problem as problem:
        if problem.status not in (404, 410):
            raise
        return problem.status == 410
    return True


def resources(tenant: str) -> Iterator[dict[str, Any]]:
    """The demo resources of a tenant, what is referred to first."""
    bundle = orjson.loads((Path(__file__).parent / f"{tenant}.json").read_bytes())
    yield from (entry["resource"] for entry in bundle["entry"])


def greeting(settings: Settings, address: str) -> str:
    """A command that works when it is pasted: what Dr. Amina sees in a patient's chart."""
    token = mint(
        settings,
        tenant="demo",
        sub="usr_amina",
        roles=["DOCTOR"],
        scope=SCOPE,
        ttl=WORKDAY,
    )
    search = f"{address}/fhir/R4/Communication?patient=Patient/zahra&_sort=-sent"
    command = f"curl -H 'Authorization: Bearer {token}' '{search}'"
    return f"The messages about a patient, as FHIR:\n\n{command}\n"
