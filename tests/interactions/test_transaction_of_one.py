"""A transaction, or a batch, of one entry does what the same request does by itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql

from tests.conftest import NewClinic
from tests.support.bundles import bundle, entry
from tests.support.clinic import Clinic, Person, Resource, message, thread
from tests.support.effort import effort

SYSTEM = "https://example.org/mrn"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
INSTANT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.\d]*(Z|\+00(:00)?)?")
TABLES = ("communication", "organization", "patient", "history", "outbox", "patient_value")
Pair = tuple[Clinic, Clinic]


@pytest.fixture(scope="module")
def twins(new_clinic: NewClinic) -> Pair:
    """Two tenants with the same in them."""
    pair = new_clinic(), new_clinic()
    for clinic in pair:
        sender = {"reference": "Practitioner/amina"}
        clinic.service.put({**thread(), "id": "talk", "sender": sender})
        clinic.service.put({**thread(), "id": "over", "sender": sender, "status": "completed"})
        for n in ("one", "two"):
            clinic.service.put(organization("7", id=n))
    return pair


def organization(number: str, **more: Any) -> Resource:
    identifier = [{"system": SYSTEM, "value": number}]
    return {"resourceType": "Organization", "identifier": identifier, **more}


def talk(id: str) -> Resource:
    return {"resourceType": "Communication", "id": id}


BODIES = st.sampled_from(
    [
        organization("1"),
        organization("2", name="North"),
        organization("1", id="one", active="yes"),
        {"resourceType": "Organization"},
        {"resourceType": "Patient", "id": "zahra", "gender": "female"},
        {"resourceType": "Patient", "name": [{"family": "Amiri"}]},
        {"resourceType": "Patient", "birthDate": "tomorrow"},
        {"resourceType": "Nothing"},
        thread(),
        thread("Practitioner/nobody"),
        thread(patient="Patient/sealed"),
        {**thread(), "id": "talk", "status": "completed"},
        message(talk("talk")),
        message(talk("over")),
        message(talk("none")),
        message(talk("talk"), sender={"reference": "Practitioner/farid"}),
    ]
)
IDS = st.sampled_from(["one", "two", "zahra", "talk", "over", "none", "new", "sealed", "bad_id"])
CRITERIA = st.sampled_from([f"identifier={SYSTEM}|{n}" for n in "127"] + ["", "x=1", "_id=one"])
HEADERS = st.dictionaries(
    st.sampled_from(["ifMatch", "ifNoneExist"]),
    st.sampled_from(['W/"1"', 'W/"2"', "*"]),
    max_size=1,
)
PEOPLE: dict[str, Callable[[Clinic], Person]] = {
    "service": lambda c: c.service,
    "amina": lambda c: c.amina,
    "sami": lambda c: c.sami,
    "zahra": lambda c: c.zahra,
    "reader": lambda c: c.person("usr_amina", "DOCTOR", "user/*.rs"),
    "narrow": lambda c: c.person("usr_service", "SERVICE", "system/Organization.cud?name=North"),
}
HTTP = {"ifMatch": "if_match", "ifNoneExist": "if_none_exist"}


@st.composite
def requests(draw: st.DrawFn) -> Resource:
    body = draw(BODIES)
    kind = body["resourceType"]
    method = draw(st.sampled_from(["POST", "PUT", "DELETE", "GET"]))
    url = kind
    if method != "POST":
        url += draw(st.one_of(IDS.map("/{}".format), CRITERIA.map("?{}".format)))
    headers = draw(HEADERS)
    if "ifNoneExist" in headers:
        headers["ifNoneExist"] = draw(CRITERIA.filter(bool))
    return entry(method, url, body if method in ("POST", "PUT") else None, **headers)


@settings(max_examples=effort(40), deadline=None)
@given(st.lists(requests(), min_size=1, max_size=4), st.sampled_from(sorted(PEOPLE)))
def test_of_one_entry(twins: Pair, database_url: str, asked: list[Resource], name: str) -> None:
    one, other = (PEOPLE[name](clinic) for clinic in twins)
    for request in asked:
        alone = single(one, request)
        whole = other.post(bundle("transaction", request), "/fhir/R4")
        assert told(whole) == told(alone)
    left, right = (stored(database_url, clinic.tenant) for clinic in twins)
    assert left == right


@settings(max_examples=effort(20), deadline=None)
@given(st.lists(requests(), min_size=1, max_size=4), st.sampled_from(sorted(PEOPLE)))
def test_of_a_batch(twins: Pair, database_url: str, asked: list[Resource], name: str) -> None:
    one, other = (PEOPLE[name](clinic) for clinic in twins)
    alone = [told(single(one, request)) for request in asked]
    whole = other.post(bundle("batch", *asked), "/fhir/R4").json()["entry"]
    assert [of_entry(answer) for answer in whole] == alone
    left, right = (stored(database_url, clinic.tenant) for clinic in twins)
    assert left == right


def single(person: Person, request: Resource) -> httpx.Response:
    how = dict(request["request"])
    method, url = how.pop("method"), how.pop("url")
    headers = {HTTP[name]: value for name, value in how.items()}
    if "resource" not in request:
        return person.ask(method, url, **headers)
    send = person.post if method == "POST" else person.put
    return send(request["resource"], url, **headers)


def told(answer: httpx.Response) -> list[Any]:
    """Status, and what is said or answered, apart from ids, times and places."""
    body = answer.json() if answer.content else None
    if answer.status_code == 200 and body and body.get("type") == "transaction-response":
        return of_entry(body["entry"][0])
    if body and body["resourceType"] == "OperationOutcome":
        return [answer.status_code, issues(body)]
    return [answer.status_code, answer.headers.get("etag"), shown(body)]


def of_entry(answer: Resource) -> list[Any]:
    response = answer["response"]
    status = int(response["status"][:3])
    if "outcome" in response:
        return [status, issues(response["outcome"])]
    return [status, response.get("etag"), shown(answer.get("resource"))]


def issues(outcome: Resource) -> list[Any]:
    return [[issue["code"], issue["diagnostics"]] for issue in outcome["issue"]]


def shown(body: Resource | None) -> Any:
    if body and body["resourceType"] == "Bundle":
        return sorted(plain(f"{found['resource']}") for found in body.get("entry", ()))
    return body and plain(f"{body}")


def plain(text: str) -> str:
    return INSTANT.sub("T", UUID.sub("U", text))


def stored(url: str, tenant: str) -> dict[str, list[str]]:
    with psycopg.connect(url) as connection:
        # No two tenants share a key, and an event is published when its turn comes.
        query = sql.SQL(
            "SELECT to_jsonb(t) - 'seq' - 'tenant' - 'keys' - 'published',"
            " jsonb_array_length(to_jsonb(t) -> 'keys') FROM {} t WHERE tenant = %s"
        )
        return {
            name: sorted(
                plain(f"{row}")
                for row in connection.execute(query.format(sql.Identifier(name)), [tenant])
            )
            for name in TABLES
        }
