"""Bodies that are no JSON, not for us, too large, too deep or of another kind than the address."""

from __future__ import annotations

from collections.abc import Iterator
from time import process_time

import httpx
import pytest

from fhir_server.declared import declared_root
from fhir_server.definitions.facts import load_facts
from fhir_server.definitions.model import Definitions
from fhir_server.fhir.json import parse
from fhir_server.mapping.loader import load_mappings
from fhir_server.problems import Problem
from tests.bad_input.conftest import BODY_LIMIT
from tests.bad_input.faces import MARKER, refused
from tests.bad_input.world import FHIR, V1, World

pytestmark = pytest.mark.usefixtures("unchanged")

# Complete but for `TEXT`, the inside of a string, and `MORE`, further members.
THREAD = (
    b'{"resourceType": "Communication", "status": "in-progress", "subject": {"reference":'
    b' "Patient/zahra"}, "recipient": [{"reference": "Practitioner/farid"}],'
    b' "topic": {"text": "TEXT"}MORE}'
)
PARAMETERS = (
    b'{"resourceType": "Parameters", "parameter": [{"name": "message", "valueReference":'
    b' {"reference": "Communication/MESSAGE", "display": "TEXT"}}]MORE}'
)
FHIRPATH_PATCH = (
    b'{"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [{"name": "type",'
    b' "valueCode": "replace"}, {"name": "path", "valueString": "Communication.topic.text"},'
    b' {"name": "value", "valueString": "TEXT"}]}]MORE}'
)
# Where a body can go: method, path and a good body.
TARGETS: dict[str, tuple[str, str, bytes]] = {
    "FHIR create": ("POST", f"{FHIR}/Communication", THREAD),
    "FHIR update": ("PUT", f"{FHIR}/Communication/THREAD", THREAD),
    "FHIR patch": ("PATCH", f"{FHIR}/Communication/THREAD", FHIRPATH_PATCH),
    "FHIR validate": ("POST", f"{FHIR}/Communication/$validate", THREAD),
    "FHIR operation": ("POST", f"{FHIR}/Communication/THREAD/$mark-read", PARAMETERS),
    "v1 createThread": (
        "POST",
        f"{V1}/threads",
        b'{"participantIds": ["usr_farid"], "subject": "TEXT"MORE}',
    ),
    "v1 sendMessage": ("POST", f"{V1}/threads/thr_THREAD/messages", b'{"body": "TEXT"MORE}'),
    "v1 markRead": (
        "POST",
        f"{V1}/threads/thr_THREAD/read",
        b'{"messageIds": ["msg_MESSAGE"], "readAt": "TEXT"MORE}',
    ),
    "v1 archive": ("PATCH", f"{V1}/threads/thr_THREAD/archive", b'{"x": "TEXT"MORE}'),
    "v1, old prefix": (
        "POST",
        "/v1/messaging/threads/thr_THREAD/messages",
        b'{"body": "TEXT"MORE}',
    ),
}
DEEP = 10_000

