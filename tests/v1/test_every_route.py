"""What holds on every v1 route, asked of every declared one: who may pass and in which order it is
refused, keys, old prefixes, methods, other tenants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from fhir_server.app import opened
from fhir_server.fhir.instant import now_text
from fhir_server.http.wire import media_type
from fhir_server.mapping.route import Route
from fhir_server.settings import Settings
from tests.conftest import UNHINDERED
from tests.support.audit_events import BEGIN, stored, trail
from tests.support.clamd import Double
from tests.v1 import gdpr
from tests.v1.attachments import announced, clean
from tests.v1.conftest import Caller, Ward, refused
from tests.v1.routes import MAPPINGS, NONE, ROUTES, SCOPES, Asked, prefixes, user_of

pytestmark = pytest.mark.usefixtures("idle")
SignIn = Callable[..., Caller]
# What those answer with that give no JSON object, of what the fixture `ids` makes.
KINDS = {
    "downloadAttachment": "application/pdf",
    "downloadExport": "application/zip",
    "exportAuditLogs": "text/csv",
}
# What stays the same though each request leaves an entry: those that a test keeps.
_KEPT = {"to": now_text(BEGIN + timedelta(days=1))}
SETTLED: Mapping[str, Mapping[str, str]] = {"listAuditLogs": _KEPT, "exportAuditLogs": _KEPT}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
every = pytest.mark.parametrize("route", ROUTES.values(), ids=list(ROUTES))
addressed = pytest.mark.parametrize(
    "route", [r for r in ROUTES.values() if r.segments], ids=lambda route: route.id
)
taking = pytest.mark.parametrize(
    "route", [r for r in ROUTES.values() if Asked(r, NONE).takes_json], ids=lambda route: route.id
)
listing = pytest.mark.parametrize(
    "route",
    [r for r in ROUTES.values() if r.query and not r.declared.exports],
    ids=lambda route: route.id,
)


@pytest.fixture(scope="module")
def settings_of_tests(database_url: str, folder: Path, double: Double) -> Settings:
    return Settings(
        environment="test",
        database_url=database_url,
        data_dir=folder / "data",
        clamd=double.address,
        rate_limit_scale=UNHINDERED,
    )


async def _exported(settings: Settings, tenant: str) -> None:
    async with opened(settings) as core:
        await core.gdpr().round([tenant])


@pytest.fixture
def ids(ward: Ward, route: Route, settings_of_tests: Settings) -> Mapping[str, str]:
    """What the route may be asked of: amina's thread, and what belongs to it."""
    if route.resource == "AuditEvent":
        kept = stored(settings_of_tests, ward.tenant, trail(3))
        return {**NONE, "auditId": f"aud_{kept[0]}"}
    service = ward.sign_in(ward.tenant, "usr_directory", "SERVICE").client
    role = {"resourceType": "PractitionerRole", "id": "on-call", "active": True}
    assert service.put("/fhir/R4/PractitionerRole/on-call", json=role).status_code == 201
    amina = ward.doctor("amina")
    thread = amina.open_thread("usr_farid")
    found = {**NONE, "threadId": thread, "messageId": ward.doctor("farid").send(thread)}
    if "attachmentId" in route.segments:
        done = route.declared.content == "download"
        found["attachmentId"] = (clean if done else announced)(amina, thread)
    if "requestId" in route.segments:
        admin = user_of(ward, route)
        found["requestId"] = gdpr.asked(admin, "export", patientId="pat_zahra")
        asyncio.run(_exported(settings_of_tests, ward.tenant))
        assert gdpr.seen(admin, found["requestId"])["state"] == "completed"
    if route.at and route.method == "GET":
        put = next(r for r in ROUTES.values() if r.at == route.at and r.method == "PUT")
        assert Asked(put, found).by(user_of(ward, put).client).status_code == 200
    return found


# Refusals


@every
def test_the_order_of_refusals(
    client: httpx.Client, sign_in: SignIn, tenant: str, route: Route
) -> None:
    """401, licence, scope, role, then what was sent, then what is there."""
    asked = Asked(route, NONE)
    role = route.declared.roles[0] if route.declared.roles else "DOCTOR"
    wrong: dict[str, Any] = {"params": {"unknown": "1"}, "content": b"{"}
    answer = asked.by(client, **wrong)
    assert refused(answer) == (401, "UNAUTHENTICATED")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    if route.declared.module:
        unlicensed = sign_in(tenant, "usr_a", "NOBODY", "", modules=()).client
        assert refused(asked.by(unlicensed, **wrong)) == (403, "MODULE_NOT_LICENSED")
    others = " ".join(set(SCOPES.split()) - {route.declared.scope})
    unscoped = sign_in(tenant, "usr_a", role, others).client
    assert refused(asked.by(unscoped, **wrong)) == (403, "FORBIDDEN")
    if route.declared.roles:
        barred = sign_in(tenant, "usr_a", "DOCTOR", SCOPES).client
        assert refused(asked.by(barred, **wrong)) == (403, "FORBIDDEN")
    caller = sign_in(tenant, "usr_a", role, SCOPES).client
    answer = asked.by(caller, **wrong)
    assert refused(answer) == (400, "VALIDATION_ERROR")
    assert "X-RateLimit-Remaining" in answer.headers
    if route.segments:
        assert refused(asked.by(caller)) == (404, "NOT_FOUND")


