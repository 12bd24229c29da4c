"""Laws that the access policy itself must keep, whoever edits it.

The other tests of this folder hold the server against the policy; these hold the policy against
what was promised, with no look at how it is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.attacks.oracle import Caller, Oracle, criteria_of, policy
from tests.attacks.world import ABOUT, callers, clinic

WORLD = clinic()
ORACLE = WORLD.oracle
CALLERS = callers(WORLD)
CLINICAL = ("amina", "farid", "sami")
FARID = WORLD["farid"]
TEAMS = {WORLD["sealed"]: {WORLD["sami"]}, WORLD["vault"]: set[str]()}
# Who may give a patient or a care team another label or member; the others only see.
GUARDED = {"Patient": {"ADMIN", "SERVICE"}, "CareTeam": {"ADMIN", "SERVICE"}}


def patients_of(one: Mapping[str, Any]) -> set[str]:
    """Whom it is about: itself, its subject, and every patient of a group or an appointment."""
    held = one.get(ABOUT.get(one["resourceType"], ""), {})
    several = [*one.get("member", ()), *one.get("participant", ())]
    parts = [held, *(part.get("entity", part.get("actor", {})) for part in several)]
    named = {f"{one['resourceType']}/{one['id']}", *(part.get("reference", "") for part in parts)}
    return {name for name in named if name.startswith("Patient/")}


@pytest.mark.parametrize("name", CLINICAL)
def test_a_restricted_chart_is_open_to_its_team_now_and_to_whom_a_resource_names(name: str) -> None:
    """Of every type: who left the team, or was in one that is over, sees nothing."""
    caller = CALLERS[name]
    for place, one in ORACLE.seen(caller).items():
        teams = [TEAMS[patient] for patient in patients_of(one) if patient in TEAMS]
        if one["resourceType"] == "Appointment":
            # Of several patients: open to the team of each of them, as docs/security.md says.
            teams = (
                [set().union(*(TEAMS.get(p, {FARID}) for p in patients_of(one)))] if teams else []
            )
        if any(caller.user not in team for team in teams):
            assert f'"{caller.user}"' in json.dumps(one), place


@pytest.mark.parametrize("name", ["zahra", "omid", "sealed"])
def test_a_patient_sees_nobody_elses_chart(name: str) -> None:
    """Whatever names another patient names himself too, or is a message in which he takes part."""
    caller = CALLERS[name]
    others = {one for one in ("zahra", "omid", "sealed", "vault") if one != name}
    for place, one in ORACLE.seen(caller).items():
        text = json.dumps(one)
        if any(f'"{WORLD[other]}"' in text for other in others):
            assert f'"{caller.user}"' in text, place


def test_only_administrators_and_backends_change_labels_and_teams() -> None:
    for kind, wanted in GUARDED.items():
        found = {role for role in policy() if any(criteria_of([role], kind, "write"))}
        found |= {role for role in policy() if policy()[role].get(kind, {}).get("write")}
        assert found == wanted, kind


def test_an_administrator_sees_no_words_between_people() -> None:
    """Nor any work but requests under the GDPR."""
    seen = ORACLE.seen(CALLERS["admin"])
    kinds = {one.partition("/")[0] for one in seen}
    clinical = {"Communication", "CommunicationRequest", "DocumentReference", "Encounter"}
    assert not kinds & {*clinical, "List", "Binary", "Bundle", "Appointment", "Device"}
    tasks = {name for name in seen if name.startswith("Task/")}
    assert tasks == {WORLD[f"request {about}"] for about in ("zahra", "sealed")}


def test_without_a_role_there_is_nothing() -> None:
    for name in ("visitor", "nobody"):
        assert ORACLE.seen(CALLERS[name]) == {}


def test_two_roles_see_what_each_sees_and_no_more() -> None:
    for caller in (one for one in CALLERS.values() if len(one.roles) > 1):
        each = [ORACLE.seen(replace(caller, roles=(role,))) for role in caller.roles]
        assert ORACLE.seen(caller).keys() == set().union(*each)


def test_a_label_closes_every_type_at_once() -> None:
    """Of all that is about zahra, nothing stays open to whom it does not name."""
    label = {"security": [{"code": "R"}]}
    world = dict(WORLD.resources)
    world[WORLD["zahra"]] = {**world[WORLD["zahra"]], "meta": label}
    closed, stranger = Oracle(world), replace(CALLERS["amina"], sub="usr_stranger")
    still = closed.seen(stranger)
    assert [name for name, one in still.items() if WORLD["zahra"] in patients_of(one)] == []


def test_the_oracle_knows_every_criterion() -> None:
    """KeyError in `oracle.py`: write the new parameter down there."""
    for role, kinds in policy().items():
        for kind in kinds:
            someone = Caller(role, "usr_x", (role,), "Patient/x")
            for one in WORLD.resources.values():
                if one["resourceType"] == kind:
                    ORACLE.visible(someone, one)
                    ORACLE.writable(someone, one)
