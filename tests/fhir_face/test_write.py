"""create, update and delete over HTTP. https://hl7.org/fhir/R4/http.html"""

from __future__ import annotations

from email.utils import parsedate_to_datetime

import pytest

from tests.support.clinic import Clinic, refer, refusal, stored, thread


def patient(id: str, family: str = "Z") -> dict[str, object]:
    return {"resourceType": "Patient", "id": id, "name": [{"family": family}]}


def test_create_answers_where_it_is_and_which_version(clinic: Clinic) -> None:
    answer = clinic.amina.post(thread())
    found = stored(answer)
    assert answer.status_code == 201
    assert answer.headers["location"].endswith(f"/fhir/R4/Communication/{found['id']}/_history/1")
    assert answer.headers["etag"] == 'W/"1"'
    assert parsedate_to_datetime(answer.headers["last-modified"]).year > 2000
    assert answer.headers["content-type"] == "application/fhir+json"
    assert clinic.amina.get(answer.headers["location"]).json() == found


def test_create_ignores_the_clients_id_and_versions(clinic: Clinic) -> None:
    meta = {"versionId": "77", "lastUpdated": "2001-01-01T00:00:00Z"}
    found = clinic.service.created({**patient("mine"), "meta": meta})
    assert found["id"] != "mine"
    assert found["meta"]["versionId"] == "1"
    assert found["meta"]["lastUpdated"] > "2001-01-02"


def test_prefer_minimal_sends_no_body(clinic: Clinic) -> None:
    answer = clinic.amina.post(thread(), prefer="return=minimal")
    assert (answer.status_code, answer.content) == (201, b"")
    assert answer.headers["location"]
    again = clinic.amina.get(answer.headers["location"]).json()
    updated = clinic.amina.put(again, prefer="handling=strict; return=minimal")
    assert (updated.status_code, updated.content, updated.headers["etag"]) == (200, b"", 'W/"2"')


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (b"{", (400, "structure")),
        (b"", (400, "structure")),
        (b"[]", (400, "structure")),
        (b'{"resourceType":"Patient","resourceType":"Patient"}', (400, "structure")),
        (b'{"resourceType":"Practitioner"}', (400, "invalid")),
        (b'{"resourceType":"Patient","gender":"zzz"}', (422, "code-invalid")),
        (b'{"resourceType":"Patient","colour":"red"}', (422, "structure")),
        (b'{"resourceType":"Patient","birthDate":"2023-02-30"}', (422, "value")),
        (b"[" * 10_000, (400, "structure")),
        (b'{"resourceType":"Patient","language":"\\u0000"}', (400, "value")),
        (b'{"resourceType":"Patient","language":"\\ud800"}', (400, "value")),
    ],
)
def test_a_broken_body_is_refused_and_nothing_stored(
    clinic: Clinic, body: bytes, refused: tuple[int, str]
) -> None:
    answer = clinic.service.ask("POST", "Patient", body, content_type="application/fhir+json")
    status, code = refusal(answer)
    assert status == refused[0]
    assert code in {refused[1], "invalid", "structure", "value"}
    assert clinic.service.ids("Patient?_id:not=zahra,omid,sealed") == set()


def test_a_body_over_the_limit_is_413(clinic: Clinic) -> None:
    body = b" " * (2 * 1024 * 1024 + 1)
    answer = clinic.service.ask("POST", "Patient", body, content_type="application/fhir+json")
    assert refusal(answer) == (413, "too-long")


@pytest.mark.parametrize(
    "content_type", ["application/fhir+turtle", "text/plain", "", "multipart/x"]
)
def test_another_content_type_is_415(clinic: Clinic, content_type: str) -> None:
    answer = clinic.service.ask("POST", "Patient", b"{}", content_type=content_type)
    assert refusal(answer) == (415, "not-supported")


def test_update_replaces_and_counts(clinic: Clinic) -> None:
    clinic.service.put(patient("p", "One"))
    answer = clinic.service.put(patient("p", "Two"))
    assert answer.status_code == 200
    assert answer.headers["etag"] == 'W/"2"'
    assert answer.headers["location"].endswith("/Patient/p/_history/2")
    assert stored(answer)["name"] == [{"family": "Two"}]
    assert clinic.service.ids("Patient?family=one") == set()
    assert clinic.service.ids("Patient?family=two") == {"p"}


def test_only_a_system_client_chooses_an_id(clinic: Clinic) -> None:
    chosen = {**thread(), "id": "mine"}
    assert refusal(clinic.amina.put(chosen)) == (405, "not-supported")
    assert refusal(clinic.amina.get("Communication/mine")) == (404, "not-found")
    named = {**chosen, "sender": {"reference": "Practitioner/amina"}}
    assert clinic.service.put(named).status_code == 201
    assert clinic.amina.get("Communication/mine").status_code == 200


def test_the_id_of_body_and_address_agree(clinic: Clinic) -> None:
    assert refusal(clinic.service.put(patient("a"), "Patient/b")) == (400, "invalid")
    assert refusal(clinic.service.put(patient("a"), "Practitioner/a")) == (400, "invalid")
    assert refusal(clinic.service.put(patient("a_b"), "Patient/a_b"))[0] in {400, 404}


def test_if_match_holds_the_version(clinic: Clinic) -> None:
    clinic.service.put(patient("p"))
    assert refusal(clinic.service.put(patient("p"), if_match='W/"2"')) == (412, "conflict")
    assert clinic.service.put(patient("p", "New"), if_match='W/"1"').status_code == 200
    assert refusal(clinic.service.put(patient("p"), if_match='W/"1"')) == (412, "conflict")
    assert refusal(clinic.service.put(patient("new"), if_match='W/"1"')) == (412, "conflict")
    assert refusal(clinic.service.delete("Patient/p", if_match='W/"1"')) == (412, "conflict")
    assert clinic.service.delete("Patient/p", if_match='W/"2"').status_code == 204


def test_delete_then_gone_then_back(clinic: Clinic) -> None:
    clinic.service.put(patient("p"))
    assert clinic.service.delete("Patient/p").status_code == 204
    assert refusal(clinic.service.get("Patient/p")) == (410, "deleted")
    assert refusal(clinic.amina.get("Patient/p")) == (410, "deleted")
    assert refusal(clinic.service.get("Patient/p/_history/2")) == (410, "deleted")
    assert clinic.service.ids("Patient?_id=p") == set()
    assert clinic.service.delete("Patient/p").status_code == 204
    assert clinic.service.delete("Patient/never").status_code in {204, 404}
    back = clinic.service.put(patient("p"))
    assert (back.status_code, stored(back)["meta"]["versionId"]) == (201, "3")
    assert clinic.service.get("Patient/p").status_code == 200
    assert clinic.service.get("Patient/p/_history/1").status_code == 200


def test_a_role_without_the_right_may_not_write(clinic: Clinic) -> None:
    assert refusal(clinic.amina.post(patient("p"))) == (403, "forbidden")
    assert refusal(clinic.zahra.delete("Patient/zahra")) == (403, "forbidden")


def test_interop_posts_a_communication_request(clinic: Clinic) -> None:
    request = {
        "resourceType": "CommunicationRequest",
        "status": "active",
        "subject": {"reference": "Patient/zahra"},
        "recipient": refer("Practitioner/farid"),
        "payload": [{"contentString": "Please call"}],
    }
    found = clinic.amina.created(request)
    assert clinic.farid.ids("CommunicationRequest?patient=Patient/zahra") == {found["id"]}
