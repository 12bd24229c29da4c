"""Headers that a client should not send, on requests that are fine otherwise."""

from __future__ import annotations

import pytest

from tests.bad_input.faces import refused, well_shaped
from tests.bad_input.world import FHIR, V1, World

pytestmark = pytest.mark.usefixtures("unchanged")

# Values a header may carry on the wire, and no client should send.
STRANGE: dict[str, bytes] = {
    "high bytes": b"\xff\xfe\x80",
    "UTF-8": "ناهید".encode(),
    "a tab": b"a\tb",
    "quotes": b'"\'"',
    "commas": b",,,,;;;;====",
    "20,000 characters": b"x" * 20_000,
    "5,000 digits": b"9" * 5000,
    "a format": b"%s%n{0}{{7*7}}${jndi:ldap://x}",
    "markup": b"<script>alert(1)</script>",
}
NAMES = (
    *("accept", "accept-language", "prefer", "if-match", "if-none-match", "if-modified-since"),
    *(
        "if-unmodified-since",
        "if-none-exist",
        "range",
        "cookie",
        "user-agent",
        "x-request-id",
        "traceparent",
        "origin",
    ),
    *("x-forwarded-for", "x-forwarded-proto", "x-client-mutation-id", "x-tenant-id", "referer"),
    *("idempotency-key", "content-encoding", "content-language", "authorization"),
)


@pytest.mark.parametrize("name", NAMES)
def test_a_strange_header_harms_no_reading(world: World, name: str) -> None:
    for value in STRANGE.values():
        for path in (f"{FHIR}/Patient/zahra", f"{FHIR}/Communication", f"{V1}/threads"):
            well_shaped(world.send("GET", path, **{name: value}))


BAD_KEYS: dict[str, bytes | None] = {
    "none": None,
    "empty": b"",
    "blanks": b"a b",
    "256 characters": b"x" * 256,
    "20,000 characters": b"x" * 20_000,
    "high bytes": b"\xff\xfe",
    "UTF-8": "کلید".encode(),
    "a tab": b"a\tb",
}


@pytest.mark.parametrize("case", BAD_KEYS)
def test_a_v1_post_without_a_proper_key_is_refused(world: World, case: str) -> None:
    key, thread = BAD_KEYS[case], world.ids["thread"]
    for path, body in (
        ("/threads", {"participantIds": ["usr_farid"], "subject": "x"}),
        (f"/threads/thr_{thread}/messages", {"body": "x"}),
        (f"/threads/thr_{thread}/read", {"messageIds": [f"msg_{world.ids['message']}"]}),
    ):
        for start in (V1, "/v1/messaging"):
            refused(world.send("POST", start + path, body, idempotency_key=key), 400)


@pytest.mark.parametrize("case", [b"", b"a b", b"x" * 129, b"\xff", b"a/b", b"<x>", b"a\tb"])
def test_a_bad_mutation_id_is_refused(world: World, case: bytes) -> None:
    path = f"{V1}/threads/thr_{world.ids['thread']}/messages"
    refused(world.send("POST", path, {"body": "x"}, x_client_mutation_id=case), 400)


@pytest.mark.parametrize(
    "value", ['W/"99"', '"nothing"', "W/", '"', "W/W/1", "-1", "0", "1, 2", "9" * 5000, "<x>"]
)
def test_an_if_match_of_another_version_is_refused(world: World, value: str) -> None:
    path, body = f"{FHIR}/Patient/zahra", {"resourceType": "Patient", "id": "zahra"}
    for method, json in (("PUT", body), ("DELETE", None)):
        headers = {"if-match": value}
        refused(world.ask(method, path, json=json, caller="system", headers=headers), 400, 412)


@pytest.mark.parametrize(
    "accept", ["application/fhir+turtle", "text/html", "image/png", "application/fhir+xml;q=0"]
)
def test_another_form_of_answer_is_refused(world: World, accept: str) -> None:
    for path in (f"{FHIR}/Patient/zahra", f"{FHIR}/Patient"):
        refused(world.ask("GET", path, headers={"accept": accept}), 406)


@pytest.mark.parametrize("case", ["content-length", "transfer-encoding"])
def test_a_body_on_a_request_that_takes_none_changes_nothing(world: World, case: str) -> None:
    content = b"x" * 100 if case == "content-length" else iter([b"x" * 100])
    for path in (f"{FHIR}/Patient/zahra", f"{V1}/threads"):
        response = world.client.build_request(
            "GET",
            path,
            content=content,
            headers={"authorization": f"Bearer {world.tokens['doctor']}"},
        )
        well_shaped(world.client.send(response))


def test_a_huge_number_of_headers_is_no_harm(world: World) -> None:
    headers = {f"x-header-{n}": "x" * 50 for n in range(500)}
    for path in (f"{FHIR}/Patient/zahra", f"{V1}/threads"):
        well_shaped(world.ask("GET", path, headers=headers))
