"""The first lock: by no request does one tenant see or change what is another's."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.conftest import NewClinic
from tests.support.clinic import Clinic, Resource, message, refer, reference, refusal, thread


class World:
    """Two tenants, and a conversation in the first."""

    def __init__(self, new_clinic: NewClinic) -> None:
        self.here, self.there = new_clinic(), new_clinic()
        self.header = self.here.amina.created(thread())
        self.said = self.here.amina.created(message(self.header, "secret"))


@pytest.fixture(scope="module")
def world(new_clinic: NewClinic) -> World:
    return World(new_clinic)


def people(clinic: Clinic) -> list[Any]:
    return [clinic.service, clinic.amina, clinic.farid, clinic.zahra]


@pytest.mark.parametrize(
    "query",
    [
        "Communication",
        "Communication?_id={thread},{message}",
        "Communication?patient=Patient/zahra",
        "Communication?part-of=Communication/{thread}",
        "Communication?part-of.participant=Practitioner/farid",
        "Communication?subject.active:missing=true",
        "Communication?participant=Practitioner/amina",
        "Communication?unread-by=Practitioner/farid",
        "Communication?_has:Communication:part-of:unread-by=Practitioner/farid",
        "Communication?_has:Communication:part-of:_id={message}",
        "Communication?status=in-progress&_sort=-sent&_total=accurate",
        "Communication?sent=gt2000",
    ],
)
def test_no_search_finds_it(world: World, query: str) -> None:
    filled = query.format(thread=world.header["id"], message=world.said["id"])
    assert world.here.amina.ids(filled)
    for person in people(world.there):
        bundle = person.get(filled).json()
        assert bundle.get("entry", []) == []
        assert bundle.get("total", 0) == 0


def test_no_read_history_or_count_tells_that_it_is_there(world: World) -> None:
    for resource in (world.header, world.said):
        for path in ("", "/_history", "/_history/1"):
            for person in people(world.there):
                answer = person.get(reference(resource) + path)
                missing = person.get(f"Communication/none{path}")
                assert refusal(answer) == refusal(missing) == (404, "not-found")


def test_no_include_reaches_over(world: World) -> None:
    pointing: Resource = {
        "resourceType": "Communication",
        "status": "completed",
        "sender": {"reference": "Practitioner/amina"},
        "basedOn": refer(reference(world.said)),
        "payload": [{"contentString": "x"}],
    }
    own = world.there.service.created(pointing)
    includes = "_include=Communication:based-on&_revinclude=Communication:based-on"
    for id in (own["id"], world.said["id"]):
        bundle = world.there.service.get(f"Communication?_id={id}&{includes}").json()
        found = {reference(entry["resource"]) for entry in bundle.get("entry", ())}
        assert found <= {reference(own), "Practitioner/amina"}
    bundle = world.here.service.get(f"Communication?_id={world.said['id']}&{includes}").json()
    assert [entry["resource"]["id"] for entry in bundle["entry"]] == [world.said["id"]]
    chained = "Communication?based-on:Communication.status=in-progress"
    assert world.there.service.ids(chained) == set()


def test_no_write_reaches_over(world: World) -> None:
    theirs = world.there
    before = world.here.amina.get(reference(world.header)).content
    assert refusal(theirs.amina.put({**world.header, "status": "completed"}))[0] in {404, 405}
    assert theirs.service.delete(reference(world.header)).status_code in {204, 404}
    assert refusal(theirs.farid.read(world.header, world.said))[0] == 404
    assert refusal(theirs.amina.post(message(world.header)))[0] == 422
    assert world.here.amina.get(reference(world.header)).content == before
    assert world.here.amina.get(reference(world.said)).json()["meta"]["versionId"] == "1"


def test_a_system_client_with_the_same_id_makes_its_own(world: World, database_url: str) -> None:
    copy = {**world.header, "topic": {"text": "Ours"}}
    assert world.there.service.put(copy).status_code == 201
    assert world.here.amina.get(reference(world.header)).json()["topic"]["text"] == "Plan"
    assert world.there.amina.get(reference(world.header)).json()["topic"]["text"] == "Ours"
    assert world.there.service.delete(reference(world.header)).status_code == 204
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT tenant FROM communication WHERE id = %s", [world.header["id"]]
        )
        assert rows.fetchall() == [(world.here.tenant,)]


def test_no_v1_route_reaches_over(world: World) -> None:
    thr, msg = f"thr_{world.header['id']}", f"msg_{world.said['id']}"
    farid = world.there.farid
    assert world.here.farid.v1("GET", f"threads/{thr}").status_code == 200
    for method, path, body in (
        ("GET", f"threads/{thr}", None),
        ("GET", f"threads/{thr}/messages", None),
        ("POST", f"threads/{thr}/messages", {"body": "x"}),
        ("POST", f"threads/{thr}/read", {"messageIds": [msg]}),
        ("PATCH", f"threads/{thr}/archive", None),
    ):
        answer = farid.v1(method, path, body)
        error = answer.json().get("error")
        assert (answer.status_code, error and error["code"]) == (404, "NOT_FOUND"), path
    assert farid.v1("GET", "threads").json()["items"] == []


def test_a_participant_of_another_tenant_is_refused(world: World) -> None:
    world.here.service.put({"resourceType": "Practitioner", "id": "noor"})
    assert refusal(world.there.amina.post(thread("Practitioner/noor"))) == (403, "forbidden")
