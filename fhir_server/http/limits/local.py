"""Counting in this process: exact where there is one, or as long as Redis does not answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic

from fhir_server.http.limits.counter import Counts, Wanted

# Keys to remember before those that nobody uses are forgotten.
MOST_KEYS = 10_000


class LocalCounter:
    """The instants of the last requests, by key."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._logs: dict[str, deque[float]] = {}
        self._until: dict[str, float] = {}

    async def take(self, wanted: Sequence[Wanted]) -> Counts:
        """Never waits, so that nothing comes in between."""
        now = self._clock()
        logs = [self._recent(one, now) for one in wanted]
        allowed = all(len(log) < one.most for log, one in zip(logs, wanted, strict=True))
        if allowed:
            for log, one in zip(logs, wanted, strict=True):
                log.append(now)
                self._until[one.key] = now + one.seconds
        frees = [
            log[0] + one.seconds - now if log else 0.0
            for log, one in zip(logs, wanted, strict=True)
        ]
        return Counts(allowed, [len(log) for log in logs], frees)

    async def aclose(self) -> None:
        """Holds nothing."""

    def _recent(self, one: Wanted, now: float) -> deque[float]:
        if one.key not in self._logs and len(self._logs) >= MOST_KEYS:
            self._forget(now)
        log = self._logs.setdefault(one.key, deque())
        while log and log[0] <= now - one.seconds:
            log.popleft()
        return log

    def _forget(self, now: float) -> None:
        """The keys whose last request counts no more; all where that leaves too many, which lets
        some through sooner but keeps this process alive."""
        for key in [key for key in self._logs if self._until.get(key, 0.0) <= now]:
            self._logs.pop(key)
            self._until.pop(key, None)
        if len(self._logs) >= MOST_KEYS:
            self._logs.clear()
            self._until.clear()
