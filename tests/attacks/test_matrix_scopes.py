"""What each kind of scope lets each kind of caller read: searches and reads of every type.

One scope at a time, by the words of SMART; the union of two is that of their parts.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from fhir_server.declarations import read_declarations
from tests.attacks.oracle import Caller, parts_of
from tests.attacks.watch import Watch, ids, issue
from tests.attacks.world import callers, clinic
from tests.support.effort import turns

TYPES = sorted(read_declarations().definitions.types)
NAMES = list(callers(clinic()))
SCOPES = (
    "user/*.rs",
    "user/*.read",
    "user/*.cud",
    "user/Communication.rs",
    "user/Communication.read user/Patient.r",
    "user/*.rs?status=in-progress",
    "user/Communication.rs?status=entered-in-error user/Communication.rs?status=completed",
    "patient/*.rs",
    "patient/Communication.rs?status=in-progress",
    "patient/*.read user/Task.s",
    "system/*.rs",
    "messaging:read openid fhirUser launch/patient",
    "user/*.sr user/patient.rs User/*.rs user/*.RS user/*",
    "",
)


@pytest.mark.parametrize("scope", SCOPES)
def test_a_scope_takes_away_and_never_adds(watch: Watch, scope: str) -> None:
    """Of every type; each caller has his turn, all of them with more effort."""
    turn = SCOPES.index(scope)
    for n, name in enumerate(NAMES):
        caller = replace(watch.callers[name], scope=scope)
        for kind in {"Communication", *turns(TYPES, n + turn, 6)}:
            _searched(watch, caller, kind)
            _read(watch, caller, kind)


def _searched(watch: Watch, caller: Caller, kind: str) -> None:
    answer = watch.get(caller, f"{kind}?_count=1000")
    parts = parts_of(caller, kind, "s")
    if not parts:
        assert issue(answer) == (403, "forbidden"), f"{caller} {kind}"
    elif _asks_what_is_not_there(answer.status_code, parts, kind):
        return
    else:
        seen = watch.oracle.seen(caller, "s")
        assert ids(answer) == {one for one in seen if one.startswith(f"{kind}/")}, (
            f"{caller} {kind}"
        )


def _asks_what_is_not_there(
    status: int, parts: list[tuple[tuple[str, str], ...]], kind: str
) -> bool:
    """`user/*.rs?status=…` of a type that has no such parameter opens nothing of it."""
    has = read_declarations().definitions.types[kind].search
    if all(name in has for part in parts for name, _ in part):
        return False
    assert status in (400, 403)
    return True


def _read(watch: Watch, caller: Caller, kind: str) -> None:
    """One that he may read and one that he may not, where there are such."""
    listed = [one for one in watch.world.resources.values() if one["resourceType"] == kind]
    parts = parts_of(caller, kind, "r")
    has = read_declarations().definitions.types[kind].search
    if not all(name in has for part in parts for name, _ in part):
        return
    for wanted in (True, False):
        found = (o for o in listed if watch.oracle.allowed(caller, o, "r") is wanted)
        for one in list(found)[:1]:
            answer = watch.get(caller, f"{kind}/{one['id']}")
            assert answer.status_code == (200 if wanted else 403), f"{caller} {one}"
