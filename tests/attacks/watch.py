"""Asks the server as each of the callers, and lets no answer pass that tells too much.

The check looks at marks only, whatever the status: a word or an id that an answer holds must be in
the request, or in a resource that the oracle lets the caller see.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import unquote

import httpx

from tests.attacks.oracle import Caller, Oracle
from tests.attacks.world import MARK, World

FHIR = "/fhir/R4/"
JSON = "application/fhir+json"
# Cursors and the like: what is not to be read may still tell.
OPAQUE = re.compile(r"[A-Za-z0-9_-]{24,}={0,2}")
Token = Callable[..., str]


@dataclass
class Watch:
    """A client of every caller of one tenant; `asked` counts the requests."""

    http: httpx.Client
    token: Token
    tenant: str
    world: World
    callers: Mapping[str, Caller]
    asked: int = 0
    _tokens: dict[Caller, str] = field(default_factory=dict)
    _known: dict[Caller, set[str]] = field(default_factory=dict)

    @property
    def oracle(self) -> Oracle:
        return Oracle(dict(self.world.resources))

    def get(self, caller: Caller, path: str, **headers: str) -> httpx.Response:
        return self.ask(caller, "GET", path, **headers)

    def ask(
        self, caller: Caller, method: str, path: str, body: Any = None, **headers: str
    ) -> httpx.Response:
        """One request; its answer tells nothing that the caller may not know."""
        self.asked += 1
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        content = None
        if body is not None:
            content = body if isinstance(body, bytes | str) else json.dumps(body)
            given.setdefault("content-type", JSON)
        address = path if path.startswith("/") else FHIR + path
        signed = {"authorization": f"Bearer {self.signed(caller)}", **given}
        answer = self.http.request(method, address, content=content, headers=signed)
        assert answer.status_code < 500, answer.text
        sent = content.decode("latin-1") if isinstance(content, bytes) else content
        said = marks(f"{unquote(address)} {sent or ''} {given}")
        told = marks_of(answer) - said - self.known(caller)
        assert not told, f"{caller.name}: {method} {path} tells {sorted(told)}: {answer.text[:600]}"
        return answer

    def signed(self, caller: Caller) -> str:
        if caller not in self._tokens:
            tenant = self.tenant if caller.tenant == "own" else caller.tenant
            given = caller.patient and caller.patient.partition("/")[2]
            roles, more = list(caller.roles), {"patient": given, "modules": caller.modules}
            self._tokens[caller] = self.token(tenant, caller.sub, roles, caller.scope, **more)
        return self._tokens[caller]

    def known(self, caller: Caller) -> set[str]:
        """The marks of all that he may see: nothing of this tenant from another."""
        if caller not in self._known:
            own = caller.tenant == "own"
            seen = self._seen(caller) if own else {}
            found = [marks(json.dumps(one)) for one in seen.values()]
            self._known[caller] = set().union({caller.sub.partition("_")[2]}, *found)
        return self._known[caller]

    def _seen(self, caller: Caller) -> dict[str, Any]:
        """A scope of v1 lets him read what his roles do."""
        if "messaging:" in caller.scope:
            return dict(self.oracle.seen(caller))
        return {**self.oracle.seen(caller, "r"), **self.oracle.seen(caller, "s")}

    def forget(self) -> None:
        """After the world has changed."""
        self._known.clear()


def marks(text: str) -> set[str]:
    return set(MARK.findall(text))


def marks_of(answer: httpx.Response) -> set[str]:
    """Those of headers and body, also where they are encoded."""
    text = unquote(f"{answer.headers} {answer.text}")
    return marks(text).union(*(marks(_decoded(part)) for part in set(OPAQUE.findall(text))))


@cache
def _decoded(text: str) -> str:
    padded = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
    try:
        return base64.urlsafe_b64decode(padded).decode("latin-1")
    except (binascii.Error, ValueError):
        return ""


def ids(answer: httpx.Response) -> set[str]:
    """`Type/id` of every entry."""
    assert answer.status_code == 200, answer.text
    return {named(entry["resource"]) for entry in answer.json().get("entry", ())}


def named(resource: Mapping[str, Any]) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def issue(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal on the FHIR face."""
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome", outcome
    return answer.status_code, outcome["issue"][0]["code"]
