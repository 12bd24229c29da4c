"""One try of a transaction: what is found, what refers to what, and in which order it is written.

The searches of conditions see the store after the deletions, as do references by criteria; those
that find nothing yet are asked again when other entries are written. What was found must still be
all that matches when everything is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fhir_server.context import Context
from fhir_server.interactions.conditional import Search
from fhir_server.interactions.intents import Intent, single
from fhir_server.interactions.model import Ref, Result
from fhir_server.interactions.pipeline import Locking
from fhir_server.interactions.plan import Place, Step
from fhir_server.interactions.transaction.conditional import References
from fhir_server.interactions.transaction.links import Links, Target
from fhir_server.interactions.turns import in_turns
from fhir_server.interactions.writes import Writes
from fhir_server.problems import Problem
from fhir_server.store.search.page import Page, Reach
from fhir_server.store.session import Joined, Session


@dataclass(slots=True, eq=False)
class Member:
    """An entry at work. `same` is an earlier entry that creates what this one would."""

    intent: Intent
    full_url: str | None
    place: Place
    search: Search | None = None
    page: Page | None = None
    same: Member | None = None
    body: Any = None
    open: list[str] = field(default_factory=list)
    step: Step | None = None
    result: Result = field(default_factory=Result)

    @property
    def target(self) -> Target:
        """What others refer to."""
        if self.same is not None:
            return self.same.target
        there = self.page.matches[0] if self.page and self.page.matches else None
        if there is None:
            ref = self.intent.ref
            return Target(f"{ref.type}/{ref.id}", 1 if self.intent.method == "POST" else None)
        return Target(there.reference, there.version if self.intent.method == "POST" else None)


class Work:
    """Writes members inside the transaction that `session` is in."""

    def __init__(
        self, writes: Writes, session: Session, ctx: Context, reach: Reach, locking: Locking
    ) -> None:
        self._writes = writes
        self._pipeline = writes.pipeline
        self._session = session
        self._ctx = ctx
        self._locking = locking
        self._links = Links(writes.pipeline.base)
        self._references = References(writes.conditions.planner, session, ctx, reach)
        self._taken: set[str] = set()
        self._existing: set[Ref] = set()

    async def write(self, members: Sequence[Member]) -> None:
        """Each gets its result; a Problem of the first that is refused."""
        gone = [member for member in members if member.intent.method == "DELETE"]
        kept = [member for member in members if member.intent.method != "DELETE"]
        await self._plan_searches(members)
        await self._find(gone)
        await self._run(gone)
        await self._find(kept)
        self._link(kept)
        posts = [member for member in kept if member.intent.method == "POST" and not member.same]
        puts = [member for member in kept if member.intent.method != "POST"]
        await self._resolve([*posts, *puts])
        await self._find_existing([*posts, *puts])
        await self._order(posts, puts)
        await self._references.confirm(self._taken)
        for member in kept:
            if member.same is not None:
                member.result = replace(member.same.result, created=False)

    async def _plan_searches(self, members: Iterable[Member]) -> None:
        """All searches are claimed at once, in one order for everyone."""
        known = {
            m.full_url: m.target
            for m in members
            if m.full_url and m.intent.condition is None and m.intent.method in ("POST", "PUT")
        }
        early = Links(self._links.base, known)
        first: dict[tuple[str, str, str], Member] = {}
        async for member in in_turns(members):
            condition = member.intent.condition
            if condition is None:
                continue
            with member.place:
                where = [(name, early.text(value)) for name, value in condition.where]
                asked = replace(condition, where=where)
                member.search = await self._writes.conditions.search(self._ctx, asked)
                self._check_same(member, member.search, first)
        claimed = [(type, meaning) for _, type, meaning in first]
        await self._pipeline.loader.claim_searches(self._session, self._ctx, claimed)

    def _check_same(
        self, member: Member, search: Search, first: dict[tuple[str, str, str], Member]
    ) -> None:
        """Two that create unless there is one, of the same criteria, mean one; two that change
        what matches are about the same resource."""
        kind = "change" if member.intent.method in ("PUT", "PATCH") else member.intent.method
        other = first.setdefault((kind, search.type, search.meaning), member)
        if other is member or kind == "DELETE":
            return
        if kind == "change":
            raise _overlap()
        member.same = other

    async def _find(self, members: Iterable[Member]) -> None:
        for member in members:
            if member.search is None or member.same is not None:
                continue
            with member.place:
                member.page = await member.search.run(self._session)
                if member.intent.condition and member.intent.condition.count == 1:
                    single(member.page)

    def _link(self, members: Iterable[Member]) -> None:
        for member in members:
            if member.full_url and member.intent.method in ("POST", "PUT"):
                with member.place:
                    self._links.add(member.full_url, member.target)

    async def _resolve(self, members: Iterable[Member]) -> None:
        """Makes the steps of those that no open reference holds back."""
        async for member in in_turns(members):
            if member.step is None:
                body, member.open = self._links.resolved(member.intent.body, member.full_url)
                member.body = body
                if not member.open:
                    member.step = await self._prepared(member)

    async def _prepared(self, member: Member) -> Step:
        intent = member.intent
        with member.place:
            if intent.shown:
                reader = replace(self._writes.reader, sessions=Joined(self._session))
                await reader.read(self._ctx, intent.ref.type, intent.ref.id, intent.shown)
            plan, criteria = intent.plan(member.body, member.page)
        return self._pipeline.prepared(self._ctx, plan, criteria, member.place)

    async def _find_existing(self, members: Sequence[Member]) -> None:
        """Which resources that others look at are only changed: nobody waits for these."""
        changed = {
            m.intent.ref for m in members if m.intent.method == "PUT" and not m.intent.condition
        }
        looked_at = {ref for m in members for ref in _others(m)} & changed
        if looked_at:
            refs = [(ref.type, ref.id) for ref in looked_at]
            loaded = await self._pipeline.loader.load(self._session, self._ctx, refs)
            self._existing = {Ref(row.stored.type, row.stored.id) for row in loaded.rows}

    async def _order(self, posts: list[Member], puts: list[Member]) -> None:
        """Creations before changes, as far as none of them needs one of these."""
        while posts or puts:
            ready = await self._next(posts, puts)
            await self._check_still(ready)
            await self._run(ready)
            posts = [member for member in posts if member not in ready]
            puts = [member for member in puts if member not in ready]

    async def _next(self, posts: list[Member], puts: list[Member]) -> list[Member]:
        waiting = [*posts, *puts]
        ready = self._ready(posts, waiting)
        if not ready and await self._ask(posts):
            ready = self._ready(posts, waiting)
        if not ready:
            needed = {ref for member in posts for ref in _others(member)}
            changes = self._ready(puts, waiting)
            ready = [member for member in changes if member.intent.ref in needed] or changes
        if not ready and await self._ask(puts):
            ready = self._ready(puts, waiting)
        # What goes round in a circle is for the rules to refuse.
        ready = ready or [member for member in waiting if member.step is not None]
        if not ready:
            with waiting[0].place:
                raise self._references.unresolved(waiting[0].open[0])
        return ready

    def _ready(self, pool: Iterable[Member], waiting: Iterable[Member]) -> list[Member]:
        """Those that look at nothing that is still to come into being."""
        coming = {m.intent.ref for m in waiting if m.intent.method != "PATCH"} - self._existing
        return [m for m in pool if m.step is not None and coming.isdisjoint(_others(m))]

    async def _ask(self, members: Iterable[Member]) -> bool:
        """Whether one more is no longer held back by its open references."""
        held = [member for member in members if member.step is None]
        for member in held:
            with member.place:
                for text in member.open:
                    found = await self._references.ask(text)
                    if found is not None:
                        self._links.found[text] = found
        await self._resolve(held)
        return any(member.step is not None for member in held)

    async def _check_still(self, members: Iterable[Member]) -> None:
        """400 where an entry written before changes what a condition matches."""
        written = {reference.partition("/")[0] for reference in self._taken}
        for member in members:
            if (
                member.search is None
                or member.page is None
                or member.intent.ref.type not in written
            ):
                continue
            if member.intent.method in ("PUT", "PATCH"):
                now = await member.search.run(self._session)
                if _matched(now) != _matched(member.page):
                    with member.place:
                        raise _overlap()

    async def _run(self, members: Sequence[Member]) -> None:
        if not members:
            return
        steps = [member.step or await self._prepared(member) async for member in in_turns(members)]
        results = await self._pipeline.run(
            self._session, self._ctx, steps, self._locking, taken=self._taken
        )
        for member, result in zip(members, results, strict=True):
            member.result = result


def _others(member: Member) -> set[Ref]:
    """What it looks at beside itself."""
    return set(member.step.reads) - {member.intent.ref} if member.step else set()


def _matched(page: Page) -> tuple[list[str], bool]:
    return [stored.id for stored in page.matches], page.next is not None


def _overlap() -> Problem:
    return Problem(400, "invalid", "another entry is about the same resource")
