"""History of types and of the system, and its parameters. https://hl7.org/fhir/R4/http.html#history"""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from tests.support.clinic import Clinic, Person, message, refusal, thread

Entry = dict[str, Any]
TOLD = [("PUT", "201"), ("DELETE", "204"), ("PUT", "200"), ("PUT", "201")]


def entries(person: Person, path: str) -> list[Entry]:
    """All entries, page by page."""
    found: list[Entry] = []
    url: str | None = path
    while url:
        answer = person.get(url)
        assert answer.status_code == 200, answer.text
        bundle = answer.json()
        assert bundle["type"] == "history"
        found += bundle.get("entry", [])
        url = next((li["url"] for li in bundle["link"] if li["relation"] == "next"), None)
    return found


def named(entry: Entry) -> str:
    """`Organization/o 2`."""
    path = urlsplit(entry["fullUrl"]).path.removeprefix("/fhir/R4/")
    return f"{path} {entry['response']['etag'][3:-1]}"


def organization(id: str, name: str = "x") -> Entry:
    return {"resourceType": "Organization", "id": id, "name": name}


def storied(clinic: Clinic) -> None:
    """An organization that came, changed, went and came again, and another one."""
    for name in ("1", "2"):
        clinic.service.put(organization("o", name))
    clinic.service.delete("Organization/o")
    clinic.service.put(organization("p"))
    clinic.service.put(organization("o", "4"))


def test_a_type_tells_its_versions_newest_first(clinic: Clinic) -> None:
    storied(clinic)
    found = entries(clinic.service, "Organization/_history")
    assert [named(entry) for entry in found] == [
        "Organization/o 4",
        "Organization/p 1",
        "Organization/o 3",
        "Organization/o 2",
        "Organization/o 1",
    ]
    of_o = [e for e in found if "/o" in e["fullUrl"]]
    assert [(e["request"]["method"], e["response"]["status"]) for e in of_o] == TOLD
    assert [e.get("resource", {}).get("name") for e in of_o] == ["4", None, "2", "1"]
    for entry in found:
        assert entry["request"]["url"] == named(entry).partition(" ")[0]
        if "resource" in entry:
            assert entry["response"]["lastModified"] == entry["resource"]["meta"]["lastUpdated"]
    assert found == [
        entry
        for entry in entries(clinic.service, "_history?_count=3")
        if "/Organization/" in entry["fullUrl"]
    ]


def test_each_request_is_told_by_its_method(clinic: Clinic) -> None:
    header = clinic.amina.created(thread())
    said = clinic.amina.created(message(header))
    clinic.farid.read(header, said)
    clinic.amina.v1("PATCH", f"threads/thr_{header['id']}/archive")
    found = entries(clinic.amina, f"Communication/{header['id']}/_history")
    requests = [
        (e["request"]["method"], e["request"]["url"], e["response"]["status"]) for e in found
    ]
    address = f"Communication/{header['id']}"
    assert requests == [("PATCH", address, "200"), ("POST", "Communication", "201")]


@pytest.mark.parametrize("path", ["_history", "Organization/_history", "Organization/o/_history"])
@pytest.mark.parametrize("count", [1, 2, 3, 1000])
def test_pages_are_the_whole(clinic: Clinic, path: str, count: int) -> None:
    storied(clinic)
    found = entries(clinic.service, f"{path}?_count={count}")
    assert found == entries(clinic.service, path)
    assert len({named(entry) for entry in found}) == len(found)
    times = [entry["response"]["lastModified"] for entry in found]
    assert all(later >= earlier for later, earlier in pairwise(times))


@pytest.mark.parametrize("path", ["_history", "Organization/_history", "Organization/o/_history"])
def test_times_bound_a_history(clinic: Clinic, path: str) -> None:
    storied(clinic)
    found = entries(clinic.service, path)
    for entry in found:
        moment = quote(entry["response"]["lastModified"])
        since = entries(clinic.service, f"{path}?_since={moment}&_count=2")
        assert since == [
            e for e in found
            if e["response"]["lastModified"] >= entry["response"]["lastModified"]
        ]  # fmt: skip
        assert entry in entries(clinic.service, f"{path}?_at={moment}")
        assert entry in entries(clinic.service, f"{path}?_at=ge{moment}")
        assert entry in entries(clinic.service, f"{path}?_at=le{moment}")
        assert entry not in entries(clinic.service, f"{path}?_at=lt{moment}")
    assert entries(clinic.service, f"{path}?_since=2999-01-01") == []
    assert entries(clinic.service, f"{path}?_at=1999") == []
    assert entries(clinic.service, f"{path}?_since=1999-01-01T00:00:00+04:30") == found
    now = {named(entry) for entry in entries(clinic.service, f"{path}?_at=2999")}
    assert {"Organization/o 4"} <= now <= {named(entry) for entry in found}
    assert "Organization/o 3" not in now


def test_the_links_repeat_what_was_asked(clinic: Clinic) -> None:
    storied(clinic)
    bundle = clinic.service.get(
        "Organization/_history?_count=2&_since=2020-01-01&_format=json"
    ).json()
    links = {link["relation"]: link["url"] for link in bundle["link"]}
    assert links["self"].endswith(
        "/fhir/R4/Organization/_history?_count=2&_since=2020-01-01&_format=json"
    )
    assert links["next"].startswith(links["self"] + "&_cursor=")
    assert "total" not in bundle


