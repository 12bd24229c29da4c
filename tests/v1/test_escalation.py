"""COMMS-US-004: a thread is escalated to those on call."""

from __future__ import annotations

from typing import Any

import httpx
import psycopg
import pytest

from tests.v1.conftest import BASE, Caller, Ward, key, refused

KIND = "https://fhir.ghasi.af/CodeSystem/request-kind"
SCOPE = "messaging:read messaging:write messaging:escalate config:write user/*.cruds"


@pytest.fixture
def on_call(ward: Ward) -> Ward:
    """A ward with somebody on call."""
    service = ward.sign_in(ward.tenant, "usr_directory", "SERVICE").client
    for id in ("on-call", "night"):
        role = {"resourceType": "PractitionerRole", "id": id, "active": True}
        assert service.put(f"/fhir/R4/PractitionerRole/{id}", json=role).status_code == 201
    return ward


def escalate(caller: Caller, thread: str, **body: Any) -> httpx.Response:
    return caller.post(f"/threads/{thread}/escalate", body)


def configure(ward: Ward, path: str, body: Any) -> None:
    admin = ward.sign_in(ward.tenant, "usr_admin", "ADMIN", SCOPE)
    assert admin.client.put(f"{BASE}/config/{path}", json=body).status_code == 200


def stored(ward: Ward, kind: str) -> list[dict[str, Any]]:
    """The tenant's requests of that kind, as a backend sees them."""
    service = ward.sign_in(ward.tenant, "usr_directory", "SERVICE")
    found = service.fhir(f"/CommunicationRequest?category={KIND}|{kind}")
    return [entry["resource"] for entry in found.get("entry", [])]


def test_us_004_an_escalation_pages_those_on_call(on_call: Ward) -> None:
    """Given I escalate a thread, when I POST /escalate, then the server emits
    communication.thread.escalated and queues a high-priority notification intent to the on-call
    role.
    """
    amina = on_call.doctor("amina")
    thread = amina.open_thread("usr_farid", patientId="pat_zahra")
    answer = escalate(amina, thread, reason="Pressure keeps falling")
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert told["threadId"] == thread
    assert told["urgency"] == "emergent"
    assert told["onCallIds"] == ["rol_on-call"]

    escalation, intent = on_call.events()[-2:]
    assert escalation[0] == "communication.thread.escalated"
    assert escalation[2] == {**told, "escalatedBy": "usr_amina"}
    assert intent[0] == "communication.notification.queued"
    assert intent[2]["recipientIds"] == ["rol_on-call"]
    assert intent[2]["urgency"] == "emergent"
    assert "falling" not in str(on_call.events())

    [request] = stored(on_call, "escalation")
    assert request["subject"]["reference"] == "Patient/zahra"
    [queued] = stored(on_call, "notification")
    assert queued["priority"] == "stat"
    assert queued["status"] == "active"
    assert queued["basedOn"] == [{"reference": f"CommunicationRequest/{request['id']}"}]
    assert "falling" not in str(queued)
    assert "subject" not in queued


@pytest.mark.parametrize("role", ["NURSE", "DOCTOR"])
def test_us_004_a_role_that_policy_bars(on_call: Ward, role: str) -> None:
    """Given a role cannot escalate per policy, when they POST, then 403."""
    configure(on_call, "escalation", {"roles": ["DOCTOR"], "onCallIds": []})
    caller = on_call.sign_in(on_call.tenant, "usr_laila", role, SCOPE)
    thread = on_call.doctor("amina").open_thread("usr_laila")
    answer = escalate(caller, thread)
    if role == "DOCTOR":
        assert answer.status_code == 201
    else:
        assert refused(answer) == (403, "FORBIDDEN")
        assert stored(on_call, "escalation") == stored(on_call, "notification") == []


def test_us_004_a_patient_may_not(on_call: Ward) -> None:
    """The access policy lets patients write no request."""
    thread = on_call.doctor("amina").open_thread("pat_zahra")
    assert refused(escalate(on_call.patient("zahra"), thread)) == (403, "FORBIDDEN")


def test_the_scope_is_asked_for(on_call: Ward) -> None:
    thread = on_call.doctor("amina").open_thread("usr_farid")
    caller = on_call.sign_in(on_call.tenant, "usr_amina", "DOCTOR", "messaging:write")
    assert refused(escalate(caller, thread)) == (403, "FORBIDDEN")


def test_the_fhir_face_does_the_same(on_call: Ward) -> None:
    amina = on_call.doctor("amina")
    thread = amina.open_thread("usr_farid").replace("thr_", "Communication/")
    kind = {"system": KIND, "code": "escalation"}
    request = {
        "resourceType": "CommunicationRequest",
        "status": "active",
        "category": [{"coding": [kind]}],
        "about": [{"reference": thread}],
    }
    answer = amina.client.post("/fhir/R4/CommunicationRequest", json=request)
    assert answer.status_code == 201, answer.text
    assert answer.json()["recipient"] == [{"reference": "PractitionerRole/on-call"}]
    kinds = [kind for kind, _, _ in on_call.events()]
    assert kinds[-2:] == ["communication.thread.escalated", "communication.notification.queued"]
    stranger = on_call.doctor("sami").client
    assert stranger.post("/fhir/R4/CommunicationRequest", json=request).status_code == 403


def test_the_policy_names_who_is_on_call(on_call: Ward) -> None:
    configure(on_call, "escalation", {"roles": [], "onCallIds": ["rol_night"]})
    amina = on_call.doctor("amina")
    answer = escalate(amina, amina.open_thread("usr_farid"), urgency="urgent")
    assert answer.json()["onCallIds"] == ["rol_night"]
    [request] = stored(on_call, "escalation")
    assert request["priority"] == "urgent"


