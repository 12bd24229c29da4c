"""Batches and transactions as clients send them."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.clinic import Person, Resource, reference

SYSTEM = "https://example.org/mrn"
PATIENT, NURSE, VISIT, TALK = (f"urn:uuid:{n}1b2c3d4-0000-4000-8000-000000000000" for n in "abcd")


def post(resource: Resource, full_url: str | None = None, **request: Any) -> Resource:
    """An entry that creates."""
    return entry("POST", resource["resourceType"], resource, full_url, **request)


def put(resource: Resource, url: str = "", full_url: str | None = None, **more: Any) -> Resource:
    """An entry that updates."""
    return entry("PUT", url or reference(resource), resource, full_url, **more)


def entry(
    method: str,
    url: str,
    resource: Resource | None = None,
    full_url: str | None = None,
    **request: Any,
) -> Resource:
    """Any entry; more are elements of its request."""
    found: Resource = {"request": {"method": method, "url": url, **request}}
    found |= {"resource": resource} if resource is not None else {}
    return found | ({"fullUrl": full_url} if full_url else {})


def bundle(kind: str, *entries: Resource) -> Resource:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def transact(person: Person, *entries: Resource, **headers: str) -> list[Resource]:
    """The answers of a transaction that is taken."""
    return answers(person.post(bundle("transaction", *entries), "/fhir/R4", **headers))


def batch(person: Person, *entries: Resource, **headers: str) -> list[Resource]:
    """The answers of a batch."""
    return answers(person.post(bundle("batch", *entries), "/fhir/R4", **headers))


def refused(person: Person, *entries: Resource) -> httpx.Response:
    """The answer to a transaction that is not taken."""
    answer = person.post(bundle("transaction", *entries), "/fhir/R4")
    assert 400 <= answer.status_code < 500, answer.text
    return answer


def answers(answer: httpx.Response) -> list[Resource]:
    assert answer.status_code == 200, answer.text
    found: list[Resource] = answer.json().get("entry", [])
    return found


def statuses(found: list[Resource]) -> list[str]:
    """`201` …"""
    return [one["response"]["status"][:3] for one in found]


def where(answer: httpx.Response) -> tuple[int, str]:
    """The status of a refusal, and the place that it names."""
    (expression,) = answer.json()["issue"][0]["expression"]
    return answer.status_code, expression


def organization(number: str = "1", **more: object) -> Resource:
    identifier = [{"system": SYSTEM, "value": number}]
    return {"resourceType": "Organization", "identifier": identifier, "name": "North", **more}


def patient(number: str = "1", **more: object) -> Resource:
    return {
        "resourceType": "Patient",
        "identifier": [{"system": SYSTEM, "value": number}],
        **more,
    }


def by(number: str) -> str:
    return f"identifier={SYSTEM}|{number}"


def id_of(answer: Resource) -> str:
    """`Type/id` that an entry's answer tells."""
    location: str = answer["response"]["location"]
    return "/".join(location.split("/")[-4:-2])


def record(subject: str, **more: object) -> Resource:
    return {
        "resourceType": "Communication",
        "status": "completed",
        "subject": {"reference": subject},
        "payload": [{"contentString": "Seen"}],
        **more,
    }
