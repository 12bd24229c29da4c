"""`fhir-server audit verify`, and what it prints."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from fhir_server.app import Core, opened
from fhir_server.context import Context
from fhir_server.settings import Settings
from fhir_server.store.audit import Fault, Progress
from fhir_server.workers.tenants import tenants

EVERY = 1.0


class TamperedError(Exception):
    """The audit trail is not what was recorded."""


async def verify(
    settings: Settings, tenant: str | None, head: str | None, out: TextIO | None = None
) -> None:
    """Prints what is wrong with each chain, and its head; TamperedError where anything is,
    ValueError where there is no such tenant: a name that was mistyped is not intact."""
    if head and not tenant:
        raise ValueError("a head is one tenant's: say --tenant too")
    shown = out or sys.stdout
    faults = 0
    async with opened(settings) as core:
        known = await tenants(core.store)
        if tenant and tenant not in known:
            raise ValueError("nothing is stored of a tenant of that name")
        for name in [tenant] if tenant else known:
            faults += await _verified(core, name, head, shown)
    if faults:
        raise TamperedError(f"{faults} faults: the audit trail is not what was recorded")


async def _verified(core: Core, tenant: str, head: str | None, out: TextIO) -> int:
    ctx, display, faults = Context(tenant, "fhir-server", face="job"), _Display(tenant, out), 0
    last: Progress | None = None
    async for last in core.store.verifier.verify(ctx, head):
        display.show(last)
        for fault in last.faults:
            display.fault(fault)
        faults += len(last.faults)
    if last is not None:
        display.end(last, faults)
    return faults


class _Display:
    """A line that moves on a terminal; elsewhere faults and the end only."""

    def __init__(self, tenant: str, out: TextIO) -> None:
        self._tenant = tenant
        self._out = out
        self._moving = out.isatty()
        self._at = 0.0

    def show(self, progress: Progress) -> None:
        now = time.monotonic()
        if self._moving and now - self._at > EVERY:
            self._at = now
            share = 100 * progress.links // max(progress.total, 1)
            self._out.write(f"\r\x1b[K{self._tenant}: {share} %, {progress.events:,} events")
            self._out.flush()

    def fault(self, fault: Fault) -> None:
        self._line(f"{self._tenant}: {fault.kind} {fault.place}: {fault.words}")

    def end(self, progress: Progress, faults: int) -> None:
        state = f"{faults} faults" if faults else "intact"
        counted = f"{progress.events:,} events in {progress.links:,} links"
        self._line(f"{self._tenant}: {state}, {counted}, head {progress.head.text}")

    def _line(self, words: str) -> None:
        self._out.write(("\r\x1b[K" if self._moving else "") + words + "\n")
        self._out.flush()
