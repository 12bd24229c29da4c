"""Somebody else's server that takes connections and never says a word."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silent(port: int = 0) -> Iterator[int]:
    """Its port, until the end of the block: the kernel takes connections, and nobody reads them."""
    with socket.create_server(("127.0.0.1", port), backlog=512) as listening:
        yield int(listening.getsockname()[1])
