"""COMMS-US-020 over HTTP: what was erased is nowhere, and all else is where it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fhir_server.settings import Settings
from tests.support.clamd import Double
from tests.support.nats import NatsServer, nats_server
from tests.v1.conftest import Caller, Ward
from tests.v1.erasure import FHIR, Words, World, dumped, filed, published

SCOPES = "gdpr:erase gdpr:read user/*.cruds"
HOLD = {"system": "https://fhir.ghasi.af/CodeSystem/hold", "code": "legal-hold"}


@pytest.fixture(scope="module")
def nats(folder: Path) -> Iterator[NatsServer]:
    with nats_server(folder) as server:
        yield server


@pytest.fixture(scope="module")
def settings_of_tests(
    database_url: str, folder: Path, double: Double, nats: NatsServer
) -> Settings:
    return Settings(
        environment="test",
        database_url=database_url,
        data_dir=folder / "data",
        files=str(folder / "files"),
        clamd=double.address,
        nats_url=nats.url,
        rate_limit_scale=1e6,
    )


@pytest.fixture
def admin(ward: Ward) -> Caller:
    return ward.sign_in(ward.tenant, "usr_admin", "ADMIN", SCOPES)


def world(ward: Ward, patient: str = "zahra") -> World:
    admin = ward.sign_in(ward.tenant, "usr_admin", "ADMIN", SCOPES)
    return World(ward, Words(), patient, admin)


def test_us_020_no_erased_word_is_left_anywhere(
    ward: Ward,
    wards: Callable[[], Ward],
    database_url: str,
    folder: Path,
    nats: NatsServer,
) -> None:
    """Given identity.user.gdpr_erasure_requested, when consumed, then message bodies redacted and
    dispatch_records recipient_ref removed within SLA."""
    hers, his, elsewhere = world(ward), world(ward, "omid"), world(wards())
    for one in (hers, his, elsewhere):
        one.everywhere()
    before = dumped(database_url) + filed(folder / "files")
    written = set(hers.words.found_in(before).values())
    assert {"topic", "message", "deleted message", "photo", "content of a file"} <= written
    done = hers.erased()
    assert done["state"] == "completed", done
    assert hers.words.found_in(dumped(database_url)) == {}
    assert hers.words.found_in(filed(folder / "files")) == {}
    assert hers.words.found_in(published(nats.url)) == {}
    after = dumped(database_url) + filed(folder / "files")
    for one in (his, elsewhere):
        assert one.words.found_in(after) == one.words.found_in(before)
