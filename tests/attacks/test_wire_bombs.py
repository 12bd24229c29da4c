"""Small requests that would become large work: nothing is unpacked, and what is read is counted.

Entities in XML: tests/fhir/xml. Nesting and numbers: tests/bad_input/test_bodies.py. Searches:
tests/bad_input/test_queries.py. Archives in attachments are the scanner's: docs/security.md.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from time import process_time

import httpx
import orjson
import pytest

from fhir_server.definitions.shapes import r4_shapes
from fhir_server.fhir import xml
from fhir_server.fhir.json import MOST_VALUES, parse
from fhir_server.problems import Problem
from fhir_server.store.values.words import plain
from tests.bad_input.faces import refused, told, well_shaped
from tests.conftest import NewClinic
from tests.support.clinic import Clinic, message, refer, thread

SIZE = 20_000_000
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "GZIP": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "gzip, gzip": lambda data: gzip.compress(gzip.compress(data)),
    "identity, gzip": gzip.compress,
    "gzip, identity": gzip.compress,
    '"gzip"': gzip.compress,
    "gzip;q=1": gzip.compress,
    "br": bytes,
    "zstd": bytes,
    "compress": bytes,
    "aes128gcm": bytes,
    "chunked": bytes,
    "nonsense": bytes,
    "*": bytes,
}


@pytest.fixture(scope="module")
def clinic(new_clinic: NewClinic) -> Clinic:
    return new_clinic()


def targets() -> list[tuple[str, str, str]]:
    """Where a body can go: method, path, type."""
    fhir, v1 = "application/fhir+json", "/v1/communication/threads"
    return [
        ("POST", "Basic", fhir),
        ("PUT", "Basic/x", fhir),
        ("PATCH", "Patient/zahra", "application/json-patch+json"),
        ("POST", "/fhir/R4", fhir),
        ("POST", "Patient/_search", "application/x-www-form-urlencoded"),
        ("POST", "Basic/$validate", "application/fhir+xml"),
        ("POST", v1, "application/json"),
        ("PATCH", f"{v1}/thr_x/archive", "application/json"),
        ("PUT", "/v1/communication/attachments/att_x/content", "application/pdf"),
    ]


@pytest.mark.parametrize("coding", CODINGS)
def test_a_packed_body_is_refused_unread(clinic: Clinic, coding: str) -> None:
    bomb = CODINGS[coding](b'{"resourceType":"Basic","x":"' + bytes(100_000) + b'"}')
    for method, path, kind in targets():
        headers = {"content_type": kind, "content_encoding": coding, "idempotency_key": "k"}
        answer = clinic.service.ask(method, path, bomb, **headers)
        # What there is not is told first.
        assert answer.status_code == 415 or "att_x" in path or "thr_x" in path, told(answer)
        refused(answer)
        if answer.status_code == 415:
            assert answer.headers["accept-encoding"] == "identity"


def test_a_body_that_says_it_is_not_packed_is_taken(clinic: Clinic) -> None:
    body = orjson.dumps({"resourceType": "Basic", "code": {"text": "x"}})
    for coding in ("identity", "Identity", ""):
        answer = clinic.service.ask(
            "POST", "Basic", body, content_type="application/fhir+json", content_encoding=coding
        )
        assert answer.status_code == 201, told(answer)


def test_nothing_that_is_packed_is_answered_packed(client: httpx.Client) -> None:
    """So that no length of an answer tells what stands in it (BREACH)."""
    answer = client.get("/fhir/R4/metadata", headers={"accept-encoding": "gzip, br, deflate"})
    assert "content-encoding" not in answer.headers


MANY: dict[str, bytes] = {
    "objects": b"{},",
    "arrays": b"[],",
    "numbers": b"1,",
    "decimals": b"1.5,",
    "texts": b'"",',
    "members": b'{"a":1},',
}


@pytest.mark.parametrize("case", MANY)
def test_too_many_values_are_refused_before_they_are_read(case: str) -> None:
    unit = MANY[case]
    body = b'{"x":[' + unit * (SIZE // len(unit)) + b"1]}"
    with pytest.raises(Problem, match="values") as refusal:
        parse(body)
    assert refusal.value.status == 413


ELEMENTS = (b"<a/>", b"<name/>", b"<a b='1' c='2'/>", b"<!---->", b"<?a?>")


@pytest.mark.parametrize("element", ELEMENTS)
def test_too_many_elements_are_refused_before_they_are_read(element: bytes) -> None:
    body = (
        b'<Patient xmlns="http://hl7.org/fhir">' + element * (SIZE // len(element)) + b"</Patient>"
    )
    with pytest.raises(Problem, match="values") as refusal:
        xml.read(body, r4_shapes())
    assert refusal.value.status == 413


def test_a_large_text_is_no_large_number_of_values() -> None:
    body = orjson.dumps({"data": "A" * (2 * MOST_VALUES)})
    assert len(parse(body)["data"]) == 2 * MOST_VALUES


def cpu(run: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(3):
        begun = process_time()
        run()
        best = min(best, process_time() - begun)
    return best


@pytest.mark.parametrize("key", ["k%d", "k%d\\u0020", "%d", "\\u00%02x"], ids=repr)
def test_many_keys_take_work_in_proportion(key: str) -> None:
    """Equal hashes would make it squared; Python's are keyed anew in each process."""

    def body(number: int) -> bytes:
        keys = (key % (n % 90 + 33 if "02x" in key else n) for n in range(number))
        return ("{" + ",".join(f'"{k}{n}":1' for n, k in enumerate(keys)) + "}").encode()

    short, long_ = body(10_000), body(40_000)
    assert cpu(lambda: parse(long_)) / max(cpu(lambda: parse(short)), 1e-6) < 12