@every
def test_unknown_parameters(sign_in: SignIn, tenant: str, route: Route) -> None:
    role = route.declared.roles[0] if route.declared.roles else "DOCTOR"
    caller = sign_in(tenant, "usr_a", role, SCOPES).client
    answer = Asked(route, NONE).by(caller, params={"unknown": "1"})
    assert refused(answer) == (400, "VALIDATION_ERROR")
    assert answer.json()["error"]["details"]["fields"][0]["field"] == "unknown"


@taking
def test_bodies_that_are_none(sign_in: SignIn, tenant: str, route: Route) -> None:
    role = route.declared.roles[0] if route.declared.roles else "DOCTOR"
    caller, asked = sign_in(tenant, "usr_a", role, SCOPES).client, Asked(route, NONE)
    for content in (b"{", b"[]", b"null", b'"x"', b"\xff", b"{}{}"):
        answer = asked.by(caller, content=content, headers={"Content-Type": "application/json"})
        assert refused(answer) == (400, "VALIDATION_ERROR"), content
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = asked.by(caller, content=b"{}", headers={"Content-Type": kind})
        assert refused(answer) == (415, "VALIDATION_ERROR"), kind
    body = {**(asked.body() or {}), "unknown": 1}
    answer = asked.by(caller, json=body)
    assert refused(answer) == (400, "VALIDATION_ERROR")
    assert answer.json()["error"]["details"]["fields"][0]["field"] == "unknown"
    large = b'{"body":"' + b"a" * 3_000_000 + b'"}'
    answer = asked.by(caller, content=large, headers={"Content-Type": "application/json"})
    assert refused(answer) == (413, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    "route", [r for r in ROUTES.values() if r.method == "POST"], ids=lambda route: route.id
)
def test_a_post_has_a_key(sign_in: SignIn, tenant: str, route: Route) -> None:
    role = route.declared.roles[0] if route.declared.roles else "DOCTOR"
    caller, asked = sign_in(tenant, "usr_a", role, SCOPES).client, Asked(route, NONE)
    headers = {"Content-Type": "application/json"}
    answer = caller.post(asked.path, content=b"{", headers=headers)
    assert refused(answer) == (400, "VALIDATION_ERROR")
    assert answer.json()["error"]["details"]["fields"][0]["field"] == "Idempotency-Key"
    for name in ("Idempotency-Key", "X-Client-Mutation-Id"):
        answer = asked.by(caller, headers={name: "a b"})
        assert refused(answer) == (400, "VALIDATION_ERROR")
        assert answer.json()["error"]["details"]["fields"][0]["field"] == name


@every
def test_refusals_are_in_the_language_asked_for(
    client: httpx.Client, sign_in: SignIn, tenant: str, route: Route
) -> None:
    said = {"Accept-Language": "fa-AF, en;q=0.5"}
    unlicensed = sign_in(tenant, "usr_a", "DOCTOR", SCOPES, modules=()).client
    for caller in (client, unlicensed):
        answer = Asked(route, NONE).by(caller, headers=said)
        code = answer.json()["error"]["code"]
        assert answer.headers["Content-Language"] == "fa"
        assert answer.json()["error"]["message"] == MAPPINGS.errors["fa"][code]


# Answers


@every
def test_what_every_answer_has(ward: Ward, route: Route, ids: Mapping[str, str]) -> None:
    """Another tenant's name in a header changes nothing, nor do old prefixes."""
    caller = user_of(ward, route).client
    asked, params = Asked(route, ids), SETTLED.get(route.id)
    head = asked.by(caller, "HEAD", params=params) if route.method == "GET" else None
    answer = asked.by(caller, params=params, headers={"X-Tenant-Id": "another"})
    assert answer.status_code == route.answered.status, answer.text
    assert answer.headers["Cache-Control"] in ("no-store", "private, no-store")
    kind = KINDS.get(route.id, "application/json")
    assert media_type(answer.headers["Content-Type"]) == kind
    for name in ("Limit", "Remaining", "Reset"):
        assert int(answer.headers[f"X-RateLimit-{name}"]) >= 0
    assert not {"Deprecation", "Sunset", "Link"} & set(answer.headers)
    if head is not None:
        assert (head.status_code, head.content) == (answer.status_code, b"")
        length = None if route.declared.exports else str(len(answer.content))
        assert head.headers.get("Content-Length") == length
        assert head.headers["Content-Type"] == answer.headers["Content-Type"]