@pytest.mark.parametrize("path", ["_history", "Patient/_history", "Patient/zahra/_history"])
@pytest.mark.parametrize(
    "query",
    [
        "_count=x", "_count=-1", "foo=1", "_since=x", "_since=", "_since=2026-13", "_at=",
        "_at=xx2026", "_at=ge", "_at=2026-02-30", "_cursor=x", "_cursor=AAAA", "_cursor=%C3%A9",
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_400(clinic: Clinic, path: str, query: str) -> None:
    if path != "Patient/zahra/_history" and query == "foo=1":
        assert refusal(clinic.service.get(f"{path}?_before=3"))[0] == 400
    assert refusal(clinic.service.get(f"{path}?{query}"))[0] == 400


def test_a_cursor_is_worth_nothing_elsewhere(clinic: Clinic) -> None:
    storied(clinic)
    bundle = clinic.service.get("Organization/_history?_count=2").json()
    cursor = urlsplit(bundle["link"][1]["url"]).query.partition("_cursor=")[2]
    assert clinic.service.get(f"Organization/_history?_cursor={cursor}").status_code == 200
    for path in ("_history?", "Patient/_history?", "Organization/_history?_since=2020&"):
        assert refusal(clinic.service.get(f"{path}_cursor={cursor}"))[0] == 400
    assert refusal(clinic.amina.get(f"Organization/_history?_cursor={cursor}"))[0] == 400
    assert refusal(clinic.service.get(f"Organization?_cursor={cursor}"))[0] == 400


def test_what_the_policy_hides_has_no_past_either(clinic: Clinic) -> None:
    storied(clinic)
    clinic.service.delete("Organization/p")
    sealed = clinic.service.get("Patient/sealed").json()
    clinic.service.put({**sealed, "active": True})
    private = clinic.farid.created(thread("Practitioner/sami", patient=None))
    amina = {named(entry) for entry in entries(clinic.amina, "_history")}
    everyone = {named(entry) for entry in entries(clinic.service, "_history")}
    assert {"Patient/sealed 1", "Patient/sealed 2", "Organization/p 1"} <= everyone - amina
    assert f"Communication/{private['id']} 1" in everyone - amina
    # Also the deletion of what is there again, since its current version is to be seen.
    assert {f"Organization/o {n}" for n in (1, 2, 3, 4)} | {"Patient/zahra 1"} <= amina
    zahra = {named(entry) for entry in entries(clinic.zahra, "Patient/_history")}
    assert zahra == {"Patient/zahra 1"}
    assert entries(clinic.zahra, "Task/_history") == []


def test_scopes_bind_each_type(clinic: Clinic) -> None:
    storied(clinic)

    def kinds(*scope: str) -> set[str]:
        person = clinic.person("usr_service", "SERVICE", *scope)
        return {named(entry).partition("/")[0] for entry in entries(person, "_history")}

    assert kinds("system/Organization.s") == {"Organization"}
    assert kinds("system/Organization.rs system/Patient.s") == {"Organization", "Patient"}
    reader = clinic.person("usr_service", "SERVICE", "system/Organization.r")
    for path in ("_history", "Organization/_history"):
        assert refusal(reader.get(path)) == (403, "forbidden")
    narrowed = clinic.person("usr_service", "SERVICE", "system/Organization.s?name=nothing")
    assert entries(narrowed, "_history") == entries(narrowed, "Organization/_history") == []
    one = clinic.person("usr_service", "SERVICE", "system/Organization.s?name=4")
    clinic.service.delete("Organization/p")
    assert {named(entry)[:14] for entry in entries(one, "_history")} == {"Organization/o"}


def test_a_part_of_a_type_does_not_tell_of_what_was_deleted(clinic: Clinic) -> None:
    storied(clinic)
    clinic.service.delete("Organization/p")
    part = clinic.person("usr_service", "SERVICE", "system/Organization.rs?name=x")
    assert refusal(part.get("Organization/p/_history")) == (410, "deleted")
    assert refusal(part.get("Organization/p/_history/1")) == (410, "deleted")
    assert clinic.service.get("Organization/p/_history").json()["total"] == 2


def test_another_tenant_has_a_history_of_its_own(clinic: Clinic, new_clinic: Any) -> None:
    storied(clinic)
    found = {named(entry) for entry in entries(new_clinic().service, "_history")}
    assert not any(name.startswith("Organization") for name in found)


@pytest.mark.parametrize("path", ["_history", "Patient/_history"])
def test_history_needs_a_token_and_json(clinic: Clinic, client: httpx.Client, path: str) -> None:
    assert refusal(client.get(f"/fhir/R4/{path}")) == (401, "login")
    assert refusal(clinic.service.get(path, accept="text/html")) == (406, "not-supported")
    assert refusal(clinic.service.ask("POST", path)) == (405, "not-supported")
    got, head = (clinic.service.ask(method, path) for method in ("GET", "HEAD"))
    assert head.headers["content-length"] == got.headers["content-length"]
    assert (head.status_code, head.content) == (200, b"")


def test_capability_says_so(client: httpx.Client) -> None:
    rest = client.get("/fhir/R4/metadata").json()["rest"][0]
    assert {"code": "history-system"} in rest["interaction"]
    stored = [each for each in rest["resource"] if {"code": "create"} in each["interaction"]]
    assert all({"code": "history-type"} in resource["interaction"] for resource in stored)
