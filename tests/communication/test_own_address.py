"""References that spell out the server's own address mean its own resources."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from fhir_server.settings import Settings
from tests.conftest import Token
from tests.support.clinic import Clinic, Resource, message, refer, reference, refusal, thread
from tests.support.server import listening

PUBLIC = "https://public.example"
BASE = f"{PUBLIC}/fhir/R4/"
SEALED = {"reference": f"{BASE}Patient/sealed"}


@pytest.fixture(scope="module")
def clinic(settings_of_tests: Settings, token: Token) -> Iterator[Clinic]:
    """A clinic whose server knows its public address."""
    settings = settings_of_tests.model_copy(update={"public_url": PUBLIC})
    with listening(settings) as address, httpx.Client(base_url=address) as http:
        yield Clinic(http, token)


@pytest.mark.parametrize(
    "about_sealed",
    [
        thread(patient=SEALED["reference"]),
        {"resourceType": "Communication", "status": "completed", "subject": SEALED},
        {"resourceType": "CommunicationRequest", "status": "active", "subject": SEALED},
        thread(f"{BASE}Practitioner/nobody"),
    ],
)
def test_rules_are_not_passed_by_a_longer_name(clinic: Clinic, about_sealed: Resource) -> None:
    assert refusal(clinic.amina.post(about_sealed)) == (403, "forbidden")
    assert clinic.service.ids("Communication?patient=Patient/sealed") == set()


def test_people_and_threads_go_by_their_longer_names(clinic: Clinic) -> None:
    header = clinic.amina.created(thread(f"{BASE}Practitioner/farid", patient=None))
    assert header["recipient"] == refer("Practitioner/farid", "Practitioner/amina")
    said = clinic.farid.created(message(header, partOf=refer(BASE + reference(header))))
    assert said["partOf"] == refer(reference(header))
    assert clinic.amina.read(header, said).status_code == 200
    updated = clinic.farid.put(
        {
            **header,
            "recipient": refer(
                *(BASE + "Practitioner/" + name for name in ("amina", "farid", "sami"))
            ),
        }
    )
    names = [f"Practitioner/{name}" for name in ("amina", "farid", "sami")]
    assert updated.json()["recipient"] == refer(*names)
    later = clinic.farid.created(message(header))
    listed = {"name": "message", "valueReference": {"reference": BASE + reference(later)}}
    body = {"resourceType": "Parameters", "parameter": [listed]}
    assert clinic.sami.post(body, f"{reference(header)}/$mark-read").status_code == 200


def test_a_patch_does_not_pass_them_either(clinic: Clinic) -> None:
    header = clinic.amina.created(thread("Practitioner/farid", patient=None))
    longer = {"reference": f"{BASE}Practitioner/sami"}
    added = [{"op": "add", "path": "/recipient/-", "value": longer}]
    kind = "application/json-patch+json"
    path = reference(header)
    answer = clinic.amina.ask("PATCH", path, json.dumps(added), content_type=kind)
    assert answer.json()["recipient"][-1] == {"reference": "Practitioner/sami"}
    assert clinic.sami.get(path).status_code == 200


def test_nor_by_one_that_a_condition_decides_about(clinic: Clinic) -> None:
    hidden, nobody = thread(patient=SEALED["reference"]), "identifier=none"
    assert refusal(clinic.amina.post(hidden, if_none_exist=nobody)) == (403, "forbidden")
    assert refusal(clinic.amina.put(hidden, f"Communication?{nobody}")) == (403, "forbidden")
    assert clinic.service.ids("Communication?patient=Patient/sealed") == set()
    shown = thread(patient=f"{BASE}Patient/omid")
    long, short = (f"patient={base}Patient/omid" for base in (BASE, ""))
    first = clinic.amina.post(shown, if_none_exist=long)
    again = clinic.amina.post(shown, if_none_exist=short)
    assert (first.status_code, again.status_code) == (201, 200)
