"""Clients that write while things break: each sends what was not acknowledged again, as it was.

On the v1 face a message has its Idempotency-Key; on the FHIR face, a creation its If-None-Exist and
an update its If-Match, which are FHIR's own means. Other services' events come in by NATS, each
twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count, takewhile
from time import monotonic
from typing import Any, Final
from uuid import uuid4

import httpx
from nats.aio.client import Client
from nats.errors import Error as NatsError

from tests.chaos.ledger import Ledger
from tests.chaos.server import DEADLINE
from tests.support.clinic import JSON, V1
from tests.workers.test_consumer import PATIENTS
from tests.workers.test_incoming import registered

SYSTEM: Final = "urn:fhir-server:chaos"
# Seconds beyond the server's deadline until a request counts as hanging: the machine may be busy.
GRACE: Final = 4.0
# Between two tries, and between two writes of a client.
REST: Final = 0.05
MESSENGERS, CREATORS, COUNTERS = 3, 2, 2
FHIR: Final = "/fhir/R4/"

Resource = dict[str, Any]
Token = Callable[..., str]


class Load:
    """The clients of one tenant. `addresses` are those of the servers at this time; each try goes
    to the next one."""

    def __init__(
        self,
        addresses: Callable[[], Sequence[str]],
        token: Token,
        *,
        bus: str | None = None,
    ) -> None:
        self.ledger = Ledger()
        self.tenant = f"t-{uuid4().hex[:12]}"
        self.thread = ""
        self._addresses = addresses
        self.authorization = f"Bearer {token(self.tenant, 'usr_amina', 'DOCTOR')}"
        self._service = f"Bearer {token(self.tenant, 'usr_service', 'SERVICE')}"
        self.bus = bus
        self._ended = False
        self._turn = count()
        self._http = httpx.AsyncClient(limits=httpx.Limits(max_connections=None))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Load]:
        """Writes until the end of the block, where each client ends its last try."""
        await self._prepare()
        clients = [
            *(self._messenger(n) for n in range(MESSENGERS)),
            *(self._creator(n) for n in range(CREATORS)),
            *(self._counter(n) for n in range(COUNTERS)),
        ]
        if self.bus is not None:
            clients.append(self._teller(self.bus))
        tasks = [asyncio.create_task(client) for client in clients]
        try:
            yield self
        except BaseException:
            await self.aclose()
            raise
        finally:
            self._ended = True
            await asyncio.gather(*tasks, return_exceptions=self._http.is_closed)

    async def more(self, number: int, within: float = 60) -> None:
        """Waits until that many more writes were acknowledged: proof that it goes on."""
        wanted = self.ledger.acknowledged + number
        try:
            async with asyncio.timeout(within):
                while self.ledger.acknowledged < wanted:  # noqa: ASYNC110 - a deadline bounds it
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"nothing goes on: {self.ledger.answers}") from None

    async def read(self, path: str, service: bool = False) -> Resource:  # noqa: FBT001, FBT002
        """What lies at that path of the FHIR face, or at that address."""
        who = self._service if service else self.authorization
        async with asyncio.timeout(60):
            answer = await self._done("GET", path, {"authorization": who}, None, unended=True)
        assert answer is not None
        assert answer.status_code == 200, answer.text
        found: Resource = answer.json()
        return found

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _prepare(self) -> None:
        for resource in (
            {"resourceType": "Practitioner", "id": "amina"},
            {"resourceType": "Practitioner", "id": "farid"},
            {"resourceType": "Patient", "id": "zahra"},
            *(_counted(n, 0) for n in range(COUNTERS)),
        ):
            path = f"{FHIR}{resource['resourceType']}/{resource['id']}"
            answer = await self._done("PUT", path, self._fhir(self._service), resource)
            assert answer is not None
            assert answer.status_code in {200, 201}, answer.text
        body = {"participantIds": ["usr_farid"], "subject": "Plan", "patientId": "pat_zahra"}
        answer = await self._done("POST", f"{V1}threads", self._v1("thread"), body)
        assert answer is not None
        assert answer.status_code == 201, answer.text
        self.thread = answer.json()["threadId"].removeprefix("thr_")

    def _numbers(self, start: int = 0) -> Iterator[int]:
        """Until the end."""
        return takewhile(lambda _: not self._ended, count(start))

    async def _messenger(self, n: int) -> None:
        path = f"{V1}threads/thr_{self.thread}/messages"
        for number in self._numbers():
            word = f"v1-{n}-{number}"
            answer = await self._done("POST", path, self._v1(word), {"body": word})
            if answer is None:
                return
            if self._good(answer, 201):
                self.ledger.messages[word] = answer.json()["messageId"].removeprefix("msg_")
            await asyncio.sleep(REST)

    async def _creator(self, n: int) -> None:
        for number in self._numbers():
            word = f"fhir-{n}-{number}"
            headers = self._fhir(self.authorization) | {
                "if-none-exist": f"identifier={SYSTEM}|{word}"
            }
            answer = await self._done("POST", f"{FHIR}Communication", headers, self._message(word))
            if answer is None:
                return
            if self._good(answer, 200, 201):
                self.ledger.messages[word] = answer.json()["id"]
            await asyncio.sleep(REST)

    async def _counter(self, n: int) -> None:
        """One resource that counts; of an update whose answer was lost, it tells whether it is
        there."""
        path = f"{FHIR}Patient/count-{n}"
        for number in self._numbers(1):
            headers = self._fhir(self._service) | {"if-match": f'W/"{number}"'}
            answer = await self._done("PUT", path, headers, _counted(n, number))
            if answer is not None and answer.status_code == 412:
                answer = await self._done("GET", path, self._fhir(self._service), None)
            if answer is None:
                return
            if self._good(answer, 200):
                found = int(answer.json()["identifier"][0]["value"])
                if found != number:
                    self.ledger.wrong.append(f"count-{n} is {found}, not {number}")
                    return
                self.ledger.counts.add(n * 1_000_000 + number)
            await asyncio.sleep(REST)

    async def _teller(self, bus: str) -> None:
        """Another service, which tells of each patient twice."""
        for number in self._numbers():
            body = registered(self.tenant, f"pat_told-{number}")
            for _ in range(2):
                while not await _published(bus, body):
                    if self._ended:
                        return
                    await asyncio.sleep(REST)
            self.ledger.told.add(f"told-{number}")
            await asyncio.sleep(4 * REST)

    async def _done(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: Resource | None,
        *,
        unended: bool = False,
    ) -> httpx.Response | None:
        """The answer that settles it; None where there was none before the end."""
        while True:
            answer = await self._try(method, path, headers, body)
            if answer is not None and answer.status_code not in {409, 503}:
                return answer
            if self._ended and not unended:
                return None
            await asyncio.sleep(REST)

    async def _try(
        self, method: str, path: str, headers: dict[str, str], body: Resource | None
    ) -> httpx.Response | None:
        addresses, ledger, start = self._addresses(), self.ledger, monotonic()
        address = addresses[next(self._turn) % len(addresses)]
        try:
            async with asyncio.timeout(DEADLINE + GRACE):
                answer = await self._http.request(
                    method, httpx.URL(address).join(path), headers=headers, json=body, timeout=None
                )
        except TimeoutError:
            ledger.late += 1
            return None
        except httpx.TransportError:
            ledger.answers["none"] += 1
            return None
        finally:
            ledger.slowest = max(ledger.slowest, monotonic() - start)
        ledger.answers[str(answer.status_code)] += 1
        if answer.status_code >= 500 and "retry-after" not in answer.headers:
            ledger.wrong.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer

    def _good(self, answer: httpx.Response, *statuses: int) -> bool:
        if answer.status_code in statuses:
            return True
        self.ledger.wrong.append(f"{answer.status_code} {answer.text[:300]}")
        return False

    def _message(self, word: str) -> Resource:
        return {
            "resourceType": "Communication",
            "status": "in-progress",
            "identifier": [{"system": SYSTEM, "value": word}],
            "partOf": [{"reference": f"Communication/{self.thread}"}],
            "payload": [{"contentString": word}],
        }

    def _fhir(self, who: str) -> dict[str, str]:
        return {"authorization": who, "content-type": JSON}

    def _v1(self, key: str) -> dict[str, str]:
        more = {"idempotency-key": f"{self.tenant}-{key}"}
        return {"authorization": self.authorization, "content-type": "application/json", **more}


def _counted(n: int, number: int) -> Resource:
    identifier = {"system": SYSTEM, "value": str(number)}
    return {"resourceType": "Patient", "id": f"count-{n}", "identifier": [identifier]}


async def _published(bus: str, body: bytes) -> bool:
    """Whether JetStream has it."""
    with suppress(NatsError, OSError, TimeoutError):
        client = Client()
        try:
            async with asyncio.timeout(DEADLINE):
                await client.connect(bus, allow_reconnect=False, error_cb=_quietly)
                await client.jetstream().publish(PATIENTS, body)
        finally:
            await client.close()
        return True
    return False


async def _quietly(_: Exception) -> None:
    """The caller is told."""
