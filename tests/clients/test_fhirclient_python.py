"""The Python client `fhirclient` (SMART's). https://github.com/smart-on-fhir/client-py"""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from fhirclient.client import FHIRClient
from fhirclient.models.communication import Communication
from fhirclient.models.organization import Organization
from fhirclient.models.patient import Patient
from fhirclient.server import (
    FHIRPermissionDeniedException,
    FHIRServer,
    FHIRUnauthorizedException,
)

from tests.support.clinic import Clinic, message, reference, thread

SYSTEM = "https://example.org/mrn"


def signed(clinic: Clinic, authorization: str) -> FHIRServer:
    """As a backend that has a token already signs in: the client's state holds it, and an address
    that ends with a slash."""
    address = str(clinic.service.http.base_url.join("/fhir/R4/"))
    token = authorization.removeprefix("Bearer ")
    server = {"base_uri": address, "auth_type": "oauth2", "auth": {"access_token": token}}
    client = FHIRClient(state={"app_id": "tests", "server": server})
    assert client.ready
    return client.server


@pytest.fixture
def server(clinic: Clinic) -> FHIRServer:
    """For the clinic's backend."""
    return signed(clinic, clinic.service.authorization)


def organization(name: str = "North", number: str = "1") -> Organization:
    identifier = [{"system": SYSTEM, "value": number}]
    return Organization({"name": name, "identifier": identifier})


def created(server: FHIRServer, resource: Organization) -> Organization:
    return Organization(resource.create(server))


def names(listed: Any) -> list[str]:
    return [found.name for found in listed]


def test_it_reads_what_the_server_can_do(server: FHIRServer) -> None:
    """Its models are strict: what R4 does not know is an error."""
    statement = server.capabilityStatement
    assert statement.fhirVersion == "4.0.1"
    assert "Communication" in {resource.type for resource in statement.rest[0].resource}


def test_a_life(server: FHIRServer) -> None:
    made = created(server, organization())
    read = Organization.read(made.id, server)
    assert (read.name, read.meta.versionId) == ("North", "1")
    read.name = "South"
    changed = Organization(read.update(server))
    assert (changed.name, changed.meta.versionId) == ("South", "2")
    assert Organization.read_from(f"Organization/{made.id}/_history/1", server).name == "North"
    assert changed.delete(server) is None
    with pytest.raises(requests.HTTPError, match="410"):
        Organization.read(made.id, server)
    history = server.request_json(f"Organization/{made.id}/_history")
    assert [e["request"]["method"] for e in history["entry"]] == ["DELETE", "PUT", "POST"]


def test_patch(server: FHIRServer) -> None:
    """It has no patch; what it sends requests with has one."""
    made = created(server, organization())
    patch = json.dumps([{"op": "replace", "path": "/name", "value": "South"}])
    headers = server.auth.signed_headers({"Content-Type": "application/json-patch+json"})
    address = f"{server.base_uri}Organization/{made.id}"
    answer = server.session.patch(address, data=patch, headers=headers)
    assert answer.status_code == 200
    assert Organization.read(made.id, server).name == "South"


def test_search(clinic: Clinic, server: FHIRServer) -> None:
    header = clinic.service.created(thread(sender={"reference": "Practitioner/amina"}))
    said = clinic.amina.created(message(header))
    part_of = {"part-of": reference(header), "status": {"$or": ["in-progress", "completed"]}}
    (found,) = Communication.where(part_of).perform_resources_iter(server)
    assert (found.id, found.sender.reference) == (said["id"], "Practitioner/amina")
    whole = Communication.where({"_id": said["id"]}).include("subject")
    assert {r.resource_type for r in whole.perform_resources_iter(server)} == {
        "Communication",
        "Patient",
    }
    chained = Communication.where({"subject": {"$type": "Patient", "_id": "omid"}})
    assert list(chained.perform_resources_iter(server)) == []
    assert Patient.where({"name": {"$exact": "nobody"}}).perform_iter(server)


def test_a_value_may_hold_what_separates_values(server: FHIRServer) -> None:
    made = created(server, organization(number="1|2,3"))
    search = Organization.where({"identifier": f"{SYSTEM}|1\\|2\\,3"})
    assert [found.id for found in search.perform_resources_iter(server)] == [made.id]


def test_pages_are_the_whole(server: FHIRServer) -> None:
    listed = [f"North {number}" for number in range(7)]
    for number, name in enumerate(listed):
        created(server, organization(name, str(number)))
    search = Organization.where({"_sort": "name", "_count": "3"})
    assert [len(page.entry) for page in search.perform_iter(server)] == [3, 3, 1]
    assert names(search.perform_resources_iter(server)) == listed


def test_refusals_are_the_clients_own(clinic: Clinic, server: FHIRServer) -> None:
    with pytest.raises(requests.HTTPError, match="422"):
        server.post_json("Organization", {"resourceType": "Organization", "name": 1})
    with pytest.raises(FHIRUnauthorizedException):
        signed(clinic, "Bearer nothing").request_json("Patient")
    with pytest.raises(FHIRPermissionDeniedException):
        organization().create(signed(clinic, clinic.amina.authorization))
