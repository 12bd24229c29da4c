"""The audit trail as v1 tells it: rows, filters, pages, and who may read them; over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from fhir_server.settings import Settings
from tests.support.audit_events import audit_event, stored, trail
from tests.support.heard import statements
from tests.v1.conftest import Caller, Ward, refused

PATH = "/v1/audit-logs"
SCOPE = "audit:read"
# No entry that a test keeps was recorded later.
LATEST = "2026-03-01"

Keep = Callable[..., list[str]]


@pytest.fixture
def keep(settings_of_tests: Settings, tenant: str) -> Keep:
    """Stores AuditEvents of the test's tenant; their v1 ids."""
    return lambda *events: [f"aud_{id}" for id in stored(settings_of_tests, tenant, events)]


@pytest.fixture
def admin(sign_in: Callable[..., Caller], tenant: str) -> httpx.Client:
    return sign_in(tenant, "usr_admin", "ADMIN", SCOPE, modules=()).client


def rows(client: httpx.Client, **query: str) -> list[dict[str, Any]]:
    """What was kept: asking leaves entries as well, of now."""
    answer = client.get(PATH, params={"to": LATEST, **query})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def test_an_entry_tells_who_did_what_to_whom(keep: Keep, admin: httpx.Client) -> None:
    (id,) = keep(
        audit_event(
            "search-type",
            roles=("DOCTOR", "ADMIN"),
            outcome="4",
            reason="forbidden",
            recorded="2026-01-31T09:05:07.120Z",
            patient="Patient/zahra",
            resource="Encounter/e1/_history/2",
            query="GET /fhir/R4/Encounter?patient=Patient/zahra",
            request="r-1",
        )
    )
    told = {
        "auditId": id,
        "recordedAt": "2026-01-31T09:05:07.120Z",
        "action": "execute",
        "interaction": "search-type",
        "outcome": "refused",
        "reason": "forbidden",
        "actorId": "usr_amina",
        "roles": ["DOCTOR", "ADMIN"],
        "address": "192.0.2.7",
        "patientIds": ["pat_zahra"],
        "resources": ["Encounter/e1/_history/2"],
        "query": "GET /fhir/R4/Encounter?patient=Patient/zahra",
        "requestId": "r-1",
    }
    assert rows(admin) == [told]
    assert admin.get(f"{PATH}/{id}").json() == told


def test_a_system_is_told_by_its_name(keep: Keep, admin: httpx.Client) -> None:
    keep(
        audit_event(
            "create", recorded="2026-01-31T09:05:07Z", client="scheduling", roles=(), address=None
        )
    )
    (row,) = rows(admin)
    assert row["clientId"] == "scheduling"
    assert row["roles"] == row["patientIds"] == row["resources"] == []
    assert not {"actorId", "address", "query", "requestId", "reason"} & set(row)


FILTERED: dict[str, tuple[str, dict[str, Any]]] = {
    "patientId": ("pat_zahra", {"patient": "Patient/zahra"}),
    "actorId": ("pat_zahra", {"actor": "Patient/zahra"}),
    "action": ("delete", {"interaction": "delete"}),
    "outcome": ("failed", {"outcome": "8"}),
    "interaction": ("vread", {"interaction": "vread"}),
    "resource": ("Encounter/e1", {"resource": "Encounter/e1/_history/3"}),
    "from": ("2026-03-01", {"recorded": "2026-03-01T00:00:00Z"}),
    "to": ("2026-01-01", {"recorded": "2026-01-01T23:59:59.999Z"}),
}


@pytest.mark.parametrize("name", FILTERED)
def test_a_filter(keep: Keep, admin: httpx.Client, name: str) -> None:
    value, of = FILTERED[name]
    event = {"recorded": "2026-02-01T00:00:00Z", **of}
    (wanted,) = keep(audit_event(**event))
    keep(audit_event(recorded="2026-02-02T00:00:00Z", resource="Encounter/e2"))
    assert [row["auditId"] for row in rows(admin, **{name: value})] == [wanted]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("patientId", "usr_amina"),
        ("actorId", "amina"),
        ("action", "R"),
        ("outcome", "0"),
        ("resource", "e1"),
        ("resource", "Encounte/e1"),
        ("resource", "Encounter/e1/_history"),
        ("from", "yesterday"),
        ("from", "2026-02-30"),
        ("to", "2026-01-31T09:05:07"),
        ("to", ""),
        ("interaction", ""),
    ],
)
def test_a_filter_that_is_none(admin: httpx.Client, name: str, value: str) -> None:
    for path in (PATH, f"{PATH}/export"):
        answer = admin.get(path, params={name: value})
        assert refused(answer) == (400, "VALIDATION_ERROR")
        assert answer.json()["error"]["details"]["fields"][0]["field"] == name


@pytest.mark.parametrize("role", ["DOCTOR", "NURSE", "PATIENT", "SERVICE"])
def test_only_an_admin_reads_it(
    sign_in: Callable[..., Caller], keep: Keep, tenant: str, role: str
) -> None:
    (id,) = keep(audit_event())
    other = sign_in(tenant, "usr_amina", role, f"{SCOPE} messaging:read user/*.cruds").client
    for path in (PATH, f"{PATH}/{id}", f"{PATH}/export"):
        assert refused(other.get(path)) == (403, "FORBIDDEN")


def test_without_the_scope(sign_in: Callable[..., Caller], keep: Keep, tenant: str) -> None:
    (id,) = keep(audit_event())
    admin = sign_in(tenant, "usr_admin", "ADMIN", "messaging:read user/*.cruds").client
    for path in (PATH, f"{PATH}/{id}", f"{PATH}/export"):
        assert refused(admin.get(path)) == (403, "FORBIDDEN")


def test_another_tenants_entries_are_not_there(
    sign_in: Callable[..., Caller], keep: Keep, ward: Ward
) -> None:
    (id,) = keep(audit_event(patient="Patient/zahra", recorded="2026-01-31T09:05:07Z"))
    stranger = sign_in(ward.tenant, "usr_admin", "ADMIN", SCOPE).client
    assert rows(stranger) == []
    assert rows(stranger, patientId="pat_zahra") == []
    assert refused(stranger.get(f"{PATH}/{id}")) == (404, "NOT_FOUND")
    asked = {"format": "ndjson", "to": LATEST}
    assert stranger.get(f"{PATH}/export", params=asked).content == b""


def test_a_page_is_one_statement(keep: Keep, admin: httpx.Client) -> None:
    keep(*trail(9))
    rows(admin)
    for query in ({}, {"patientId": "pat_zahra", "from": "2026-01-01", "limit": "5"}):
        with statements() as heard:
            rows(admin, **query)
        assert len(heard) == 1
