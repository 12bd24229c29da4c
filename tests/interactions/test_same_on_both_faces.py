"""Whichever face it comes in by, the same thing is stored, indexed and told."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import NewClinic
from tests.support.clinic import Clinic, Resource, message, refer, thread
from tests.support.effort import effort

A_FEW = settings(max_examples=effort(20), deadline=None)
WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]), min_size=1, max_size=60
).filter(lambda text: bool(text.strip()))
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
URGENCIES = {"routine": "routine", "urgent": "urgent", "emergent": "stat"}


@pytest.fixture(scope="module")
def ward(new_clinic: NewClinic) -> Clinic:
    return new_clinic()


@pytest.fixture(scope="module")
def header(ward: Clinic) -> Resource:
    return ward.amina.created(thread("Practitioner/farid", "Practitioner/sami"))


def bare(ward: Clinic, id: str) -> Resource:
    """As stored, apart from what differs between any two resources."""
    found: Resource = ward.service.get(f"Communication/{id}").json()
    meta = {k: v for k, v in found["meta"].items() if k not in {"versionId", "lastUpdated"}}
    return {**found, "id": "", "sent": "", "meta": meta}


def indexed(url: str, id: str) -> list[Any]:
    """Columns, values and events of a resource, apart from ids and times."""
    with psycopg.connect(url) as connection:
        query = "SELECT p_subject, p_part_of, cardinality(keys) FROM communication WHERE id = %s"
        row = connection.execute(query, [id]).fetchall()
        query = "SELECT param, norm, exact FROM communication_value WHERE id = %s ORDER BY 1, 2"
        values = connection.execute(query, [id]).fetchall()
        query = "SELECT type, data::text FROM outbox WHERE subject = %s ORDER BY seq"
        told = connection.execute(query, [f"Communication/{id}"]).fetchall()
    events = [(kind, INSTANT.sub("", data.replace(id, ""))) for kind, data in told]
    assert row
    assert events
    return [row, values, events]


def same(ward: Clinic, url: str, one: str, other: str) -> None:
    assert bare(ward, one) == bare(ward, other)
    assert indexed(url, one) == indexed(url, other)


@A_FEW
@given(
    subject=WORDS,
    members=st.lists(st.sampled_from(["farid", "sami", "amina"]), min_size=1, unique=True),
    patient=st.sampled_from([None, "zahra", "omid"]),
)
def test_a_thread(
    ward: Clinic, database_url: str, subject: str, members: list[str], patient: str | None
) -> None:
    body = {"subject": subject, "participantIds": [f"usr_{name}" for name in members]}
    body |= {"patientId": f"pat_{patient}"} if patient else {}
    answer = ward.amina.v1("POST", "threads", body)
    assert answer.status_code == 201, answer.text
    about = f"Patient/{patient}" if patient else None
    names = [f"Practitioner/{name}" for name in members]
    stored = ward.amina.created(thread(*names, patient=about, topic={"text": subject}))
    same(ward, database_url, answer.json()["threadId"].removeprefix("thr_"), stored["id"])


@A_FEW
@given(text=WORDS, urgency=st.sampled_from([None, *URGENCIES]))
def test_a_message(
    ward: Clinic, header: Resource, database_url: str, text: str, urgency: str | None
) -> None:
    body = {"body": text} | ({"urgency": urgency} if urgency else {})
    answer = ward.farid.v1("POST", f"threads/thr_{header['id']}/messages", body)
    assert answer.status_code == 201, answer.text
    more = {"priority": URGENCIES[urgency]} if urgency else {}
    stored = ward.farid.created(message(header, text, **more))
    same(ward, database_url, answer.json()["messageId"].removeprefix("msg_"), stored["id"])


def test_reading_and_archiving(ward: Clinic, database_url: str) -> None:
    ids = []
    for face in ("v1", "fhir"):
        opened = ward.amina.created(thread("Practitioner/farid"))
        said = ward.amina.created(message(opened))
        if face == "v1":
            thr, at = f"threads/thr_{opened['id']}", "2026-04-18T09:00:00.000Z"
            read = {"messageIds": [f"msg_{said['id']}"], "readAt": at}
            assert ward.farid.v1("POST", f"{thr}/read", read).status_code == 200
            assert ward.farid.v1("PATCH", f"{thr}/archive").status_code == 200
        else:
            assert ward.farid.read(opened, said, at="2026-04-18T09:00:00.000Z").status_code == 200
            assert ward.farid.put({**opened, "status": "completed"}).status_code == 200
        ids.append((opened["id"], said["id"]))
    (first, said_first), (second, said_second) = ids
    same(ward, database_url, first, second)
    one, other = bare(ward, said_first), bare(ward, said_second)
    assert one.pop("partOf") == refer(f"Communication/{first}")
    assert other.pop("partOf") == refer(f"Communication/{second}")
    assert one == other
