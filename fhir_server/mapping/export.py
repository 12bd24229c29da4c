"""Every match of a search as a file, made while it is sent.

It is read as its pages are, one search each, so it takes the memory of one page and holds no
connection to the database while the client takes its time. Each page begins where the one before
ended, so a row comes once. Which rows there are is the route's to say: `_lastUpdated: lt$now`
keeps out what is written after the start.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass

from fhir_server.interactions import Interactions, Page
from fhir_server.interactions.turns import in_turns
from fhir_server.mapping.calls import Call, addressed, query_of, reworded, rows, searched
from fhir_server.mapping.inputs import Inputs
from fhir_server.mapping.model import Format
from fhir_server.mapping.route import PARAMETER, Route
from fhir_server.mapping.tables import csv_line, json_line
from fhir_server.problems import Problem, invalid


@dataclass(frozen=True, slots=True)
class Export:
    """One export of a route, in `format`."""

    interactions: Interactions
    route: Route
    call: Call
    format: Format

    @property
    def name(self) -> str:
        """What the file is called: `audit-logs-export-20260131T090507Z.csv`."""
        words = PARAMETER.sub("", self.route.template).replace("/", " ").split()
        ending = "csv" if self.format == "csv" else "ndjson"
        return f"{'-'.join(words)}-{self.call.ctx.now:%Y%m%dT%H%M%SZ}.{ending}"

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The file, a piece for each page. Problem for every refusal, before the first piece; one
        that comes later leaves the file broken off."""
        route, call = self.route, self.call
        inputs = Inputs(call.ctx, route.path(call.path))
        try:
            params, cursor = query_of(route).params(call.asked, inputs)
            if route.requires:
                await addressed(self.interactions, route, call, inputs)
            head = csv_line(route.answered.names) if self.format == "csv" else b""
            while True:
                page = await searched(self.interactions, route, call, params, cursor)
                yield head + b"".join([line async for line in in_turns(self._lines(page))])
                head, cursor = b"", page.next
                if cursor is None:
                    return
        except Problem as problem:
            raise reworded(problem, route, inputs) from None

    def _lines(self, page: Page) -> Iterator[bytes]:
        if self.format == "fhir":
            return (_one_line(stored.body) for stored in page.matches)
        found = rows(self.route, self.call, page)
        if self.format == "ndjson":
            return map(json_line, found)
        names = self.route.answered.names
        return (csv_line(map(row.get, names)) for row in found)


def asked_format(route: Route, call: Call) -> Format | None:
    """The one that the parameter `format` names; Problem 400 for one that the route lacks."""
    named = dict(call.asked).get("format")
    found = next((known for known in route.declared.formats if known == named), None)
    if named is not None and found is None:
        raise invalid(f"format must be one of {', '.join(route.declared.formats)}", "format")
    return found


def _one_line(body: bytes) -> bytes:
    """Within JSON, line ends stand between values only."""
    return body.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"