def test_a_narrative_of_nothing_but_beginnings_is_read_at_once() -> None:
    short, long_ = "<" * 20_000, "<" * 80_000
    grown = cpu(lambda: plain(long_)) / max(cpu(lambda: plain(short)), 1e-6)
    assert grown < 12


def test_messages_that_refer_to_each_other_end_an_iterating_include(clinic: Clinic) -> None:
    service = clinic.service
    first, second = (
        service.created({"resourceType": "Communication", "status": "completed"}) for _ in range(2)
    )
    for one, other in ((first, second), (second, first)):
        linked = {
            **one,
            "partOf": refer(f"Communication/{other['id']}", f"Communication/{one['id']}"),
        }
        well_shaped(service.put(linked))
    query = "_include:iterate=Communication:part-of&_revinclude:iterate=Communication:part-of"
    answer = service.get(f"Communication?_id={first['id']}&{query}")
    well_shaped(answer)
    if answer.status_code == 200:
        ids = [entry["resource"]["id"] for entry in answer.json()["entry"]]
        assert len(ids) == len(set(ids))


DEEP = (
    "_filter=" + "(" * 1000 + "family eq a" + ")" * 1000,
    "_filter=" + "not " * 1000 + "family eq a",
    "_filter=" + " and ".join(["family eq a"] * 300),
    "_filter=" + "general-practitioner[" * 100 + "x" + "]" * 100,
    "_has:Communication:subject:" * 50 + "status=x",
    "general-practitioner." * 50 + "name=x",
    "link:Patient." * 20 + "name=x",
    "_sort=" + ",".join(["family"] * 500),
    "_include=" + "&_include=".join(["Patient:link"] * 300),
    "&".join(["family=x"] * 5000),
    "family=" + ",".join(["x"] * 5000),
    "_elements=" + ",".join(["id"] * 5000),
    "_id=" + ",".join(["x"] * 5000),
    "_lastUpdated=gt" + "9" * 5000,
    "birthdate=1e999999999",
    "_count=" + "9" * 5000,
)  # fmt: skip


@pytest.mark.parametrize("query", DEEP, ids=lambda query: query[:24])
def test_a_search_beyond_all_bounds_is_refused(clinic: Clinic, query: str) -> None:
    answer = clinic.amina.get(f"Patient?{query}")
    assert 400 <= answer.status_code < 500, told(answer)
    well_shaped(answer)


@pytest.mark.parametrize(
    "number", ["1e999999999", "1e-999999999", "9" * 400, "1e308", "-1e400", "0e9"]
)
def test_a_number_beyond_all_bounds_is_refused_or_finds_nothing(
    clinic: Clinic, number: str
) -> None:
    for prefix in ("", "gt", "lt", "ne", "ap"):
        answer = clinic.service.get(f"Encounter?length={prefix}{number}")
        well_shaped(answer)
        assert not answer.json().get("entry")
    raw = b'{"resourceType":"Location","position":{"longitude":%b,"latitude":1}}' % number.encode()
    well_shaped(clinic.service.ask("POST", "Location", raw, content_type="application/fhir+json"))


def test_a_message_of_many_parts_is_stored_or_refused(clinic: Clinic) -> None:
    kept = clinic.amina.created(thread("Practitioner/farid"))
    parts = [{"contentString": "x"}] * 5_000
    well_shaped(clinic.amina.post(message(kept, payload=parts)))
