"""Counting in Redis, for all processes together: one script, one round trip, one clock.

The script looks at all keys before it counts under any, and takes the time from Redis, so that
neither a race nor a process whose clock is wrong lets more through.
https://redis.io/docs/latest/develop/programmability/eval-intro/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from fhir_server.http.limits.counter import Counts, Wanted

PREFIX = "fhir-server:limit:"
# Seconds; a request must not wait for its own count.
PATIENCE = 0.25
MICROSECONDS = 1_000_000

# KEYS are lists of instants, the oldest first; ARGV a count and a time in microseconds for each.
SCRIPT = """
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local allowed = 1
for n, key in ipairs(KEYS) do
  local oldest = redis.call('LINDEX', key, 0)
  while oldest and tonumber(oldest) <= now - tonumber(ARGV[2 * n]) do
    redis.call('LPOP', key)
    oldest = redis.call('LINDEX', key, 0)
  end
  if redis.call('LLEN', key) >= tonumber(ARGV[2 * n - 1]) then allowed = 0 end
end
local told = {allowed}
for n, key in ipairs(KEYS) do
  if allowed == 1 then
    redis.call('RPUSH', key, string.format('%.0f', now))
    redis.call('PEXPIRE', key, math.ceil(tonumber(ARGV[2 * n]) / 1000))
  end
  local oldest = redis.call('LINDEX', key, 0)
  told[2 * n] = redis.call('LLEN', key)
  told[2 * n + 1] = oldest and tonumber(oldest) + tonumber(ARGV[2 * n]) - now or 0
end
return told
"""


class SharedCounter:
    """Raises redis.RedisError, OSError or TimeoutError where Redis does not answer."""

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(
            url,
            socket_timeout=PATIENCE,
            socket_connect_timeout=PATIENCE,
            retry=Retry(NoBackoff(), 1),
        )
        self._script = self._redis.register_script(SCRIPT)

    async def take(self, wanted: Sequence[Wanted]) -> Counts:
        """One round trip."""
        keys = [PREFIX + one.key for one in wanted]
        args = [value for one in wanted for value in (one.most, one.seconds * MICROSECONDS)]
        told: Any = await self._script(keys=keys, args=args)
        return Counts(bool(told[0]), told[1::2], [left / MICROSECONDS for left in told[2::2]])

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._redis.aclose()
