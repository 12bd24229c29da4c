"""Deliveries to endpoints, against a local double: only to the address that was judged, with
nothing followed and nothing added. And that nobody else fetches what a client named."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import fhir_server
from fhir_server.outbound import (
    Deliverer,
    EndpointError,
    Endpoints,
    OutboundSettings,
    UndeliverableError,
)
from tests.conftest import NewClinic
from tests.support.clinic import Clinic, Resource, refer
from tests.support.server import double, threaded

PUBLIC = "93.184.216.34"
LOOPBACK = "127.0.0.0/8"


class Receiver:
    """Somebody else's server, and what it was sent."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.status, self.headers = 200, dict[str, str]()
        self.delay = 0.0
        self.port = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.requests.append((scope["path"], headers, body))
        await asyncio.sleep(self.delay)
        listed = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": listed})
        await send({"type": "http.response.body", "body": b"x" * 1000})


@pytest.fixture(scope="module")
def served() -> Iterator[Receiver]:
    receiver = Receiver()
    config = double(receiver)
    config.port = 0
    with threaded(config) as server:
        receiver.port = server.servers[0].sockets[0].getsockname()[1]
        yield receiver


@pytest.fixture
def receiver(served: Receiver) -> Receiver:
    served.requests.clear()
    served.status, served.headers, served.delay = 200, {}, 0.0
    return served


