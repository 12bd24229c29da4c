"""History of types and of the system: compared with a list of all that was ever written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.app import Core
from fhir_server.context import Context
from fhir_server.interactions import Span, Stored
from fhir_server.problems import Problem
from fhir_server.store.values.dates import BEGINNING, END
from tests.support.clinic import directory
from tests.support.effort import effort

Criteria = tuple[tuple[str, str], ...]
Reaches = dict[str, Criteria | None]
START = datetime(2026, 1, 31, 9, tzinfo=UTC)
TYPES = ("Organization", "Task")
# What is done: type, id, content, and how many milliseconds after the step before.
STEPS = st.lists(
    st.tuples(
        st.sampled_from(TYPES),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["open", "sealed", "other", "patch", "delete"]),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=14,
)
MOMENTS = st.integers(-1, 14).map(lambda n: START + timedelta(milliseconds=n))
SPANS = st.builds(Span, MOMENTS, MOMENTS | st.just(BEGINNING), MOMENTS | st.just(END))
PARTS: Sequence[Criteria | None] = ((), None, (("_tag", "other"),))
REACHES = st.fixed_dictionaries({name: st.sampled_from(PARTS) for name in TYPES})


class Told(NamedTuple):
    """One version as the history should tell it; `body` is None for a deletion."""

    updated: datetime
    type: str
    id: str
    version: int
    body: dict[str, Any] | None
    made: str | None


@dataclass
class Chronicle:
    """A tenant, and everything that was written in it."""

    core: Core
    tenant: str = field(default_factory=lambda: f"t-{uuid4().hex[:12]}")
    now: datetime = START
    told: list[Told] = field(default_factory=list)

    def service(self) -> Context:
        roles = frozenset({"SERVICE"})
        return Context(self.tenant, "service", roles=roles, now=self.now)

    def amina(self) -> Context:
        roles = frozenset({"DOCTOR"})
        return Context(self.tenant, "usr_amina", "Practitioner/amina", roles=roles, now=self.now)

    def current(self, type: str, id: str) -> Told | None:
        return next((one for one in reversed(self.told) if (one.type, one.id) == (type, id)), None)

    async def step(self, type: str, id: str, action: str, wait: int) -> None:
        self.now += timedelta(milliseconds=wait)
        before = self.current(type, id)
        alive = before is not None and before.body is not None
        version = before.version + 1 if before else 1
        if action == "delete":
            await self.core.interactions.delete(self.service(), type, id)
            if alive:
                self.told.append(Told(self.now, type, id, version, None, None))
        elif action != "patch":
            result = await self.core.interactions.update(
                self.service(), type, id, content(type, id, action)
            )
            made = "PUT 200" if alive else "PUT 201"
            self.told.append(Told(self.now, type, id, version, result.resource, made))
        elif alive:
            result = await self.core.interactions.patch(
                self.service(), type, id, lambda body: {**body, "language": "fa"}
            )
            self.told.append(Told(self.now, type, id, version, result.resource, "PATCH 200"))

    def expected(self, ctx: Context, span: Span, reaches: Reaches) -> list[Told]:
        found = [one for one in self.told if self.shown(ctx, one, reaches) and self.lies(one, span)]
        return sorted(found, key=lambda one: one[:4], reverse=True)

    def shown(self, ctx: Context, one: Told, reaches: Reaches) -> bool:
        current, criteria = self.current(one.type, one.id), reaches[one.type]
        if criteria is None or current is None:
            return False
        if current.body is None:
            return ctx.is_system and not criteria
        if criteria and "other" not in json.dumps(current.body["meta"]):
            return False
        sealed = current.body.get("for", {}).get("reference") == "Patient/sealed"
        return ctx.is_system or not sealed

    def lies(self, one: Told, span: Span) -> bool:
        after = [
            next_.updated
            for next_ in self.told
            if next_[1:4] == (one.type, one.id, one.version + 1)
        ]
        until = after[0] if after else None
        in_force = one.updated < span.high and (until is None or until > span.low)
        return one.updated >= span.since and in_force

    async def pages(self, ctx: Context, span: Span, reaches: Reaches, limit: int) -> list[Told]:
        found: list[Stored] = []
        cursor: str | None = ""
        while cursor is not None:
            page = await self.core.interactions.timeline(
                ctx, TYPES, span=span, reach=reaches.__getitem__, limit=limit, cursor=cursor
            )
            assert len(page.versions) <= limit
            found += page.versions
            cursor = page.around.next
        return [told(stored) for stored in found]


def edges(chronicle: Chronicle) -> list[Span]:
    """Spans that begin or end just when something was written."""
    tick = timedelta(milliseconds=1)
    found = []
    for moment in sorted({one.updated for one in chronicle.told})[:4]:
        found += [Span(low=moment), Span(high=moment), Span(since=moment)]
        found += [Span(low=moment, high=moment + tick)]
    return found


def told(stored: Stored) -> Told:
    body = json.loads(stored.body) if stored.body else None
    return Told(stored.updated, stored.type, stored.id, stored.version, body, stored.made)


def content(type: str, id: str, action: str) -> dict[str, Any]:
    """About a patient whom the doctor sees or does not, and perhaps tagged."""
    patient = "sealed" if action == "sealed" else "zahra"
    own: dict[str, Any] = {"name": action}
    if type == "Task":
        subject = {"reference": f"Patient/{patient}"}
        own = {"status": "requested", "intent": "order", "for": subject}
    tags = [{"code": "other"}] if action == "other" else []
    return {"resourceType": type, "id": id, **({"meta": {"tag": tags}} if tags else {}), **own}


async def begun(core: Core) -> Chronicle:
    chronicle = Chronicle(core)
    for resource in directory():
        type, id = resource["resourceType"], resource["id"]
        await core.interactions.update(chronicle.service(), type, id, resource)
    return chronicle


@settings(
    max_examples=effort(25),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
@given(steps=STEPS, span=SPANS, reaches=REACHES, limit=st.integers(1, 6), doctor=st.booleans())
async def test_history_is_all_that_was_written_and_may_be_seen(
    core: Core, steps: list[Any], span: Span, reaches: Reaches, limit: int, *, doctor: bool
) -> None:
    chronicle = await begun(core)
    for step in steps:
        await chronicle.step(*step)
    ctx = chronicle.amina() if doctor else chronicle.service()
    for asked in (span, Span()):
        found = await chronicle.pages(ctx, asked, reaches, limit)
        assert found == chronicle.expected(ctx, asked, reaches)
    for asked in edges(chronicle):
        found = await chronicle.pages(ctx, asked, reaches, 100)
        assert found == chronicle.expected(ctx, asked, reaches)


@settings(
    max_examples=effort(15),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
@given(steps=STEPS, span=SPANS)
async def test_history_of_one_resource_is_a_part_of_it(
    core: Core, steps: list[Any], span: Span
) -> None:
    chronicle = await begun(core)
    for step in steps:
        await chronicle.step(*step)
    reaches: Reaches = dict.fromkeys(TYPES, ())
    for asked in (span, *edges(chronicle)):
        whole = chronicle.expected(chronicle.service(), asked, reaches)
        for type, id in {(one.type, one.id) for one in chronicle.told}:
            page = await core.interactions.history(
                chronicle.service(), type, id, span=asked, limit=100
            )
            versions = [told(stored) for stored in page.versions]
            assert [one.version for one in versions] == sorted(
                (one.version for one in versions), reverse=True
            )
            assert sorted(versions) == sorted(one for one in whole if one[1:3] == (type, id))
            assert page.total == len(versions)


@settings(
    max_examples=effort(15),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
@given(before=STEPS, meanwhile=STEPS, limit=st.integers(1, 3))
async def test_pages_are_stable_while_others_write(
    core: Core, before: list[Any], meanwhile: list[Any], limit: int
) -> None:
    """Rows move from current to superseded between the pages, and keep their place."""
    chronicle = await begun(core)
    for step in before:
        await chronicle.step(*step)
    reaches: Reaches = dict.fromkeys(TYPES, ())
    wanted = chronicle.expected(chronicle.service(), Span(), reaches)
    chronicle.now += timedelta(milliseconds=1)
    found: list[Stored] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await core.interactions.timeline(
            chronicle.service(), TYPES, reach=lambda _: (), limit=limit, cursor=cursor
        )
        found += page.versions
        cursor = page.around.next
        if meanwhile:
            await chronicle.step(*meanwhile.pop())
    assert [told(stored) for stored in found] == wanted


async def test_a_cursor_is_bound_to_its_history(core: Core) -> None:
    chronicle = await begun(core)
    for _ in range(2):
        await chronicle.step("Task", "a", "open", 1)
    page = await core.interactions.timeline(
        chronicle.service(), ["Task"], reach=lambda _: (), limit=1
    )
    assert page.around.next
    others: list[tuple[Context, list[str], Span]] = [
        (chronicle.service(), ["Organization"], Span()),
        (chronicle.service(), ["Task", "Organization"], Span()),
        (chronicle.service(), ["Task"], Span(since=START)),
        (chronicle.amina(), ["Task"], Span()),
        (Chronicle(core).service(), ["Task"], Span()),
    ]
    for ctx, types, span in others:
        with pytest.raises(Problem) as caught:
            await core.interactions.timeline(
                ctx, types, reach=lambda _: (), span=span, cursor=page.around.next
            )
        assert caught.value.status == 400


async def test_a_version_that_does_not_say_how_it_was_made(core: Core) -> None:
    """As in rows that were written before the column was."""
    chronicle = await begun(core)
    await chronicle.step("Task", "a", "open", 1)
    async with core.store.sessions.session(chronicle.service()) as session:
        await session.execute("UPDATE task SET made = NULL")
    page = await core.interactions.timeline(
        chronicle.service(), ["Task"], reach=lambda _: (), limit=5
    )
    assert [stored.made for stored in page.versions] == [None]
