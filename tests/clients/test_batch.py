"""Batches and transactions by every client. https://hl7.org/fhir/R4/http.html#transaction"""

from __future__ import annotations

from typing import Any

import pytest
import requests
from fhirclient.models.bundle import Bundle
from fhirpy.base.exceptions import OperationOutcome

from tests.clients import test_fhirclient_python as in_python
from tests.clients import test_fhirpy as in_async_python
from tests.support.clinic import Clinic, Resource
from tests.support.npm import installed, played

PART, WHOLE = (
    "urn:uuid:0d5b0a7e-33a3-4b7e-8a4e-0a3c4d0f6a55",
    ("urn:uuid:6f3c1f0e-6d3e-4f8e-9d0a-2f0f5f3b9c11"),
)
CREATE = {"method": "POST", "url": "Organization"}


def bundle(kind: str, *entries: Resource) -> Resource:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def organization(name: str, **more: Any) -> Resource:
    return {"resourceType": "Organization", "name": name, **more}


BATCH = bundle(
    "batch",
    {"resource": organization("North"), "request": CREATE},
    {"request": {"method": "GET", "url": "Patient/zahra"}},
    {"request": {"method": "GET", "url": "Patient/nobody"}},
)
TRANSACTION = bundle(
    "transaction",
    {
        "fullUrl": PART,
        "resource": organization("Part", partOf={"reference": WHOLE}),
        "request": CREATE,
    },
    {"fullUrl": WHOLE, "resource": organization("Whole"), "request": CREATE},
)
BROKEN = bundle(
    "transaction",
    {"resource": organization("Whole"), "request": CREATE},
    {"resource": organization("Part", colour="red"), "request": CREATE},
)


def check_batch(answer: Any) -> None:
    """Each entry has an answer of its own, in the order asked."""
    assert answer["type"] == "batch-response"
    statuses = [entry["response"]["status"][:3] for entry in answer["entry"]]
    assert statuses == ["201", "200", "404"]
    assert "/Organization/" in f"/{answer['entry'][0]['response']['location']}"
    assert answer["entry"][1]["resource"]["id"] == "zahra"
    assert answer["entry"][2]["response"]["outcome"]["issue"][0]["code"] == "not-found"


def check_transaction(answer: Any, clinic: Clinic) -> None:
    """All is stored, and what referred to an entry refers to what became of it."""
    assert answer["type"] == "transaction-response"
    places = [entry["response"]["location"] for entry in answer["entry"]]
    part, whole = (place.partition("Organization/")[2].partition("/")[0] for place in places)
    stored = clinic.service.get(f"Organization/{part}").json()
    assert stored["partOf"]["reference"] == f"Organization/{whole}"
    assert clinic.service.get(f"Organization/{whole}").json()["name"] == "Whole"


async def test_fhirpy(clinic: Clinic) -> None:
    fhir = in_async_python.signed(clinic, clinic.service.authorization)
    check_batch(await fhir.execute("", data=BATCH))
    check_transaction(await fhir.execute("", data=TRANSACTION), clinic)
    with pytest.raises(OperationOutcome):
        await fhir.execute("", data=BROKEN)
    assert len(clinic.service.ids("Organization")) == 3


def test_fhirclient_in_python(clinic: Clinic) -> None:
    server = in_python.signed(clinic, clinic.service.authorization)
    check_batch(Bundle(BATCH).create(server))
    check_transaction(Bundle(TRANSACTION).create(server), clinic)
    with pytest.raises(requests.HTTPError):
        server.post_json("", BROKEN)
    assert len(clinic.service.ids("Organization")) == 3


@pytest.mark.parametrize("client", ["byKit", "bySmart"])
def test_npm(clinic: Clinic, server_url: str, client: str) -> None:
    token = clinic.service.authorization.removeprefix("Bearer ")
    env = {"FHIR_BASE": f"{server_url}/fhir/R4", "FHIR_TOKEN": token}
    found = played(installed(), "batch.mjs", client, **env)
    check_batch(found["batch"])
    check_transaction(found["transaction"], clinic)
    assert 400 <= found["refused"] < 500
    assert len(clinic.service.ids("Organization")) == 3
