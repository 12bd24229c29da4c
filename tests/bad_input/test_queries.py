"""Queries that ask for nothing there is, in every way a URL can be wrong."""

from __future__ import annotations

from time import monotonic
from urllib.parse import urlencode

import pytest

from tests.bad_input.faces import refused, well_shaped
from tests.bad_input.world import FHIR, V1, World

pytestmark = pytest.mark.usefixtures("unchanged")

LONG = "x" * 50_000
ANY_FACE: dict[str, str] = {
    "an unknown parameter": "nonsense=1",
    "an empty name": "=1",
    "a name only": "nothing",
    "NUL in a name": "a%00b=1",
    "invalid UTF-8 in a name": "%ff=1",
    "a lone surrogate in a name": "%ed%a0%80=1",
    "overlong UTF-8": "a=%c0%80",
    "UTF-8 cut short": "a=%e2%82",
    "201 parameters": "&".join(["x=1"] * 201),
    "5,000 parameters": "&".join(f"p{n}=1" for n in range(5000)),
    "a long name": f"{LONG}=1",
    "SQL": "id=1';DROP TABLE patient;--",
    "a template": "%7B%7B7*7%7D%7D=1",
    "a broken escape": "%=1",
    "a broken escape at the end": "%f=1",
    "twice encoded": "%2563ursor=1",
}
# `X` is the value's place, in each of these parameters.
PLACES = (
    "_id=X",
    "subject=X",
    "patient=X",
    "patient:identifier=X",
    "identifier=X",
    "category=X",
    "sent=X",
    "sent=ge2020&sent=X",
    "_lastUpdated=X",
    "_sort=X",
    "_count=X",
    "_total=X",
    "_include=X",
    "_revinclude=X",
    "patient.name=X",
    "patient.birthdate=X",
    "_has:Communication:part-of:unread-by=X",
    "X=1",
    "X:missing=true",
    "patient:X=Patient/zahra",
    "patient:X.name=a",
    "_has:X:part-of:sender=a",
    "_has:Communication:X:sender=a",
    "_cursor=X",
)
VALUES: dict[str, str] = {
    "NUL": "a%00b",
    "invalid UTF-8": "%ff%fe",
    "a lone surrogate": "%ed%a0%80",
}
FHIR_ONLY: dict[str, str] = {
    "_count=-1": "_count=-1",
    "_count=0.5": "_count=0.5",
    "_count a word": "_count=many",
    "_count huge": "_count=99999999999999999999",
    "_count of 5,000 digits": "_count=" + "9" * 5000,
    "_count of other digits": "_count=%D9%A1%D9%A2",
    "_count empty": "_count=",
    "_count +1": "_count=%2B1",
    "_total": "_total=maybe",
    "_sort by nothing there is": "_sort=nothing",
    "_sort twice down": "_sort=--sent",
    "_sort by a composite": "_sort=_text",
    "_sort by too much": "_sort=" + ",".join(["sent", "-sent"] * 10),
    "a modifier there is not": "patient:nonsense=Patient/zahra",
    "a modifier of another type": "sent:exact=2020",
    "two modifiers": "status:not:missing=true",
    ":missing of another value": "status:missing=maybe",
    "a date there is not": "sent=2021-02-30",
    "a month there is not": "sent=2021-13",
    "a date in words": "sent=yesterday",
    "a date of 5,000 digits": "sent=" + "9" * 5000,
    "a prefix there is not": "sent=zz2020",
    "a prefix alone": "sent=ge",
    "two prefixes": "sent=gege2020",
    "an hour there is not": "sent=2020-01-01T25:00:00Z",
    "a chain of no parameter": "patient.nothing=1",
    "a chain without a tail": "patient.=1",
    "a chain without a head": ".name=1",
    "a chain through no reference": "status.name=1",
    "a chain through itself": "part-of." * 50 + "status=completed",
    "_has without an end": "_has:Communication=1",
    "_has of no type": "_has:Nothing:subject:_id=1",
    "_has of no parameter": "_has:Communication:nothing:_id=1",
    "_has through itself": "_has:Communication:part-of:" * 30 + "_id=1",
    "_has:": "_has:=1",
    "_include of nothing": "_include=",
    "_include of no type": "_include=Nothing:subject",
    "_include of no parameter": "_include=Communication:nothing",
    "_include of no reference": "_include=Communication:status",
    "_include of words": "_include=:::::",
    "1,001 values": "_id=" + ",".join(str(n) for n in range(1001)),
    "a colon alone": ":=1",
    "a dot alone": ".=1",
    "_contained": "_contained=both",
    "_query": "_query=current",
    "_filter": "_filter=status%20is%20completed",
    "_list of a function": "_list=$current-problems",
    "another case": "PATIENT=Patient/zahra",
    "a format there is not": "_format=ttl",
}
V1_ONLY: dict[str, str] = {
    "limit=-1": "limit=-1",
    "limit=0": "limit=0",
    "limit=101": "limit=101",
    "limit a word": "limit=many",
    "limit huge": "limit=" + "9" * 30,
    "limit with zeros": "limit=" + "0" * 8 + "1" + "0" * 8,
    "limit of 5,000 digits": "limit=" + "9" * 5000,
    "limit of 5,000 digits, small at first": "limit=" + "0" * 8 + "1" * 5000,
    "limit of other digits": "limit=%D9%A1%D9%A2",
    "limit empty": "limit=",
    "limit twice": "limit=1&limit=2",
    "state of nothing": "state=nothing",
    "state in other case": "state=ACTIVE",
    "unreadOnly": "unreadOnly=yes",
    "urgent": "urgent=1",
    "a patient of another prefix": "patientId=usr_zahra",
    "a patient without prefix": "patientId=zahra",
    "a patient in another place": "patientId=pat_../x",
    "a patient with NUL": "patientId=pat_%00",
    "a long patient": "patientId=pat_" + LONG,
    "a FHIR parameter": "patient=Patient/zahra",
    "a result parameter": "_count=1",
    "a chain": "patientId.name=x",
}


