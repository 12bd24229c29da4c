"""`GET /Patient/x/Communication`. https://hl7.org/fhir/R4/compartmentdefinition.html"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from fhir_server.definitions.facts import load_facts
from tests.support.clinic import Clinic, Person, message, refer, refusal, thread

FORM = "application/x-www-form-urlencoded"
PAIRS = [(owner, kind) for owner, types in load_facts().compartments.items() for kind in types]


def conversation(clinic: Clinic) -> set[str]:
    """About zahra, from zahra, to zahra, and of others; the ids of all."""
    header = clinic.amina.created(thread("Practitioner/farid"))
    said = [clinic.amina.created(message(header, f"{n}")) for n in range(3)]
    to_zahra = clinic.amina.created(thread("Patient/zahra", patient="Patient/omid"))
    about_omid = clinic.amina.created(thread(patient="Patient/omid"))
    private = clinic.farid.created(thread("Practitioner/sami", patient=None))
    return {one["id"] for one in (header, *said, to_zahra, about_omid, private)}


def by_parameters(person: Person, owner: str, *codes: str) -> set[str]:
    return {id for code in codes for id in person.ids(f"Communication?{code}={owner}")}


@pytest.mark.parametrize(
    ("owner", "codes"),
    [
        ("Patient/zahra", ("subject", "sender", "recipient")),
        ("Patient/omid", ("subject", "sender", "recipient")),
        ("Practitioner/amina", ("sender", "recipient")),
        ("Practitioner/farid", ("sender", "recipient")),
        ("Device/none", ("sender", "recipient")),
    ],
)
def test_it_is_what_any_of_the_parameters_finds(
    clinic: Clinic, owner: str, codes: tuple[str, ...]
) -> None:
    everything = conversation(clinic)
    for person in (clinic.service, clinic.amina, clinic.farid, clinic.sami, clinic.zahra):
        found = person.ids(f"{owner}/Communication")
        assert found == by_parameters(person, owner, *codes)
        assert found <= everything
    assert bool(clinic.service.ids(f"{owner}/Communication")) != owner.startswith("Device")


def test_further_parameters_narrow_it(clinic: Clinic) -> None:
    conversation(clinic)
    plain = clinic.amina.get("Patient/zahra/Communication?_total=accurate&_count=2").json()
    assert plain["total"] == len(clinic.amina.ids("Patient/zahra/Communication"))
    threads = clinic.amina.ids("Patient/zahra/Communication?part-of:missing=true")
    assert threads < clinic.amina.ids("Patient/zahra/Communication")
    included = clinic.amina.get("Patient/zahra/Communication?_include=Communication:subject").json()
    modes = {entry["search"]["mode"] for entry in included["entry"]}
    assert modes == {"match", "include"}
    assert refusal(clinic.amina.get("Patient/zahra/Communication?foo=1"))[0] == 400


def test_pages_stay_in_the_compartment(clinic: Clinic) -> None:
    conversation(clinic)
    found: list[str] = []
    url: str | None = "Patient/zahra/Communication?_count=2&_sort=-sent"
    while url:
        bundle = clinic.amina.get(url).json()
        assert len(bundle["entry"]) <= 2
        found += [entry["resource"]["id"] for entry in bundle["entry"]]
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        assert "/fhir/R4/Patient/zahra/Communication?" in links["self"]
        url = links.get("next")
        if url:
            for other in ("Patient/omid/Communication?", "Communication?"):
                stolen = url.replace("Patient/zahra/Communication?", other)
                assert refusal(clinic.amina.get(stolen)) == (400, "value")
    assert len(found) == len(set(found))
    assert set(found) == clinic.amina.ids("Patient/zahra/Communication")


def test_it_can_be_asked_by_form(clinic: Clinic) -> None:
    conversation(clinic)
    path = "Patient/zahra/Communication/_search"
    answer = clinic.amina.ask("POST", path, "part-of:missing=true", content_type=FORM)
    found = {entry["resource"]["id"] for entry in answer.json()["entry"]}
    assert found == clinic.amina.ids("Patient/zahra/Communication?part-of:missing=true")


def test_the_owner_lies_in_its_own_compartment(clinic: Clinic) -> None:
    assert clinic.amina.ids("Patient/zahra/Patient") == {"zahra"}
    assert clinic.amina.ids("Practitioner/farid/Practitioner") == {"farid"}
    linked: dict[str, Any] = {"resourceType": "Patient", "id": "twin"}
    linked["link"] = [{"other": refer("Patient/zahra")[0], "type": "seealso"}]
    clinic.service.put(linked)
    assert clinic.amina.ids("Patient/zahra/Patient") == {"zahra", "twin"}
    assert clinic.amina.ids("Patient/sealed/Patient") == set()


def test_scopes_bind_it(clinic: Clinic) -> None:
    conversation(clinic)
    about = "Patient/zahra/Communication"
    none = clinic.person("usr_amina", "DOCTOR", "user/Patient.rs")
    assert refusal(none.get(about)) == (403, "forbidden")
    part = clinic.person("usr_amina", "DOCTOR", "user/Communication.rs?part-of:missing=true")
    assert part.get(about).status_code == 403 or part.ids(about) <= clinic.amina.ids(about)
    own = clinic.person("usr_amina", "DOCTOR", "patient/*.rs", patient="pat_zahra")
    assert own.ids(about) == clinic.amina.ids("Communication?patient=zahra")


@pytest.mark.parametrize(("owner", "kind"), PAIRS)
def test_every_compartment_answers(clinic: Clinic, owner: str, kind: str) -> None:
    answer = clinic.service.get(f"{owner}/nobody/{kind}")
    assert (answer.status_code, answer.json()["type"]) == (200, "searchset"), answer.text
    assert clinic.service.ask("HEAD", f"{owner}/nobody/{kind}").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "Patient/zahra/Location", "Patient/zahra/Nothing", "Organization/o/Communication",
        "Patient/a_b/Communication", "Patient/zahra/communication", "Patient/zahra/*",
        "Patient/zahra/Communication/x", "Nothing/x/Communication",
    ],
)  # fmt: skip
def test_what_is_no_compartment_is_404(clinic: Clinic, path: str) -> None:
    assert refusal(clinic.service.get(path))[0] == 404


def test_it_is_only_read(clinic: Clinic) -> None:
    answer = clinic.service.ask("DELETE", "Patient/zahra/Communication")
    assert refusal(answer) == (405, "not-supported")
    assert answer.headers["allow"] == "GET, HEAD"


def test_capability_names_the_compartments(client: httpx.Client) -> None:
    rest = client.get("/fhir/R4/metadata").json()["rest"][0]
    names = {url.rpartition("/")[2].lower() for url in rest["compartment"]}
    assert names == {owner.lower() for owner in load_facts().compartments}