def test_us_011_the_channel_policy_takes_effect_at_once(on_call: Ward) -> None:
    """… then policy persists and takes effect on next dispatch."""
    amina = on_call.doctor("amina")
    thread = amina.open_thread("usr_farid")
    escalate(amina, thread)
    assert on_call.events()[-1][2]["channels"] == ["in-app", "push", "sms", "email"]
    policy = [{"category": "escalation", "channels": ["sms", "push"]}]
    configure(on_call, "notifications/channels", {"categories": policy})
    escalate(amina, thread)
    assert on_call.events()[-1][2]["channels"] == ["push", "sms"]


def test_nobody_on_call(ward: Ward) -> None:
    amina = ward.doctor("amina")
    assert refused(escalate(amina, amina.open_thread("usr_farid"))) == (409, "CONFLICT")
    assert stored(ward, "escalation") == []


def role(ward: Ward, id: str, *, active: bool) -> None:
    service = ward.sign_in(ward.tenant, "usr_directory", "SERVICE").client
    body = {"resourceType": "PractitionerRole", "id": id, "active": active}
    assert service.put(f"/fhir/R4/PractitionerRole/{id}", json=body).status_code == 200


def test_who_is_on_call_is_there_to_be_called(on_call: Ward) -> None:
    """Who is not, is passed over; with nobody left it is refused, so that a colleague is asked
    another way."""
    configure(on_call, "escalation", {"onCallIds": ["rol_night", "rol_on-call"]})
    amina = on_call.doctor("amina")
    thread = amina.open_thread("usr_farid")
    assert escalate(amina, thread).json()["onCallIds"] == ["rol_night", "rol_on-call"]
    role(on_call, "night", active=False)
    assert escalate(amina, thread).json()["onCallIds"] == ["rol_on-call"]
    role(on_call, "on-call", active=False)
    assert refused(escalate(amina, thread)) == (409, "CONFLICT")
    configure(on_call, "escalation", {})
    assert refused(escalate(amina, thread)) == (409, "CONFLICT")
    assert len(stored(on_call, "notification")) == 2


@pytest.mark.parametrize("who", ["rol_nobody", "rol_night"])
def test_a_policy_calls_nobody_who_is_not_there(on_call: Ward, who: str) -> None:
    role(on_call, "night", active=False)
    admin = on_call.sign_in(on_call.tenant, "usr_admin", "ADMIN", SCOPE)
    body = {"onCallIds": ["rol_on-call", who]}
    answer = admin.client.put(f"{BASE}/config/escalation", json=body)
    assert refused(answer) == (400, "VALIDATION_ERROR")
    assert answer.json()["error"]["details"]["fields"][0]["field"] == "onCallIds"


def test_an_archived_thread_is_not_escalated(on_call: Ward) -> None:
    amina = on_call.doctor("amina")
    thread = amina.open_thread("usr_farid")
    amina.patch(f"/threads/{thread}/archive")
    assert refused(escalate(amina, thread)) == (409, "INVALID_STATE_TRANSITION")


def test_what_is_no_thread_is_not_there(on_call: Ward) -> None:
    amina = on_call.doctor("amina")
    message = amina.send(amina.open_thread("usr_farid")).replace("msg_", "thr_")
    assert refused(escalate(amina, message)) == (404, "NOT_FOUND")
    assert refused(escalate(amina, "thr_none")) == (404, "NOT_FOUND")


def test_a_stranger_escalates_nothing(on_call: Ward) -> None:
    thread = on_call.doctor("amina").open_thread("usr_farid")
    assert refused(escalate(on_call.doctor("sami"), thread)) == (403, "FORBIDDEN")


@pytest.mark.parametrize("body", [{"urgency": "routine"}, {"urgency": "x"}, {"reason": ""}])
def test_an_escalation_that_is_none(on_call: Ward, body: dict[str, str]) -> None:
    amina = on_call.doctor("amina")
    answer = escalate(amina, amina.open_thread("usr_farid"), **body)
    assert refused(answer) == (400, "VALIDATION_ERROR")


def test_a_repeated_request_escalates_once(on_call: Ward) -> None:
    amina = on_call.doctor("amina")
    path = f"{BASE}/threads/{amina.open_thread('usr_farid')}/escalate"
    once = key()
    answers = [amina.client.post(path, json={}, headers=once) for _ in range(3)]
    assert len({answer.text for answer in answers}) == 1
    assert len(stored(on_call, "notification")) == 1


def test_people_ask_for_no_notifications(on_call: Ward) -> None:
    """They cause them by what they do."""
    amina = on_call.doctor("amina")
    escalate(amina, amina.open_thread("usr_farid"))
    [intent] = stored(on_call, "notification")
    twin = {name: value for name, value in intent.items() if name not in ("id", "meta")}
    assert amina.client.post("/fhir/R4/CommunicationRequest", json=twin).status_code == 403


def test_it_is_written_whole_or_not_at_all(on_call: Ward) -> None:
    """Escalation, intent and events commit together."""
    amina = on_call.doctor("amina")
    thread = amina.open_thread("usr_farid")
    refuse = """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON outbox FOR EACH ROW
        WHEN (NEW.type = 'communication.notification.queued') EXECUTE FUNCTION refuse();
    """
    with psycopg.connect(on_call.database_url, autocommit=True) as connection:
        connection.execute(refuse)
        answer = escalate(amina, thread)
        connection.execute("DROP TRIGGER refuse ON outbox; DROP FUNCTION refuse()")
    assert answer.status_code == 500
    assert stored(on_call, "escalation") == stored(on_call, "notification") == []
