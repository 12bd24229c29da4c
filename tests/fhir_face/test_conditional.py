"""Conditional interactions over HTTP. https://hl7.org/fhir/R4/http.html#cond-update"""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime

import httpx
import pytest

from tests.conftest import NewClinic
from tests.support.clinic import Clinic, Resource, refer, refusal, stored, thread

SYSTEM = "https://example.org/mrn"
BY_NUMBER = f"identifier={SYSTEM}|1"


def organization(name: str = "North", number: str = "1", **more: object) -> Resource:
    identifier = [{"system": SYSTEM, "value": number}]
    return {"resourceType": "Organization", "identifier": identifier, "name": name, **more}


def outcome(answer: httpx.Response) -> str:
    """What an OperationOutcome without an error says."""
    (issue,) = answer.json()["issue"]
    assert (answer.json()["resourceType"], issue["severity"]) == ("OperationOutcome", "information")
    return str(issue["diagnostics"])


def test_create_if_none_exists(clinic: Clinic) -> None:
    first = clinic.service.post(organization(), if_none_exist=BY_NUMBER)
    again = clinic.service.post(organization("Other"), if_none_exist=BY_NUMBER)
    assert (first.status_code, again.status_code) == (201, 200)
    assert stored(again) == stored(first)
    for name in ("location", "etag", "last-modified"):
        assert again.headers[name] == first.headers[name]
    assert clinic.service.ids("Organization") == {stored(first)["id"]}


def test_criteria_in_the_address_of_a_create(clinic: Clinic) -> None:
    """As fhirpy's `get_or_create` asks; a create never passes over what it is asked."""
    at = f"Organization?{BY_NUMBER}"
    first = clinic.service.post(organization(), f"{at}&_format=json")
    again = clinic.service.post(organization("Other"), at)
    assert (first.status_code, again.status_code) == (201, 200)
    assert stored(again) == stored(first)
    unknown = clinic.service.post(organization(), "Organization?colour=red")
    assert refusal(unknown) == (400, "not-supported")
    assert clinic.service.post(organization(), "Organization?_pretty=true").status_code == 201
    by_header = clinic.service.post(organization(), "Organization?name=x", if_none_exist="name=N")
    assert by_header.status_code == 412


def test_a_match_needs_no_body_back(clinic: Clinic) -> None:
    first = clinic.service.post(organization(), if_none_exist=BY_NUMBER)
    again = clinic.service.post(organization(), if_none_exist=BY_NUMBER, prefer="return=minimal")
    assert (again.status_code, again.content) == (200, b"")
    assert again.headers["location"] == first.headers["location"]


def test_create_where_several_match_is_412(clinic: Clinic) -> None:
    for _ in range(2):
        clinic.service.created(organization())
    answer = clinic.service.post(organization(), if_none_exist=BY_NUMBER)
    assert refusal(answer) == (412, "multiple-matches")
    assert len(clinic.service.ids("Organization")) == 2


@pytest.mark.parametrize(
    "header",
    [
        BY_NUMBER,
        f"?{BY_NUMBER}",
        f"Organization?{BY_NUMBER}",
        f"http://example.org/fhir/Organization?{BY_NUMBER}",
        "identifier=https%3A%2F%2Fexample.org%2Fmrn%7C1",
        f"name=North&{BY_NUMBER}&_format=json",
    ],
)
def test_criteria_in_a_header_as_clients_write_them(clinic: Clinic, header: str) -> None:
    found = clinic.service.created(organization())
    answer = clinic.service.post(organization(), if_none_exist=header.replace("&_format=json", ""))
    assert (answer.status_code, stored(answer)["id"]) == (200, found["id"])


def test_a_question_mark_in_a_value_is_one(clinic: Clinic) -> None:
    number = organization()
    number["identifier"] = [{"system": "http://example.org/a?b", "value": "1"}]
    found = clinic.service.created(number)
    answer = clinic.service.post(number, if_none_exist="identifier=http://example.org/a?b|1")
    assert (answer.status_code, stored(answer)["id"]) == (200, found["id"])


WRONG = ["", "?", "identifier", "identifier=", "nothing=1", "_sort=name", f"{BY_NUMBER}&_count=2"]
WRONG += [f"{BY_NUMBER}&_include=Organization:partof", "_id:of=1", "_lastUpdated=x", "name=%FF"]


@pytest.mark.parametrize("criteria", [*WRONG, "Patient?identifier=1"])
def test_create_with_criteria_that_are_none_is_400(clinic: Clinic, criteria: str) -> None:
    for handling in ("strict", "lenient"):
        answer = clinic.service.post(
            organization(), if_none_exist=criteria, prefer=f"handling={handling}"
        )
        assert refusal(answer)[0] == 400
    assert clinic.service.ids("Organization") == set()


