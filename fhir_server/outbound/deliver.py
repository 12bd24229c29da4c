"""Sending to an endpoint: what its name means is looked up, judged, and then the very address that
was judged is connected to.

A name that is looked up once to be judged and again to connect may mean something else the second
time (DNS rebinding). Here it is looked up once for each delivery; the certificate is still proven
for the name. Redirects are not followed, proxies of the environment not used, cookies not kept, and
of the answer only its status is read.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from ssl import SSLContext, create_default_context
from typing import Final, NamedTuple

import httpx

from fhir_server.outbound.addresses import Address, is_public, read_address
from fhir_server.outbound.endpoints import Endpoint, EndpointError, Endpoints

# A host, as addresses; OSError where it has none.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
MOST_TRIED: Final = 3
_RESERVED: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "te"})


class UndeliverableError(Exception):
    """Nothing was sent, or nobody knows whether it came; no part of the address is in the text."""


class Delivery(NamedTuple):
    """What the endpoint answered. A redirect (3xx) is an answer like any other: not followed."""

    status: int

    @property
    def taken(self) -> bool:
        """Whether it was accepted."""
        return httpx.codes.is_success(self.status)


async def looked_up(host: str, port: int) -> Sequence[str]:
    """Every address of a name, as the system's resolver has them."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Deliverer:
    """Sends to endpoints, each within `timeout` seconds. `aclose()` at the end."""

    def __init__(
        self,
        endpoints: Endpoints,
        *,
        timeout: float = 10.0,
        resolve: Resolve = looked_up,
        tls: SSLContext | None = None,
    ) -> None:
        self._endpoints = endpoints
        self._resolve = resolve
        self._timeout = timeout
        # Beneath httpx's client, which would add cookies, redirects and proxies. A kept connection
        # is known by its address only, and would serve another name unproven.
        self._transport = httpx.AsyncHTTPTransport(
            verify=tls or create_default_context(),
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Delivery:
        """EndpointError where nothing may be sent there, UndeliverableError where it cannot be."""
        endpoint = self._endpoints.read(url)
        try:
            async with asyncio.timeout(self._timeout):
                return await self._sent(endpoint, await self._addresses(endpoint), body, headers)
        except (httpx.HTTPError, OSError) as error:
            raise UndeliverableError(type(error).__name__) from None

    async def _addresses(self, endpoint: Endpoint) -> list[Address]:
        """Those of the endpoint; all must be fit, or somebody tries which of them is taken."""
        if literal := read_address(endpoint.host):
            return [literal]
        texts = await self._resolve(endpoint.host, endpoint.port)
        found = [read_address(text.partition("%")[0]) for text in texts]
        known = [address for address in found if address is not None]
        if not known or len(known) != len(found):
            raise EndpointError("its host has no usable address")
        if not all(is_public(address, self._endpoints.networks) for address in known):
            raise EndpointError("its host has an address that is not a public one")
        return known

    async def _sent(
        self,
        endpoint: Endpoint,
        addresses: Sequence[Address],
        body: bytes,
        headers: Mapping[str, str],
    ) -> Delivery:
        *first, last = addresses[:MOST_TRIED]
        for address in first:
            try:
                return await self._sent_to(endpoint, address, body, headers)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._sent_to(endpoint, last, body, headers)

    async def _sent_to(
        self, endpoint: Endpoint, address: Address, body: bytes, headers: Mapping[str, str]
    ) -> Delivery:
        kept = {n: v for n, v in headers.items() if n.lower() not in _RESERVED}
        times = dict.fromkeys(("connect", "read", "write", "pool"), self._timeout)
        request = httpx.Request(
            "POST",
            f"{endpoint.scheme}://{_written(str(address))}:{endpoint.port}{endpoint.target}",
            content=body,
            headers={"host": f"{_written(endpoint.host)}{_port(endpoint)}", **kept},
            extensions={"sni_hostname": endpoint.host, "timeout": times},
        )
        answer = await self._transport.handle_async_request(request)
        await answer.aclose()
        return Delivery(answer.status_code)


def _written(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _port(endpoint: Endpoint) -> str:
    usual = {"https": 443, "http": 80}
    return "" if usual[endpoint.scheme] == endpoint.port else f":{endpoint.port}"
