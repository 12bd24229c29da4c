"""COMMS-US-020 over HTTP: what was erased is nowhere, and all else is where it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fhir_server.settings import Settings
from fhir_server.workers.gdpr import Gdpr
from tests.support.clamd import Double
from tests.support.nats import NatsServer, nats_server
from tests.v1.conftest import Caller, Ward, key, refused
from tests.v1.erasure import FHIR, Words, World, dumped, filed, published

SCOPES = "gdpr:erase gdpr:read user/*.cruds"
REDACTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "REDACTED",
}
HOLD = {"system": "https://fhir.ghasi.af/CodeSystem/hold", "code": "legal-hold"}


@pytest.fixture(scope="module", autouse=True)
def often() -> Iterator[None]:
    """What waits for a hold is looked at in every second."""
    with pytest.MonkeyPatch.context() as patch:
        running = Gdpr.running
        patch.setattr(Gdpr, "running", lambda self: running(self, every=1.0))
        yield


@pytest.fixture(scope="module")
def nats(folder: Path) -> Iterator[NatsServer]:
    with nats_server(folder) as server:
        yield server


@pytest.fixture(scope="module")
def settings_of_tests(
    database_url: str, folder: Path, double: Double, nats: NatsServer
) -> Settings:
    return Settings(
        environment="test",
        database_url=database_url,
        data_dir=folder / "data",
        files=str(folder / "files"),
        clamd=double.address,
        nats_url=nats.url,
        rate_limit_scale=1e6,
    )


@pytest.fixture
def admin(ward: Ward) -> Caller:
    return ward.sign_in(ward.tenant, "usr_admin", "ADMIN", SCOPES)


def world(ward: Ward, patient: str = "zahra") -> World:
    admin = ward.sign_in(ward.tenant, "usr_admin", "ADMIN", SCOPES)
    return World(ward, Words(), patient, admin)


def test_us_020_no_erased_word_is_left_anywhere(
    ward: Ward,
    wards: Callable[[], Ward],
    database_url: str,
    folder: Path,
    nats: NatsServer,
) -> None:
    """Given identity.user.gdpr_erasure_requested, when consumed, then message bodies redacted and
    dispatch_records recipient_ref removed within SLA."""
    hers, his, elsewhere = world(ward), world(ward, "omid"), world(wards())
    for one in (hers, his, elsewhere):
        one.everywhere()
    before = dumped(database_url) + filed(folder / "files")
    written = set(hers.words.found_in(before).values())
    assert {"topic", "message", "deleted message", "photo", "content of a file"} <= written
    done = hers.erased()
    assert done["state"] == "completed", done
    assert hers.words.found_in(dumped(database_url)) == {}
    assert hers.words.found_in(filed(folder / "files")) == {}
    assert hers.words.found_in(published(nats.url)) == {}
    after = dumped(database_url) + filed(folder / "files")
    for one in (his, elsewhere):
        assert one.words.found_in(after) == one.words.found_in(before)


def test_us_020_what_is_left_is_a_record_of_it(ward: Ward) -> None:
    """I want my content removed while legal audit preserved."""
    hers = world(ward)
    hers.directory()
    amina = ward.doctor("amina")
    thread = amina.open_thread("usr_farid", patientId="pat_zahra", subject="Secret plan")
    message = amina.send(thread, "Secret words")
    done = hers.erased()
    assert {"kind": "Communication", "count": 2} in done["outcome"]
    assert [item["body"] for item in amina.messages(thread)] == ["[erased]"]
    at = f"{FHIR}Communication/{message.partition('_')[2]}"
    now = amina.client.get(at).json()
    assert REDACTED in [{k: c[k] for k in REDACTED} for c in now["meta"]["security"]]
    assert now["sender"] == {"reference": "Practitioner/amina"}
    versions = [e["resource"] for e in amina.client.get(f"{at}/_history").json()["entry"]]
    assert [v["meta"]["versionId"] for v in versions] == ["2", "1"]
    assert "Secret" not in json.dumps(versions)
    assert ward.events()[-1][0] == "communication.gdpr.completed"
    told = [subject for kind, subject, _ in ward.events() if kind.endswith("message.redacted")]
    assert told == [f"Communication/{message.partition('_')[2]}"]
    found = hers.service.get(f"{FHIR}Provenance", params={"target": now["id"]}).json()
    assert found["total"] if "total" in found else found["entry"]
    proof = found["entry"][0]["resource"]
    assert proof["entity"][0]["what"]["reference"] == done["requestId"].replace("gdpr_", "Task/")
    assert proof["agent"][0]["who"] == {"reference": "Practitioner/admin"}
    words = {"_content": "Secret"}
    assert "entry" not in amina.client.get(f"{FHIR}Communication", params=words).json()


@pytest.mark.parametrize("header", ["Idempotency-Key", "X-Client-Mutation-Id"])
def test_a_repeated_key_has_no_second_effect(ward: Ward, header: str) -> None:
    """What it led to is gone, and nothing is sent once more."""
    hers, amina = world(ward), ward.doctor("amina")
    thread = amina.open_thread("usr_farid", patientId="pat_zahra")
    given = {"Idempotency-Key": "one", header: "the-same"}
    body, path = {"body": "Secret words"}, f"/v1/communication/threads/{thread}/messages"
    assert amina.client.post(path, json=body, headers=given).status_code == 201
    hers.erased()
    again = amina.client.post(path, json=body, headers=given)
    assert refused(again) == (404, "NOT_FOUND")
    other = amina.client.post(path, json={"body": "other"}, headers=given)
    assert refused(other) == (422, "VALIDATION_ERROR")
    assert len(amina.messages(thread)) == 1


def test_us_020_legal_hold_overrides(ward: Ward, database_url: str) -> None:
    """Legal-hold overrides: nothing is touched, the request says so, and goes on afterwards."""
    hers = world(ward)
    hers.directory()
    amina = ward.doctor("amina")
    thread = amina.open_thread("usr_farid", patientId="pat_zahra", subject=hers.words.word("topic"))
    amina.send(thread, hers.words.word("message"))
    patient = hers.service.get(f"{FHIR}Patient/zahra").json()
    at, held = f"{FHIR}Patient/zahra", {**patient, "meta": {"security": [HOLD]}}
    free = {name: value for name, value in patient.items() if name != "meta"}
    assert hers.service.put(at, json=held).status_code == 200
    before = hers.words.found_in(dumped(database_url))
    done = hers.erased()
    assert (done["state"], done["hold"]) == ("on-hold", "legal-hold")
    assert hers.words.found_in(dumped(database_url)) == before
    assert ward.events()[-1][0] == "communication.gdpr.held"
    assert hers.service.put(at, json=free).status_code == 200
    assert hers.settled(done["requestId"], "completed")["state"] == "completed"
    assert hers.words.found_in(dumped(database_url)) == {}


def test_us_020_a_single_message_on_hold(ward: Ward, database_url: str) -> None:
    hers, amina = world(ward), ward.doctor("amina")
    thread = amina.open_thread("usr_farid", patientId="pat_zahra", subject="Plan")
    held, other = (amina.send(thread, hers.words.word(name)) for name in ("held", "other"))
    at = f"{FHIR}Communication/{held.partition('_')[2]}"
    resource = hers.service.get(at).json()
    resource["meta"]["security"] = [HOLD]
    assert hers.service.put(at, json=resource).status_code == 200
    done = hers.erased()
    assert (done["state"], done["hold"]) == ("on-hold", "part-held")
    assert {"kind": "held", "count": 1} in done["outcome"]
    assert set(hers.words.found_in(dumped(database_url)).values()) == {"held"}
    task = hers.admin.fhir(f"/Task/{done['requestId'].removeprefix('gdpr_')}")
    listed = [o["valueReference"]["reference"] for o in task["output"] if "valueReference" in o]
    assert listed == [at.removeprefix(FHIR)]
    del resource["meta"]["security"]
    assert hers.service.put(at, json=resource).status_code == 200
    assert hers.settled(done["requestId"], "completed")["state"] == "completed"
    assert hers.words.found_in(dumped(database_url)) == {}
    assert other


def test_a_clinician_leaves_what_others_wrote(ward: Ward, database_url: str) -> None:
    """His words and his name go; the words of those he talked to stay."""
    his, theirs = world(ward), Words()
    his.put("Practitioner", "sami", name=[{"family": his.words.word("name")}])
    amina, sami = ward.doctor("amina"), ward.doctor("sami")
    thread = amina.open_thread("usr_sami", subject=theirs.word("topic"))
    sami.send(thread, his.words.word("said"))
    amina.send(thread, theirs.word("answered"))
    named = {"reference": "Practitioner/sami", "display": his.words.word("display")}
    his.put("Task", "his", status="draft", intent="plan", description=theirs.word("task"),
            owner=named)  # fmt: skip
    body = {"userId": "usr_sami"}
    answer = his.admin.client.post("/v1/gdpr/erase", json=body, headers=key())
    assert his.settled(answer.json()["requestId"])["state"] == "completed"
    after = dumped(database_url)
    assert his.words.found_in(after) == {}
    assert theirs.found_in(after) == theirs.places


def test_again_erases_what_came_since(ward: Ward, database_url: str) -> None:
    """A thread goes on after an erasure; another request erases that too."""
    hers, amina = world(ward), ward.doctor("amina")
    thread = amina.open_thread("usr_farid", patientId="pat_zahra", subject="Plan")
    amina.send(thread, hers.words.word("first"))
    hers.erased()
    amina.send(thread, hers.words.word("second"))
    at = f"{FHIR}Communication/{thread.partition('_')[2]}"
    header = hers.service.get(at).json()
    header["topic"]["text"] = hers.words.word("new topic")
    assert hers.service.put(at, json=header).status_code == 200
    hers.erased()
    assert hers.words.found_in(dumped(database_url)) == {}
