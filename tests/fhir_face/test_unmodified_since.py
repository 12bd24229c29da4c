"""If-Unmodified-Since. https://www.rfc-editor.org/rfc/rfc9110#section-13.1.4"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
import psycopg
import pytest

from fhir_server.http.wire import http_date
from tests.interactions.conftest import at_once
from tests.support.clinic import JSON, Clinic, Resource, reference, refusal

AGO = datetime.now(UTC).replace(microsecond=250_000) - timedelta(hours=1)
SECOND = timedelta(seconds=1)
BY_NUMBER = "Organization?identifier=1"
PATCH = json.dumps([{"op": "replace", "path": "/name", "value": "South"}])
Write = Callable[..., httpx.Response]


@pytest.fixture
def old(clinic: Clinic, database_url: str) -> Resource:
    """An organization whose only version was written an hour ago, and a quarter of a second."""
    body: Resource = {"resourceType": "Organization", "identifier": [{"value": "1"}], "name": "N"}
    found = clinic.service.created(body)
    aged = "UPDATE organization SET updated = %s WHERE tenant = %s AND id = %s"
    with psycopg.connect(database_url) as connection:
        connection.execute(aged, [AGO, clinic.tenant, found["id"]])
    return found


def writes(clinic: Clinic, there: Resource) -> dict[str, Write]:
    """Every way to change it."""
    service, kind = clinic.service, "application/json-patch+json"
    body = {k: v for k, v in there.items() if k not in ("meta", "id")}
    return {
        "update": lambda **h: service.put({**there, "name": "South"}, **h),
        "patch": lambda **h: service.ask("PATCH", reference(there), PATCH, content_type=kind, **h),
        "delete": lambda **h: service.delete(reference(there), **h),
        "conditional update": lambda **h: service.put({**body, "name": "South"}, BY_NUMBER, **h),
        "conditional patch": lambda **h: service.ask(
            "PATCH", BY_NUMBER, PATCH, content_type=kind, **h
        ),
        "conditional delete": lambda **h: service.delete(BY_NUMBER, **h),
        "delete several": lambda **h: service.delete(f"{BY_NUMBER}&_count=5", **h),
    }


WRITES = (
    *("update", "patch", "delete", "delete several"),
    *("conditional update", "conditional patch", "conditional delete"),
)


@pytest.mark.parametrize("write", WRITES)
def test_a_version_of_a_later_second_is_412(clinic: Clinic, old: Resource, write: str) -> None:
    do = writes(clinic, old)[write]
    assert refusal(do(if_unmodified_since=http_date(AGO - SECOND))) == (412, "conflict")
    assert clinic.service.get(reference(old)).json() == old
    assert do(if_unmodified_since=http_date(AGO)).status_code in (200, 204)


@pytest.mark.parametrize("write", WRITES)
def test_a_tag_decides_alone(clinic: Clinic, old: Resource, write: str) -> None:
    do = writes(clinic, old)[write]
    late, early = http_date(AGO + SECOND), http_date(AGO - SECOND)
    assert refusal(do(if_match='W/"7"', if_unmodified_since=late)) == (412, "conflict")
    assert do(if_match='W/"1"', if_unmodified_since=early).status_code in (200, 204)


@pytest.mark.parametrize(
    "date", ["", "yesterday", "2001-01-01T00:00:00Z", "Mon, 99 Jan 2001 00:00:00 GMT", "9" * 5000]
)
def test_what_is_no_date_counts_as_not_given(clinic: Clinic, old: Resource, date: str) -> None:
    assert writes(clinic, old)["update"](if_unmodified_since=date).status_code == 200


@pytest.mark.parametrize(
    "date", ["Monday, 01-Jan-01 00:00:00 GMT", "Mon Jan  1 00:00:00 2001"], ids=["850", "asctime"]
)
def test_the_older_forms_of_a_date_are_dates(clinic: Clinic, old: Resource, date: str) -> None:
    assert refusal(writes(clinic, old)["update"](if_unmodified_since=date))[0] == 412


def test_what_is_not_there_was_not_modified(clinic: Clinic) -> None:
    long_ago = http_date(datetime(2001, 1, 1, tzinfo=UTC))
    body: Resource = {"resourceType": "Organization", "id": "o", "name": "North"}
    assert clinic.service.delete("Organization/o", if_unmodified_since=long_ago).status_code == 204
    assert clinic.service.put(body, if_unmodified_since=long_ago).status_code == 201
    assert clinic.service.post(body, if_unmodified_since=long_ago).status_code == 201


def test_the_last_modified_of_a_read_is_a_condition(clinic: Clinic, old: Resource) -> None:
    seen = clinic.service.get(reference(old)).headers["last-modified"]
    assert parsedate_to_datetime(seen) == AGO.replace(microsecond=0)
    assert clinic.service.put(old, if_unmodified_since=seen).status_code == 200
    assert refusal(clinic.service.put(old, if_unmodified_since=seen)) == (412, "conflict")


def test_what_the_caller_may_not_see_is_403(clinic: Clinic) -> None:
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    about = {"reference": "Patient/sealed"}
    secret = clinic.service.created(
        {
            "resourceType": "Communication",
            "status": "completed",
            "subject": about,
            "meta": {"security": [label]},
        }
    )
    for date in (http_date(AGO), http_date(datetime.now(UTC) + SECOND)):
        assert refusal(clinic.amina.put(secret, if_unmodified_since=date))[0] == 403


async def test_of_many_updates_since_one_date_one_wins(clinic: Clinic, old: Resource) -> None:
    service = clinic.service
    headers = {
        "authorization": service.authorization,
        "content-type": JSON,
        "if-unmodified-since": http_date(AGO),
    }
    url = service.http.base_url.join(f"/fhir/R4/{reference(old)}")
    bodies = [json.dumps({**old, "name": f"{n}"}) for n in range(24)]
    answers = await at_once([httpx.Request("PUT", url, content=b, headers=headers) for b in bodies])
    assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 23}
    won = next(answer.json() for answer in answers if answer.status_code == 200)
    assert service.get(reference(old)).json() == won
