"""Includes are what following every reference of every match finds, and no more."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from fhir_server.context import Context
from tests.search.bench import Bench, service
from tests.search.naive import Naive, Resource
from tests.search.test_access import Eyes, doctor
from tests.search.test_laws import LAW
from tests.search.worlds import access_worlds, worlds

ROUNDS = 5
# Few matches, so that includes lead on from what they included.
FIRST = ("_id", "c0,p0,e0")
INCLUDES = st.sampled_from([
    "*",
    "Communication:*",
    "Communication:subject",
    "Communication:subject:Patient",
    "Communication:patient",
    "Communication:part-of",
    "Communication:recipient:Practitioner",
    "Patient:general-practitioner",
    "Patient:*",
    "Encounter:patient",
    "Encounter:*:Patient",
])  # fmt: skip
# What leads on for several rounds.
THREADS = [
    ("_include:iterate", "Communication:part-of"),
    ("_revinclude:iterate", "Communication:part-of"),
    ("_include:iterate", "Patient:general-practitioner"),
    ("_include:iterate", "Communication:subject"),
]
ASKED = st.lists(
    st.tuples(
        st.sampled_from(["_include", "_include:iterate", "_revinclude", "_revinclude:iterate"]),
        INCLUDES,
    ).filter(lambda one: one != ("_revinclude:iterate", "*")),
    max_size=3,
).map(lambda asked: [*asked, *THREADS])


class Following:
    """The words of https://hl7.org/fhir/R4/search.html#include over all resources."""

    def __init__(self, naive: Naive, types: tuple[str, ...]) -> None:
        self.naive = naive
        self.types = types

    def included(self, matches: set[str], asked: list[tuple[str, str]]) -> set[str]:
        known, fresh = set(matches), set(matches)
        for round_ in range(ROUNDS):
            reached: set[str] = set()
            for name, value in asked:
                word, _, iterate = name.partition(":")
                if round_ == 0 or iterate:
                    go = self._back if word == "_revinclude" else self._forward
                    reached |= go(value, fresh, matched=not iterate)
            fresh = reached - known
            known |= fresh
        return known - matches

    def _forward(self, value: str, fresh: set[str], *, matched: bool) -> set[str]:
        return {
            target
            for one in fresh
            for source, target in self._links(one, value)
            if source == one and not (value == "*" and matched and not self._of_types(one))
        }

    def _back(self, value: str, fresh: set[str], *, matched: bool) -> set[str]:
        del matched
        everything = self.naive.resources
        links = [link for one in everything for link in self._links(one, value)]
        return {source for source, target in links if target in fresh}

    def _of_types(self, one: str) -> bool:
        return one.partition("/")[0] in self.types

    def _links(self, reference: str, value: str) -> list[tuple[str, str]]:
        """What the resource refers to by what an include names."""
        resource = self.naive.resources[reference]
        source, _, rest = value.partition(":")
        code, _, target = rest.partition(":")
        if source not in ("*", resource["resourceType"]):
            return []
        codes = [code] if code not in ("", "*") else self._references(resource)
        return [
            (reference, found)
            for one in codes
            for found in map(_address, self.naive.referred(resource, one))
            if not target or found.startswith(f"{target}/")
        ]

    def _references(self, resource: Resource) -> list[str]:
        search = self.naive.types[resource["resourceType"]].search
        named = ("subject", "part-of", "sender", "recipient", "general-practitioner")
        return [code for code in named if code in search]


def _address(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


async def _check(
    bench: Bench, ctx: Context, naive: Naive, kind: str, asked: list[tuple[str, str]]
) -> None:
    page = await bench.page(ctx, kind, [FIRST, *asked])
    matches = {stored.reference for stored in page.matches}
    assert matches == {f"{kind}/{one}" for one in naive.search(kind, [FIRST])}
    includes = [stored.reference for stored in page.includes]
    assert len(includes) == len(set(includes))
    assert set(includes) == Following(naive, (kind,)).included(matches, asked), (kind, asked)


@LAW
@given(world=worlds(), kind=st.sampled_from(["Communication", "Patient", "Encounter"]), asked=ASKED)
async def test_includes_are_brute_force(
    bench: Bench, world: list[dict[str, Any]], kind: str, asked: list[tuple[str, str]]
) -> None:
    tenant = uuid4().hex
    await bench.put(tenant, world)
    naive = Naive(bench.definitions.types, world)
    await _check(bench, service(tenant), naive, kind, asked)


@LAW
@given(world=access_worlds(), asked=ASKED)
async def test_includes_are_of_what_is_seen(
    bench: Bench, world: list[dict[str, Any]], asked: list[tuple[str, str]]
) -> None:
    """Nothing is reached through what the caller does not see either."""
    tenant = uuid4().hex
    await bench.put(tenant, world)
    eyes = Eyes(world)
    shown = {
        "Communication": eyes.seen("Communication", eyes.doctor),
        "Patient": eyes.seen("Patient", lambda r: eyes.chart(f"Patient/{r['id']}")),
    }
    naive = Naive(
        bench.definitions.types,
        [r for r in world if r["id"] in shown.get(r["resourceType"], ())],
    )
    plain = [one for one in asked if one[1] != "*"]
    await _check(bench, doctor(tenant), naive, "Communication", plain)
