"""An issuer's keys, kept: fetched once, renewed behind the scenes, and outliving an outage.

A key id nobody has heard of may mean that the issuer has rotated its keys, so it causes a
fetch; since anyone can invent key ids, such fetches are limited to one an interval. Requests
that arrive during a fetch wait for that same one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from fhir_server.http.auth.discovery import DiscoveryError
from fhir_server.http.auth.refusal import keys_unavailable
from fhir_server.http.auth.token import SigningKey

_log = logging.getLogger(__name__)

RETRY_SECONDS = 2.0


class Keys(Protocol):
    """Where a token's key is looked up."""

    @property
    def generation(self) -> int:
        """Changes whenever the keys do: what was proven under an older one is proven anew."""

    def tend(self) -> None:
        """Called for every request; cheap. Starts a renewal in the background when due."""

    async def find(self, key_id: str) -> SigningKey | None:
        """The key, None when the issuer has no such key; Problem 503 when keys cannot be had."""


class FixedKeys:
    """Keys that never change."""

    generation = 0

    def __init__(self, keys: Mapping[str, SigningKey]) -> None:
        self._keys = keys

    def tend(self) -> None:
        """Nothing to renew."""

    async def find(self, key_id: str) -> SigningKey | None:
        return self._keys.get(key_id)


class IssuerKeys:
    """Keys of a remote issuer. All times are seconds of `clock`."""

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Mapping[str, SigningKey]]],
        *,
        ttl: float,
        max_age: float,
        refetch_interval: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._ttl, self._max_age, self._interval = ttl, max_age, refetch_interval
        self._clock = clock
        self._keys: Mapping[str, SigningKey] = {}
        self._thumbprints: dict[str, str] = {}
        self._renew_at = self._useless_at = self._retry_at = self._refetch_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None
        self.generation = 0

    def tend(self) -> None:
        now = self._clock()
        if now < self._renew_at:
            return
        if now >= self._useless_at and self._keys:
            self._replace({})
        if self._keys and now >= self._retry_at:
            self._start()

    async def find(self, key_id: str) -> SigningKey | None:
        self.tend()
        if not self._keys:
            await self._first()
        elif key_id not in self._keys and self._clock() >= self._refetch_at:
            self._refetch_at = self._clock() + self._interval
            await asyncio.shield(self._start())
        return self._keys.get(key_id)

    async def aclose(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    async def _first(self) -> None:
        if self._running() or self._clock() >= self._retry_at:
            await asyncio.shield(self._start())
        if not self._keys:
            raise keys_unavailable(int(RETRY_SECONDS))

    def _running(self) -> bool:
        return self._fetching is not None and not self._fetching.done()

    def _start(self) -> asyncio.Task[None]:
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._renew())
        return self._fetching

    async def _renew(self) -> None:
        try:
            keys = await self._fetch()
        except DiscoveryError as error:
            self._retry_at = self._clock() + RETRY_SECONDS
            _log.warning("signing keys not renewed: %s; %d kept", error, len(self._keys))
            return
        now = self._clock()
        self._renew_at, self._useless_at = now + self._ttl, now + self._max_age
        self._replace(keys)

    def _replace(self, keys: Mapping[str, SigningKey]) -> None:
        thumbprints = {key_id: key.thumbprint() for key_id, key in keys.items()}
        if thumbprints != self._thumbprints:
            self._keys, self._thumbprints = keys, thumbprints
            self.generation += 1
