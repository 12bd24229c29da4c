"""What a fault is tried on: a PostgreSQL, a NATS and servers of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

from tests.chaos.load import Load, Token
from tests.chaos.server import Server, launched
from tests.support.nats import NatsServer, nats_server
from tests.support.postgres import Postgres
from tests.support.proxy import Proxy

# `make chaos` breaks things for longer, and at more moments.
LONG: Final = bool(os.environ.get("FHIR_SERVER_TEST_CHAOS"))
# Seconds after which no further strike begins, so that all faults together stay below ten minutes.
LONGEST: Final = 30.0


def strikes(short: int, long: int) -> Iterator[int]:
    """As often as a fault strikes: `long` times in the long form, as far as it comes within
    LONGEST."""
    end = monotonic() + LONGEST
    for n in range(long if LONG else short):
        if n >= short and monotonic() > end:
            return
        yield n


@dataclass(slots=True)
class Rig:
    """`proxy` stands between server and database."""

    folder: Path
    postgres: Postgres
    nats: NatsServer
    proxy: Proxy
    server: Server
    token: Token

    def load(self, *servers: Server) -> Load:
        """Clients of these servers, or of the rig's."""
        used = servers or (self.server,)

        def addresses() -> list[str]:
            running = [server.address for server in used if server.runs()]
            return running or [server.address for server in used]

        return Load(addresses, self.token, bus=self.nats.url)

    def settings(self) -> dict[str, str]:
        """What another server on the same database and bus is told."""
        return settings(self.proxied, self.nats.url)

    @property
    def proxied(self) -> str:
        """The database by way of the proxy."""
        return proxied(self.postgres, self.proxy)


def proxied(postgres: Postgres, proxy: Proxy) -> str:
    return postgres.url.replace(f":{postgres.port}/", f":{proxy.port}/")


def settings(database: str, bus: str) -> dict[str, str]:
    return {"FHIR_SERVER_DATABASE_URL": database, "FHIR_SERVER_NATS_URL": bus}


@contextmanager
def rig_on(postgres: Postgres, folder: Path, token: Token) -> Iterator[Rig]:
    """All of it on a PostgreSQL that runs; the server is launched, not awaited."""
    with ExitStack() as stack:
        nats = stack.enter_context(nats_server(folder))
        proxy = stack.enter_context(Proxy(lambda: postgres.url).running())
        server = Server(folder, "server", **settings(proxied(postgres, proxy), nats.url))
        stack.enter_context(launched(server))
        yield Rig(folder, postgres, nats, proxy, server, token)
