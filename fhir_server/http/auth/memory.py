"""Tokens already proven, so that a client's next request costs a hash instead of a signature.

Tokens themselves are not kept: the key is a SHA-256 of the header that carried them.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256
from typing import NamedTuple

from fhir_server.http.auth.claims import Identity
from fhir_server.http.auth.keys import Keys


class Proven(NamedTuple):
    """Good until `deadline` (epoch seconds), as long as `keys` keep their `generation`."""

    identity: Identity
    deadline: float
    keys: Keys
    generation: int


class Memory:
    """At most `size` proven tokens; the least recently used one makes room."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[bytes, Proven] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def recall(self, key: bytes, now: float) -> Identity | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        identity, deadline, keys, generation = entry
        keys.tend()
        if now >= deadline or keys.generation != generation:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return identity

    def keep(self, key: bytes, entry: Proven) -> None:
        if self._size == 0:
            return
        self._entries[key] = entry
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)


def fingerprint(authorization: str) -> bytes:
    return sha256(authorization.encode("utf-8", "surrogatepass")).digest()
