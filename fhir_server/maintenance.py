"""`fhir-server reindex` and `fhir-server sweep`, and what they print."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator
from typing import TextIO

from fhir_server.app import Core, opened
from fhir_server.definitions.loader import did_you_mean
from fhir_server.settings import Settings
from fhir_server.workers import reindex as work
from fhir_server.workers.sweep import sweep as sweep_all
from fhir_server.workers.tenants import tenants

WIDTH = 30
EVERY = 5.0


class UnfinishedError(Exception):
    """Some rows could not be made anew."""


async def reindex(settings: Settings, resource_type: str | None, tenant: str | None) -> int:
    """Renews what other declarations indexed; how many rows that were."""
    async with opened(settings) as core:
        types = _types(core, resource_type)
        names = [tenant] if tenant else await tenants(core.store)
        return await _watched(work.reindex(core.store, names, types), Display(sys.stdout))


async def sweep(settings: Settings, tenant: str | None) -> int:
    """Removes the expired idempotent answers; how many they were."""
    async with opened(settings) as core:
        return await sweep_all(core.store, [tenant] if tenant else None)


def _types(core: Core, wanted: str | None) -> list[str]:
    known = core.definitions.types
    if wanted is None:
        return list(known)
    if wanted not in known:
        raise KeyError(f"no type {wanted}{did_you_mean(wanted, known)}")
    return [wanted]


async def _watched(steps: AsyncIterator[work.Progress], display: Display) -> int:
    last: dict[tuple[str, str], work.Progress] = {}
    async for progress in steps:
        last[progress.tenant, progress.type] = progress
        display.show(progress)
    display.end()
    left = sum(progress.total - progress.done for progress in last.values())
    if left:
        raise UnfinishedError(
            f"{left} resources are written again and again by a server with older declarations;"
            " stop it, and reindex once more"
        )
    return sum(progress.done for progress in last.values())


class Display:
    """A bar that moves on a terminal; elsewhere a line at each beginning and end, and at times
    between them."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._bar = out.isatty()
        self._shown: tuple[str, str] | None = None
        self._at = 0.0
        self._started = 0.0

    def show(self, progress: work.Progress) -> None:
        now = time.monotonic()
        place = progress.tenant, progress.type
        if place != self._shown:
            self.end()
            self._shown, self._started = place, now
        elif not self._bar and now - self._at < EVERY and progress.done < progress.total:
            return
        self._at = now
        self._out.write(self._line(progress, now - self._started))
        self._out.flush()

    def end(self) -> None:
        """Leaves the bar as it is and begins a new line."""
        if self._bar and self._shown:
            self._out.write("\n")
            self._out.flush()
        self._shown = None

    def _line(self, progress: work.Progress, seconds: float) -> str:
        words = f"{progress.tenant} {progress.type}: {progress.done:,} of {progress.total:,}"
        if not self._bar:
            return words + "\n"
        filled = WIDTH * progress.done // max(progress.total, 1)
        rate = f"{progress.done / seconds:,.0f}/s" if seconds else ""
        return f"\r\x1b[K{'█' * filled}{'░' * (WIDTH - filled)} {words} {rate}"
