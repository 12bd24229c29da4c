"""Exports: whoever asks for what is kept of a person gets that, all of it, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fhir_server.declarations import read_declarations
from fhir_server.files.model import place_of
from fhir_server.settings import Settings
from tests.conftest import UNHINDERED
from tests.support.clamd import Double
from tests.v1.attachments import INFECTED, PDF, clean, send, settled, uploaded
from tests.v1.conftest import Caller, Ward, refused
from tests.v1.gdpr import SCOPES, administrator, ask, asked, done, exported, fetch, opened, seen

LABEL = {"system": "https://fhir.ghasi.af/CodeSystem/hold", "code": "legal-hold"}


@pytest.fixture(scope="module")
def settings_of_tests(database_url: str, folder: Path, double: Double) -> Settings:
    return Settings(
        environment="test",
        database_url=database_url,
        data_dir=folder / "data",
        clamd=double.address,
        rate_limit_scale=UNHINDERED,
    )


@pytest.fixture
def admin(ward: Ward) -> Caller:
    return administrator(ward)


def service(ward: Ward) -> Caller:
    return ward.sign_in(ward.tenant, "usr_directory", "SERVICE")


def put(who: Caller, type_: str, id: str, **more: Any) -> None:
    resource = {"resourceType": type_, "id": id, **more}
    answer = who.client.put(f"/fhir/R4/{type_}/{id}", json=resource)
    assert answer.status_code in (200, 201), answer.text


def everything(who: Caller) -> Iterator[dict[str, Any]]:
    """All that the tenant has, of the types that may concern a person."""
    for type_ in read_declarations().gdpr.erase.types:
        path = f"/{type_}?_count=1000"
        for entry in who.fhir(path).get("entry", ()):
            yield entry["resource"]


def test_an_administrator_fetches_what_is_kept(ward: Ward, admin: Caller, amina: Caller) -> None:
    thread = amina.open_thread("usr_farid", patientId="pat_zahra")
    message = amina.send(thread, "Her pressure is 140/90")
    ward.doctor("farid").read(thread, message)
    request = asked(admin, "export", patientId="pat_zahra", reason="she wrote a letter")
    told = done(admin, request)
    assert told["state"] == "completed"
    answer = admin.client.get(told["exportUrl"])
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
    assert len(answer.content) == told["exportSize"]
    assert hashlib.sha256(answer.content).hexdigest() == told["exportSha256"]
    export = opened(answer.content)
    ids = {thread.replace("thr_", "Communication/"), message.replace("msg_", "Communication/")}
    assert export.references == sorted([*ids, "Patient/zahra"])
    bodies = [r["payload"][0]["contentString"] for r in export.resources() if "payload" in r]
    assert bodies == ["Her pressure is 140/90"]
    counts = {one["kind"]: one["count"] for one in told["outcome"]}
    assert counts == {"Communication": 2, "Patient": 1, "versions": 1}
    (earlier,) = export.resources("history")
    assert earlier["id"] == message.removeprefix("msg_")
    assert "extension" not in earlier


def test_the_manifest_tells_what_is_there(admin: Caller, amina: Caller) -> None:
    amina.open_thread("usr_farid", patientId="pat_zahra")
    request = asked(admin, "export", patientId="pat_zahra")
    assert done(admin, request)["state"] == "completed"
    export = opened(fetch(admin, request).content)
    manifest = export.manifest
    assert manifest["request"] == request.replace("gdpr_", "Task/")
    assert manifest["subject"] == "Patient/zahra"
    assert manifest["requestedBy"] == {"reference": "Practitioner/admin"}
    assert manifest["requestedAt"] == seen(admin, request)["requestedAt"]
    assert manifest["requestedAt"] <= manifest["begun"] <= manifest["ended"]
    assert manifest["counts"] == {"Communication": 1, "Patient": 1}
    listed = {one["name"]: one for one in manifest["files"]}
    assert {*listed, "manifest.json"} == set(export.zip.namelist())
    for name, one in listed.items():
        content = export.zip.read(name)
        assert (one["size"], one["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert "Patient/zahra" in export.zip.read("README.txt").decode()


def test_exactly_what_concerns_the_person(
    ward: Ward, wards: Callable[[], Ward], admin: Caller
) -> None:
    """In a world of several patients and tenants, against each resource looked at by itself."""
    for one in (ward, wards()):
        _populate(one)
    world = {f"{r['resourceType']}/{r['id']}": r for r in everything(service(ward))}
    for name in ("zahra", "omid"):
        export = exported(admin, patientId=f"pat_{name}")
        assert export.references == sorted(_concerning(world, f"Patient/{name}"))
        for resource in export.resources():
            assert resource == world[f"{resource['resourceType']}/{resource['id']}"]
    assert set(_concerning(world, "Patient/zahra")) & set(_concerning(world, "Patient/omid")) == {
        "Appointment/both"
    }


def _populate(ward: Ward) -> None:
    trusted, amina = service(ward), ward.doctor("amina")
    for name in ("zahra", "omid"):
        about = {"subject": {"reference": f"Patient/{name}"}}
        for _ in range(3):
            thread = amina.open_thread("usr_farid", f"pat_{name}", patientId=f"pat_{name}")
            amina.send(thread, f"about {name}")
        thread = amina.open_thread(f"pat_{name}")
        ward.patient(name).send(thread, "and by the way")
        put(trusted, "RelatedPerson", f"aunt-{name}", patient=about["subject"])
        put(trusted, "CareTeam", f"team-{name}", status="active", **about)
        put(
            trusted,
            "Task",
            f"call-{name}",
            status="requested",
            intent="order",
            code={"text": "call"},
            **{"for": about["subject"]},
        )
        kind = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "VR"}
        put(trusted, "Encounter", f"visit-{name}", status="planned", **{"class": kind}, **about)
    actors = [
        {"actor": {"reference": f"Patient/{name}"}, "status": "accepted"}
        for name in ("zahra", "omid")
    ]
    put(trusted, "Appointment", "both", status="proposed", participant=actors)
    between = amina.open_thread("usr_farid")
    amina.send(between, "Lunch?")


def _concerning(world: dict[str, dict[str, Any]], subject: str) -> list[str]:
    """A resource that names her anywhere but where people are only mentioned; a message of a thread
    that she takes part in."""

    def named(resource: dict[str, Any]) -> bool:
        return f'"{subject}"' in json.dumps(resource)

    def hers(reference: str, resource: dict[str, Any]) -> bool:
        threads = [part["reference"] for part in resource.get("partOf", ())]
        return reference == subject or named(resource) or any(named(world[t]) for t in threads)

    return [reference for reference, resource in world.items() if hers(reference, resource)]


def test_what_a_member_of_staff_wrote(ward: Ward, admin: Caller, amina: Caller) -> None:
    thread = amina.open_thread("usr_farid", patientId="pat_zahra")
    mine, theirs = amina.send(thread), ward.doctor("farid").send(thread)
    references = exported(admin, userId="usr_amina").references
    assert mine.replace("msg_", "Communication/") in references
    assert theirs.replace("msg_", "Communication/") not in references
    assert "Practitioner/amina" in references


def test_clean_files_are_in_it(admin: Caller, amina: Caller) -> None:
    thread = amina.open_thread("usr_farid", patientId="pat_zahra")
    sent = clean(amina, thread)
    assert send(amina, thread, sent).status_code == 201
    other = amina.open_thread("usr_farid", patientId="pat_omid")
    clean(amina, other, PDF + b" of omid")
    export = exported(admin, patientId="pat_zahra")
    assert [n for n in export.zip.namelist() if n.startswith("files/")] == [
        f"files/{sent.removeprefix('att_')}/heart.pdf"
    ]
    assert export.zip.read(f"files/{sent.removeprefix('att_')}/heart.pdf") == PDF


def test_files_that_are_not_clean_are_not(admin: Caller, amina: Caller) -> None:
    thread = amina.open_thread("usr_farid", patientId="pat_zahra")
    infected = uploaded(amina, thread, INFECTED)
    assert settled(amina, infected) == "infected"
    export = exported(admin, patientId="pat_zahra")
    assert f"DocumentReference/{infected.removeprefix('att_')}" in export.references
    assert not [n for n in export.zip.namelist() if n.startswith("files/")]


def test_each_line_is_a_resource_that_the_server_takes(ward: Ward, admin: Caller) -> None:
    _populate(ward)
    for resource in exported(admin, patientId="pat_zahra").resources():
        path = f"/fhir/R4/{resource['resourceType']}/$validate"
        wrapped = {
            "resourceType": "Parameters",
            "parameter": [{"name": "resource", "resource": resource}],
        }
        outcome = service(ward).client.post(path, json=wrapped).json()
        severe = [i for i in outcome["issue"] if i["severity"] in ("error", "fatal")]
        assert not severe, (resource, severe)


def test_who_is_restricted_or_held_is_exported(ward: Ward, admin: Caller) -> None:
    assert exported(admin, patientId="pat_sealed").references == ["Patient/sealed"]
    put(service(ward), "Patient", "omid", meta={"security": [LABEL]})
    assert exported(admin, patientId="pat_omid").references == ["Patient/omid"]


def test_an_export_can_be_asked_for_again(admin: Caller) -> None:
    first, second = asked(admin, "export", patientId="pat_zahra"), ""
    assert done(admin, first)["state"] == "completed"
    second = asked(admin, "export", patientId="pat_zahra")
    assert second != first
    assert done(admin, second)["state"] == "completed"
    assert fetch(admin, first).status_code == fetch(admin, second).status_code == 200


# Refusals


def test_nobody_else_fetches_it(ward: Ward, wards: Callable[[], Ward], admin: Caller) -> None:
    request = asked(admin, "export", patientId="pat_zahra")
    assert done(admin, request)["state"] == "completed"
    doctor = ward.sign_in(ward.tenant, "usr_amina", "DOCTOR", SCOPES)
    zahra = ward.sign_in(ward.tenant, "pat_zahra", "PATIENT", SCOPES, patient="Patient/zahra")
    backend = ward.sign_in(ward.tenant, "usr_directory", "SERVICE", SCOPES + " system/*.cruds")
    unscoped = ward.sign_in(ward.tenant, "usr_admin", "ADMIN", SCOPES.replace("gdpr:export", ""))
    for caller in (doctor, zahra, backend, unscoped):
        assert refused(fetch(caller, request)) == (403, "FORBIDDEN")
        assert refused(ask(caller, "export", patientId="pat_zahra")) == (403, "FORBIDDEN")
    assert refused(fetch(administrator(wards()), request)) == (404, "NOT_FOUND")


def test_there_is_nothing_to_fetch_of_another_request(admin: Caller) -> None:
    assert refused(fetch(admin, "gdpr_none")) == (404, "NOT_FOUND")
    restricted = asked(admin, "restrict", patientId="pat_zahra")
    assert refused(fetch(admin, restricted)) == (409, "INVALID_STATE_TRANSITION")


@pytest.mark.parametrize("role", ["ADMIN", "SERVICE"])
def test_no_client_names_a_file(ward: Ward, role: str) -> None:
    """Else it could have the server hand over, or remove, a file of somebody else."""
    caller = ward.sign_in(ward.tenant, "usr_admin", role, SCOPES + " system/*.cruds")
    system = "https://fhir.ghasi.af/CodeSystem/gdpr-request"
    task = {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": system, "code": "export"}]},
        "for": {"reference": "Patient/zahra"},
    }
    file = {"system": "https://fhir.ghasi.af/NamingSystem/file", "value": "a" * 64}
    answer = caller.client.post("/fhir/R4/Task", json={**task, "identifier": [file]})
    assert answer.status_code == 422, answer.text
    made = caller.client.post("/fhir/R4/Task", json=task).json()
    changed = caller.client.put(f"/fhir/R4/Task/{made['id']}", json={**made, "identifier": [file]})
    assert changed.status_code == 409, changed.text


def test_the_address_is_the_routes(admin: Caller) -> None:
    request = asked(admin, "export", patientId="pat_omid")
    assert done(admin, request)["exportUrl"] == f"/v1/gdpr/requests/{request}/export"


def test_ranges(admin: Caller) -> None:
    request = asked(admin, "export", patientId="pat_omid")
    assert done(admin, request)["state"] == "completed"
    whole = fetch(admin, request).content
    part = fetch(admin, request, Range="bytes=4-9")
    assert (part.status_code, part.content) == (206, whole[4:10])


def test_files_lie_in_the_tenants_folder(
    ward: Ward, admin: Caller, settings_of_tests: Settings
) -> None:
    exported(admin, patientId="pat_omid")
    folder = settings_of_tests.data_dir / "files" / place_of(ward.tenant)
    found = [path for path in folder.rglob("*") if path.is_file()]
    assert len(found) == 1
    assert len(found[0].name) == 64
