"""What a client of that vendor's Communication API sends is taken here, and what it reads of an
answer stands here too. The documentation's own examples are posted as they are.

https://hl7.org/fhir/R4/communication.html
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from fhir_server.http.wire import http_date
from tests.support.clinic import Clinic, Person, Resource, refusal, stored

PLAIN = {"accept": "application/json", "content_type": "application/json"}
PATIENT = "Patient/b3084f7e884e4af2b7e23b1dca494abd"
DOCTOR = "Practitioner/5eede137ecfe4124b8b773040e33be14"
# The example of `communication-create-request curl`.
EXAMPLE = """
{
  "resourceType": "Communication",
  "status": "unknown",
  "sent": "2022-04-29T13:30:00.000Z",
  "received": "2022-04-29T13:30:00.000Z",
  "recipient": [
    {
      "reference": "Patient/b3084f7e884e4af2b7e23b1dca494abd"
    }
  ],
  "sender": {
    "reference": "Practitioner/5eede137ecfe4124b8b773040e33be14"
  },
  "payload": [
    {
      "contentString": "Upcoming appointment"
    }
  ]
}"""
# The example of `communication-create-request python`, which leaves out the required status.
WITHOUT_STATUS: Resource = {
    "resourceType": "Communication",
    "sent": "2022-04-29T13:30:00.000Z",
    "received": "2022-04-29T13:30:00.000Z",
    "recipient": [{"reference": "Patient/b3084f7e884e4af2b7e23b1dca494abd"}],
    "sender": {"reference": "Practitioner/5eede137ecfe4124b8b773040e33be14"},
    "payload": [{"contentString": "Upcoming appointment"}],
}
# The entry of `communication-search-response`.
ENTRY: Resource = {
    "resourceType": "Communication",
    "id": "7433b4b2-0d18-45ca-bb12-71105c80386b",
    "status": "unknown",
    "sent": "2021-03-21T10:46:17+00:00",
    "received": "2022-03-14T12:03:58.958000+00:00",
    "recipient": [
        {"reference": "Patient/4c21512185184e579b09bfac16dfdd2f", "type": "Patient"},
    ],
    "sender": {
        "reference": "Practitioner/4150cd20de8a470aa570a852859ac87e",
        "type": "Practitioner",
    },
    "payload": [{"contentString": "Similique amet at est necessitatibus repellendus eius."}],
}
HTML = (
    '<p style="margin:0">Dear <b>Zahra</b>,&nbsp;</p>\r\n\t<ul><li>10&nbsp;mg &lt; 20 mg</li></ul>'
    "<script>alert('x')</script><!-- & -->  <a href=\"https://example.org/?a=1&amp;b=2\">“سلام”</a>\n"
)


def post(person: Person, body: str | Resource, **headers: str) -> httpx.Response:
    content = body if isinstance(body, str) else json.dumps(body)
    return person.ask("POST", "Communication", content, **{**PLAIN, **headers})


def search(person: Person, query: str) -> dict[str, Any]:
    answer = person.get(f"Communication?{query}", accept="application/json")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def said(person: Person, query: str) -> list[str]:
    """The ids of the matches, in order."""
    return [entry["resource"]["id"] for entry in search(person, query).get("entry", ())]


def without_meta(resource: Resource) -> Resource:
    return {name: value for name, value in resource.items() if name not in ("meta", "id")}


def test_the_example_is_created_and_kept(clinic: Clinic) -> None:
    answer = post(clinic.service, EXAMPLE)
    assert answer.status_code == 201
    assert answer.headers["location"].endswith(f"Communication/{stored(answer)['id']}/_history/1")
    read = clinic.service.get(f"Communication/{stored(answer)['id']}", accept="application/json")
    assert without_meta(read.json()) == json.loads(EXAMPLE)
    # Its dates are texts, and stay as they were written.
    assert '"sent":"2022-04-29T13:30:00.000Z"' in read.text


def test_a_client_that_wants_no_body_gets_none(clinic: Clinic) -> None:
    """That API answers a create with `null`."""
    answer = post(clinic.service, EXAMPLE, prefer="return=minimal")
    assert (answer.status_code, answer.content) == (201, b"")


def test_the_example_without_a_status_says_that_it_lacks_one(clinic: Clinic) -> None:
    answer = post(clinic.service, WITHOUT_STATUS)
    assert refusal(answer) == (422, "required")
    (issue,) = answer.json()["issue"]
    assert "status" in issue["details"]["text"]
    assert issue["expression"] == ["Communication.status"]
    assert said(clinic.service, f"recipient={PATIENT}") == []


def test_the_answers_resource_is_taken_under_its_own_id(clinic: Clinic) -> None:
    assert clinic.service.put(ENTRY).status_code == 201
    bundle = search(clinic.service, f"_id={ENTRY['id']}")
    assert (bundle["resourceType"], bundle["type"], bundle["total"]) == ("Bundle", "searchset", 1)
    assert "self" in {link["relation"] for link in bundle["link"]}
    (entry,) = bundle["entry"]
    assert entry["resource"]["id"] == ENTRY["id"]
    assert without_meta(entry["resource"]) == without_meta(ENTRY)


def test_it_is_found_by_id_recipient_and_sender(clinic: Clinic) -> None:
    id = stored(post(clinic.service, EXAMPLE))["id"]
    other = json.loads(EXAMPLE) | {
        "recipient": [{"reference": "Patient/other"}],
        "sender": {"reference": "Practitioner/other"},
    }
    post(clinic.service, other)
    for query in (
        f"_id={id}",
        f"recipient={quote(PATIENT, safe='')}",
        f"recipient={PATIENT}",
        f"recipient={PATIENT.removeprefix('Patient/')}",
        f"recipient:Patient={PATIENT.removeprefix('Patient/')}",
        f"sender={quote(DOCTOR, safe='')}",
        f"sender={DOCTOR}&recipient={PATIENT}&_id={id}",
    ):
        assert said(clinic.service, query) == [id], query
    assert search(clinic.service, f"sender={PATIENT}")["total"] == 0
    assert (
        search(clinic.service, "sender=Practitioner/other&recipient=Patient/nobody")["total"] == 0
    )


def test_one_recipient_or_many(clinic: Clinic) -> None:
    many = ["Patient/zahra", "Practitioner/farid", "Patient/omid", DOCTOR]
    body = json.loads(EXAMPLE) | {"recipient": [{"reference": one} for one in many]}
    id = stored(post(clinic.service, body))["id"]
    for one in many:
        assert said(clinic.service, f"recipient={one}") == [id]
    read = clinic.service.get(f"Communication/{id}").json()
    assert [one["reference"] for one in read["recipient"]] == many


def test_html_is_kept_to_the_byte(clinic: Clinic) -> None:
    body = json.loads(EXAMPLE) | {"payload": [{"contentString": HTML}]}
    answer = post(clinic.service, json.dumps(body, ensure_ascii=False))
    assert answer.status_code == 201, answer.text
    id = stored(answer)["id"]
    (entry,) = search(clinic.service, f"_id={id}")["entry"]
    for found in (clinic.service.get(f"Communication/{id}").json(), entry["resource"]):
        assert found["payload"][0]["contentString"] == HTML
    version = clinic.service.get(f"Communication/{id}/_history/1").json()
    assert version["payload"][0]["contentString"] == HTML


def test_a_person_writes_in_his_own_name(clinic: Clinic) -> None:
    """What that API allows a patient and a practitioner; here nobody writes as somebody else."""
    own = json.loads(EXAMPLE) | {
        "recipient": [{"reference": "Practitioner/farid"}],
        "sender": {"reference": "Patient/zahra"},
    }
    id = stored(post(clinic.zahra, own))["id"]
    assert said(clinic.zahra, "sender=Patient/zahra&recipient=Practitioner/farid") == [id]
    reply = own | {"sender": {"reference": "Practitioner/farid"}, "recipient": [own["sender"]]}
    answer = stored(post(clinic.farid, reply))
    assert answer["status"] == "unknown"
    assert said(clinic.zahra, "recipient=Patient/zahra") == [answer["id"]]
    assert refusal(post(clinic.zahra, reply)) == (403, "forbidden")


def wrong_search(clinic: Clinic) -> httpx.Response:
    return clinic.service.get("Communication?_count=many")


def wrong_body(clinic: Clinic) -> httpx.Response:
    return post(clinic.service, "{")


def no_token(clinic: Clinic) -> httpx.Response:
    return post(Person(clinic.service.http, "", "Bearer none"), EXAMPLE)


def no_right(clinic: Clinic) -> httpx.Response:
    return post(clinic.amina, EXAMPLE)


def no_scope(clinic: Clinic) -> httpx.Response:
    reader = clinic.person("usr_service", "SERVICE", "system/Communication.rs")
    return post(reader, EXAMPLE)


def no_method(clinic: Clinic) -> httpx.Response:
    return clinic.service.ask("PUT", "Communication/_search", EXAMPLE, **PLAIN)


def overtaken(clinic: Clinic) -> httpx.Response:
    there = stored(post(clinic.service, EXAMPLE))
    long_ago = http_date(datetime(2022, 4, 29, 13, 30, tzinfo=UTC))
    return clinic.service.put(there, if_unmodified_since=long_ago)


def unprocessable(clinic: Clinic) -> httpx.Response:
    return post(clinic.service, json.loads(EXAMPLE) | {"status": "read"})


REFUSALS: dict[Callable[[Clinic], httpx.Response], int] = {
    wrong_search: 400,
    wrong_body: 400,
    no_token: 401,
    no_right: 403,
    no_scope: 403,
    no_method: 405,
    overtaken: 412,
    unprocessable: 422,
}


@pytest.mark.parametrize("ask", REFUSALS, ids=lambda ask: ask.__name__)
def test_a_refusal_has_its_status_and_its_text(
    clinic: Clinic, ask: Callable[[Clinic], httpx.Response]
) -> None:
    """A client of that API shows `issue[0].details.text`."""
    answer = ask(clinic)
    assert refusal(answer)[0] == REFUSALS[ask]
    issue = answer.json()["issue"][0]
    assert issue["details"]["text"] == issue["diagnostics"]
    assert json.loads(EXAMPLE)["payload"][0]["contentString"] not in answer.text