@pytest.mark.parametrize("criteria", [c for c in WRONG if "_count" not in c])
def test_other_writes_with_criteria_that_are_none_are_400(clinic: Clinic, criteria: str) -> None:
    clinic.service.created(organization())
    at = f"Organization?{criteria}"
    lenient = "handling=lenient"
    assert refusal(clinic.service.put(organization("New"), at, prefer=lenient))[0] == 400
    assert refusal(clinic.service.delete(at, prefer=lenient))[0] == 400
    assert len(clinic.service.ids("Organization?name=North")) == 1


def test_update_creates_then_updates(clinic: Clinic) -> None:
    at = f"Organization?{BY_NUMBER}"
    first = clinic.service.put(organization(), at)
    then = clinic.service.put(organization("South"), at)
    assert (first.status_code, then.status_code) == (201, 200)
    assert stored(then)["id"] == stored(first)["id"]
    assert stored(then)["name"] == "South"
    assert then.headers["etag"] == 'W/"2"'
    assert then.headers["location"].endswith(f"/Organization/{stored(first)['id']}/_history/2")
    assert clinic.service.ids("Organization") == {stored(first)["id"]}


def test_update_where_several_match_is_412(clinic: Clinic) -> None:
    for _ in range(2):
        clinic.service.created(organization())
    answer = clinic.service.put(organization("South"), f"Organization?{BY_NUMBER}")
    assert refusal(answer) == (412, "multiple-matches")
    assert clinic.service.ids("Organization?name=South") == set()


def test_update_and_the_id_of_the_body(clinic: Clinic) -> None:
    at = f"Organization?{BY_NUMBER}"
    first = clinic.service.put(organization(id="mine"), at)
    assert (first.status_code, stored(first)["id"]) == (201, "mine")
    assert clinic.service.put(organization("South", id="mine"), at).status_code == 200
    assert refusal(clinic.service.put(organization(id="other"), at)) == (400, "invalid")
    taken = clinic.service.put(organization(number="2", id="mine"), f"{at[:-1]}2")
    assert refusal(taken) == (409, "conflict")
    assert clinic.service.get("Organization/mine").headers["etag"] == 'W/"2"'


@pytest.mark.parametrize("id", ["a_b", "..", ".", "", 5, None, ["x"], "x" * 65])
def test_update_with_an_id_that_is_none(clinic: Clinic, id: object) -> None:
    answer = clinic.service.put(organization(id=id), f"Organization?{BY_NUMBER}")
    assert answer.status_code in {400, 422}
    assert clinic.service.ids("Organization") == set()


def test_update_brings_back_what_was_deleted(clinic: Clinic) -> None:
    at = f"Organization?{BY_NUMBER}"
    clinic.service.put(organization(id="mine"), at)
    clinic.service.delete("Organization/mine")
    back = clinic.service.put(organization(id="mine"), at)
    assert (back.status_code, back.headers["etag"]) == (201, 'W/"3"')


def test_update_keeps_if_match(clinic: Clinic) -> None:
    at = f"Organization?{BY_NUMBER}"
    assert refusal(clinic.service.put(organization(), at, if_match='W/"1"')) == (412, "conflict")
    clinic.service.put(organization(), at)
    assert clinic.service.put(organization("A"), at, if_match='W/"1"').status_code == 200
    assert refusal(clinic.service.put(organization("B"), at, if_match='W/"1"')) == (412, "conflict")
    assert refusal(clinic.service.delete(at, if_match='W/"1"')) == (412, "conflict")
    assert clinic.service.delete(at, if_match='W/"2"').status_code == 204
    assert refusal(clinic.service.delete(at, if_match='W/"2"')) == (412, "conflict")


def test_the_body_is_checked_as_always(clinic: Clinic) -> None:
    at = f"Organization?{BY_NUMBER}"
    assert refusal(clinic.service.put(organization(colour="red"), at))[0] == 422
    clinic.service.put(organization(), at)
    assert refusal(clinic.service.put(organization(colour="red"), at))[0] == 422
    assert refusal(clinic.service.put({"resourceType": "Patient"}, at)) == (400, "invalid")
    patient = clinic.service.post(
        {"resourceType": "Patient"}, "Organization", if_none_exist=BY_NUMBER
    )
    assert refusal(patient) == (400, "invalid")
    unread = clinic.service.ask("PUT", at, b"{}", content_type="text/plain")
    assert refusal(unread) == (415, "not-supported")