@pytest.mark.parametrize("case", ANY_FACE)
def test_a_query_no_face_knows_is_refused(world: World, case: str) -> None:
    thread = world.ids["thread"]
    for path in (
        f"{FHIR}/Communication",
        f"{FHIR}/Patient",
        f"{V1}/threads",
        f"{V1}/threads/thr_{thread}",
        f"{V1}/threads/thr_{thread}/messages",
        "/v1/messaging/threads",
    ):
        refused(world.ask("GET", f"{path}?{ANY_FACE[case]}"), 400, 414)


@pytest.mark.parametrize("case", VALUES)
def test_a_value_that_is_no_text_is_refused(world: World, case: str) -> None:
    value = VALUES[case]
    for place in PLACES:
        query = place.replace("X", value)
        refused(world.ask("GET", f"{FHIR}/Communication?{query}"), 400)
        form = {"content-type": "application/x-www-form-urlencoded"}
        path, content = f"{FHIR}/Communication/_search", query.encode("latin-1")
        refused(world.ask("POST", path, content=content, headers=form), 400)
    for name in ("patientId", "state", "limit", "cursor"):
        refused(world.ask("GET", f"{V1}/threads?{name}={value}"), 400)


@pytest.mark.parametrize("case", FHIR_ONLY)
def test_a_bad_search_is_refused(world: World, case: str) -> None:
    query = FHIR_ONLY[case]
    refused(world.ask("GET", f"{FHIR}/Communication?{query}"), 400, 406)
    form = {"content-type": "application/x-www-form-urlencoded"}
    refused(
        world.ask("POST", f"{FHIR}/Communication/_search", content=query.encode(), headers=form),
        *(400, 406),
    )


@pytest.mark.parametrize("case", V1_ONLY)
def test_a_bad_list_query_is_refused(world: World, case: str) -> None:
    refused(world.ask("GET", f"{V1}/threads?{V1_ONLY[case]}"), 400)


@pytest.mark.parametrize(
    "query",
    [
        *("name=" + LONG, "name:contains=" + LONG, "name:exact=" + LONG, "identifier=" + LONG),
        *("organization=Organization/" + LONG, "organization=Nothing/1", "link=https://" + LONG),
    ],
)
def test_a_huge_search_string_finds_nothing_and_harms_nothing(world: World, query: str) -> None:
    response = world.ask("GET", f"{FHIR}/Patient?{query}")
    assert response.status_code in (200, 400)
    assert not response.json().get("entry")


@pytest.mark.parametrize("query", ["_count=-1", "_count=x", "_before=-1", "_since=2020-99", "x=1"])
def test_a_bad_history_query_is_refused(world: World, query: str) -> None:
    refused(world.ask("GET", f"{FHIR}/Patient/zahra/_history?{query}"), 400)


def test_many_commas_bars_and_escapes_are_refused_or_find_nothing(world: World) -> None:
    for value in (",", ",,,,", "|", "||", "|||||", "\\", "\\\\,", "$", "\\,", "|,|,|", "a|b|c|d"):
        for name in ("identifier", "name", "_id", "general-practitioner", "birthdate"):
            response = world.ask("GET", f"{FHIR}/Patient", params={name: value})
            assert response.status_code in (200, 400), (name, value, response.text)
            assert not response.json().get("entry"), (name, value)


COSTLY: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "chains through every type": ("Task", [("based-on." * 4 + "_id", "x")]),
    "chains through some types": ("Communication", [("recipient." * 4 + "_id", "x")] * 3),
    "64 chains through every type": ("Task", [("based-on." * 4 + "_id", "x")] * 64),
    "other chains through every type": ("Basic", [("subject." * 4 + "code", "x")] * 3),
    "_has within _has": ("Patient", [("_has:Communication:subject:" * 4 + "status", "x")] * 20),
    "64,000 codes": ("Communication", [("category", ",".join(map(str, range(999))))] * 64),
    "20,000 names": ("Patient", [("name", ",".join(map(str, range(999))))] * 20),
    "20,000 inner texts": ("Patient", [("name:contains", ",".join(map(str, range(999))))] * 20),
    "dates of every kind": ("Patient", [("birthdate", "ne2020,ap2020,gt2020")] * 60),
    "150 includes": ("Communication", [("_include", "Communication:subject")] * 150),
    "150 includes, on and on": (
        "Communication",
        [("_include:iterate", "Communication:part-of")] * 150,
    ),
}


@pytest.mark.parametrize("case", COSTLY)
def test_a_costly_search_is_answered_or_refused_in_time(world: World, case: str) -> None:
    resource, params = COSTLY[case]
    content = urlencode(params).encode()
    form = {"content-type": "application/x-www-form-urlencoded"}
    path, started = f"{FHIR}/{resource}/_search", monotonic()
    response = world.ask("POST", path, content=content, headers=form)
    assert monotonic() - started < 10
    assert response.status_code in (200, 400, 413)
    well_shaped(response)