@pytest.mark.parametrize(
    ("route", "prefix"),
    [(route, prefix) for route in ROUTES.values() for prefix in prefixes(route)[1:]],
    ids=lambda one: one if isinstance(one, str) else one.id,
)
def test_old_prefixes(
    client: httpx.Client, ward: Ward, route: Route, ids: Mapping[str, str], prefix: str
) -> None:
    caller, old = user_of(ward, route).client, Asked(route, ids, prefix)
    successor = f'<{Asked(route, ids).path}>; rel="successor-version"'
    for answer, status in (
        (old.by(caller), route.answered.status),
        (old.by(client), 401),
        (client.request("TRACE", old.path), 405),
    ):
        assert answer.status_code == status, answer.text
        assert answer.headers["Deprecation"].startswith("@")
        assert answer.headers["Sunset"].endswith(" GMT")
        assert answer.headers["Link"] == successor


@taking
@pytest.mark.parametrize("name", ["Idempotency-Key", "X-Client-Mutation-Id"])
def test_a_repeated_key_is_answered_again(
    ward: Ward, route: Route, ids: Mapping[str, str], name: str
) -> None:
    """… by whichever prefix; for another request it is 422, and whatever came first stays."""
    caller, used = user_of(ward, route).client, {name: str(uuid4())}
    asked = Asked(route, ids)
    first = asked.by(caller, headers=used)
    assert first.status_code == route.answered.status, first.text
    assert "Idempotency-Replayed" not in first.headers
    before = ward.events()
    for prefix in prefixes(route):
        again = Asked(route, ids, prefix).by(caller, headers=used)
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.headers.get("ETag") == first.headers.get("ETag")
        assert "X-RateLimit-Remaining" in again.headers
    if (other := asked.body(1)) != {} or asked.body() is not None:
        assert refused(asked.by(caller, json=other, headers=used)) == (422, "VALIDATION_ERROR")
    assert ward.events() == before


# Strangers


@addressed
def test_what_is_another_tenants_is_not_there(
    ward: Ward, wards: Callable[[], Ward], route: Route, ids: Mapping[str, str]
) -> None:
    stranger = user_of(wards(), route)
    before = ward.events()
    for headers in ({}, {"X-Tenant-Id": ward.tenant}):
        answer = Asked(route, ids).by(stranger.client, headers=headers)
        assert refused(answer) == (404, "NOT_FOUND")
    assert ward.events() == before


@pytest.mark.parametrize(
    "route",
    # What administrators do concerns each of them.
    [r for r in ROUTES.values() if r.segments and "ADMIN" not in r.declared.roles],
    ids=lambda route: route.id,
)
def test_what_others_do_is_not_ones_own(ward: Ward, route: Route, ids: Mapping[str, str]) -> None:
    """A colleague who takes no part."""
    before = ward.events()
    # What an administrator does is the tenant's, so there a colleague is none.
    sami = ward.sign_in(ward.tenant, "usr_sami", "DOCTOR", SCOPES)
    answer = Asked(route, ids).by(sami.client)
    assert refused(answer) == (403, "FORBIDDEN")
    assert ward.events() == before


# Methods


@pytest.mark.parametrize("path", sorted({r.address for r in ROUTES.values()}))
def test_other_methods(client: httpx.Client, path: str) -> None:
    known = {r.method for r in ROUTES.values() if r.address == path}
    known |= {"HEAD"} if "GET" in known else set()
    for method in (*METHODS, "TRACE"):
        if method in known:
            continue
        answer = client.request(method, path.format(**NONE))
        assert answer.headers["Allow"] == ", ".join(sorted(known))
        if method != "HEAD":
            assert refused(answer) == (405, "METHOD_NOT_ALLOWED")


# Lists


@listing
def test_pages(ward: Ward, route: Route, ids: Mapping[str, str]) -> None:
    """Bounds of `limit`; a cursor leads on, is its list's and its reader's own."""
    if route.resource == "Communication":
        amina = ward.doctor("amina")
        for _ in range(3):
            amina.open_thread("usr_farid")
            amina.send(ids["threadId"])
    caller, asked, settled = (
        user_of(ward, route).client,
        Asked(route, ids),
        SETTLED.get(route.id, {}),
    )

    def page_of(limit: str, **more: str) -> dict[str, Any]:
        params = {**settled, "limit": limit, **more}
        found: dict[str, Any] = asked.by(caller, params=params).json()
        return found

    for limit in ("0", "-1", "101", "x", "1.5", "", "9" * 30, "٣"):
        assert refused(asked.by(caller, params={"limit": limit})) == (400, "VALIDATION_ERROR")
    whole = page_of("100")
    assert "nextCursor" not in whole
    found: list[Any] = []
    page = page_of("1")
    cursor = page["nextCursor"]
    while True:
        found += page["items"]
        if "nextCursor" not in page:
            break
        page = page_of("1", cursor=page["nextCursor"])
    assert found == whole["items"]
    broken = (cursor[:-1], cursor + "x", cursor[1:], "", "x" * 5_000)
    for bad in broken:
        assert refused(asked.by(caller, params={**settled, "cursor": bad})) == (
            400,
            "VALIDATION_ERROR",
        )
    farid = user_of(ward, route, "farid").client
    assert refused(asked.by(farid, params={**settled, "cursor": cursor})) == (
        400,
        "VALIDATION_ERROR",
    )