# What replaces the whole body.
NO_JSON: dict[str, bytes] = {
    "white space": b" \n",
    "words": MARKER.encode(),
    "cut short": b'{"resourceType": "Communication", "body": "',
    "single quotes": b"{'body': 'x'}",
    "a comma at the end": b'{"body": "x",}',
    "a comment": b'{"body": "x" /* why */}',
    "two documents": b'{"body": "x"}{"body": "y"}',
    "XML": b'<Communication xmlns="http://hl7.org/fhir"/>',
    "a form": b"body=x",
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\xae\x05\x00\x43\xbf\xa6\xa3\x02",
    "UTF-16": '{"body": "x"}'.encode("utf-16"),
    "UTF-32": '{"body": "x"}'.encode("utf-32"),
    "an array": b'[{"body": "x"}]',
    "a string": b'"x"',
    "a number": b"1",
    "null": b"null",
    "true": b"true",
    "10,000 arrays": b"[" * DEEP + b"]" * DEEP,
    "10,000 arrays, open": b"[" * DEEP,
    "10,000 objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "10,000 objects, open": b'{"a":' * DEEP,
}
# What replaces `TEXT`.
NO_TEXT: dict[str, bytes] = {
    "NUL": b"a\x00b",
    "NUL, escaped": b"a\\u0000b",
    "a line break": b"a\nb",
    "a control character": b"a\x01b",
    "a lone high surrogate": b"a\\ud800b",
    "a lone low surrogate": b"a\\udc00b",
    "surrogates the wrong way round": b"\\udc00\\ud800",
    "two high surrogates": b"\\ud800\\ud800",
    "a surrogate in UTF-8": b"\xed\xa0\x80",
    "invalid UTF-8": b"\xff\xfe",
    "overlong UTF-8": b"\xc0\x80",
    "UTF-8 cut short": b"\xe2\x82",
    "beyond Unicode": b"\xf4\x90\x80\x80",
    "an unknown escape": b"\\x41",
    "an escape cut short": b"\\u12",
}
# What replaces `MORE`.
NO_MEMBER: dict[str, bytes] = {
    "a key twice": b', "x": 1, "x": 1',
    "a key twice, deep": b', "x": [{"y": {"z": 1, "z": 2}}]',
    "a key twice, once escaped": b', "x": 1, "\\u0078": 2',
    "NUL in a key": b', "x\\u0000": 1',
    "a lone surrogate in a key": b', "\\ud800": 1',
    "an empty key": b', "": 1',
    "a key without quotes": b", x: 1",
    "NaN": b', "x": NaN',
    "Infinity": b', "x": Infinity',
    "-Infinity": b', "x": -Infinity',
    "a leading zero": b', "x": 01',
    "a plus": b', "x": +1',
    "hexadecimal": b', "x": 0x1F',
    "an integer of 30 digits": b', "x": ' + b"9" * 30,
    "an integer of 5,000 digits": b', "x": ' + b"9" * 5000,
    "an exponent too large": b', "x": 1e999999',
    "an exponent too small": b', "x": 1e-999999',
    "an exponent of 5,000 digits": b', "x": 1e' + b"9" * 5000,
    "a decimal of 5,000 digits": b', "x": 0.' + b"1" * 5000,
    "10,000 arrays": b', "x": ' + b"[" * DEEP + b"]" * DEEP,
    "65 arrays": b', "x": ' + b"[" * 65 + b"]" * 65,
    "10,000 extensions": b', "extension": ' + b'[{"extension":' * 3000 + b"1" + b"}]" * 3000,
    "__proto__": b', "__proto__": {"x": 1}',
    "5,000 members": b"".join(b', "k%d": 1' % n for n in range(5000)),
    "a member of another kind": b', "fhir_comments": 1',
}
OTHER_TYPES: dict[str, str | None] = {
    "none": None,
    "text/plain": "text/plain",
    "XML": "application/fhir+xml",
    "a form": "application/x-www-form-urlencoded",
    "multipart": "multipart/form-data; boundary=x",
    "JSON Patch": "application/json-patch+json",
    "JSON lines": "application/x-ndjson",
    "nonsense": ";;==,,",
    "a prefix of JSON": "application/jso",
    "JSON and more": "application/json+evil",
}


def aimed(world: World, *, only: str = "") -> Iterator[tuple[str, str, bytes]]:
    """Method, path and good body of each target whose name begins so."""
    thread, message = world.ids["thread"], world.ids["message"]
    for name, (method, path, body) in TARGETS.items():
        if name.startswith(only):
            yield (
                method,
                path.replace("THREAD", thread),
                body.replace(b"MESSAGE", message.encode()),
            )


def filled(body: bytes, text: bytes = b"x", more: bytes = b"") -> bytes:
    return body.replace(b"TEXT", text).replace(b"MORE", more)


def found_wrong(response: httpx.Response, *statuses: int) -> None:
    """Refused, or, by $validate, judged: its answer to a bad resource is a 200 that says so."""
    if response.request.url.path.endswith("$validate") and response.status_code == 200:
        assert '"severity":"error"' in response.text
    else:
        refused(response, *statuses)


@pytest.mark.parametrize("case", NO_JSON)
def test_a_body_that_is_no_json_object_is_refused(world: World, case: str) -> None:
    for method, path, _ in aimed(world):
        # Archiving takes no body.
        if case != "white space" or method != "PATCH":
            refused(world.ask(method, path, content=NO_JSON[case]), 400)


