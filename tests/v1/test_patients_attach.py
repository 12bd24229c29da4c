"""A patient sends files to those she talks with, and changes no document of her chart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fhir_server.communication.attachment_state import PROFILE, STATE
from fhir_server.settings import Settings
from tests.support.clamd import EICAR, Double
from tests.v1.attachments import PDF, announce, clean, fetch, put, send, settled, uploaded
from tests.v1.conftest import BASE, Caller, Ward, refused

DOCUMENTS = "/fhir/R4/DocumentReference"


@pytest.fixture(scope="module")
def settings_of_tests(database_url: str, folder: Path, double: Double) -> Settings:
    return Settings(
        environment="test",
        database_url=database_url,
        data_dir=folder / "data",
        clamd=double.address,
    )


@pytest.fixture
def zahra(ward: Ward) -> Caller:
    return ward.patient("zahra")


@pytest.mark.parametrize("about", [{}, {"patientId": "pat_zahra"}], ids=["", "chart"])
def test_a_patient_sends_a_file(
    ward: Ward, amina: Caller, zahra: Caller, about: dict[str, str]
) -> None:
    thread = amina.open_thread("pat_zahra", **about)
    attachment = clean(zahra, thread)
    assert refused(fetch(amina, attachment)) == (403, "FORBIDDEN")
    assert send(zahra, thread, attachment).status_code == 201
    for who in (amina, zahra):
        assert fetch(who, attachment).content == PDF
    assert refused(fetch(ward.patient("omid"), attachment)) == (403, "FORBIDDEN")


def test_hers_are_scanned_like_all(amina: Caller, zahra: Caller) -> None:
    thread = amina.open_thread("pat_zahra")
    attachment = uploaded(zahra, thread, PDF + EICAR)
    assert settled(zahra, attachment) == "infected"
    assert refused(send(zahra, thread, attachment)) == (422, "ATTACHMENT_REJECTED")


def test_in_parts(amina: Caller, zahra: Caller) -> None:
    thread = amina.open_thread("pat_zahra")
    attachment = announce(zahra, thread).json()["attachmentId"]
    address = f"{BASE}/attachments/{attachment}"
    for start, part in ((0, PDF[:500]), (500, PDF[500:])):
        headers = {"Upload-Offset": str(start)}
        answer = zahra.client.patch(f"{address}/content", content=part, headers=headers)
        assert answer.status_code == 200, answer.text
    assert settled(zahra, attachment) == "clean"


def test_where_she_takes_no_part(amina: Caller, zahra: Caller) -> None:
    """Not even where they talk about her."""
    thread = amina.open_thread("usr_farid", patientId="pat_zahra")
    assert refused(announce(zahra, thread)) == (403, "FORBIDDEN")
    hers = amina.open_thread("pat_zahra")
    attachment = announce(amina, hers).json()["attachmentId"]
    assert refused(put(zahra, attachment)) == (403, "FORBIDDEN")


def test_documents_of_the_chart_stay_as_they_are(amina: Caller, zahra: Caller) -> None:
    letter: dict[str, Any] = {
        "resourceType": "DocumentReference",
        "status": "current",
        "subject": {"reference": "Patient/zahra"},
        "author": [{"reference": "Patient/zahra"}],
        "content": [{"attachment": {"title": "letter"}}],
    }
    own = zahra.client
    assert own.post(DOCUMENTS, json=letter).status_code == 403
    known = amina.client.post(DOCUMENTS, json=letter).json()
    address = f"{DOCUMENTS}/{known['id']}"
    assert own.get(address).status_code == 200
    state = {"extension": [{"url": STATE, "valueCode": "initiated"}]}
    thread = amina.open_thread("pat_zahra").replace("thr_", "Communication/")
    made = {**state, "context": {"related": [{"reference": thread}]}}
    claimed = {"meta": {"profile": [PROFILE]}}
    for more in ({"description": "x"}, state, made, claimed):
        changed = {**known, **more}
        assert own.put(address, json=changed).status_code in (403, 409, 422), more
    assert own.delete(address).status_code == 403
    assert amina.fhir(f"/DocumentReference/{known['id']}")["meta"]["versionId"] == "1"
    # What looks like an attachment meets the rules of one.
    loose = {**letter, **state}
    assert own.post(DOCUMENTS, json=loose).status_code == 422
    foreign = {**letter, **made, "author": [{"reference": "Practitioner/amina"}]}
    assert own.post(DOCUMENTS, json=foreign).status_code == 403


def test_without_the_right_to_write_nothing_is_announced(ward: Ward, amina: Caller) -> None:
    thread = amina.open_thread("pat_zahra")
    reader = ward.sign_in(
        ward.tenant, "pat_zahra", "PATIENT", "messaging:read", patient="Patient/zahra"
    )
    assert refused(announce(reader, thread)) == (403, "FORBIDDEN")
