"""Whatever is asked of either face leaves an AuditEvent: every route, granted and refused."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from uuid import uuid4

import httpx
import pytest

from fhir_server.declarations import read_declarations
from fhir_server.definitions.model import Definitions
from fhir_server.http.fhir import ROUTES, SYSTEM_ROUTES
from fhir_server.interactions.audit.event import ACTIONS
from fhir_server.mapping.route import PARAMETER, Route
from tests.audit.conftest import Book, Event, NewBook
from tests.conftest import NewClinic
from tests.support.clinic import JSON, Clinic, Person, directory, message, reference, thread

NOBODY = "no-such-thing"
# What the founding of a clinic leaves.
FOUNDED = len(directory())
SHAPES = {"id": NOBODY, "version": "1", "$": "$validate", "type": "Communication"}
PREFIX = re.compile(r"\^\(([a-z]+_)")
NAMES = {
    "conditional-update": "update",
    "conditional-patch": "patch",
    "conditional-delete": "delete",
    "search-compartment": "search-type",
    "search": "search-type",
}


class Case(NamedTuple):
    """A request, and the interactions that its events may be."""

    method: str
    path: str
    interaction: str
    about: str = ""


def fhir_cases(definitions: Definitions) -> Iterator[Case]:
    """Every row of the face's table, for every type."""
    for served in definitions.types.values():
        for (method, shape), interaction in ROUTES.items():
            words = [SHAPES.get(word, word) for word in shape.split("/") if word]
            about = f"{served.name}/{NOBODY}" if "id" in shape.split("/") else ""
            yield Case(method, "/".join([served.name, *words]), interaction, about)
    for (method, shape), interaction in SYSTEM_ROUTES.items():
        yield Case(method, shape or "?_type=Communication", interaction)


def settled(trail: Book, names: Sequence[str]) -> list[Event]:
    """The trail when it has the last of the requests."""
    return trail.until(lambda events: f'"{names[-1]}"' in json.dumps(events))


def of_requests(events: Sequence[Event]) -> dict[str, list[Event]]:
    """By the client's name for the request."""
    found = defaultdict(list)
    for event in events:
        for entity in event.get("entity", ()):
            if "identifier" in entity.get("what", {}):
                found[entity["what"]["identifier"]["value"]].append(event)
    return found


def ask(person: Person, case: Case) -> tuple[str, httpx.Response]:
    """Its name and the answer."""
    name = uuid4().hex
    path = case.path if case.path.startswith("/") else f"/fhir/R4/{case.path}"
    headers = {"x_request_id": name, "content_type": JSON, "idempotency_key": name}
    body = "{}" if case.method in ("POST", "PUT", "PATCH") else None
    if case.path.endswith("_search"):
        body, headers["content_type"] = None, "application/x-www-form-urlencoded"
    return name, person.ask(case.method, path, body, **headers)


def check(case: Case, status: int, events: Sequence[Event], who: str) -> None:
    assert events, case
    last = events[-1]
    codes = [event["subtype"][0]["code"] for event in events]
    wanted = NAMES.get(case.interaction, case.interaction)
    assert len(events) == 1, (case, codes)
    # What the face has no row for is told by its method.
    if status not in (404, 405) or codes == [wanted]:
        assert codes == [wanted], case
        assert last["action"] == ACTIONS.get(wanted, "R"), case
    assert last["outcome"] == ("0" if status < 400 else "8" if status >= 500 else "4"), case
    assert ("outcomeDesc" in last) == (status >= 400), case
    assert last["agent"][0]["who"] == {"reference": who}, case
    assert last["agent"][0]["network"]["address"] == "127.0.0.1"
    assert "?" not in str(last.get("outcomeDesc", ""))


ROLES = {"granted": ("usr_service", "SERVICE"), "refused": ("usr_amina", "DOCTOR", "openid")}


@pytest.mark.parametrize("role", ROLES)
def test_every_route_of_the_fhir_face(
    clinic: Clinic, book: NewBook, definitions: Definitions, role: str
) -> None:
    person = clinic.person(*ROLES[role])
    asked = [(case, *ask(person, case)) for case in fhir_cases(definitions)]
    found = of_requests(settled(book(clinic), [name for _, name, _ in asked]))
    for case, name, answer in asked:
        assert answer.status_code < 500, case
        check(case, answer.status_code, found[name], person.reference)
        if role == "refused":
            assert answer.status_code in (400, 403, 404, 405, 415), (case, answer.text)


def v1_cases() -> Iterator[Case]:
    """Every route of the mappings, with ids of the right kind that are nobody's."""
    for route in read_declarations().mappings.routes:
        path = PARAMETER.sub(lambda found, own=route: _id(own, found[1]), route.address)  # type: ignore[misc]
        yield Case(route.method, path, route.interaction)


def _id(route: Route, name: str) -> str:
    """An id that the parameter takes."""
    prefixes = PREFIX.match(route.segments[name].schema.get("pattern", ""))
    return (prefixes[1] if prefixes else "") + NOBODY


MESSAGING = "messaging:read messaging:write messaging:escalate"


@pytest.mark.parametrize(
    ("role", "scope"),
    [
        ("DOCTOR", MESSAGING),
        ("DOCTOR", "openid"),
        ("ADMIN", "audit:read gdpr:read gdpr:erase gdpr:export gdpr:restrict"),
    ],
)
def test_every_route_of_v1(clinic: Clinic, book: NewBook, role: str, scope: str) -> None:
    person = clinic.person("usr_amina", role, scope)
    asked = [(case, *ask(person, case)) for case in v1_cases()]
    found = of_requests(settled(book(clinic), [name for _, name, _ in asked]))
    for case, name, answer in asked:
        assert answer.status_code < 500, (case, answer.text)
        assert found[name], (case, answer.text)
        last = found[name][-1]
        assert last["agent"][0]["who"] == {"reference": "Practitioner/amina"}
        assert (last["outcome"] == "0") == (answer.status_code < 400), (case, answer.text)
        if scope == "openid":
            assert answer.status_code == 403
            assert len(found[name]) == 1


