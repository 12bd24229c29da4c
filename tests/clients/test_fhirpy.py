"""The Python client `fhirpy`, asynchronous. https://github.com/beda-software/fhir-py"""

from __future__ import annotations

from typing import Any

import pytest
from fhirpy import AsyncFHIRClient
from fhirpy.base.exceptions import (
    AuthorizationError,
    ForbiddenError,
    MultipleResourcesFound,
    OperationOutcome,
    ResourceNotFound,
)

from tests.support.clinic import Clinic, message, reference, thread

SYSTEM = "https://example.org/mrn"
JSON_PATCH = {"Content-Type": "application/json-patch+json"}


def signed(clinic: Clinic, authorization: str, **headers: str) -> AsyncFHIRClient:
    address = str(clinic.service.http.base_url.join("/fhir/R4"))
    return AsyncFHIRClient(address, authorization=authorization, extra_headers=headers)


@pytest.fixture
def fhir(clinic: Clinic) -> AsyncFHIRClient:
    """The clinic's backend."""
    return signed(clinic, clinic.service.authorization)


def organization(fhir: AsyncFHIRClient, name: str = "North", number: str = "1") -> Any:
    identifier = [{"system": SYSTEM, "value": number}]
    return fhir.resource("Organization", name=name, identifier=identifier)


async def named(fhir: AsyncFHIRClient, *names: str) -> None:
    for number, name in enumerate(names):
        await organization(fhir, name, str(number)).save()


async def test_a_life(fhir: AsyncFHIRClient) -> None:
    made = organization(fhir)
    await made.save()
    assert (made["meta"]["versionId"], made.id is None) == ("1", False)
    made["name"] = "South"
    await made.update()
    await made.patch(name="East", alias=["E"])
    await made.patch(alias=None)
    read = await fhir.get("Organization", made.id)
    assert (read["name"], "alias" in read, read["meta"]["versionId"]) == ("East", False, "4")
    await made.delete()
    with pytest.raises(ResourceNotFound):
        await fhir.get("Organization", made.id)
    history = await fhir.execute(f"Organization/{made.id}/_history", "get")
    methods = [entry["request"]["method"] for entry in history["entry"]]
    assert methods == ["DELETE", "PATCH", "PATCH", "PUT", "POST"]


async def test_patches_by_the_formats_of_fhir(clinic: Clinic, fhir: AsyncFHIRClient) -> None:
    made = organization(fhir)
    await made.save()
    patching = signed(clinic, clinic.service.authorization, **JSON_PATCH)
    operations: Any = [{"op": "replace", "path": "/name", "value": "South"}]
    assert (await patching.execute(made.reference, "patch", operations))["name"] == "South"
    parts = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "Organization.name"},
        {"name": "value", "valueString": "East"},
    ]
    steps = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}
    assert (await fhir.execute(made.reference, "patch", steps))["name"] == "East"


async def test_refresh_knows_what_it_has(clinic: Clinic, fhir: AsyncFHIRClient) -> None:
    made = organization(fhir)
    await made.save()
    before = dict(made)
    assert dict(await made.refresh()) == before
    clinic.service.put({**made.serialize(), "name": "South"}, f"Organization/{made.id}")
    assert (await made.refresh())["name"] == "South"


async def test_search(clinic: Clinic, fhir: AsyncFHIRClient) -> None:
    header = clinic.service.created(thread(sender={"reference": "Practitioner/amina"}))
    said = clinic.amina.created(message(header))
    conversations = fhir.resources("Communication")
    about = conversations.search(patient="Patient/zahra", sent__ge="2020-01-01").sort("-sent")
    assert {found.id for found in await about.fetch_all()} == {header["id"], said["id"]}
    in_thread = conversations.search(part_of=reference(header), status="in-progress,completed")
    assert (await in_thread.get()).id == said["id"]
    whole = await in_thread.include("Communication", "part-of").fetch_raw()
    assert {entry["resource"].id for entry in whole["entry"]} == {header["id"], said["id"]}
    wanted = conversations.search(_id=header["id"]).has(
        "Communication", "part-of", sender="Practitioner/amina"
    )
    assert [found.id for found in await wanted.fetch()] == [header["id"]]
    assert await conversations.search(patient="Patient/omid").first() is None


async def test_pages_are_the_whole(fhir: AsyncFHIRClient) -> None:
    names = [f"North {number}" for number in range(8)]
    await named(fhir, *names)
    listed = fhir.resources("Organization").sort("-name").limit(3)
    assert [found["name"] async for found in listed] == names[::-1]
    assert len(await listed.fetch()) == 3


async def test_counting_asks_with_a_word_of_another_server(
    clinic: Clinic, fhir: AsyncFHIRClient
) -> None:
    """`_totalMethod` is Aidbox's: refused like every unknown parameter, unless asked leniently."""
    await named(fhir, "North", "South")
    with pytest.raises(OperationOutcome, match="_totalMethod"):
        await fhir.resources("Organization").count()
    lenient = signed(clinic, clinic.service.authorization, Prefer="handling=lenient")
    assert await lenient.resources("Organization").search(name="nor").count() == 1


async def test_conditions(fhir: AsyncFHIRClient) -> None:
    by_number = fhir.resources("Organization").search(identifier=f"{SYSTEM}|1")
    first, made = await by_number.get_or_create(organization(fhir))
    again, made_again = await by_number.get_or_create(organization(fhir, "Other"))
    assert (made, made_again, again.id, again["name"]) == (True, False, first.id, "North")
    changed, is_new = await by_number.update(organization(fhir, "South"))
    assert (changed.id, is_new, changed["name"]) == (first.id, False, "South")
    assert await by_number.delete() == (None, 204)
    assert await by_number.first() is None


async def test_several_matches_are_refused(fhir: AsyncFHIRClient) -> None:
    for _ in range(2):
        await organization(fhir).save()
    with pytest.raises(MultipleResourcesFound):
        await fhir.resources("Organization").search(identifier="1").update(organization(fhir))


async def test_refusals_are_the_clients_own(clinic: Clinic, fhir: AsyncFHIRClient) -> None:
    broken = fhir.resource("Organization", name=1)
    with pytest.raises(OperationOutcome) as caught:
        await broken.save()
    assert caught.value.resource["issue"][0]["expression"] == ["Organization.name"]
    assert await broken.is_valid() is False
    assert await organization(fhir).is_valid() is True
    with pytest.raises(AuthorizationError):
        await signed(clinic, "Bearer nothing").resources("Patient").fetch()
    with pytest.raises(ForbiddenError):
        await organization(signed(clinic, clinic.amina.authorization)).save()


async def test_references_and_operations(clinic: Clinic) -> None:
    amina = signed(clinic, clinic.amina.authorization)
    header = clinic.farid.created(thread("Practitioner/amina"))
    said = clinic.farid.created(message(header))
    found = await amina.reference("Communication", header["id"]).to_resource()
    listed = [{"name": "message", "valueReference": {"reference": reference(said)}}]
    told = await found.execute(
        "$mark-read", data={"resourceType": "Parameters", "parameter": listed}
    )
    assert told["parameter"][0]["name"] == "receipt"
    (sender,) = {(await amina.get("Communication", said["id"]))["sender"]["reference"]}
    assert sender == "Practitioner/farid"
