"""Who joins and leaves a thread, and what he sees of it."""

from __future__ import annotations

import pytest

from tests.v1.conftest import BASE, Caller, Ward, refused

CHANGED = "communication.thread.participants.changed"


@pytest.fixture
def amina(ward: Ward) -> Caller:
    return ward.doctor("amina")


def members(caller: Caller, thread: str) -> set[str]:
    return set(caller.get(f"/threads/{thread}").json()["participantIds"])


def remove(caller: Caller, thread: str, who: str) -> tuple[int, str]:
    answer = caller.client.delete(f"{BASE}/threads/{thread}/participants/{who}")
    return (200, "") if answer.status_code == 200 else refused(answer)


def test_a_participant_adds_others(ward: Ward, amina: Caller) -> None:
    thread = amina.open_thread("usr_farid")
    body = {"participantIds": ["usr_sami", "usr_farid", "usr_laila"]}
    answer = ward.doctor("farid").post(f"/threads/{thread}/participants", body)
    everyone = ["usr_farid", "usr_amina", "usr_sami", "usr_laila"]
    assert answer.status_code == 200
    assert answer.json() == {"threadId": thread, "participantIds": everyone}
    assert members(ward.doctor("sami"), thread) == set(everyone)
    kind, subject, data = ward.events()[-1]
    assert (kind, subject) == (CHANGED, thread.replace("thr_", "Communication/"))
    assert data["participantIds"] == everyone


def test_adding_who_is_there_is_no_event(ward: Ward, amina: Caller) -> None:
    thread = amina.open_thread("usr_farid")
    amina.post(f"/threads/{thread}/participants", {"participantIds": ["usr_farid"]})
    assert CHANGED not in [kind for kind, _, _ in ward.events()]


def test_a_stranger_adds_nobody(ward: Ward, amina: Caller) -> None:
    thread = amina.open_thread("usr_farid")
    body = {"participantIds": ["usr_sami"]}
    answer = ward.doctor("sami").post(f"/threads/{thread}/participants", body)
    assert refused(answer) == (403, "FORBIDDEN")
    body = {"participantIds": ["usr_nobody"]}
    answer = amina.post(f"/threads/{thread}/participants", body)
    assert refused(answer) == (403, "FORBIDDEN")
    assert members(amina, thread) == {"usr_amina", "usr_farid"}


def test_whoever_leaves_is_out(ward: Ward, amina: Caller) -> None:
    thread = amina.open_thread("usr_farid", "usr_sami")
    farid = ward.doctor("farid")
    assert remove(farid, thread, "usr_farid") == (200, "")
    assert members(amina, thread) == {"usr_amina", "usr_sami"}
    assert refused(farid.get(f"/threads/{thread}/messages")) == (403, "FORBIDDEN")
    answer = farid.post(f"/threads/{thread}/messages", {"body": "x"})
    assert refused(answer) == (403, "FORBIDDEN")
    assert ward.events()[-1][0] == CHANGED


def test_who_opened_it_removes_others_and_stays(ward: Ward, amina: Caller) -> None:
    thread = amina.open_thread("usr_farid", "usr_sami")
    assert remove(ward.doctor("sami"), thread, "usr_farid") == (403, "FORBIDDEN")
    assert remove(amina, thread, "usr_farid") == (200, "")
    assert remove(amina, thread, "usr_farid") == (404, "NOT_FOUND")
    assert remove(amina, thread, "usr_amina") == (409, "CONFLICT")
    assert members(amina, thread) == {"usr_amina", "usr_sami"}


def test_the_fhir_face_meets_the_same_rules(ward: Ward, amina: Caller) -> None:
    thread = amina.open_thread("usr_farid", "usr_sami").replace("thr_", "")
    patch = [{"op": "remove", "path": "/recipient/0"}]
    headers = {"Content-Type": "application/json-patch+json"}
    address = f"/fhir/R4/Communication/{thread}"
    stranger, creator = ward.doctor("sami").client, amina.client
    assert stranger.patch(address, json=patch, headers=headers).status_code == 403
    assert creator.patch(address, json=patch, headers=headers).status_code == 200


