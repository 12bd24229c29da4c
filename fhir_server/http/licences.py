"""Whether a caller's tenant holds the licence for a module.

A token may name the licences itself (claim `modules`); else the tenant's own record decides,
remembered for a short time, since it is asked on every v1 request.
"""

from __future__ import annotations

from time import monotonic

from fhir_server.context import Context
from fhir_server.store.session import Sessions
from fhir_server.store.tenants import Tenants

REMEMBERED_SECONDS = 10.0
REMEMBERED_TENANTS = 10_000


class Licences:
    """Licences of tenants, by the store."""

    def __init__(self, sessions: Sessions, tenants: Tenants) -> None:
        self._sessions = sessions
        self._tenants = tenants
        self._known: dict[str, tuple[float, frozenset[str]]] = {}

    async def holds(self, ctx: Context, module: str) -> bool:
        """True when the module is licensed to the caller's tenant."""
        return module in ctx.modules or module in await self._of(ctx)

    async def _of(self, ctx: Context) -> frozenset[str]:
        known = self._known.get(ctx.tenant)
        if known is not None and monotonic() - known[0] < REMEMBERED_SECONDS:
            return known[1]
        async with self._sessions.session(ctx) as session:
            modules = await self._tenants.modules(session)
        if len(self._known) >= REMEMBERED_TENANTS:
            self._known.clear()
        self._known[ctx.tenant] = monotonic(), modules
        return modules
