"""What the FHIR face answers without a token: what the server can do and where to sign in.

https://hl7.org/fhir/R4/http.html#capabilities
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from fhir_server.http.fhir import representation
from fhir_server.http.fhir.replies import json_reply
from fhir_server.http.fhir.smart import SmartConfiguration
from fhir_server.http.wire import Reply, Request
from fhir_server.problems import Problem

# The face's base URL → what stands at /metadata, by its mode.
Statements = Mapping[str, Callable[[str], Reply]]
# https://hl7.org/fhir/R4/capabilitystatement-operation-versions.html
VERSIONS: Final = {
    "resourceType": "Parameters",
    "parameter": [
        {"name": "version", "valueCode": "4.0"},
        {"name": "default", "valueCode": "4.0"},
    ],
}


class Public:
    """The addresses below the FHIR base that need no token."""

    def __init__(self, statements: Statements, smart: SmartConfiguration | None) -> None:
        self._statements = statements
        self._smart = smart
        self._answers: Mapping[str, Callable[[Request, str], Awaitable[Reply]]] = {
            "metadata": self._metadata,
            "$versions": self._versions,
            ".well-known/smart-configuration": self._configuration,
        }
        self.paths = frozenset(self._answers)

    async def answer(self, request: Request, path: str, base: str) -> Reply | None:
        """None where a token is needed."""
        answer = self._answers.get(path)
        methods = ("GET", "HEAD", "POST") if path.startswith("$") else ("GET", "HEAD")
        if answer is None or request.method not in methods:
            return None
        return await answer(request, base)

    async def _metadata(self, request: Request, base: str) -> Reply:
        mode = dict(request.query()).get("mode", "full")
        kind = "TerminologyCapabilities" if mode == "terminology" else "CapabilityStatement"
        representation.check(request, [kind])
        statement = self._statements.get(mode)
        if statement is None:
            known = ", ".join(self._statements)
            raise Problem(400, "value", f"mode is one of {known}", expression="mode")
        return statement(base)

    async def _versions(self, request: Request, _: str) -> Reply:
        representation.check(request, ["Parameters"])
        return json_reply(dict(VERSIONS))

    async def _configuration(self, _: Request, __: str) -> Reply:
        if self._smart is None:
            raise Problem(404, "not-found", "no token issuer is configured")
        return await self._smart.reply()
