"""Every interaction of every type: what /metadata claims works, what it does not is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import httpx
import pytest

from fhir_server.definitions.facts import PUBLISHED_TYPES
from tests.capability.instances import smallest
from tests.capability.statement import Json, codes, declared, facts, types_of
from tests.support.clinic import Clinic, Resource, reference, refusal
from tests.support.until import until

TYPES = sorted(types_of(declared()))
STORED = [type for type in TYPES if type not in PUBLISHED_TYPES]
# The server alone writes the others, such as the audit trail.
WRITABLE = [type for type in STORED if "create" in codes(types_of(declared())[type]["interaction"])]
REFUSED = {400, 404, 405, 422}
PATCH = json.dumps([{"op": "add", "path": "/language", "value": "en"}])
PATCHING = {"content_type": "application/json-patch+json"}
Ask = Callable[[Clinic, Resource], httpx.Response]

# R4's interactions on a type, and what they answer. https://hl7.org/fhir/R4/http.html
INTERACTIONS: dict[str, tuple[Ask, int]] = {
    "create": (lambda w, r: w.service.post(without_id(r)), 201),
    "read": (lambda w, r: w.service.get(reference(r)), 200),
    "vread": (lambda w, r: w.service.get(f"{reference(r)}/_history/1"), 200),
    "search-type": (lambda w, r: w.service.get(f"{r['resourceType']}?_id={r['id']}"), 200),
    "history-instance": (lambda w, r: w.service.get(f"{reference(r)}/_history"), 200),
    "history-type": (lambda w, r: w.service.get(f"{r['resourceType']}/_history"), 200),
    "update": (lambda w, r: w.service.put(r), 200),
    "patch": (lambda w, r: w.service.ask("PATCH", reference(r), PATCH, **PATCHING), 200),
    "delete": (lambda w, r: w.service.delete(reference(r)), 204),
}


def without_id(resource: Resource) -> Resource:
    return {key: value for key, value in resource.items() if key not in ("id", "meta")}


def instance(ward: Clinic, type: str) -> Resource:
    """One of the type: stored, or made by the server itself."""
    if type in WRITABLE:
        return ward.service.created(smallest(facts(), type))
    found: Resource = asyncio.run(made(ward, type))[0]["resource"]
    return found


async def made(ward: Clinic, type: str) -> list[Json]:
    """What the server made itself, which it does in its own time."""
    listed: list[Json] = []

    async def any_is() -> bool:
        listed[:] = ward.service.get(f"{type}?_count=1").json().get("entry", ())
        return bool(listed)

    await until(any_is)
    return listed


def test_what_is_served_is_what_is_declared(claims: dict[str, Json]) -> None:
    assert sorted(claims) == TYPES
    for claim in claims.values():
        assert codes(claim["interaction"]) <= set(INTERACTIONS)


@pytest.mark.parametrize("interaction", INTERACTIONS)
@pytest.mark.parametrize("type", TYPES)
def test_an_interaction(ward: Clinic, claims: dict[str, Json], type: str, interaction: str) -> None:
    ask, status = INTERACTIONS[interaction]
    answer = ask(ward, instance(ward, type))
    if interaction in codes(claims[type]["interaction"]):
        assert answer.status_code == status, answer.text
    else:
        assert refusal(answer)[0] in REFUSED


@pytest.mark.parametrize("type", sorted(facts().resource_types - set(TYPES)))
def test_a_type_that_is_not_claimed_is_unknown(ward: Clinic, type: str) -> None:
    there: Resource = {"resourceType": type, "id": "x"}
    for ask, _ in INTERACTIONS.values():
        assert refusal(ask(ward, there)) == (404, "not-found")


@pytest.mark.parametrize("type", TYPES)
def test_versions(ward: Clinic, claims: dict[str, Json], type: str) -> None:
    claim, there = claims[type], instance(ward, type)
    answer = ward.service.get(reference(there))
    assert claim["versioning"] in ("versioned", "no-version")
    assert ("etag" in answer.headers) == (claim["versioning"] == "versioned")
    if claim["versioning"] == "versioned":
        assert there["meta"]["versionId"] == "1"
        if type in WRITABLE:
            assert refusal(ward.service.put(there, if_match='W/"2"')) == (412, "conflict")
        ward.service.put({**there, "language": "en"})
    past = ward.service.get(f"{reference(there)}/_history/1")
    assert (past.status_code == 200) == claim["readHistory"]


@pytest.mark.parametrize("type", TYPES)
def test_an_update_that_creates(ward: Clinic, claims: dict[str, Json], type: str) -> None:
    body = {**instance(ward, type), "id": "chosen"}
    answer = ward.service.put(body)
    if claims[type]["updateCreate"]:
        assert answer.status_code == 201
    else:
        assert refusal(answer)[0] in REFUSED


@pytest.mark.parametrize("type", TYPES)
def test_a_conditional_create_and_update(ward: Clinic, claims: dict[str, Json], type: str) -> None:
    claim, there = claims[type], instance(ward, type)
    criteria = f"_id={there['id']}"
    created = ward.service.post(without_id(there), if_none_exist=criteria)
    updated = ward.service.put(without_id(there), f"{type}?{criteria}")
    for answer, claimed in ((created, "conditionalCreate"), (updated, "conditionalUpdate")):
        if claim[claimed]:
            assert (answer.status_code, answer.json()["id"]) == (200, there["id"]), answer.text
        else:
            assert refusal(answer)[0] in REFUSED


@pytest.mark.parametrize("type", TYPES)
def test_a_conditional_read(ward: Clinic, claims: dict[str, Json], type: str) -> None:
    there = instance(ward, type)
    seen = ward.service.get(reference(there))
    if claims[type]["conditionalRead"] == "full-support":
        for header in (
            {"if_none_match": seen.headers["etag"]},
            {"if_modified_since": seen.headers["last-modified"]},
        ):
            assert ward.service.get(reference(there), **header).status_code == 304
    else:
        assert claims[type]["conditionalRead"] == "not-supported"
        assert ward.service.get(reference(there), if_none_match='W/"1"').status_code == 200


@pytest.mark.parametrize("type", TYPES)
def test_a_conditional_delete(ward: Clinic, claims: dict[str, Json], type: str) -> None:
    claimed = claims[type]["conditionalDelete"]
    one, other = (instance(ward, type) for _ in range(2))
    several = ward.service.delete(f"{type}?_id={one['id']},{other['id']}&_count=2")
    single = ward.service.delete(f"{type}?_id={one['id']}")
    assert several.status_code == 200 if claimed == "multiple" else refusal(several)[0] in REFUSED
    if claimed == "not-supported":
        assert refusal(single)[0] in REFUSED
    else:
        assert single.status_code == 204
        assert ward.service.get(reference(one)).status_code == 410


@pytest.mark.parametrize("type", WRITABLE)
def test_references(ward: Clinic, claims: dict[str, Json], type: str) -> None:
    """https://hl7.org/fhir/R4/valueset-reference-handling-policy.html"""
    claimed = set(claims[type]["referencePolicy"])
    assert claimed <= {"literal", "logical", "local"}
    extension = "https://example.org/StructureDefinition/about"
    for policy, value in (
        ("literal", {"reference": "Patient/zahra"}),
        ("logical", {"identifier": {"system": "https://example.org/mrn", "value": "1"}}),
        ("local", {"reference": "https://example.org/fhir/Patient/x"}),
    ):
        about: Resource = {"extension": [{"url": extension, "valueReference": value}]}
        answer = ward.service.post({**smallest(facts(), type), "meta": about})
        taken = answer.status_code == 201
        # `local` says that references to other servers are not taken.
        assert taken == ((policy in claimed) == (policy != "local")), policy