def test_an_archived_thread_takes_nobody(amina: Caller) -> None:
    thread = amina.open_thread("usr_farid")
    amina.patch(f"/threads/{thread}/archive")
    body = {"participantIds": ["usr_sami"]}
    answer = amina.post(f"/threads/{thread}/participants", body)
    assert refused(answer) == (409, "INVALID_STATE_TRANSITION")
    assert remove(amina, thread, "usr_farid") == (409, "INVALID_STATE_TRANSITION")


def test_a_late_joiner_gets_what_comes_after(ward: Ward, amina: Caller) -> None:
    """As the declared policy says: without a patient from joining on, else the whole chart's."""
    for about, seen in (({}, ["after"]), ({"patientId": "pat_zahra"}, ["after", "before"])):
        thread = amina.open_thread("usr_farid", **about)
        amina.send(thread, "before")
        amina.post(f"/threads/{thread}/participants", {"participantIds": ["usr_sami"]})
        amina.send(thread, "after")
        sami = ward.doctor("sami")
        assert [message["body"] for message in sami.messages(thread)] == seen
        [mine] = [one for one in sami.threads() if one["threadId"] == thread]
        assert mine["unreadCount"] == 1


@pytest.mark.parametrize("body", [{}, {"participantIds": []}, {"participantIds": ["thr_x"]}])
def test_nobody_to_add(amina: Caller, body: dict[str, object]) -> None:
    thread = amina.open_thread("usr_farid")
    answer = amina.post(f"/threads/{thread}/participants", body)
    assert refused(answer) == (400, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    "who",
    [
        {"reference": "CareTeam/team"},
        {"reference": "PractitionerRole/on-call"},
        {"reference": "Organization/x"},
        {"reference": "https://other.example/Practitioner/x"},
        {"reference": "#x"},
        {"display": "Somebody"},
        {"identifier": {"system": "https://example.org", "value": "1"}},
    ],
    ids=str,
)
def test_a_participant_is_somebody_who_can_read(
    ward: Ward, amina: Caller, who: dict[str, object]
) -> None:
    """Neither a team, whose members would see nothing, nor somebody of another server; whoever
    writes it, by whichever face."""
    farid = {"reference": "Practitioner/farid"}
    new = {"resourceType": "Communication", "status": "in-progress", "topic": {"text": "x"}}
    thread = amina.open_thread("usr_farid").replace("thr_", "")
    known = amina.fhir(f"/Communication/{thread}")
    service = ward.sign_in(ward.tenant, "usr_directory", "SERVICE").client
    service.put("/fhir/R4/CareTeam/team", json={"resourceType": "CareTeam", "id": "team"})
    for client in (amina.client, service):
        sender = {"sender": {"reference": "Practitioner/amina"}}
        body = {**new, **sender, "recipient": [farid, who]}
        answer = client.post("/fhir/R4/Communication", json=body)
        assert answer.status_code == 422
        changed = {**known, "recipient": [*known["recipient"], who]}
        answer = client.put(f"/fhir/R4/Communication/{thread}", json=changed)
        assert answer.status_code == 422
        if "reference" in who and who["reference"] != "#x":
            assert answer.json()["issue"][0]["expression"] == ["Communication.recipient[2]"]
    assert members(amina, f"thr_{thread}") == {"usr_amina", "usr_farid"}


@pytest.mark.parametrize("who", ["car_team", "rol_on-call", "CareTeam/team", "org_x"])
def test_v1_knows_people_only(amina: Caller, who: str) -> None:
    answer = amina.post("/threads", {"participantIds": ["usr_farid", who], "subject": "x"})
    assert refused(answer) == (400, "VALIDATION_ERROR")
    assert answer.json()["error"]["details"]["fields"][0]["field"] == "participantIds[1]"


def test_archiving_twice(ward: Ward, amina: Caller) -> None:
    """The second time finds it archived; messages are refused on both faces."""
    thread = amina.open_thread("usr_farid")
    assert amina.patch(f"/threads/{thread}/archive").status_code == 200
    answer = amina.patch(f"/threads/{thread}/archive")
    assert refused(answer) == (409, "INVALID_STATE_TRANSITION")
    message = {
        "resourceType": "Communication",
        "status": "in-progress",
        "partOf": [{"reference": thread.replace("thr_", "Communication/")}],
        "payload": [{"contentString": "x"}],
    }
    assert amina.client.post("/fhir/R4/Communication", json=message).status_code == 409
    assert [kind for kind, _, _ in ward.events()].count("communication.thread.archived") == 1
