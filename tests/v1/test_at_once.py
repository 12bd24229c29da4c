"""What many do at the same time is done in some order: nothing twice, nothing lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import pytest

from fhir_server.definitions.loader import CANONICAL
from tests.v1.conftest import BASE, Caller, Ward
from tests.v1.routes import SCOPES

CHANGED = "communication.thread.participants.changed"


def at_once(times: int, do: Callable[[int], httpx.Response]) -> list[httpx.Response]:
    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(do, range(times)))


def statuses(answers: list[httpx.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


@pytest.mark.parametrize("name", ["Idempotency_Key", "X_Client_Mutation_Id"])
def test_one_key_sends_once(amina: Caller, name: str) -> None:
    thread, used = amina.open_thread("usr_farid"), {name: str(uuid4())}
    path = f"/threads/{thread}/messages"
    answers = at_once(64, lambda _: amina.post(path, {"body": "x"}, **used))
    assert set(statuses(answers)) <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert len(amina.messages(thread)) == 1


def test_who_joins_and_leaves(ward: Ward, amina: Caller) -> None:
    service = ward.sign_in(ward.tenant, "usr_directory", "SERVICE").client
    for n in range(12):
        person = {"resourceType": "Practitioner", "id": f"d{n}"}
        service.put(f"/fhir/R4/Practitioner/d{n}", json=person)
    thread = amina.open_thread("usr_farid")
    path = f"/threads/{thread}/participants"
    joined = at_once(12, lambda n: amina.post(path, {"participantIds": [f"usr_d{n}"]}))
    assert statuses(joined) == {200: 12}

    def leave_or_talk(n: int) -> httpx.Response:
        if n % 2:
            return amina.client.delete(f"{BASE}{path}/usr_d{n}")
        return amina.post(f"/threads/{thread}/messages", {"body": "x"})

    assert statuses(at_once(12, leave_or_talk)) == {200: 6, 201: 6}
    there = amina.get(f"/threads/{thread}").json()["participantIds"]
    assert set(there) == {"usr_amina", "usr_farid", *(f"usr_d{n}" for n in range(0, 12, 2))}
    assert [kind for kind, _, _ in ward.events()].count(CHANGED) == 18


def test_nothing_is_escalated_after_the_archive(ward: Ward, amina: Caller) -> None:
    service = ward.sign_in(ward.tenant, "usr_directory", "SERVICE").client
    role = {"resourceType": "PractitionerRole", "id": "on-call"}
    service.put("/fhir/R4/PractitionerRole/on-call", json=role)
    thread = amina.open_thread("usr_farid")

    def escalate_or_archive(n: int) -> httpx.Response:
        if n == 4:
            return amina.patch(f"/threads/{thread}/archive")
        return amina.post(f"/threads/{thread}/escalate", {})

    found = statuses(at_once(12, escalate_or_archive))
    assert found[200] == 1
    assert found[201] + found[409] == 11
    kinds = [kind.removeprefix("communication.") for kind, _, _ in ward.events()]
    assert Counter(kinds)["thread.escalated"] == Counter(kinds)["notification.queued"] == found[201]
    assert amina.post(f"/threads/{thread}/escalate", {}).status_code == 409


def test_a_configuration_by_both_faces(ward: Ward) -> None:
    """Every change is a version; the first one is made once."""
    admin = ward.sign_in(ward.tenant, "usr_admin", "ADMIN", SCOPES)
    kind = {"system": f"{CANONICAL}/CodeSystem/configuration", "code": "virtual-care"}
    basic = {"resourceType": "Basic", "id": "virtual-care", "code": {"coding": [kind]}}

    def put(n: int) -> httpx.Response:
        if n % 2:
            return admin.client.put("/fhir/R4/Basic/virtual-care", json=basic)
        body = {"joinTokenMinutes": n + 1}
        return admin.client.put(f"{BASE}/config/virtual-care", json=body)

    found = statuses(at_once(16, put))
    assert found[200] + found[201] == 16
    assert admin.fhir("/Basic/virtual-care")["meta"]["versionId"] == "16"
