"""Every search parameter and include: what /metadata claims is taken, what it does not is 400."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from fhir_server.definitions.facts import PUBLISHED_TYPES
from tests.capability.statement import (
    Json,
    chunks,
    codes,
    declared,
    facts,
    names,
    official,
    types_of,
    value_of,
)
from tests.support.clinic import Clinic, refusal

DECLARED = types_of(declared())
TYPES = sorted(DECLARED)
# An answer of a search takes a few milliseconds; all includes one by one would take a minute.
AT_ONCE = 12
FORM = "application/x-www-form-urlencoded"


# These are part of a parameter's name, or of a search of the whole system.
ELSEWHERE = frozenset({"_has", "_type"})


def components(type: str, name: str) -> Any:
    return official(type).get(name, {}).get("components", ())


@pytest.mark.parametrize("type", TYPES)
def test_every_claimed_parameter_is_taken(ward: Clinic, claims: dict[str, Json], type: str) -> None:
    for claim in claims[type].get("searchParam", ()):
        name = claim["name"]
        value = value_of(name, claim["type"], components(type, name), type)
        answer = ward.service.get(f"{type}?{name}={quote(value)}&_count=1")
        assert answer.status_code == 200, f"{name}: {answer.text}"
        (self_,) = [link["url"] for link in answer.json()["link"] if link["relation"] == "self"]
        assert name in dict(parse_qsl(urlsplit(self_).query)), name


@pytest.mark.parametrize("type", TYPES)
def test_a_claimed_parameter_is_what_its_definition_says(
    ward: Clinic, claims: dict[str, Json], type: str
) -> None:
    for claim in claims[type].get("searchParam", ()):
        known = official(type).get(claim["name"])
        if known is None or known["url"] != claim["definition"]:
            # One of the server's own, which it publishes.
            found = ward.service.get(f"SearchParameter?url={claim['definition']}").json()
            known = found["entry"][0]["resource"]
        assert (known["code"], known["type"]) == (claim["name"], claim["type"])


def of_all(statement: Json, type: str) -> dict[str, str]:
    """What the statement says that every stored type is searched by: names and their types."""
    listed = statement["rest"][0].get("searchParam", ())
    return {} if type in PUBLISHED_TYPES else {each["name"]: each["type"] for each in listed}


@pytest.mark.parametrize("type", TYPES)
def test_a_parameter_claimed_for_all_types_is_taken(
    ward: Clinic, statement: Json, claims: dict[str, Json], type: str
) -> None:
    claimed = of_all(statement, type)
    for name in claimed.keys() - ELSEWHERE:
        value = quote(value_of(name, claimed[name]))
        answer = ward.service.get(f"{type}?{name}={value}&_count=1")
        assert answer.status_code == 200, f"{name}: {answer.text}"
    if "_has" in claimed:
        referring = claims[type]["searchRevInclude"][-1]
        answer = ward.service.get(f"{type}?_has:{referring}:_id=x")
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("type", TYPES)
def test_a_parameter_that_is_not_claimed_is_400(
    ward: Clinic, statement: Json, claims: dict[str, Json], type: str
) -> None:
    known = {*official(type), "nothing", "_nothing"}
    claimed = names(claims[type].get("searchParam")) | of_all(statement, type).keys()
    for name in sorted(known - claimed):
        kind = official(type).get(name, {}).get("type", "string")
        value = quote(value_of(name, kind, components(type, name), type))
        assert refusal(ward.service.get(f"{type}?{name}={value}"))[0] == 400, name
        posted = ward.service.ask("POST", f"{type}/_search", f"{name}={value}", content_type=FORM)
        assert refusal(posted)[0] == 400, name


@pytest.mark.parametrize("word", ["_include", "_revinclude"])
@pytest.mark.parametrize("type", TYPES)
def test_includes(ward: Clinic, claims: dict[str, Json], type: str, word: str) -> None:
    claimed = claims[type].get({"_include": "searchInclude"}.get(word, "searchRevInclude"), ())
    for some in chunks(sorted(claimed), AT_ONCE):
        query = "&".join(f"{word}={value}" for value in some)
        answer = ward.service.get(f"{type}?_count=1&{query}")
        assert answer.status_code == 200, answer.text
    others = [
        f"{type}:{p['name']}" for p in claims[type]["searchParam"] if p["type"] != "reference"
    ]
    unknown = min(facts().resource_types - claims.keys())
    for value in (*others, "*", f"{type}:nothing", f"{unknown}:subject", "Nothing:x"):
        if value not in claimed:
            assert refusal(ward.service.get(f"{type}?{word}={value}"))[0] == 400, value


@pytest.mark.parametrize("type", TYPES)
def test_a_reference_that_is_not_claimed_is_not_included(
    ward: Clinic, claims: dict[str, Json], type: str
) -> None:
    """So every reference that works is claimed, where the search of the type includes at all."""
    own = {f"{type}:{p['name']}" for p in claims[type]["searchParam"] if p["type"] == "reference"}
    for value in sorted(own - set(claims[type].get("searchInclude", ()))):
        assert refusal(ward.service.get(f"{type}?_include={value}"))[0] == 400, value


@pytest.mark.parametrize("owner", sorted(facts().compartments))
def test_compartments(ward: Clinic, statement: Json, claims: dict[str, Json], owner: str) -> None:
    """https://hl7.org/fhir/R4/compartmentdefinition.html"""
    urls = statement["rest"][0].get("compartment", ())
    claimed = owner.lower() in {url.rpartition("/")[2].lower() for url in urls}
    inside = facts().compartments[owner]
    for type in TYPES:
        path = f"{owner}/zahra/{type}"
        for answer in (
            ward.service.get(path),
            ward.service.ask("POST", f"{path}/_search", "", content_type=FORM),
        ):
            if claimed and type in inside and "search-type" in codes(claims[type]["interaction"]):
                assert answer.status_code == 200, answer.text
            else:
                assert refusal(answer)[0] in (404, 405), path


@pytest.mark.parametrize("type", TYPES)
def test_a_type_without_a_compartment(ward: Clinic, type: str) -> None:
    if type not in facts().compartments:
        assert refusal(ward.service.get(f"{type}/x/{TYPES[0]}"))[0] in (404, 405)
