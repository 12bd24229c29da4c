"""The same answer in every format, and parts of it, over HTTP."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from fhir_server.definitions.shapes import r4_shapes
from fhir_server.fhir.json import parse
from fhir_server.fhir.xml import read, write
from fhir_server.http.fhir.replies import CONTENT
from fhir_server.http.fhir.representation import represented
from fhir_server.http.wire import Reply, Request
from fhir_server.problems import Problem
from tests.conftest import NewClinic
from tests.support.clinic import Clinic, Person, refusal, stored, thread

JSON, XML = "application/fhir+json", "application/fhir+xml"
SHAPES = r4_shapes()
TAG = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
ORGANIZATION: dict[str, Any] = {
    "resourceType": "Organization",
    "id": "o",
    "text": {
        "status": "generated",
        "div": '<div xmlns="http://www.w3.org/1999/xhtml">North <b>Ward</b></div>',
    },
    "active": True,
    "name": "North & Söhne",
    "telecom": [{"system": "phone", "value": "1"}],
    "address": [{"city": "Kabul", "country": "AF"}],
    "contact": [{"name": {"family": "X"}, "purpose": {"text": "p"}}],
}
# Every way to ask for something.
ANSWERS = [
    "metadata", "metadata?mode=terminology", "metadata?mode=nothing", "$versions",
    "Organization/o", "Organization/o/_history/1", "Organization/o/_history",
    "Organization/_history?_count=1", "_history", "Organization", "Organization?name=north",
    "Organization?_summary=count", "Communication?_include=Communication:subject",
    "Patient/zahra/Communication", "StructureDefinition?_count=2",
    "StructureDefinition/comm-thread", "SearchParameter", "OperationDefinition", "CodeSystem",
    "ValueSet", "ConceptMap",
    "ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/event-status",
    "Organization/none", "Organization/o/_history/9", "Organization?nothing=1", "Nothing",
    "Organization/o/x/y/z",
]  # fmt: skip


@pytest.fixture(scope="module")
def ward(new_clinic: NewClinic) -> Clinic:
    clinic = new_clinic()
    clinic.service.put(ORGANIZATION)
    clinic.amina.created(thread())
    return clinic


def of_xml(answer: httpx.Response) -> dict[str, Any]:
    return parse(read(answer.content, SHAPES), 80)


def timeless(answer: dict[str, Any]) -> dict[str, Any]:
    """Without what each expansion has of its own."""
    for name in ("identifier", "timestamp"):
        answer.get("expansion", {}).pop(name, None)
    return answer


def xml(resource: dict[str, Any]) -> bytes:
    return write(parse(json.dumps(resource).encode()), SHAPES)


def send(who: Person, method: str, path: str, resource: dict[str, Any], **more: str) -> Any:
    """In XML, and answered in XML."""
    headers = {"content_type": XML, "accept": XML, **more}
    return who.ask(method, path, xml(resource), **headers)


@pytest.mark.parametrize("path", ANSWERS)
def test_every_answer_is_the_same_in_xml(ward: Clinic, path: str) -> None:
    wanted, found = (ward.service.get(path, accept=accept) for accept in (JSON, XML))
    assert (found.status_code, found.headers["content-type"]) == (wanted.status_code, XML)
    assert (wanted.headers["content-type"], found.headers["vary"]) == (JSON, "accept")
    assert timeless(of_xml(found)) == timeless(parse(wanted.content, 80))
    assert found.headers.get("etag") == wanted.headers.get("etag")
    head = ward.service.ask("HEAD", path, accept=XML)
    assert head.headers["content-length"] == str(len(found.content))


def test_a_refusal_to_strangers_is_in_their_format_too(client: httpx.Client) -> None:
    answer = client.get("/fhir/R4/Patient", headers={"accept": XML})
    assert (answer.status_code, of_xml(answer)["resourceType"]) == (401, "OperationOutcome")


@pytest.mark.parametrize("path", ["Organization/o", "Organization", "Nothing", "metadata"])
def test_format_and_pretty(ward: Clinic, path: str) -> None:
    plain = ward.service.get(path)
    for format_, kind in (("xml", XML), ("text/xml", "text/xml; charset=utf-8"), ("json", JSON)):
        answer = ward.service.get(f"{path}?_format={format_}&_pretty=true", accept="text/html")
        assert answer.headers["content-type"] == kind
        assert answer.text.count("\n") > 3
        found = of_xml(answer) if "xml" in kind else answer.json()
        assert {**found, "link": 0} == {**plain.json(), "link": 0}
    assert ward.service.get(path, accept="application/json").content == plain.content


def test_a_pretty_answer_keeps_a_narrative_and_its_decimals(ward: Clinic) -> None:
    text = '{"resourceType":"Location","id":"d","position":{"longitude":1.50,"latitude":1e2}}'
    ward.service.ask("PUT", "Location/d", text, content_type=JSON)
    assert '"longitude": 1.50,' in ward.service.get("Location/d?_pretty=true").text
    assert '<longitude value="1.50"/>' in ward.service.get("Location/d?_format=xml").text
    pretty = ward.service.get("Organization/o?_pretty=true&_format=xml").text
    assert ORGANIZATION["text"]["div"] in pretty


@pytest.mark.parametrize("query", ["_pretty=yes", "_summary=all", "_summary=", "_elements=nme"])
def test_a_value_that_is_none_is_400(ward: Clinic, query: str) -> None:
    for path in ("Organization/o", "Organization", "Organization/o/_history", "ValueSet"):
        answer = ward.service.get(f"{path}?{query}")
        assert refusal(answer) == (400, "value"), path
        name = query.partition("=")[0]
        assert answer.json()["issue"][0]["expression"] == [name]
        in_xml = ward.service.get(f"{path}?{query}&_format=xml")
        assert of_xml(in_xml)["issue"][0]["code"] == "value"


def test_a_form_says_how_its_answer_looks(ward: Clinic) -> None:
    form = "name=north&_format=xml&_elements=name&_pretty=true"
    kind = "application/x-www-form-urlencoded"
    answer = ward.service.ask("POST", "Organization/_search", form, content_type=kind)
    bundle = of_xml(answer)
    assert set(bundle["entry"][0]["resource"]) == {"resourceType", "id", "meta", "name"}
    assert form.replace("name=north&", "") in bundle["link"][0]["url"]


def test_pages_go_on_as_they_began(ward: Clinic) -> None:
    for path in ("Organization/_history?", "StructureDefinition?", "Practitioner?"):
        bundle = of_xml(ward.service.get(f"{path}_count=1&_format=xml&_summary=true"))
        following = next((li["url"] for li in bundle["link"] if li["relation"] == "next"), None)
        if following is None:
            continue
        page = of_xml(ward.service.get(following))
        assert page["entry"][0]["resource"]["meta"]["tag"][-1]["code"] == "SUBSETTED"


def test_write_and_read_in_xml(clinic: Clinic) -> None:
    service = clinic.service
    made = send(service, "POST", "Organization", {**ORGANIZATION, "id": "x"})
    assert made.status_code == 201, made.text
    body = of_xml(made)
    place = f"Organization/{body['id']}"
    assert made.headers["location"].endswith(f"{place}/_history/1")
    assert {k: v for k, v in body.items() if k not in {"id", "meta"}} == {
        k: v for k, v in ORGANIZATION.items() if k != "id"
    }
    assert service.get(place).json() == body
    put = send(service, "PUT", place, {**body, "name": "Two"}, if_match='W/"1"')
    assert (put.status_code, of_xml(put)["name"]) == (200, "Two")
    change = {"op": "replace", "path": "Organization.name", "value": "Three"}
    values = {"op": "valueCode", "path": "valueString", "value": "valueString"}
    parts = [{"name": name, values.get(name, ""): value} for name, value in change.items()]
    parts[0] = {"name": "type", "valueCode": change["op"]}
    operation = {
        "resourceType": "Parameters",
        "parameter": [{"name": "operation", "part": parts}],
    }
    patched = send(service, "PATCH", place, operation)
    assert (patched.status_code, of_xml(patched)["name"]) == (200, "Three"), patched.text
    again = send(service, "POST", "Organization", ORGANIZATION, if_none_exist="name=Three")
    assert (again.status_code, of_xml(again)["id"]) == (200, body["id"])
    by_name = send(service, "PUT", "Organization?name=Three", {**ORGANIZATION, "id": body["id"]})
    assert (by_name.status_code, by_name.headers["etag"]) == (200, 'W/"4"'), by_name.text
    none = send(service, "PUT", place, ORGANIZATION | {"id": body["id"]}, prefer="return=minimal")
    assert (none.status_code, none.content) == (200, b"")
    said = service.delete(place, accept=XML, prefer="return=OperationOutcome")
    assert of_xml(said)["resourceType"] == "OperationOutcome"


def test_operations_take_and_give_xml(clinic: Clinic) -> None:
    checked = send(clinic.service, "POST", "Organization/$validate", {"resourceType": "Patient"})
    assert of_xml(checked)["issue"][0]["severity"] == "error"
    url = "http://hl7.org/fhir/ValueSet/event-status"
    asked = {"resourceType": "Parameters", "parameter": [{"name": "url", "valueUri": url}]}
    expanded = send(clinic.service, "POST", "ValueSet/$expand", asked)
    assert of_xml(expanded)["resourceType"] == "ValueSet"


def test_xml_passes_through_the_same_checks(clinic: Clinic) -> None:
    wrong = {"resourceType": "Patient", "gender": "unheard-of", "birthDate": "31.1.2020"}
    answers = [
        clinic.service.post(wrong).json(),
        of_xml(send(clinic.service, "POST", "Patient", wrong)),
    ]
    assert answers[0] == answers[1]
    assert {issue["expression"][0] for issue in answers[0]["issue"]} == {
        "Patient.gender",
        "Patient.birthDate",
    }


PATIENT = '<Patient xmlns="http://hl7.org/fhir">%s</Patient>'
XXE = '<!DOCTYPE Patient [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
BROKEN = {
    "nothing": "",
    "JSON": '{"resourceType":"Patient"}',
    "malformed": "<Patient",
    "an external entity": XXE + PATIENT % "<active>&x;</active>",
    "another namespace": '<Patient xmlns="urn:x"/>',
    "an unknown element": PATIENT % '<nme value="x"/>',
    "a doubled element": PATIENT % '<active value="true"/><active value="true"/>',
    "the wrong order": PATIENT % '<gender value="male"/><active value="true"/>',
    "too deep": PATIENT % ("<contained>" * 300 + "</contained>" * 300),
    "a number beyond all": PATIENT % f'<multipleBirthInteger value="{"9" * 30}"/>',
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_body_is_400_and_stores_nothing(clinic: Clinic, case: str) -> None:
    for method, path in (
        ("POST", "Patient"),
        ("PUT", "Patient/new"),
        ("PUT", "Patient?family=zzz"),
        ("PATCH", "Patient/zahra"),
        ("POST", "Patient/$validate"),
        ("POST", "ValueSet/$expand"),
    ):
        answer = clinic.service.ask(method, path, BROKEN[case], content_type=XML, accept=JSON)
        assert refusal(answer)[0] == 400, (method, path, answer.text)
        assert "root:" not in answer.text
    assert len(clinic.service.ids("Patient?_count=100")) == 3


@pytest.mark.parametrize(
    "content_type",
    ["application/xml-patch+xml", f"{XML}; fhirVersion=3.0", f"{JSON}; charset=latin-1", "xml"],
)
def test_another_body_is_415(clinic: Clinic, content_type: str) -> None:
    for method, path in (("POST", "Patient"), ("PATCH", "Patient/zahra")):
        answer = clinic.service.ask(
            method, path, xml({"resourceType": "Patient"}), content_type=content_type
        )
        assert refusal(answer) == (415, "not-supported")


def test_a_body_of_r4_is_taken(clinic: Clinic) -> None:
    for kind in (f"{XML}; fhirVersion=4.0", "text/xml; charset=utf-8", "application/xml"):
        answer = clinic.service.ask("POST", "Patient", PATIENT % "", content_type=kind)
        assert answer.status_code == 201
    wrong = clinic.service.get("Patient/zahra", accept=f"{JSON};fhirVersion=3.0")
    assert refusal(wrong) == (406, "not-supported")


@pytest.mark.parametrize("path", ["Organization/o", "Organization/o/_history/1"])
@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("_elements=name", {"name"}),
        ("_elements=Organization.name,active", {"name", "active"}),
        ("_elements=Patient.name", set()),
        ("_summary=true", {"active", "name"}),
        ("_summary=text", {"text"}),
        ("_summary=data", {"active", "name", "telecom", "address", "contact"}),
    ],
)
def test_a_part_of_a_resource(ward: Clinic, path: str, query: str, names: set[str]) -> None:
    found = ward.service.get(f"{path}?{query}").json()
    assert set(found) == {"resourceType", "id", "meta"} | names
    assert [tag["system"] for tag in found["meta"]["tag"]] == [TAG]
    assert "tag" not in ward.service.get(path).json()["meta"]
    listed = ward.service.get(f"Organization?_id=o&{query}").json()
    assert listed["entry"][0]["resource"] == found
    past = ward.service.get(f"Organization/o/_history?{query}").json()
    assert past["entry"][0]["resource"] == found
    everything = ward.service.get(f"_history?{query}").json()
    assert found in [entry["resource"] for entry in everything["entry"]]


def test_false_is_the_whole(ward: Clinic) -> None:
    whole = ward.service.get("Organization/o")
    assert ward.service.get("Organization/o?_summary=false").content == whole.content


def test_elements_within_elements(ward: Clinic) -> None:
    found = ward.service.get("Organization/o?_elements=address.city,contact.name").json()
    assert found["address"] == [{"city": "Kabul"}]
    assert found["contact"] == [{"name": {"family": "X"}}]
    for names in (
        "address.city,address",
        "address,address.city",
        "address,Organization.address.city",
    ):
        both = ward.service.get(f"Organization/o?_elements={names}").json()
        assert both["address"] == ORGANIZATION["address"]


def test_elements_of_what_is_included(ward: Clinic) -> None:
    path = "Communication?_include=Communication:subject"
    whole = ward.service.get("Patient/zahra").json()
    for names, message, patient in (
        ("sent", {"status"}, set(whole)),
        ("sent,Patient.gender", {"status"}, {"resourceType", "id", "meta"}),
        ("Communication.topic", {"status", "topic"}, set(whole)),
    ):
        entries = ward.service.get(f"{path}&_elements={names}").json()["entry"]
        found = {entry["search"]["mode"]: entry["resource"] for entry in entries}
        assert set(found["match"]) - {"resourceType", "id", "meta", "sent"} == message
        assert set(found["include"]) == patient
    entries = ward.service.get(f"{path}&_summary=true").json()["entry"]
    assert all(entry["resource"]["meta"]["tag"] for entry in entries)


def test_unknown_elements(ward: Clinic) -> None:
    for names in ("nme", "name,address.town", "Nothing.name", "Organization.nme", "name..x"):
        for path in ("Organization", "Organization/o", "Organization/none"):
            answer = ward.service.get(f"{path}?_elements={names}")
            assert refusal(answer) == (400, "value"), names
    lenient = ward.service.get("Organization/o?_elements=nme,name", prefer="handling=lenient")
    assert set(lenient.json()) == {"resourceType", "id", "meta", "name"}
    # Some type has it, and here all are asked for.
    assert ward.service.get("_history?_elements=address").status_code == 200
    assert refusal(ward.service.get("_history?_elements=nme"))[0] == 400


@pytest.mark.parametrize(
    "query",
    [
        "_elements=status&_summary=true",
        "_elements=status&_summary=count",
        "_summary=text&_include=Communication:subject",
        "_summary=text&_revinclude=Communication:part-of",
        "_elements=" + ",".join(["status"] * 201),
        "_elements=" + ".".join(["extension"] * 3000),
    ],
)
def test_what_does_not_go_together_is_400(ward: Clinic, query: str) -> None:
    assert refusal(ward.service.get(f"Communication?{query}")) == (400, "value")


def test_only_searches_are_counted(ward: Clinic) -> None:
    found = ward.service.get("Organization?_summary=count&_format=xml")
    assert of_xml(found)["total"] == 1
    for path in ("Organization/o", "Organization/o/_history", "metadata"):
        assert refusal(ward.service.get(f"{path}?_summary=count")) == (400, "value")


def test_published_definitions_have_summaries(ward: Clinic) -> None:
    found = ward.service.get("StructureDefinition/comm-thread?_summary=true").json()
    assert "differential" not in found
    assert found["url"]
    assert set(ward.service.get("metadata?_elements=url").json()) >= {"url", "status", "kind"}


def test_a_part_is_never_stored(clinic: Clinic) -> None:
    clinic.service.put(ORGANIZATION)
    part = clinic.service.get("Organization/o?_elements=name").json()
    for answer in (
        clinic.service.put(part),
        clinic.service.post(part),
        clinic.service.put(part, "Organization?name=north"),
        send(clinic.service, "PUT", "Organization/o", part, accept=JSON),
    ):
        assert refusal(answer) == (422, "business-rule")
        assert answer.json()["issue"][0]["expression"] == ["Organization.meta.tag"]
    tag = [{"op": "add", "path": "/meta/tag", "value": part["meta"]["tag"]}]
    kind = "application/json-patch+json"
    patched = clinic.service.ask("PATCH", "Organization/o", json.dumps(tag), content_type=kind)
    assert refusal(patched) == (422, "business-rule")
    assert stored(clinic.service.get("Organization/o"))["telecom"]


@pytest.mark.parametrize(
    "body",
    [
        '{"resourceType":"Parameters","parameter":"x"}',
        '{"resourceType":"Parameters","parameter":[{"name":["x"]}]}',
        '{"resourceType":"Parameters","parameter":[{"name":"x","valueFuture":1}]}',
        '{"resourceType":"ValueSet","status":"active","name":{"a":1}}',
        '{"resourceType":"Future"}',
        "{}",
    ],
)
async def test_what_another_server_answered_and_r4_does_not_know(body: str) -> None:
    reply = Reply(200, body.encode(), CONTENT)
    scope: Any = {"method": "GET", "path": "/x", "query_string": b"", "headers": []}
    assert await represented(reply, Request(scope, nothing, 0)) is reply
    scope = {**scope, "query_string": b"_format=xml"}
    with pytest.raises(Problem) as caught:
        await represented(reply, Request(scope, nothing, 0))
    assert caught.value.status == 406


async def nothing() -> Any:
    raise AssertionError


def test_what_a_write_answers_is_whole(clinic: Clinic) -> None:
    answer = clinic.service.put(ORGANIZATION, "Organization/o?_summary=true&_elements=x")
    assert answer.json()["telecom"] == ORGANIZATION["telecom"]


@pytest.mark.parametrize(
    "body", ['{"resourceType":"\\u0000"}', '{"resourceType":"Patient","\\u0000":1,"\\u0000":2}']
)
@pytest.mark.parametrize("query", ["", "?_format=xml", "?_pretty=true"])
def test_a_refusal_of_nul_has_every_form(clinic: Clinic, query: str, body: str) -> None:
    answer = clinic.service.ask("POST", f"Patient{query}", body, content_type=JSON)
    assert answer.status_code == 400
    assert "NUL" in answer.text or "twice" in answer.text
    assert "\0" not in answer.text
    assert "u0000" not in answer.text
