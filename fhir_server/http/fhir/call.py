"""One request on the FHIR face, taken apart as the specification names its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from fhir_server.context import Context
from fhir_server.fhir.ids import is_id
from fhir_server.fhir.json import parse
from fhir_server.http.auth.scopes import Criteria, Interaction, narrowing, require
from fhir_server.http.wire import Request, form, media_type
from fhir_server.problems import Problem, invalid, not_found

# https://hl7.org/fhir/R4/http.html#mime-type
JSON: Final = frozenset({"application/fhir+json", "application/json", "application/json+fhir"})
READABLE: Final = JSON | {"", "*/*", "application/*", "text/json"}
FORMATS: Final = JSON | {"json", "text/json"}
# Ids by the letter of R4, but a client's URL library reads them as steps of the path.
DOTS: Final = frozenset({".", ".."})
FORM: Final = "application/x-www-form-urlencoded"


@dataclass(slots=True)
class Call:
    """`tail` is the version or the operation's name; `base` the face's own URL."""

    request: Request
    ctx: Context
    type: str
    id: str
    tail: str
    base: str

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

    def check_accept(self) -> None:
        """406 where the client wants what is not JSON."""
        check_accept(self.request, dict(self.request.query()).get("_format"))

    async def resource(self) -> dict[str, Any]:
        """The resource in the body; 415 for another content type, 400 for broken JSON."""
        if media_type(self.request.header("content-type")) not in JSON:
            raise Problem(415, "not-supported", "the body must be application/fhir+json")
        return parse(await self.request.body())

    async def parameters(self) -> list[tuple[str, str]]:
        """Search parameters of the query and, for POST, of the form."""
        query = self.request.query()
        if self.request.method != "POST":
            return query
        body = await self.request.body()
        if body and media_type(self.request.header("content-type")) != FORM:
            raise Problem(415, "not-supported", f"the body of a search must be {FORM}")
        return [*query, *form(body)]

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
            raise not_found(f"{self.type}/{self.id}/_history/…")
        return int(self.tail)


def check_accept(request: Request, format: str | None) -> None:
    """406 where `_format`, or without it the Accept header, wants what is not JSON."""
    if format is not None:
        acceptable = media_type(format.replace(" ", "+")) in FORMATS
    else:
        accept = request.header("accept") or ""
        acceptable = any(media_type(part) in READABLE for part in accept.split(","))
    if not acceptable:
        raise Problem(406, "not-supported", "only application/fhir+json is produced")


def number(text: str, name: str) -> int:
    """A non-negative integer parameter; 400 otherwise."""
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise invalid(f"{name} must be a whole number, 0 or more", name)
    return int(text)