class Names:
    """A resolver that answers each question with the next list of addresses."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def deliverer(
    *answers: Sequence[str], networks: str | None = LOOPBACK, timeout: float = 5.0
) -> Any:
    """One that takes plain http and any port, with those answers to its questions for a name."""
    settings = OutboundSettings(outbound_networks=networks, outbound_ports="*")
    names = Names(*(answers or (["127.0.0.1"],)))
    made = Deliverer(Endpoints(settings, production=False), timeout=timeout, resolve=names)
    return made, names


def url(receiver: Receiver, host: str = "hooks.example.org") -> str:
    return f"http://{host}:{receiver.port}/in?x=1"


@pytest.fixture
async def closing() -> AsyncIterator[list[Deliverer]]:
    opened: list[Deliverer] = []
    yield opened
    for one in opened:
        await one.aclose()


async def test_a_delivery_arrives_under_its_name(receiver: Receiver, closing: list[Any]) -> None:
    to, names = deliverer()
    closing.append(to)
    sent = await to.post(
        url(receiver), b"{}", {"content-type": "application/fhir+json", "x-a": "b"}
    )
    assert (sent.status, sent.taken, names.asked) == (200, True, ["hooks.example.org"])
    ((path, headers, body),) = receiver.requests
    assert (path, body) == ("/in", b"{}")
    assert headers["host"] == f"hooks.example.org:{receiver.port}"
    assert headers["content-type"] == "application/fhir+json"
    assert not {"cookie", "authorization", "accept-encoding"} & headers.keys()


INSIDE = [
    ["127.0.0.1"],
    ["::1"],
    ["::ffff:127.0.0.1"],
    ["169.254.169.254"],
    ["fe80::1%eth0"],
    [PUBLIC, "10.0.0.1"],
    ["10.0.0.1", PUBLIC],
    ["64:ff9b::7f00:1"],
    ["nonsense"],
    [],
]


@pytest.mark.parametrize("answer", INSIDE, ids=str)
async def test_a_name_that_means_something_inside_is_not_called(
    receiver: Receiver, closing: list[Any], answer: Sequence[str]
) -> None:
    to, _ = deliverer(answer, networks=None)
    closing.append(to)
    with pytest.raises(EndpointError):
        await to.post(url(receiver), b"{}", {})
    assert not receiver.requests


async def test_a_name_that_changes_its_meaning_is_judged_by_what_is_called(
    receiver: Receiver, closing: list[Any]
) -> None:
    """DNS rebinding: what is connected to is the address that was judged, never a second answer."""
    to, names = deliverer(["127.0.0.1"], ["127.0.0.9"], ["127.0.0.9"])
    closing.append(to)
    assert (await to.post(url(receiver), b"{}", {})).taken
    assert len(names.asked) == 1
    to, names = deliverer(["127.0.0.1"], ["10.0.0.1"])
    closing.append(to)
    assert (await to.post(url(receiver), b"{}", {})).taken
    with pytest.raises(EndpointError):
        await to.post(url(receiver), b"{}", {})
    assert len(names.asked) == 2
    assert len(receiver.requests) == 2


async def test_a_redirect_is_not_followed(receiver: Receiver, closing: list[Any]) -> None:
    to, _ = deliverer()
    closing.append(to)
    for status in (301, 302, 303, 307, 308):
        receiver.status, receiver.headers = status, {"location": "http://169.254.169.254/"}
        sent = await to.post(url(receiver), b"{}", {})
        assert (sent.status, sent.taken) == (status, False)
    assert len(receiver.requests) == 5


async def test_nothing_is_remembered_of_an_answer(receiver: Receiver, closing: list[Any]) -> None:
    to, _ = deliverer()
    closing.append(to)
    receiver.headers = {"set-cookie": "a=b", "alt-svc": 'h2="127.0.0.1:1"'}
    for _ in range(2):
        await to.post(url(receiver), b"{}", {})
    assert all("cookie" not in headers for _, headers, _ in receiver.requests)


async def test_the_environments_proxy_is_not_asked(
    receiver: Receiver, closing: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    to, _ = deliverer()
    closing.append(to)
    assert (await to.post(url(receiver), b"{}", {})).taken


@pytest.mark.parametrize("name", ["Host", "Content-Length", "Transfer-Encoding", "Connection"])
async def test_a_header_of_the_servers_own_is_not_taken_from_a_client(
    receiver: Receiver, closing: list[Any], name: str
) -> None:
    to, _ = deliverer()
    closing.append(to)
    await to.post(url(receiver), b"{}", {name: "chunked"})
    ((_, headers, body),) = receiver.requests
    assert headers.get(name.lower()) != "chunked"
    assert body == b"{}"


async def test_a_header_with_a_line_end_is_not_sent(receiver: Receiver, closing: list[Any]) -> None:
    to, _ = deliverer()
    closing.append(to)
    for value in ("a\r\nx-b: c", "a\nb", "a\0b"):
        with pytest.raises(UndeliverableError):
            await to.post(url(receiver), b"{}", {"x-a": value})
    assert not receiver.requests


async def test_who_does_not_answer_is_not_waited_for(
    receiver: Receiver, closing: list[Any]
) -> None:
    receiver.delay = 2.0
    to, _ = deliverer(timeout=0.3)
    closing.append(to)
    with pytest.raises(UndeliverableError) as failed:
        await to.post(url(receiver), b"{}", {})
    assert "hooks" not in str(failed.value)


async def test_the_next_address_is_tried_where_one_does_not_answer(
    receiver: Receiver, closing: list[Any]
) -> None:
    to, _ = deliverer(["127.0.0.77", "127.0.0.1"])
    closing.append(to)
    assert (await to.post(url(receiver), b"{}", {})).taken


FETCHERS = {
    "fhir_server/http/auth/discovery.py",  # the issuer that the settings name
    "fhir_server/terminology/remote.py",  # the terminology server that the settings name
    "fhir_server/outbound/deliver.py",
}
CLIENT = re.compile(
    r"^\s*(?:import|from)\s+(?:httpx|httpcore|aiohttp|requests|urllib3|urllib\.request|http\.client)\b"
    r"|^\s*from (?:urllib import.*\brequest|http import.*\bclient)\b",
    re.MULTILINE,
)


def test_nobody_else_can_fetch_anything() -> None:
    package = Path(fhir_server.__file__).parent
    found = {
        file.relative_to(package.parent).as_posix()
        for file in package.rglob("*.py")
        if CLIENT.search(file.read_text("utf-8"))
    }
    assert found == FETCHERS


@pytest.fixture(scope="module")
def world(new_clinic: NewClinic) -> Clinic:
    return new_clinic()


def leading_to(address: str) -> list[Resource]:
    """Resources in which a client may name an address, wherever R4 has a place for one."""
    attachment = {"contentType": "text/html", "url": address, "title": "x"}
    profile = {"meta": {"profile": [address], "source": address}}
    return [
        {
            "resourceType": "Communication",
            "status": "completed",
            "instantiatesUri": [address],
            "instantiatesCanonical": [address],
            "subject": {"reference": f"{address}/Patient/1"},
            "payload": [{"contentAttachment": attachment}],
            "extension": [{"url": address, "valueUrl": address}],
        },
        {
            "resourceType": "DocumentReference",
            "status": "current",
            "content": [{"attachment": attachment}],
        },
        {"resourceType": "Patient", "photo": [attachment], "implicitRules": address},
        {"resourceType": "Patient", "photo": [attachment]},
        {"resourceType": "Practitioner", "photo": [attachment], "contact": []},
        {"resourceType": "Organization", "name": "x", **profile},
        {"resourceType": "Device", "url": address},
        {"resourceType": "Basic", "code": {"coding": [{"system": address, "code": "x"}]}},
    ]


def test_addresses_in_resources_are_text_and_never_fetched(
    world: Clinic, receiver: Receiver
) -> None:
    service, stored = world.service, 0
    address = f"http://127.0.0.1:{receiver.port}/secret"
    for resource in leading_to(address):
        for path in ("", f"{resource['resourceType']}/$validate"):
            assert service.post(resource, path).status_code < 500
        stored += len(service.ids(resource["resourceType"]))
    assert stored
    for path in (
        f"Communication?_include=*&instantiates-canonical={address}",
        f"Communication?subject={address}/Patient/1",
        f"DocumentReference?location={address}",
        f"Patient?_profile={address}",
        f"ValueSet/$expand?url={address}",
        f"CodeSystem/$lookup?system={address}&code=x",
        f"Observation?code:in={address}",
        f"Communication?category:in={address}",
        "Communication?_include=Communication:subject&_include:iterate=*",
    ):
        assert service.get(path).status_code < 500
    assert not receiver.requests


def test_a_message_carries_no_address_at_all(world: Clinic, receiver: Receiver) -> None:
    amina = world.amina
    kept = amina.created(
        {
            "resourceType": "Communication",
            "status": "in-progress",
            "topic": {"text": "Plan"},
            "recipient": refer("Practitioner/farid"),
        }
    )
    attachment = {"url": f"http://127.0.0.1:{receiver.port}/secret"}
    message = {
        "resourceType": "Communication",
        "status": "in-progress",
        "partOf": refer(f"Communication/{kept['id']}"),
        "payload": [{"contentAttachment": attachment}],
    }
    assert amina.post(message).status_code == 422
    assert not receiver.requests
