"""Every type and way of reading it, for every kind of caller and scope: what the oracle says.

Read, vread and history of each resource; search, search across types, compartments, histories of
type and system, `$everything`. The rows come from `capability/`, so a new type is driven at once.
"""

from __future__ import annotations

import pytest

from fhir_server.declarations import read_declarations
from tests.attacks.oracle import Caller, Resource, parts_of
from tests.attacks.watch import Watch, ids, issue
from tests.attacks.world import ABOUT, callers, clinic
from tests.support.effort import effort, turns

DECLARED = read_declarations().definitions
TYPES = sorted(DECLARED.types)
# The audit trail is no part of what is asked of all types.
TOGETHER = {name for name, served in DECLARED.types.items() if served.writable}
NAMES = list(callers(clinic()))
every = pytest.mark.parametrize("name", NAMES)


def test_the_world_holds_every_type_and_the_callers_every_role(watch: Watch) -> None:
    held = {one["resourceType"] for one in watch.world.resources.values()}
    assert held == set(TYPES)
    roles = {role for caller in watch.callers.values() for role in caller.roles}
    assert roles >= set(DECLARED.access)


def test_everything_in_the_world_is_valid(watch: Watch) -> None:
    service = watch.callers["service"]
    told = [
        answer.text
        for one in watch.world.resources.values()
        for answer in [watch.ask(service, "POST", f"{one['resourceType']}/$validate", one)]
        if [i["severity"] for i in answer.json()["issue"]] != ["information"]
    ]
    assert told == []


WAYS = ("", "/_history/1", "/_history")


def chosen(watch: Watch, caller: Caller) -> list[tuple[str, Resource]]:
    """Of each type some that he may read, and some that he may not; all with more effort."""
    found: dict[tuple[str, bool], list[tuple[str, Resource]]] = {}
    for path, one in watch.world.resources.items():
        right = one["resourceType"], watch.oracle.allowed(caller, one, "r")
        found.setdefault(right, []).append((path, one))
    return [pair for listed in found.values() for pair in listed[: effort(2)]]


@every
def test_each_resource_is_read_by_those_who_may(watch: Watch, name: str) -> None:
    """200 or 403, whichever way; what is not there is 404 for whom a scope lets ask."""
    caller, oracle = watch.callers[name], watch.oracle
    turn = NAMES.index(name)
    for n, (path, one) in enumerate(chosen(watch, caller)):
        expected = 200 if oracle.allowed(caller, one, "r") else 403
        for way in turns(WAYS, n + turn, 3):
            answer = watch.get(caller, path + way)
            assert answer.status_code == expected, f"{path}{way}: {answer.text}"
    for n, kind in enumerate(TYPES):
        scoped = bool(parts_of(caller, kind, "r"))
        for way in turns(WAYS, n + turn, 3):
            answer = watch.get(caller, f"{kind}/none{way}")
            assert issue(answer) == ((404, "not-found") if scoped else (403, "forbidden"))


@every
def test_lists_hold_what_he_may_see_and_nothing_else(watch: Watch, name: str) -> None:
    _listed(watch, watch.callers[name])


def _listed(watch: Watch, caller: Caller) -> None:
    """Searches of a type, of all, of compartments; histories; `$everything`."""
    seen = set(watch.oracle.seen(caller, "s"))
    turn = NAMES.index(caller.name)
    for n, kind in enumerate(TYPES):
        wanted = {one for one in seen if one.startswith(f"{kind}/")}
        scoped = bool(parts_of(caller, kind, "s"))
        for path in turns((f"{kind}?_count=1000", f"{kind}/_history?_count=1000"), n + turn, 2):
            answer = watch.get(caller, path)
            if scoped:
                assert ids(answer) == wanted, path
            else:
                assert issue(answer) == (403, "forbidden"), path
        counts = (f"{kind}?_summary=count", f"{kind}?_total=estimate&_count=1")
        for path in turns(counts, n + turn, 2) if scoped else ():
            assert watch.get(caller, path).json()["total"] == len(wanted), path
    together = {one for one in seen if one.partition("/")[0] in TOGETHER}
    for path in ("?_count=1000", "_history?_count=1000"):
        answer = watch.get(caller, path)
        if any(parts_of(caller, kind, "s") for kind in TYPES):
            assert ids(answer) == together, path
        else:
            assert issue(answer) == (403, "forbidden"), path


@every
def test_compartments_and_everything(watch: Watch, name: str) -> None:
    """A compartment is a search; `$everything` needs the right to read whom it is about.

    Of the types of a compartment each caller has some, and others of each owner.
    """
    caller, oracle = watch.callers[name], watch.oracle
    seen = oracle.seen(caller, "s")
    for owner_type, served in DECLARED.compartments.items():
        owners = [
            one for one in watch.world.resources.values() if one["resourceType"] == owner_type
        ]
        for turn, owner in enumerate(owners):
            own = f"{owner_type}/{owner['id']}"
            for kind in turns(sorted(served), turn + NAMES.index(name), 6):
                answer = watch.get(caller, f"{own}/{kind}?_count=1000")
                if parts_of(caller, kind, "s"):
                    assert ids(answer) <= set(seen)
                    assert ids(answer) >= {one for one in seen if _is_about(seen[one], kind, own)}
                else:
                    assert issue(answer) == (403, "forbidden")
            if owner_type in ("Patient", "Encounter"):
                answer = watch.get(caller, f"{own}/$everything")
                if oracle.allowed(caller, owner, "r"):
                    assert ids(answer) <= set(oracle.seen(caller, "s")) | {own}
                else:
                    assert issue(answer) == (403, "forbidden")


def _is_about(one: Resource, kind: str, owner: str) -> bool:
    patients = owner.startswith("Patient/") and one["resourceType"] == kind in ABOUT
    return patients and one.get(ABOUT[kind]) == {"reference": owner}
