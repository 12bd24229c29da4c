"""Rate limits: how many requests of one family a tenant, and a user, may make in a time.

The families and their rates are declared in `mappings/_service.yaml`. A request counts for its
tenant and its user together, or, when either has had enough, for neither. The rate is that of a
sliding window: in no stretch of that length are more let through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from math import ceil

from fhir_server.context import Context
from fhir_server.http.limits.counter import Counter, Counts, Wanted
from fhir_server.http.limits.guarded import Guarded
from fhir_server.http.limits.local import LocalCounter
from fhir_server.mapping.model import LimitDeclaration, Rate
from fhir_server.problems import Problem

__all__ = ["Limits", "build_limits"]


def build_limits(
    declared: Mapping[str, LimitDeclaration], scale: float, redis_url: str | None
) -> Limits:
    """Limits of the declared families; counted in Redis where there is one, for all processes
    together, else for this process alone."""
    if redis_url is None:
        return Limits(declared, scale, LocalCounter())
    from fhir_server.http.limits.shared import SharedCounter

    return Limits(declared, scale, Guarded(SharedCounter(redis_url), LocalCounter()))


class Limits:
    """`scale` multiplies every rate; 0 switches the limits off."""

    def __init__(
        self, declared: Mapping[str, LimitDeclaration], scale: float, counter: Counter
    ) -> None:
        self._declared = declared
        self._scale = scale
        self._counter = counter

    async def take(self, ctx: Context, family: str | None) -> Mapping[str, str]:
        """Counts one request of the caller's; the headers that tell what is left. Problem 429
        where nothing was."""
        wanted = self._wanted(ctx, family) if family and self._scale else ()
        if not wanted:
            return {}
        counts = await self._counter.take(wanted)
        headers = _headers(wanted, counts)
        if not counts.allowed:
            raise _too_many(wanted, counts, headers)
        return headers

    async def aclose(self) -> None:
        """Gives up the connection to Redis."""
        await self._counter.aclose()

    def _wanted(self, ctx: Context, family: str) -> tuple[Wanted, ...]:
        declared = self._declared[family]
        # A cluster of Redis keeps what stands in braces in one place. Names of callers stay here.
        place = f"{{{_digest(ctx.tenant)}}}:{family}"
        rates = ((place, declared.tenant), (f"{place}:{_digest(ctx.subject)}", declared.user))
        return tuple(self._scaled(key, rate) for key, rate in rates if rate is not None)

    def _scaled(self, key: str, rate: Rate) -> Wanted:
        return Wanted(key, max(1, int(rate.most * self._scale)), rate.seconds)


@lru_cache(maxsize=4096)
def _digest(name: str) -> str:
    return blake2b(name.encode(), digest_size=12).hexdigest()


def _headers(wanted: Sequence[Wanted], counts: Counts) -> dict[str, str]:
    """What is left of the limit that leaves the least."""
    left = [one.most - used for one, used in zip(wanted, counts.used, strict=True)]
    at = min(range(len(wanted)), key=left.__getitem__)
    return {
        "x-ratelimit-limit": str(wanted[at].most),
        "x-ratelimit-remaining": str(left[at]),
        "x-ratelimit-reset": str(ceil(counts.frees[at])),
    }


def _too_many(wanted: Sequence[Wanted], counts: Counts, headers: Mapping[str, str]) -> Problem:
    full = zip(wanted, counts.used, counts.frees, strict=True)
    wait = max(frees for one, used, frees in full if used >= one.most)
    told = {**headers, "retry-after": str(max(1, ceil(wait)))}
    return Problem(429, "throttled", "too many requests; come again later", headers=told)