def test_delete_one(clinic: Clinic) -> None:
    at = f"Organization?{BY_NUMBER}"
    assert clinic.service.delete(at).status_code == 204
    found = clinic.service.created(organization())
    other = clinic.service.created(organization(number="2"))
    answer = clinic.service.delete(at)
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (204, b"", 'W/"2"')
    assert clinic.service.ids("Organization") == {other["id"]}
    assert refusal(clinic.service.get(f"Organization/{found['id']}")) == (410, "deleted")


def test_delete_several_only_when_asked_to(clinic: Clinic) -> None:
    at = f"Organization?{BY_NUMBER}"
    for _ in range(5):
        clinic.service.created(organization())
    assert refusal(clinic.service.delete(at)) == (412, "multiple-matches")
    assert len(clinic.service.ids("Organization")) == 5
    first = clinic.service.delete(f"{at}&_count=3")
    assert first.status_code == 200
    assert outcome(first) == "3 resources were deleted; there are more matches"
    assert len(clinic.service.ids("Organization")) == 2
    assert outcome(clinic.service.delete(f"{at}&_count=100")) == "2 resources were deleted"
    assert outcome(clinic.service.delete(f"{at}&_count=100")) == "0 resources were deleted"


def test_a_count_of_one_means_one(clinic: Clinic) -> None:
    at = f"Organization?{BY_NUMBER}&_count=1"
    for _ in range(2):
        clinic.service.created(organization())
    assert refusal(clinic.service.delete(at)) == (412, "multiple-matches")
    assert clinic.service.delete(f"{at[:-1]}2", prefer="return=minimal").status_code == 204
    clinic.service.created(organization())
    assert outcome(clinic.service.delete(at)) == "1 resource was deleted"


@pytest.mark.parametrize("count", ["0", "-1", "x", "", "9999999999"])
def test_a_count_that_is_none_is_400(clinic: Clinic, count: str) -> None:
    clinic.service.created(organization())
    answer = clinic.service.delete(f"Organization?{BY_NUMBER}&_count={count}")
    assert refusal(answer)[0] == 400
    assert len(clinic.service.ids("Organization")) == 1


def test_the_record_of_what_was_done_goes_one_at_a_time(clinic: Clinic) -> None:
    answer = clinic.service.delete("Provenance?recorded=2020&_count=2")
    assert refusal(answer) == (400, "invalid")
    assert clinic.service.delete("Provenance?recorded=2020").status_code == 204


def test_what_a_client_has_is_not_sent_again(clinic: Clinic) -> None:
    clinic.service.put(organization(id="o"))
    first = clinic.amina.get("Organization/o")
    for tag in ('W/"1"', '"1"', 'W/"7", W/"1"', "*"):
        known = clinic.amina.get("Organization/o", if_none_match=tag)
        assert (known.status_code, known.content) == (304, b"")
        for name in ("etag", "last-modified"):
            assert known.headers[name] == first.headers[name]
        assert "content-length" not in known.headers
    assert clinic.amina.get("Organization/o", if_none_match='W/"2"').status_code == 200
    clinic.service.put(organization("South", id="o"))
    changed = clinic.amina.get("Organization/o", if_none_match='W/"1"')
    assert (changed.status_code, stored(changed)["name"]) == (200, "South")
    head = clinic.amina.ask("HEAD", "Organization/o", if_none_match='W/"2"')
    assert head.status_code == 304
    version = clinic.amina.get("Organization/o/_history/1", if_none_match='W/"1"')
    assert version.status_code == 304


def test_what_has_not_changed_since_is_not_sent_again(clinic: Clinic) -> None:
    clinic.service.put(organization(id="o"))
    text = clinic.amina.get("Organization/o").headers["last-modified"]
    before = format_datetime(parsedate_to_datetime(text) - timedelta(seconds=1), usegmt=True)
    statuses = {
        since: clinic.amina.get("Organization/o", if_modified_since=since).status_code
        for since in (text, before, "yesterday", "", "Mon, 01 Jan 0001 00:00:00 +1400")
    }
    assert list(statuses.values()) == [304, 200, 200, 200, 200]
    # The tag decides alone where there is one.
    both = clinic.amina.get("Organization/o", if_modified_since=text, if_none_match='W/"9"')
    assert both.status_code == 200


def test_a_condition_opens_nothing(clinic: Clinic) -> None:
    hidden = clinic.amina.get("Patient/sealed", if_none_match="*")
    assert refusal(hidden) == (403, "forbidden")
    assert refusal(clinic.amina.get("Patient/none", if_none_match="*")) == (404, "not-found")
    clinic.service.delete("Patient/omid")
    assert refusal(clinic.amina.get("Patient/omid", if_none_match="*")) == (410, "deleted")


