"""Text that would be SQL, a LIKE pattern, a JSON path or a format, wherever a client can put text.

Each payload is stored as data. If it is text to the server too, then searching for it finds it and
nothing else: what is found is compared with what a plain reading of the same world finds.
Forged cursors are in tests/bad_input/test_cursors.py.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from fhir_server.definitions.model import Definitions
from tests.bad_input.faces import told, well_shaped
from tests.conftest import NewClinic
from tests.search.naive_values import fold
from tests.support.clinic import FHIR, Clinic, Person, Resource, message, thread

PAYLOADS = (
    "' OR '1'='1", "'; DROP TABLE patient; --", '") OR 1=1 --',
    "' union select body from patient--", "%", "_", "%%", "a%b", "a_b", "axb", "ab", "100%", "%a",
    "a%", "\\", "\\\\", "\\%", "\\_", "\\'", "a\\", "$1", "$$", "$a$", ":x", ":id", "%s", "%(x)s",
    "{0}", "{x}", "${x}", "#{x}", "?", "??", "?|", "x' AND PG_SLEEP(5)--", "E'\\x27'",
    "U&'\\0027'", "\u2019 OR 1=1", "\u02bc OR 1=1", "\uff07 OR 1=1", "||chr(65)||", "/*", "*/",
    "/**/", "--", "#", ";", "`x`", '"x"', "$.x", "$[*]", "$.** ? (@ == 1)", "[0]", "x[*].y",
    "{a,b}", "{}", "NULL", "null", "true", "0", "-1", "1e999", "a|b", "a,b", "a&b", "a=b", "<x>",
    "{{7*7}}", "🙂", "\u202eabc", "a\u200bb", "&", "!", "(a)", "a:*", "a:b", "a<->b",
)  # fmt: skip
EVERYTHING = len(PAYLOADS)


def escaped(text: str) -> str:
    """https://hl7.org/fhir/R4/search.html#escaping"""
    return re.sub(r"([\\,$|])", r"\\\1", text)


def patient(number: int, payload: str) -> Resource:
    """The payload wherever text may stand; `&` in none of the parts that are codes."""
    return {
        "resourceType": "Patient",
        "id": f"p{number}",
        "name": [{"family": payload, "given": [f"g{number}"]}],
        "address": [{"city": payload}],
        "identifier": [{"system": "urn:payload", "value": payload}],
        "telecom": [{"system": "phone", "value": payload}],
    }


