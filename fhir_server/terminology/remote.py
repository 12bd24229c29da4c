"""A terminology server, asked about what is not known here.

It is told codes and definitions only: no token, tenant or caller.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import orjson

from fhir_server.problems import Issue, Problem

Json = dict[str, Any]
MOST_BYTES = 20_000_000
JSON = "application/fhir+json"
# Answers about the question; any other refusal is between the two servers.
ANSWERS = frozenset({400, 404, 422})


class Remote:
    """The FHIR base `url`; an answer must come whole within `timeout` seconds."""

    def __init__(self, url: str, timeout: float) -> None:
        self._base = url.rstrip("/")
        self._timeout = timeout
        headers = {"accept": JSON, "content-type": JSON}
        self._client = httpx.AsyncClient(headers=headers, timeout=timeout)

    async def call(self, type: str, operation: str, parameters: Json) -> Json:
        """The resource it answers; Problem 503 while it does not answer as it should."""
        url = f"{self._base}/{type}/${operation}"
        try:
            async with asyncio.timeout(self._timeout):
                status, body = await self._post(url, orjson.dumps(parameters))
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
            raise down("does not answer") from None
        answer = _resource(body)
        if status in ANSWERS and answer.get("resourceType") == "OperationOutcome":
            raise _refusal(status, answer)
        if not httpx.codes.is_success(status) or not isinstance(answer.get("resourceType"), str):
            raise down(f"answered {status} without a resource")
        return answer

    async def _post(self, url: str, content: bytes) -> tuple[int, bytes]:
        body = bytearray()
        async with self._client.stream("POST", url, content=content) as response:
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise down("answered more than it may")
        return response.status_code, bytes(body)

    async def aclose(self) -> None:
        await self._client.aclose()


def _resource(body: bytes) -> Json:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _refusal(status: int, outcome: Json) -> Problem:
    listed = outcome.get("issue")
    issues = list(_issues(listed if isinstance(listed, list) else ()))
    return Problem(status, "processing", "the terminology server refused it", issues=issues)


def _issues(listed: Iterable[Any]) -> Iterator[Issue]:
    for issue in listed:
        match issue:
            case {"severity": "fatal" | "error" | "warning" | "information" as severity}:
                text = issue.get("diagnostics") or (issue.get("details") or {}).get("text")
                yield Issue(severity, str(issue.get("code", "processing")), str(text or "refused"))


def down(why: str) -> Problem:
    """503: the terminology server did `why` instead of answering."""
    headers = {"Retry-After": "10"}
    return Problem(503, "transient", f"the terminology server {why}", headers=headers)
