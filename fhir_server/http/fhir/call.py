"""One request on the FHIR face, taken apart as the specification names its parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.context import Context
from fhir_server.fhir.ids import is_id
from fhir_server.http.auth.scopes import Criteria, Interaction, narrowing, require
from fhir_server.http.fhir import representation
from fhir_server.http.fhir.representation.formats import is_xml
from fhir_server.http.wire import Request, form, media_type
from fhir_server.problems import Problem, invalid, not_found

# Ids by the letter of R4, but a client's URL library reads them as steps of the path.
DOTS: Final = frozenset({".", ".."})
FORM: Final = "application/x-www-form-urlencoded"


@dataclass(slots=True)
class Call:
    """`tail` is the version or the operation's name; `base` the face's own URL;
    `given` the body where it is read already."""

    request: Request
    ctx: Context
    type: str
    id: str
    tail: str
    base: str
    given: dict[str, Any] | None = None

    def address(self) -> str:
        """The id; 404 where it cannot be one."""
        if not is_id(self.id) or self.id in DOTS:
            raise not_found(f"{self.type} with such an id")
        return self.id

    def criteria(self, interaction: Interaction) -> Criteria:
        """What the scopes narrow the interaction to; 403 where they refuse it."""
        return require(self.ctx, self.type, interaction)

    def reach(self, resource_type: str) -> Criteria | None:
        """What the scopes limit a type to that a search touches; None where they refuse it."""
        return narrowing(self.ctx, resource_type, "search-type")

    def past(self, resource_type: str) -> Criteria | None:
        """The same for a history."""
        return narrowing(self.ctx, resource_type, "history-type")

    def check_accept(self, types: Iterable[str] = (), *, counts: bool = False) -> None:
        """Refuses what cannot be answered as the client asks: 406 for the format, 400 for the
        part of `types`, by default the call's own; `counts` where there is something to count."""
        own = filter(None, [self.type])
        representation.check(self.request, types or own, counts=counts)

    async def resource(self) -> dict[str, Any]:
        """The resource in the body; 415 for another content type, 400 where it is broken."""
        content_type = self.request.header("content-type")
        is_xml(content_type)  # or 415, before the body is waited for
        if self.given is not None:
            return self.given
        return await representation.read(await self.request.body(), content_type)

    async def parameters(self) -> list[tuple[str, str]]:
        """Search parameters of the query and, for POST, of the form."""
        query = self.request.query()
        if self.request.method != "POST":
            return query
        body = await self.request.body()
        if body and media_type(self.request.header("content-type")) != FORM:
            raise Problem(415, "not-supported", f"the body of a search must be {FORM}")
        self.request.posted = form(body)
        return self.request.parameters()

    def preference(self, name: str) -> str | None:
        """A value of the Prefer header: `handling` or `return`."""
        for part in (self.request.header("prefer") or "").replace(",", ";").split(";"):
            key, _, value = part.partition("=")
            if key.strip().lower() == name:
                return value.strip().strip('"').lower()
        return None

    def version(self) -> int:
        """The version in the path; 404 where there can be none."""
        if not self.tail.isascii() or not self.tail.isdigit() or len(self.tail) > 9:
            raise not_found(f"that version of the {self.type}")
        return int(self.tail)


def number(text: str, name: str) -> int:
    """A non-negative integer parameter; 400 otherwise."""
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise invalid(f"{name} must be a whole number, 0 or more", name)
    return int(text)