class World:
    """The payloads, each in a Patient of its own, in a tenant with some other resources."""

    def __init__(self, clinic: Clinic) -> None:
        self.clinic, self.caller = clinic, clinic.service
        entries = [
            {"resource": patient(n, payload), "request": {"method": "PUT", "url": f"Patient/p{n}"}}
            for n, payload in enumerate(PAYLOADS)
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        answer = self.caller.post(bundle, FHIR)
        assert answer.status_code == 200, answer.text
        self.thread = clinic.amina.created(thread("Practitioner/farid"))
        clinic.amina.created(message(self.thread))

    def found(self, *criteria: tuple[str, str]) -> set[str]:
        """The ids of the payloads that a search finds."""
        query = urlencode([*criteria, ("_count", "500"), ("identifier", "urn:payload|")])
        return self.caller.ids(f"Patient?{query}")


@pytest.fixture(scope="module")
def world(new_clinic: NewClinic) -> World:
    return World(new_clinic())


def meant(test: Any) -> set[str]:
    """The ids of the payloads for which the plain reading says so."""
    return {f"p{n}" for n, payload in enumerate(PAYLOADS) if test(payload)}


def test_each_payload_finds_itself_and_what_a_plain_reading_finds(world: World) -> None:
    for asked in PAYLOADS:
        value, folded = escaped(asked), fold(asked)
        equal = meant(lambda p, a=asked: p == a)
        begins = meant(lambda p, f=folded: fold(p).startswith(f))
        holds = meant(lambda p, f=folded: f in fold(p))
        assert world.found(("family:exact", value)) == equal, asked
        assert world.found(("identifier", f"urn:payload|{value}")) == equal, asked
        assert world.found(("family", value)) == begins, asked
        assert world.found(("family:contains", value)) == holds, asked


def test_each_payload_is_text_to_a_filter(world: World) -> None:
    for asked in PAYLOADS:
        quoted = '"' + asked.replace("\\", "\\\\").replace('"', '\\"') + '"'
        folded = fold(asked)
        for operator, test in (
            ("co", lambda p, f=folded: f in fold(p)),
            ("sw", lambda p, f=folded: fold(p).startswith(f)),
            ("ew", lambda p, f=folded: fold(p).endswith(f)),
        ):
            assert world.found(("_filter", f"family {operator} {quoted}")) == meant(test), asked


def test_the_other_ways_to_ask_find_no_more(world: World) -> None:
    for asked in PAYLOADS[::3]:
        value, holds = escaped(asked), meant(lambda p, a=asked: p == a)
        assert holds <= world.found(("address-city", value), ("family:exact", value))
        assert world.found(("family:exact", value), ("given", "nobody")) == set()
        chained = f"Communication?{urlencode([('subject:Patient.family:exact', value)])}"
        assert world.caller.ids(chained) == set()
        reverse = f"Practitioner?{urlencode([('_has:Communication:sender:topic:text', value)])}"
        answer = world.caller.get(reverse)
        well_shaped(answer)


def test_a_negation_is_the_rest(world: World) -> None:
    for asked in PAYLOADS[:20]:
        equal = meant(lambda p, a=asked: p == a)
        rest = world.found(("identifier:not", f"urn:payload|{escaped(asked)}"))
        assert rest == meant(lambda _: True) - equal


# Where a name stands rather than a value: none but those that are declared is one.
NAMES = (
    "_sort", "_elements", "_include", "_revinclude", "_include:iterate", "_type", "_summary",
    "_total", "_count", "_format", "_pretty", "_cursor", "_list", "_text", "_content", "_filter",
    "_has", "_lastUpdated", "_contained", "_since", "_at", "_query", "birthdate",
    "birthdate:missing",
    "general-practitioner", "general-practitioner:Practitioner.name", "name:below", "identifier:in",
    "identifier:of-type", "identifier:text", "deceased", "_id", "_tag", "_profile", "_security",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_payload_for_a_name_is_answered_or_refused(world: World, name: str) -> None:
    before = world.found()
    for payload in (
        *PAYLOADS[::3],
        "\x01",
        "\ud800",
        "a" * 3000,
        "-family'--",
        "family,(select 1)",
    ):
        # A lone surrogate, as three bytes.
        value = quote(payload.encode("utf-8", "surrogatepass"))
        for query in (f"{name}={value}", f"{value}=x", f"family:{value}=x", f"family.{value}=x"):
            well_shaped(world.caller.get(f"Patient?{query}"))
            if name != NAMES[0]:
                break
    assert world.found() == before


def test_every_search_parameter_takes_payloads_as_text(
    world: World, definitions: Definitions
) -> None:
    """Each of every type; none of them finds what does not hold it."""
    at = 0
    for served in definitions.types.values():
        for parameter in served.search.values():
            payload = PAYLOADS[at % EVERYTHING]
            at += 1
            query = urlencode([(parameter.code, escaped(payload)), ("_count", "5")])
            answer = world.caller.get(f"{served.name}?{query}")
            well_shaped(answer)
            if answer.status_code == 200 and served.name not in ("Patient", "AuditEvent"):
                found = [
                    e for e in answer.json().get("entry", ()) if e["search"]["mode"] == "match"
                ]
                assert not found or _says(found, payload), told(answer)


def _says(found: list[Any], payload: str) -> bool:
    """Whether what was found has to do with the payload at all: booleans, codes and words may."""
    return payload.strip("%_-#;!?$").strip() in str(found)


MODIFIERS = (
    "exact",
    "contains",
    "text",
    "not",
    "missing",
    "in",
    "not-in",
    "above",
    "below",
    "type",
)


@pytest.mark.parametrize("modifier", [*MODIFIERS, "of-type", "identifier", "' OR 1=1 --", "%"])
def test_every_modifier_takes_payloads_as_text(world: World, modifier: str) -> None:
    for name in ("family", "identifier", "birthdate", "general-practitioner", "_profile", "_id"):
        for payload in PAYLOADS[::6]:
            query = urlencode([(f"{name}:{modifier}", payload), ("_count", "1")])
            well_shaped(world.caller.get(f"Patient?{query}"))


def test_payloads_in_paths_and_headers_are_text(world: World) -> None:
    caller = world.caller
    for payload in PAYLOADS[::2]:
        path = quote(payload, safe="")
        for at in (f"Patient/{path}", f"Patient/p0/_history/{path}", f"{path}", f"Patient/${path}"):
            well_shaped(caller.get(at))
        value = payload.encode("ascii", "ignore").decode().strip()
        for name in ("if_match", "if_none_match", "if_modified_since", "prefer", "accept"):
            well_shaped(caller.get("Patient/p0", **{name: value}))


def test_payloads_in_v1_are_text(world: World) -> None:
    amina, number = world.clinic.amina, world.thread["id"]
    for payload in PAYLOADS:
        path = quote(payload, safe="")
        answer = amina.v1("GET", f"threads/thr_{path}")
        assert answer.status_code in (400, 404), told(answer)
        sent = amina.v1("POST", f"threads/thr_{number}/messages", {"body": payload})
        assert sent.status_code == 201, told(sent)
        well_shaped(amina.v1("GET", f"threads?{urlencode([('cursor', payload)])}"))
        assert amina.v1("GET", f"threads?cursor={path}").status_code == 400
    bodies = []
    cursor = ""
    while True:
        answer = amina.v1("GET", f"threads/thr_{number}/messages?limit=100{cursor}").json()
        bodies += [item["body"] for item in answer["items"]]
        if "nextCursor" not in answer:
            break
        cursor = f"&cursor={answer['nextCursor']}"
    assert sorted(bodies) == sorted([*PAYLOADS, "Hello"])


def test_payloads_in_patches_are_paths_or_text(world: World) -> None:
    caller = world.caller
    before = caller.get("Patient/p0").json()
    kept = {name: value for name, value in before.items() if name != "meta"}
    for payload in PAYLOADS[::2]:
        answers = [
            _json_patch(caller, [{"op": "test", "path": f"/{payload}", "value": payload}]),
            _json_patch(caller, [{"op": "remove", "path": f"/name/0/{payload}"}]),
            _fhirpath_patch(caller, f"Patient.name.where(family = '{payload}')"),
            _fhirpath_patch(caller, f"Patient.{payload}"),
        ]
        for answer in answers:
            well_shaped(answer)
    after = caller.get("Patient/p0").json()
    assert {name: value for name, value in after.items() if name != "meta"} == kept


def _json_patch(caller: Person, steps: list[Resource]) -> Any:
    kind = "application/json-patch+json"
    return caller.ask("PATCH", "Patient/p0", json.dumps(steps), content_type=kind)


def _fhirpath_patch(caller: Person, path: str) -> Any:
    parts = [{"name": "type", "valueCode": "delete"}, {"name": "path", "valueString": path}]
    body = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}
    # Against a version that there is not: it is read, and never done.
    return caller.ask(
        "PATCH", "Patient/p0", json.dumps(body), content_type="application/fhir+json",
        if_match='W/"999"',
    )  # fmt: skip