def test_prefer_an_outcome(clinic: Clinic) -> None:
    wish = {"prefer": "return=OperationOutcome"}
    made = clinic.service.post(organization(), **wish)
    id = made.headers["location"].split("/")[-3]
    assert (made.status_code, made.headers["etag"]) == (201, 'W/"1"')
    assert outcome(made) == f"Organization/{id}/_history/1 is stored"
    again = clinic.service.put(organization("South", id=id), **wish)
    assert (again.status_code, outcome(again)) == (200, f"Organization/{id}/_history/2 is stored")
    gone = clinic.service.delete(f"Organization/{id}", **wish)
    assert (gone.status_code, outcome(gone)) == (200, "1 resource was deleted")
    assert gone.headers["etag"] == 'W/"3"'
    whole = clinic.service.post(organization(), prefer="return=representation")
    assert stored(whole)["name"] == "North"


def test_what_the_caller_may_not_see_is_not_there(clinic: Clinic) -> None:
    identifier = [{"system": SYSTEM, "value": "1"}]
    secret = clinic.service.created(
        thread(
            patient="Patient/sealed", identifier=identifier, sender=refer("Practitioner/sami")[0]
        )
    )
    mine = thread(identifier=identifier)
    answer = clinic.amina.post(mine, if_none_exist=BY_NUMBER)
    assert (answer.status_code, stored(answer)["id"] != secret["id"]) == (201, True)
    assert clinic.amina.post(mine, if_none_exist=BY_NUMBER).status_code == 200
    # amina sees one, the backend two.
    assert refusal(clinic.service.post(mine, if_none_exist=BY_NUMBER))[0] == 412
    chart = f"Communication?patient=Patient/sealed&{BY_NUMBER}"
    assert clinic.amina.delete(chart).status_code == 204
    assert clinic.service.ids(chart) == {secret["id"]}
    chosen = clinic.amina.put({**mine, "id": secret["id"]}, chart)
    assert refusal(chosen) == (405, "not-supported")
    assert refusal(clinic.amina.put({**mine, "id": "free"}, chart)) == refusal(chosen)


def test_a_role_that_may_not_write_learns_nothing(clinic: Clinic) -> None:
    there, not_there = "Patient?_id=zahra", "Patient?_id=nobody"
    body = {"resourceType": "Patient"}
    for criteria in (there, not_there):
        only = criteria.partition("?")[2]
        assert refusal(clinic.amina.post(body, if_none_exist=only)) == (403, "forbidden")
        assert refusal(clinic.amina.put(body, criteria)) == (403, "forbidden")
        assert refusal(clinic.amina.delete(criteria)) == (403, "forbidden")


def test_a_condition_needs_the_scope_to_search(clinic: Clinic) -> None:
    service = clinic.person("usr_service", "SERVICE", "system/Organization.crud")
    assert service.post(organization()).status_code == 201
    at = f"Organization?{BY_NUMBER}"
    assert refusal(service.post(organization(), if_none_exist=BY_NUMBER)) == (403, "forbidden")
    assert refusal(service.put(organization(), at)) == (403, "forbidden")
    assert refusal(service.delete(at)) == (403, "forbidden")


def test_an_update_that_creates_needs_the_scope_to_create(clinic: Clinic) -> None:
    service = clinic.person("usr_service", "SERVICE", "system/Organization.rus")
    at = f"Organization?{BY_NUMBER}"
    assert refusal(service.put(organization(), at)) == (403, "forbidden")
    assert clinic.service.ids("Organization") == set()
    clinic.service.created(organization())
    assert service.put(organization("South"), at).status_code == 200


def test_a_narrow_scope_narrows_the_search(clinic: Clinic) -> None:
    clinic.service.created(organization())
    narrow = f"system/Organization.s?{BY_NUMBER[:-1]}2 system/Organization.cud"
    service = clinic.person("usr_service", "SERVICE", narrow)
    assert service.delete(f"Organization?{BY_NUMBER}").status_code == 204
    assert len(clinic.service.ids("Organization")) == 1


def test_another_tenant_is_not_searched(clinic: Clinic, new_clinic: NewClinic) -> None:
    found = clinic.service.created(organization())
    other = new_clinic()
    assert other.service.post(organization(), if_none_exist=BY_NUMBER).status_code == 201
    assert other.service.delete(f"Organization?{BY_NUMBER}").status_code == 204
    assert clinic.service.ids("Organization") == {found["id"]}


def test_the_capability_statement_says_so(clinic: Clinic) -> None:
    statement = clinic.service.get("metadata").json()
    types = statement["rest"][0]["resource"]
    for declared in (each for each in types if {"code": "create"} in each["interaction"]):
        assert declared["conditionalCreate"] is declared["conditionalUpdate"] is True
        assert declared["conditionalRead"] == "full-support"
        kept = declared["type"] == "Provenance"
        assert declared["conditionalDelete"] == ("single" if kept else "multiple")