@pytest.mark.parametrize("case", NO_TEXT)
def test_a_text_that_is_no_unicode_is_refused(world: World, case: str) -> None:
    for method, path, body in aimed(world):
        refused(world.ask(method, path, content=filled(body, text=NO_TEXT[case])), 400)


@pytest.mark.parametrize("case", NO_MEMBER)
def test_a_member_that_cannot_be_is_refused(world: World, case: str) -> None:
    for method, path, body in aimed(world):
        content = filled(body, more=NO_MEMBER[case])
        found_wrong(world.ask(method, path, content=content), 400, 413, 422)


@pytest.mark.parametrize("case", OTHER_TYPES)
def test_another_content_type_is_refused(world: World, case: str) -> None:
    headers = {"content-type": OTHER_TYPES[case]}
    for method, path, body in aimed(world):
        # What does take it finds that the body is something else.
        on_fhir = path.startswith(FHIR)
        taken = on_fhir and (case == "XML" or (case == "JSON Patch" and method == "PATCH"))
        answer = world.ask(method, path, content=filled(body), headers=headers)
        refused(answer, 400 if taken else 415)


def test_a_body_over_the_limit_is_refused(world: World) -> None:
    for method, path, body in aimed(world):
        refused(world.ask(method, path, content=filled(body, b"x" * BODY_LIMIT)), 413)


def test_a_chunked_body_over_the_limit_is_refused(world: World) -> None:
    for method, path, _ in aimed(world):
        refused(world.ask(method, path, content=pieces(2 * BODY_LIMIT)), 413)


def pieces(size: int) -> Iterator[bytes]:
    """A body without a length: it is sent in chunks."""
    yield b'{"body": "'
    for _ in range(size // 1024):
        yield b"x" * 1024
    yield b'"}'


def test_a_search_form_over_the_limit_is_refused(world: World) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    path, content = f"{FHIR}/Communication/_search", b"subject=" + b"x" * BODY_LIMIT
    refused(world.ask("POST", path, content=content, headers=form), 413)


# The address says what the body must be.
KINDS: dict[str, object] = {
    "no type": {"status": "in-progress"},
    "another type": {"resourceType": "Patient"},
    "no type of R4": {"resourceType": "Nonsense"},
    "a number": {"resourceType": 7},
    "null": {"resourceType": None},
    "an array": {"resourceType": ["Communication"]},
    "an object": {"resourceType": {}},
    "other case": {"resourceType": "communication"},
}


@pytest.mark.parametrize("case", KINDS)
def test_a_body_of_another_kind_than_the_address_is_refused(world: World, case: str) -> None:
    for method, path, _ in aimed(world, only="FHIR"):
        found_wrong(world.ask(method, path, json=KINDS[case]), 400, 422)


# As large as the server's usual limit allows.
MANY = 200_000
LARGE: dict[str, bytes] = {
    "as many members": b"{" + b",".join(b'"k%d":1' % n for n in range(MANY)) + b"}",
    "as many, the last one twice": (
        b"{" + b",".join(b'"k%d":1' % n for n in range(MANY)) + b',"k%d":1}' % (MANY - 1)
    ),
    "as many, each twice": b"{" + b",".join(b'"k%d":1' % (n // 2) for n in range(MANY)) + b"}",
    "as many objects": b'{"k":[' + b",".join([b'{"k":1}'] * MANY) + b"]}",
    "a long name": b'{"' + b"k" * 1_900_000 + b'":1}',
}


@pytest.mark.parametrize("case", LARGE)
def test_a_large_bad_body_is_refused_without_delay(definitions: Definitions, case: str) -> None:
    """Time must grow with the size, not with its square: a bad body would stop the server."""
    facts = load_facts()
    mappings = load_mappings(declared_root() / "mappings", definitions, facts.structures)
    bodies = [route.body for route in mappings.routes if route.body]
    started = process_time()
    for body in bodies:
        with pytest.raises(Problem):
            body.parse(parse(LARGE[case]))
    assert process_time() - started < 5 * len(bodies)
