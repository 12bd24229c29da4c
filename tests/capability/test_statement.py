"""/metadata as a whole: valid, of this server, and true of what concerns no single type."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from fhir_server import __version__
from fhir_server.declarations import read_declarations
from fhir_server.settings import Settings
from tests.auth.issuer import AUDIENCE, serving
from tests.capability.instances import smallest
from tests.capability.statement import Json, codes, declared, facts, names, types_of
from tests.support.clinic import JSON, Clinic, Resource, message, reference, refusal, thread
from tests.support.server import listening
from tests.terminology.test_claims import QUESTIONS

TYPES = types_of(declared())
FORM = "application/x-www-form-urlencoded"
OPERATIONS = sorted(
    (type, operation["name"]) for type in TYPES for operation in TYPES[type].get("operation", ())
)
# Every operation of R4. https://hl7.org/fhir/R4/operationslist.html
OFFICIAL: dict[str, tuple[str, ...]] = {
    "": ("convert", "meta", "graphql", "versions", "process-message", "closure", "translate"),
    "*": ("validate", "meta", "meta-add", "meta-delete", "graphql"),
    "ActivityDefinition": ("apply", "data-requirements"),
    "CapabilityStatement": ("implements", "subset", "conforms"),
    "ChargeItemDefinition": ("apply",),
    "Claim": ("submit",),
    "CodeSystem": ("lookup", "subsumes", "validate-code", "find-matches"),
    "Composition": ("document",),
    "ConceptMap": ("closure", "translate"),
    "CoverageEligibilityRequest": ("submit",),
    "Encounter": ("everything",),
    "Group": ("everything",),
    "Library": ("data-requirements",),
    "List": ("find",),
    "Measure": (
        "evaluate-measure",
        "data-requirements",
        "submit-data",
        "collect-data",
        "care-gaps",
    ),
    "MedicinalProduct": ("everything",),
    "MessageHeader": ("process-message",),
    "NamingSystem": ("preferred-id",),
    "Observation": ("stats", "lastn"),
    "Patient": ("match", "everything"),
    "PlanDefinition": ("apply", "data-requirements"),
    "Resource": ("convert",),
    "StructureDefinition": ("snapshot", "questionnaire"),
    "StructureMap": ("transform",),
    "ValueSet": ("expand", "validate-code"),
}
PARAMETERS = '{"resourceType": "Parameters"}'


def bundle(kind: str) -> str:
    entry = {"request": {"method": "GET", "url": "Patient/zahra"}}
    return json.dumps({"resourceType": "Bundle", "type": kind, "entry": [entry]})


def test_it_is_valid(statement: Json) -> None:
    issues = read_declarations().validator.validate(statement, ())
    assert [issue for issue in issues if issue.severity in ("fatal", "error")] == []


def test_it_is_this_servers(statement: Json, server_url: str, ward: Clinic) -> None:
    assert statement["kind"] == "instance"
    assert statement["fhirVersion"] == "4.0.1"
    assert statement["implementation"]["url"] == f"{server_url}/fhir/R4"
    assert statement["software"] == {"name": "fhir-server", "version": __version__}
    assert statement["date"] <= ward.service.get("Patient/zahra").json()["meta"]["lastUpdated"]


def test_what_it_names_is_there(ward: Clinic, statement: Json) -> None:
    """Definitions of the server's own; those of HL7 stand at hl7.org."""
    resources = statement["rest"][0]["resource"]
    profiles = {url for one in resources for url in one.get("supportedProfile", ())}
    operations = {o["definition"] for one in resources for o in one.get("operation", ())}
    own = {url for url in operations if not url.startswith("http://hl7.org/")}
    for type, urls in (("StructureDefinition", profiles), ("OperationDefinition", own)):
        for url in urls:
            assert len(ward.service.ids(f"{type}?url={url}")) == 1, url


FORMATS = {
    "application/fhir+json": "json",
    "application/fhir+xml": "xml",
    "application/fhir+turtle": "ttl",
    "text/html": "html",
}


@pytest.mark.parametrize("format", FORMATS)
def test_formats(ward: Clinic, statement: Json, format: str) -> None:
    claimed, short = set(statement["format"]), FORMATS[format]
    assert claimed <= {
        *FORMATS,
        *FORMATS.values(),
        "application/json",
        "application/xml",
        "text/xml",
    }
    assert (format in claimed) == (short in claimed)
    for path in ("Patient/zahra", "Patient?_id=zahra", "Patient/zahra/_history", "metadata"):
        mark = "&" if "?" in path else "?"
        for answer in (
            ward.service.get(path, accept=format),
            ward.service.get(f"{path}{mark}_format={short}"),
            ward.service.get(f"{path}{mark}_format={quote(format)}", accept="image/png"),
        ):
            if format in claimed:
                assert answer.status_code == 200, answer.text
                assert answer.headers["content-type"].partition(";")[0] == format
            else:
                assert refusal(answer) == (406, "not-supported")


FHIRPATH = [
    {"name": "type", "valueCode": "replace"},
    {"name": "path", "valueString": "Organization.name"},
    {"name": "value", "valueString": "South"},
]
STEPS: Resource = {
    "resourceType": "Parameters",
    "parameter": [{"name": "operation", "part": FHIRPATH}],
}
STEPS_XML = (
    '<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/>'
    '<part><name value="type"/><valueCode value="replace"/></part>'
    '<part><name value="path"/><valueString value="Organization.name"/></part>'
    '<part><name value="value"/><valueString value="South"/></part></parameter></Parameters>'
)
PATCHES = {
    "application/json-patch+json": json.dumps(
        [{"op": "replace", "path": "/name", "value": "South"}]
    ),
    "application/fhir+json": json.dumps(STEPS),
    "application/merge-patch+json": json.dumps({"name": "South"}),
    "application/fhir+xml": STEPS_XML,
    "application/xml-patch+xml": '<diff><replace sel="name/@value">South</replace></diff>',
}


