"""References by criteria: `Patient?identifier=…` in the place of `Patient/x`.

The search is the caller's own, as that of a condition.
https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from fhir_server.context import Context
from fhir_server.interactions.conditional import check_criteria
from fhir_server.problems import Problem, forbidden, invalid
from fhir_server.store.search.page import Page, Reach
from fhir_server.store.search.planner import Planner
from fhir_server.store.session import Session

Search = Callable[[], Awaitable[Page]]


class References:
    """Finds what they mean, in the transaction of `session`."""

    def __init__(self, planner: Planner, session: Session, ctx: Context, reach: Reach) -> None:
        self._planner = planner
        self._session = session
        self._ctx = ctx
        self._reach = reach
        self._found: dict[str, tuple[Search, str]] = {}

    async def ask(self, text: str) -> str | None:
        """`Type/id` of the only match, None without one; 412 where several match."""
        if text in self._found:
            return self._found[text][1]
        search = await self._search(text)
        found = await self._only(search)
        if found is not None:
            self._found[text] = search, found
        return found

    async def confirm(self, written: set[str]) -> None:
        """412 where what is written by now matches as well."""
        types = {reference.partition("/")[0] for reference in written}
        for text, (search, found) in self._found.items():
            if text.partition("?")[0] in types and await self._only(search) != found:
                raise _several()

    @staticmethod
    def unresolved(text: str) -> Problem:
        """412: there is no match."""
        name = text.partition("?")[0]
        return Problem(412, "not-found", f"no {name} matches a conditional reference")

    async def _only(self, search: Search) -> str | None:
        page = await search()
        if page.next is not None:
            raise _several()
        return page.matches[0].reference if page.matches else None

    async def _search(self, text: str) -> Search:
        name, _, query = text.partition("?")
        if self._reach(name) is None:
            raise forbidden(f"no scope allows a search of {name}")
        where = _criteria(query)
        check_criteria(where)
        params = [*where, ("_count", "1")]
        planned = await self._planner.telling(
            lambda told: self._planner.plan(self._ctx, name, params, reach=self._reach, told=told)
        )
        return lambda: self._planner.run(self._session, planned)


def _criteria(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError:
        raise invalid("the criteria of a conditional reference cannot be read") from None


def _several() -> Problem:
    return Problem(412, "multiple-matches", "a conditional reference matches several resources")
