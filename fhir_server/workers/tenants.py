"""For which tenants there is work."""

from __future__ import annotations

from fhir_server.context import Context
from fhir_server.store import Store

NOBODY = Context("", "fhir-server", face="job")


def worker(tenant: str) -> Context:
    """The server itself, within one tenant, now."""
    return Context(tenant, "fhir-server", roles=frozenset({"SERVICE"}), face="job")


async def tenants(store: Store) -> list[str]:
    """Every tenant that has anything stored."""
    async with store.sessions.session(NOBODY) as session:
        return await store.tenants.names(session)
