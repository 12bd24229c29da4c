"""Everybody else hangs: scanner, terminology server, token issuer, Redis, bucket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from time import monotonic
from typing import Final

import httpx
import pytest

from tests.auth.issuer import AUDIENCE, Issuer
from tests.chaos.accounts import settled
from tests.chaos.conftest import Enter
from tests.chaos.load import GRACE, Load, Token
from tests.chaos.rig import LONG, Rig, rounds
from tests.chaos.server import DEADLINE, Server, launched
from tests.support.clamd import Double
from tests.support.clinic import V1
from tests.support.silent import silent

CONTENT: Final = b"The plan for tomorrow"


@pytest.fixture
def hanging() -> Iterator[dict[str, int]]:
    """The ports of all of them, by name."""
    names = ("clamd", "terminology", "issuer", "redis", "bucket")
    with ExitStack() as stack:
        yield {name: stack.enter_context(silent()) for name in names}


@pytest.fixture
async def server(rig: Rig, hanging: dict[str, int]) -> AsyncIterator[Server]:
    """One that needs them all, but for the bucket."""
    found = Server(
        rig.folder,
        "hanging",
        **rig.settings(),
        FHIR_SERVER_TERMINOLOGY_URL=f"http://127.0.0.1:{hanging['terminology']}/r4",
        FHIR_SERVER_OIDC_ISSUER=Issuer(hanging["issuer"]).url,
        FHIR_SERVER_OIDC_AUDIENCE=AUDIENCE,
        FHIR_SERVER_REDIS_URL=f"redis://127.0.0.1:{hanging['redis']}/0",
        FHIR_SERVER_RATE_LIMIT_SCALE="1e6",
        FHIR_SERVER_CLAMD=f"127.0.0.1:{hanging['clamd']}",
    )
    with launched(found):
        await found.listens()
        yield found


async def test_providers_hang(
    rig: Rig, server: Server, hanging: dict[str, int], http: httpx.AsyncClient, enter: Enter
) -> None:
    """Whoever does not need them does not notice; whoever does is told in time."""
    async with rig.load(server).running() as load:
        await load.more(rounds(20, 400), within=120)
        told = await asyncio.gather(
            _answered(http, f"{server.address}/fhir/R4/{LOOKUP}", load.authorization),
            _answered(http, f"{server.address}/fhir/R4/Patient", _foreign(hanging["issuer"])),
        )
        assert told == [503, 503]
        assert await server.ready(http)
        await load.more(20)
    assert load.ledger.answers["503"] == 0
    enter(await settled("providers hang", load, rig.nats.url))


LOOKUP: Final = "CodeSystem/$lookup?system=http://loinc.org&code=718-7"


def _foreign(port: int) -> str:
    issuer = Issuer(port)
    return f"Bearer {issuer.token()}"


async def _answered(http: httpx.AsyncClient, address: str, authorization: str) -> int:
    """The status; it must come in time."""
    start = monotonic()
    answer = await http.get(address, headers={"authorization": authorization}, timeout=60)
    assert monotonic() - start < DEADLINE + GRACE
    assert "retry-after" in answer.headers, answer.text
    return answer.status_code
