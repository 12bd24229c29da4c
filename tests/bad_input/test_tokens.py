"""Tokens that prove nothing: a 401 in the shape of the face, whatever is asked.

What a token may be forged to is tested at the authenticator (tests/auth); here that no face lets
one by, and that a good one is worth nothing where it was not made for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from fhir_server.http.auth.devkey import AUDIENCE, ISSUER, load_or_create
from tests.auth.issuer import b64
from tests.bad_input.faces import refused
from tests.bad_input.world import EVERY_SCOPE, FHIR, OTHER_TENANT, TENANT, V1, World

pytestmark = pytest.mark.usefixtures("unchanged")

Claims = dict[str, Any]


def good() -> Claims:
    now = int(time.time())
    return {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + 600,
        "tid": TENANT,
        "sub": "usr_amina",
        "roles": ["DOCTOR"],
        "modules": ["engage.messaging"],
        "scope": EVERY_SCOPE,
    }


def signed(world: World, key: ECKey | None = None, kid: str = "", **changes: Any) -> str:
    """A token of the development key; a claim set to None is left out."""
    own = load_or_create(world.settings.data_dir)
    claims = {name: value for name, value in (good() | changes).items() if value is not None}
    header = {"alg": "ES256", "kid": kid or own.kid}
    return jwt.encode(header, claims, key or own, algorithms=["ES256"])


def unsigned(world: World, algorithm: str, signature: str = "") -> str:
    kid = load_or_create(world.settings.data_dir).kid
    return f"{b64({'alg': algorithm, 'kid': kid})}.{b64(good())}.{signature}"


def changed(world: World) -> str:
    header, _, signature = signed(world).split(".")
    return f"{header}.{b64(good() | {'tid': OTHER_TENANT})}.{signature}"


def bit_flipped(world: World) -> str:
    token = signed(world)
    return token[:-10] + ("A" if token[-10] != "A" else "B") + token[-9:]


TOKENS: Mapping[str, Callable[[World], str]] = {
    "alg none": lambda w: unsigned(w, "none"),
    "alg None": lambda w: unsigned(w, "None"),
    "alg NONE with a signature": lambda w: unsigned(w, "NONE", "AAAA"),
    "alg HS256": lambda w: unsigned(w, "HS256", "AAAA"),
    "alg of another family": lambda w: unsigned(w, "RS256", "AAAA"),
    "expired": lambda w: signed(w, exp=int(time.time()) - 3600),
    "without expiry": lambda w: signed(w, exp=None),
    "not valid yet": lambda w: signed(w, nbf=int(time.time()) + 3600),
    "issued in the future": lambda w: signed(w, iat=int(time.time()) + 3600),
    "expiry a text": lambda w: signed(w, exp="tomorrow"),
    "expiry endless": lambda w: signed(w, exp=10**400),
    "wrong issuer": lambda w: signed(w, iss="https://evil.example"),
    "without issuer": lambda w: signed(w, iss=None),
    "issuer a list": lambda w: signed(w, iss=[ISSUER]),
    "wrong audience": lambda w: signed(w, aud="another"),
    "without audience": lambda w: signed(w, aud=None),
    "unknown key id": lambda w: signed(w, kid="nobody"),
    "another key, known id": lambda w: signed(w, ECKey.generate_key("P-256")),
    "claims changed": changed,
    "a bit flipped": bit_flipped,
    "without tenant": lambda w: signed(w, tid=None),
    "tenant empty": lambda w: signed(w, tid=""),
    "tenant with NUL": lambda w: signed(w, tid="a\0b"),
    "tenant SQL": lambda w: signed(w, tid="x'; DROP TABLE patient; --"),
    "tenant a list": lambda w: signed(w, tid=[TENANT]),
    "tenant huge": lambda w: signed(w, tid="x" * 10_000),
    "without subject": lambda w: signed(w, sub=None),
    "subject a path": lambda w: signed(w, sub="usr_../../x"),
    "roles a text": lambda w: signed(w, roles="DOCTOR"),
    "scope a list": lambda w: signed(w, scope=["user/*.cruds"]),
    "patient a number": lambda w: signed(w, patient=7),
    "empty": lambda _: "",
    "words": lambda _: "let me in",
    "dots": lambda _: "..",
    "four parts": lambda w: signed(w) + ".x",
    "huge": lambda w: signed(w, x="x" * 40_000),
    "not base64": lambda _: "ä.ö.ü",
}
ASKED = (
    ("GET", f"{FHIR}/Patient/zahra", None),
    ("GET", f"{FHIR}/Communication?patient=Patient/zahra", None),
    ("POST", f"{FHIR}/Communication", {"resourceType": "Communication", "status": "completed"}),
    ("PUT", f"{FHIR}/Patient/zahra", {"resourceType": "Patient", "id": "zahra"}),
    ("DELETE", f"{FHIR}/Patient/zahra", None),
    ("GET", f"{V1}/threads", None),
    ("POST", f"{V1}/threads", {"participantIds": ["usr_farid"], "subject": "x"}),
    ("GET", "/v1/messaging/threads", None),
)


@pytest.mark.parametrize("case", TOKENS)
def test_a_forged_or_foreign_token_is_refused(world: World, case: str) -> None:
    # The header as a client sends it: bytes.
    authorization = f"Bearer {TOKENS[case](world)}".strip().encode()
    for method, path, body in ASKED:
        response = world.send(method, path, body, authorization=authorization)
        refused(response, 401)
        assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("scheme", ["", "Basic", "bearer:", "Bearer Bearer", "DPoP", "Token"])
def test_another_scheme_than_bearer_is_refused(world: World, scheme: str) -> None:
    headers = {"authorization": f"{scheme} {world.tokens['doctor']}".strip()}
    for method, path, body in ASKED:
        refused(world.ask(method, path, json=body, headers=headers), 401)


def test_a_token_in_the_query_or_a_cookie_is_no_token(world: World) -> None:
    token = world.tokens["doctor"]
    for path in (f"{FHIR}/Patient", f"{V1}/threads"):
        query = world.client.get(path, params={"access_token": token})
        cookie = world.client.get(path, headers={"cookie": f"access_token={token}"})
        refused(query, 401)
        refused(cookie, 401)


@pytest.mark.parametrize(
    "name", ["X-Tenant-Id", "X-Tenant", "Tid", "X-Forwarded-User", "X-User-Id"]
)
def test_a_header_never_changes_the_tenant_or_the_caller(world: World, name: str) -> None:
    thread, message = world.ids["thread"], world.ids["message"]
    for value in (TENANT, OTHER_TENANT, "usr_farid"):
        headers = {name: value}
        for path in (f"{FHIR}/Patient/zahra", f"{FHIR}/Communication/{message}"):
            refused(world.ask("GET", path, caller="foreigner", headers=headers), 404)
        path = f"{V1}/threads/thr_{thread}"
        refused(world.ask("GET", path, caller="foreigner", headers=headers), 404)
        # Nor does it take the caller's own away.
        assert world.ask("GET", path, headers=headers).status_code == 200


def test_a_foreign_tenants_ids_are_not_there_for_any_interaction(world: World) -> None:
    thread, message = world.ids["thread"], world.ids["message"]
    body = {"resourceType": "Communication", "id": thread, "status": "completed"}
    read = {"messageIds": [f"msg_{message}"]}
    parameters = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "message", "valueReference": {"reference": f"Communication/{message}"}}
        ],
    }
    for method, path, json in (
        ("GET", f"{FHIR}/Communication/{thread}", None),
        ("GET", f"{FHIR}/Communication/{thread}/_history", None),
        ("GET", f"{FHIR}/Communication/{thread}/_history/1", None),
        ("PUT", f"{FHIR}/Communication/{thread}", body),
        ("POST", f"{FHIR}/Communication/{thread}/$mark-read", parameters),
        ("GET", f"{V1}/threads/thr_{thread}", None),
        ("GET", f"{V1}/threads/thr_{thread}/messages", None),
        ("POST", f"{V1}/threads/thr_{thread}/messages", {"body": "x"}),
        ("POST", f"{V1}/threads/thr_{thread}/read", read),
        ("PATCH", f"{V1}/threads/thr_{thread}/archive", None),
    ):
        refused(world.ask(method, path, json=json, caller="foreigner"), 403, 404, 405)


def test_a_foreign_tenant_deletes_nothing(world: World) -> None:
    """What is not there is deleted without effect: so says FHIR, and so nobody learns more."""
    path = f"{FHIR}/Communication/{world.ids['thread']}"
    assert world.ask("DELETE", path, caller="foreigner").status_code in (204, 404)
    assert world.ask("GET", path).status_code == 200