def test_nobody_is_recorded_without_a_token(
    client: httpx.Client, clinic: Clinic, book: NewBook
) -> None:
    before = len(book(clinic).after(0, FOUNDED))
    assert client.get("/fhir/R4/Patient/zahra").status_code == 401
    clinic.amina.get("Patient/zahra")
    assert len(book(clinic).after(before)) == 1
    everybody = client.get("/fhir/R4/metadata")
    assert everybody.status_code == 200


def patients(event: Event) -> set[str]:
    """Those whom the event is about."""
    return {
        e["what"]["reference"]
        for e in event.get("entity", ())
        if e.get("role", {}).get("code") == "1"
    }


def data(event: Event) -> list[str]:
    """The resources that the event names."""
    return [
        e["what"]["reference"]
        for e in event.get("entity", ())
        if e.get("role", {}).get("code") == "4"
    ]


def test_what_is_read_and_written_names_patient_and_version(clinic: Clinic, book: NewBook) -> None:
    trail = book(clinic)
    known = len(trail.after(0, FOUNDED))
    opened = clinic.amina.created(thread())
    said = clinic.amina.created(message(opened, "secret words"))
    clinic.amina.get(reference(said))
    clinic.amina.get(f"{reference(said)}/_history/1")
    clinic.amina.get(f"{reference(said)}/_history")
    clinic.amina.get("Communication?_content=secret&sender=Practitioner/amina")
    clinic.amina.get("Patient/zahra/Communication")
    clinic.amina.get("Communication?subject=Patient/omid")
    clinic.amina.get("Patient/zahra/$everything")
    clinic.service.delete(reference(said))
    found = trail.after(known, 10)
    codes = [e["subtype"][0]["code"] for e in found]
    assert codes == [
        *("create", "create", "read", "vread", "history-instance"),
        *("search-type", "search-type", "search-type", "operation", "delete"),
    ]
    assert [e["action"] for e in found] == list("CCRRREEEED")
    zahra = {"Patient/zahra"}
    assert [patients(e) for e in found] == [*[zahra] * 7, {"Patient/omid"}, *[zahra] * 2]
    name = reference(said)
    assert [data(e) for e in found[1:4]] == [[f"{name}/_history/1"]] * 3
    assert data(found[-1]) == [f"{name}/_history/2"]
    assert "secret" not in str(found)


def test_each_entry_of_a_bundle_is_its_own(clinic: Clinic, book: NewBook) -> None:
    trail = book(clinic)
    known = len(trail.after(0, FOUNDED))
    entries = [
        {"request": {"method": "POST", "url": "Communication"}, "resource": thread()},
        {"request": {"method": "GET", "url": "Patient/zahra"}},
        {"request": {"method": "GET", "url": "Patient/none"}},
    ]
    for kind in ("batch", "transaction"):
        bundle = {"resourceType": "Bundle", "type": kind, "entry": entries}
        clinic.amina.post(bundle, "/fhir/R4")
    good = {"resourceType": "Bundle", "type": "transaction", "entry": entries[:2]}
    assert clinic.amina.post(good, "/fhir/R4").status_code == 200
    found = trail.after(known, 7)
    told = [(e["subtype"][0]["code"], e["outcome"]) for e in found]
    assert told == [
        *[("create", "0"), ("read", "0"), ("read", "4")],
        *[("create", "4"), ("read", "4")],
        *[("create", "0"), ("read", "0")],
    ]


def test_a_transaction_that_only_reads_is_recorded(clinic: Clinic, book: NewBook) -> None:
    trail = book(clinic)
    known = len(trail.after(0, FOUNDED))
    entries = [{"request": {"method": "GET", "url": f"Patient/{id}"}} for id in ("zahra", "none")]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    assert clinic.amina.post(bundle, "/fhir/R4").status_code == 404
    (refused,) = trail.after(known)
    assert refused["outcome"] == "4"
    assert data(refused) == ["Patient/none"]


def test_only_an_administrator_sees_the_trail_and_is_seen(clinic: Clinic, book: NewBook) -> None:
    clinic.amina.get("Patient/zahra")
    book(clinic).after(0, FOUNDED + 1)
    admin = clinic.person("usr_admin", "ADMIN")
    asked = "AuditEvent?patient=Patient/zahra&agent=Practitioner/amina&action=R&outcome=0"
    assert len(admin.ids(asked)) == 1
    for person in (clinic.amina, clinic.zahra):
        assert person.ids("AuditEvent") == set()
    book(clinic).after(0, FOUNDED + 4)
    (own, *_) = admin.ids("AuditEvent?agent=Practitioner/admin&_count=1")
    for person in (admin, clinic.service):
        for method in ("PUT", "PATCH", "DELETE"):
            assert (
                person.ask(method, f"AuditEvent/{own}", "{}", content_type=JSON).status_code == 405
            )
        made = person.post({"resourceType": "AuditEvent"})
        assert made.status_code == 405


def test_other_tenants_see_nothing(new_clinic: NewClinic, book: NewBook) -> None:
    ours, theirs = new_clinic(), new_clinic()
    ours.amina.get("Patient/zahra")
    mine = {e["id"] for e in book(ours).after(0, FOUNDED + 1)}
    seen = theirs.person("usr_admin", "ADMIN").ids("AuditEvent?_count=1000")
    assert not mine & seen
