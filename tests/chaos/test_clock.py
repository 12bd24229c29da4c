"""Servers whose clocks are wrong, differ, and jump."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import httpx
import pytest

from tests.chaos.accounts import settled
from tests.chaos.conftest import Enter
from tests.chaos.load import Load, Token
from tests.chaos.rig import Rig, strikes
from tests.chaos.server import Server, launched
from tests.support.clinic import V1
from tests.support.clock import Clock

# FHIR_SERVER_OIDC_LEEWAY as it comes is 30 seconds.
BORNE: Final = 20
HOUR: Final = 3600


@pytest.fixture
def clock(rig: Rig) -> Clock:
    found = Clock(rig.folder / "clock")
    found.set(BORNE)
    return found


@pytest.fixture
async def other(rig: Rig, clock: Clock) -> AsyncIterator[Server]:
    """A second server, with a clock of its own."""
    server = Server(rig.folder, "skewed", **rig.settings())
    with launched(server, **clock.environment()):
        await server.listens()
        yield server


async def test_clocks_differ_and_jump(
    rig: Rig, other: Server, clock: Clock, token: Token, enter: Enter
) -> None:
    """Each try goes to the other server, so what the one began the other one ends."""
    async with rig.load(rig.server, other).running() as load:
        for _ in strikes(1, 20):
            for jump in (-BORNE, 2 * HOUR, 0):
                await load.more(12)
                clock.set(jump)
        await load.more(12)
    async with httpx.AsyncClient() as http:
        await _tokens_at_the_border(http, rig.server, other, clock, token)
        await _keys_are_known_for_a_day(http, rig.server, other, clock, token, load)
    clock.set(0)
    enter(await settled("clocks differ and jump", load, rig.nats.url))


async def _tokens_at_the_border(
    http: httpx.AsyncClient, right: Server, skewed: Server, clock: Clock, token: Token
) -> None:
    """Expiry and issue are judged by each server's own clock, with 30 seconds of leeway."""

    async def status(server: Server) -> int:
        text = token("t-clock", "usr_service", "SERVICE", ttl=60)
        headers = {"authorization": f"Bearer {text}"}
        address = f"{server.address}/fhir/R4/Patient?_summary=count"
        return (await http.get(address, headers=headers)).status_code

    for seconds, expected in ((-120, 401), (-BORNE, 200), (60 + BORNE, 200), (120, 401)):
        clock.set(seconds)
        assert await status(skewed) == expected, seconds
        assert await status(right) == 200


async def _keys_are_known_for_a_day(
    http: httpx.AsyncClient,
    right: Server,
    skewed: Server,
    clock: Clock,
    token: Token,
    load: Load,
) -> None:
    """As either server counts: two hours apart they replay each other's answers."""
    authorization = f"Bearer {token(load.tenant, 'usr_amina', 'DOCTOR', ttl=100 * HOUR)}"

    async def send(server: Server, key: str) -> httpx.Response:
        headers = {"authorization": authorization, "idempotency-key": key}
        body = {"participantIds": ["usr_farid"], "subject": "Clock"}
        return await http.post(f"{server.address}{V1}threads", headers=headers, json=body)

    for first, second in ((right, skewed), (skewed, right)):
        clock.set(2 * HOUR)
        key = f"clock-{first.port}"
        made, again = await send(first, key), await send(second, key)
        assert (made.status_code, again.status_code) == (201, 201), again.text
        assert again.headers["idempotency-replayed"] == "true"
        assert again.json() == made.json()
