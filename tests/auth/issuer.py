"""A real OpenID Connect issuer on a free port, in Keycloak's shapes, that can be made to fail."""

from __future__ import annotations

import asyncio
import socket
import time
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal

import orjson
from joserfc import jws
from joserfc.jwk import ECKey, KeySet, RSAKey

from tests.support.server import double, threaded

AUDIENCE = "fhir-server"
Mode = Literal["well", "down", "hanging", "garbage", "empty", "list", "huge", "moved", "dripping"]
BROKEN: dict[Mode, tuple[int, bytes]] = {
    "down": (500, b"{}"),
    "moved": (302, b"{}"),
    "garbage": (200, b"<html>"),
    "list": (200, b"[]"),
}
LONG = 3.0
Send = Callable[[dict[str, Any]], Awaitable[None]]


def b64(value: object) -> str:
    """The base64url text of bytes, or of anything else as JSON."""
    raw = value if isinstance(value, bytes) else orjson.dumps(value)
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


@cache
def _first_keys() -> tuple[RSAKey, RSAKey, ECKey]:
    rsa, encryption = (RSAKey.generate_key(2048, auto_kid=True) for _ in range(2))
    return rsa, encryption, ECKey.generate_key("P-256", auto_kid=True)


class Issuer:
    """One realm. `rotate()` changes its keys, `mode` how it answers, `requests` counts by path."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/realms/clinic"
        self.reset()

    def reset(self) -> None:
        self.mode: Mode = "well"
        self.stated_issuer = self.url
        self.stated_jwks_uri: object = f"{self.url}/protocol/openid-connect/certs"
        self.requests: list[str] = []
        self.rsa, self.encryption, self.ec = _first_keys()

    def rotate(self) -> None:
        self.rsa = RSAKey.generate_key(2048, auto_kid=True)
        self.ec = ECKey.generate_key("P-256", auto_kid=True)

    @property
    def key_fetches(self) -> int:
        return sum(path.endswith("/certs") for path in self.requests)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Good claims, changed; None leaves a claim out."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": [AUDIENCE, "account"],
            "exp": now + 300,
            "iat": now,
            "typ": "Bearer",
            "azp": "app",
            "tid": "demo",
            "sub": "usr_amina",
            "scope": "openid messaging:read user/Communication.rs",
            "realm_access": {"roles": ["DOCTOR"]},
        }
        return {k: v for k, v in (claims | changes).items() if v is not None}

    def token(
        self,
        header: dict[str, Any] | None = None,
        key: RSAKey | ECKey | None = None,
        **changes: Any,
    ) -> str:
        # Signed by hand, since the library refuses to make the headers that forgers use.
        used = key or self.rsa
        algorithm = "ES256" if isinstance(used, ECKey) else "RS256"
        full = {"alg": algorithm, "kid": used.kid, "typ": "JWT"} | (header or {})
        signed = f"{b64(full)}.{b64(self.claims(**changes))}"
        method = jws.JWSRegistry.algorithms[full["alg"]]
        return f"{signed}.{b64(method.sign(signed.encode(), used))}"

    def bearer(self, **changes: Any) -> str:
        return f"Bearer {self.token(**changes)}"

    async def __call__(self, scope: dict[str, Any], _receive: object, send: Send) -> None:
        path = scope["path"]
        self.requests.append(path)
        status, body = await self._answer(path)
        headers = [(b"content-type", b"application/json"), (b"location", b"/elsewhere")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        while self.mode == "dripping":
            await send({"type": "http.response.body", "body": b" ", "more_body": True})
            await asyncio.sleep(0.01)
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, path: str) -> tuple[int, bytes]:
        if self.mode == "hanging":
            await asyncio.sleep(LONG)
        if self.mode in BROKEN:
            return BROKEN[self.mode]
        if path.endswith("/.well-known/openid-configuration"):
            padding = b" " * 2_000_000 if self.mode == "huge" else b""
            return 200, self._discovery() + padding
        return 200, self._key_set()

    def _discovery(self) -> bytes:
        return orjson.dumps(
            {
                "issuer": self.stated_issuer,
                "authorization_endpoint": f"{self.url}/protocol/openid-connect/auth",
                "token_endpoint": f"{self.url}/protocol/openid-connect/token",
                "jwks_uri": self.stated_jwks_uri,
                "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            }
        )

    def _key_set(self) -> bytes:
        if self.mode == "empty":
            return b'{"keys":[]}'
        signing = KeySet([self.rsa, self.ec]).as_dict(private=False)["keys"]
        listed = [{**key, "use": "sig", "x5c": ["MII"]} for key in signing]
        other = {**self.encryption.as_dict(private=False), "use": "enc", "alg": "RSA-OAEP"}
        return orjson.dumps({"keys": [other, *listed]})


@contextmanager
def serving() -> Iterator[Issuer]:
    """An issuer answering on its own port until the block ends."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    issuer = Issuer(listener.getsockname()[1])
    with threaded(double(issuer), [listener]):
        try:
            yield issuer
        finally:
            issuer.reset()
        listener.close()
