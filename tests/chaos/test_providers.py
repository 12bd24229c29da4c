"""Everybody else hangs: scanner, terminology server, token issuer, Redis."""

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
from tests.chaos.load import GRACE, Load
from tests.chaos.rig import Rig, strikes
from tests.chaos.server import DEADLINE, Server, launched
from tests.support.clamd import Double
from tests.support.clinic import V1
from tests.support.silent import silent

CONTENT: Final = b"The plan for tomorrow"
LOOKUP: Final = "CodeSystem/$lookup?system=http://loinc.org&code=718-7"


class Scanner:
    """ClamAV's daemon: hangs until it `recovers`."""

    def __init__(self, stack: ExitStack) -> None:
        self._double = Double()
        self._stack = stack
        self._silence = stack.enter_context(ExitStack())
        self._silence.enter_context(silent(self._double.port))
        self.address = self._double.address

    def recovers(self) -> None:
        self._silence.close()
        self._stack.enter_context(self._double.running())


@pytest.fixture
def scanner() -> Iterator[Scanner]:
    with ExitStack() as stack:
        yield Scanner(stack)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """One that nobody can ask."""
    with silent() as port:
        yield Issuer(port)


@pytest.fixture
async def server(rig: Rig, scanner: Scanner, issuer: Issuer) -> AsyncIterator[Server]:
    """One that is told of them all."""
    with silent() as port:
        found = Server(
            rig.folder,
            "hanging",
            **rig.settings(),
            FHIR_SERVER_TERMINOLOGY_URL=f"http://127.0.0.1:{port}/r4",
            FHIR_SERVER_OIDC_ISSUER=issuer.url,
            FHIR_SERVER_OIDC_AUDIENCE=AUDIENCE,
            FHIR_SERVER_REDIS_URL=f"redis://127.0.0.1:{port}/0",
            FHIR_SERVER_RATE_LIMIT_SCALE="1e6",
            FHIR_SERVER_CLAMD=scanner.address,
        )
        with launched(found):
            await found.listens()
            yield found


async def test_providers_hang(
    rig: Rig,
    server: Server,
    scanner: Scanner,
    issuer: Issuer,
    http: httpx.AsyncClient,
    enter: Enter,
) -> None:
    """Who does not need them does not notice; who does is told in time."""
    async with rig.load(server).running() as load:
        for _ in strikes(1, 20):
            await load.more(20)
        fhir = f"{server.address}/fhir/R4"
        told = await asyncio.gather(
            _answered(http, f"{fhir}/{LOOKUP}", load.authorization),
            _answered(http, f"{fhir}/Patient", f"Bearer {issuer.token()}"),
        )
        assert set(told) == {503}
        attachment = await _uploaded(http, server, load)
        assert await server.ready(http)
        await load.more(20)
        assert await _state(http, load, attachment) == "quarantined"
        scanner.recovers()
        async with asyncio.timeout(30):
            while await _state(http, load, attachment) != "clean":  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    assert load.ledger.answers["503"] == 0
    enter(await settled("providers hang", load, rig.nats.url))


async def _answered(http: httpx.AsyncClient, address: str, authorization: str) -> int:
    """The status; it must come in time."""
    start = monotonic()
    answer = await http.get(address, headers={"authorization": authorization}, timeout=60)
    assert monotonic() - start < DEADLINE + GRACE
    assert "retry-after" in answer.headers, answer.text
    return answer.status_code


async def _uploaded(http: httpx.AsyncClient, server: Server, load: Load) -> str:
    """An attachment's address."""
    headers = {"authorization": load.authorization, "idempotency-key": "attachment"}
    body = {"fileName": "plan.txt", "contentType": "text/plain", "size": len(CONTENT)}
    thread = f"{server.address}{V1}threads/thr_{load.thread}"
    made = await http.post(f"{thread}/attachments", headers=headers, json=body)
    assert made.status_code == 201, made.text
    address = f"{server.address}{V1}attachments/{made.json()['attachmentId']}"
    headers = {"authorization": load.authorization, "content-type": "text/plain"}
    put = await http.put(f"{address}/content", headers=headers, content=CONTENT)
    assert put.status_code == 200, put.text
    return address


async def _state(http: httpx.AsyncClient, load: Load, address: str) -> str:
    answer = await http.get(address, headers={"authorization": load.authorization})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["state"])