@pytest.mark.parametrize("format", PATCHES)
def test_patch_formats(ward: Clinic, statement: Json, format: str) -> None:
    assert set(statement["patchFormat"]) <= set(PATCHES)
    there = ward.service.created({"resourceType": "Organization", "name": "North"})
    answer = ward.service.ask("PATCH", reference(there), PATCHES[format], content_type=format)
    if format in statement["patchFormat"]:
        assert (answer.status_code, answer.json()["name"]) == (200, "South"), answer.text
    else:
        assert refusal(answer) == (415, "not-supported")


SYSTEM = ("transaction", "batch", "history-system", "search-system")


@pytest.mark.parametrize("interaction", SYSTEM)
def test_interactions_of_the_whole_system(ward: Clinic, statement: Json, interaction: str) -> None:
    claimed = codes(statement["rest"][0].get("interaction"))
    assert claimed <= set(SYSTEM)
    if interaction in ("transaction", "batch"):
        answers = [ward.service.ask("POST", "", bundle(interaction), content_type=JSON)]
        kind = f"{interaction}-response"
    elif interaction == "history-system":
        answers, kind = [ward.service.get("_history?_count=1")], "history"
    else:
        posted = ward.service.ask("POST", "_search", "_type=Patient&_count=1", content_type=FORM)
        answers, kind = [ward.service.get("?_type=Patient&_count=1"), posted], "searchset"
    for answer in answers:
        if interaction in claimed:
            assert (answer.status_code, answer.json()["type"]) == (200, kind), answer.text
        else:
            assert refusal(answer)[0] in (400, 404, 405)


@pytest.mark.parametrize(("type", "name"), OPERATIONS)
def test_a_claimed_operation(ward: Clinic, type: str, name: str) -> None:
    if (type, name) == ("Communication", "mark-read"):
        header = ward.amina.created(thread())
        answer = ward.farid.read(header, ward.amina.created(message(header)))
    elif name == "validate":
        answer = ward.service.post(smallest(facts(), type), f"{type}/$validate")
    elif (type, name) in QUESTIONS:
        answer = ward.service.get(f"{type}/${name}?{QUESTIONS[type, name]}")
    else:
        there = ward.service.created(smallest(facts(), type))
        answer = ward.service.get(f"{reference(there)}/${name}")
    assert answer.status_code == 200, answer.text
    assert answer.json()["resourceType"] != "OperationOutcome" or name == "validate"


def test_an_operation_that_is_not_claimed(
    ward: Clinic, statement: Json, claims: dict[str, Json]
) -> None:
    rest = statement["rest"][0]
    for name in sorted({*OFFICIAL[""], "nothing"} - names(rest.get("operation"))):
        for answer in (ward.service.get(f"${name}"), operation(ward, f"${name}")):
            assert refusal(answer)[0] in (404, 405), name
    for type, claim in claims.items():
        known = {*OFFICIAL["*"], *OFFICIAL.get(type, ()), *OFFICIAL["Resource"], "nothing"}
        for name in sorted(known - names(claim.get("operation"))):
            for path in (f"{type}/${name}", f"{type}/x/${name}"):
                for answer in (ward.service.get(path), operation(ward, path)):
                    assert refusal(answer)[0] in (404, 405), path


def operation(ward: Clinic, path: str) -> httpx.Response:
    return ward.service.ask("POST", path, PARAMETERS, content_type=JSON)


def test_the_versions_operation(client: httpx.Client, statement: Json) -> None:
    assert names(statement["rest"][0]["operation"]) == {"versions"}
    told = {p["name"]: p["valueCode"] for p in client.get("/fhir/R4/$versions").json()["parameter"]}
    assert statement["fhirVersion"].startswith(told["version"])


def test_security_says_what_is_configured(
    client: httpx.Client, settings_of_tests: Settings
) -> None:
    """CORS where origins are let in, SMART where an issuer signs apps in; a token everywhere."""
    smart = "/fhir/R4/.well-known/smart-configuration"
    page = {"Origin": "https://app.example.org"}

    def told(server: httpx.Client) -> tuple[bool, bool]:
        answer = server.get("/fhir/R4/metadata", headers=page)
        security: dict[str, Any] = answer.json()["rest"][0]["security"]
        coded = {coding["code"] for s in security.get("service", ()) for coding in s["coding"]}
        assert security["cors"] is ("access-control-allow-origin" in answer.headers)
        assert ("SMART-on-FHIR" in coded) is (server.get(smart).status_code == 200)
        assert server.get("/fhir/R4/Patient/x").headers["www-authenticate"].startswith("Bearer")
        return security["cors"], "SMART-on-FHIR" in coded

    assert told(client) == (False, False)
    with serving() as issuer:
        more = {
            "cors_origins": page["Origin"],
            "oidc_issuer": issuer.url,
            "oidc_audience": AUDIENCE,
        }
        with (
            listening(settings_of_tests.model_copy(update=more)) as address,
            httpx.Client(base_url=address) as configured,
        ):
            assert told(configured) == (True, True)
