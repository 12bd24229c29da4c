from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from fhir_server.cli import main
from fhir_server.communication import Limits
from fhir_server.demo import load
from fhir_server.settings import Settings

PRODUCTION = {
    "FHIR_SERVER_ENVIRONMENT": "production",
    "FHIR_SERVER_OIDC_ISSUER": "https://id.example.org/realms/hospital",
    "FHIR_SERVER_OIDC_AUDIENCE": "fhir-server",
    "FHIR_SERVER_CURSOR_KEY": "a secret that nobody guesses",
    "FHIR_SERVER_PUBLIC_URL": "https://fhir.example.org",
}


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.delenv("PORT", raising=False)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"FHIR_SERVER_{name.upper()}", raising=False)
    return monkeypatch


@pytest.mark.parametrize("url", ["tx.example.org", "ftp://tx", "", "https://"])
def test_a_terminology_server_has_an_address(clean: pytest.MonkeyPatch, url: str) -> None:
    clean.setenv("FHIR_SERVER_TERMINOLOGY_URL", url)
    with pytest.raises(ValidationError):
        Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CLAMD", "clamav"),
        ("CLAMD", "clamd.sock"),
        ("CLAMD", "host:port"),
        ("CLAMD", ""),
        ("FILES", ""),
        ("FILES", "s3://"),
        ("FILES", "s3:bucket"),
        ("FILES", "s3:///prefix"),
        ("ATTACHMENT_LIMIT", "0"),
        ("ATTACHMENT_LIMIT", str(2**31)),
        ("ATTACHMENT_TYPES", "image/png,text/html"),
    ],
)
def test_what_attachments_cannot_be(clean: pytest.MonkeyPatch, name: str, value: str) -> None:
    clean.setenv(f"FHIR_SERVER_{name}", value)
    with pytest.raises(ValidationError):
        Settings()


def test_what_attachments_may_be(clean: pytest.MonkeyPatch) -> None:
    assert Settings().attachments == Limits()
    clean.setenv("FHIR_SERVER_ATTACHMENT_TYPES", "image/png, application/pdf")
    clean.setenv("FHIR_SERVER_ATTACHMENT_LIMIT", "1000")
    assert Settings().attachments == Limits(1000, frozenset({"image/png", "application/pdf"}))
    for address in ("clamav:3310", "[::1]:3310", "/run/clamav/clamd.ctl"):
        clean.setenv("FHIR_SERVER_CLAMD", address)
        assert Settings().clamd == address


@pytest.mark.usefixtures("clean")
def test_a_newcomer_needs_none() -> None:
    settings = Settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.database_url is None


@pytest.mark.parametrize("name", ["PORT", "FHIR_SERVER_PORT"])
def test_the_port_has_two_names(clean: pytest.MonkeyPatch, name: str) -> None:
    clean.setenv(name, "8123")
    assert Settings().port == 8123


def test_our_own_name_for_the_port_wins(clean: pytest.MonkeyPatch) -> None:
    clean.setenv("PORT", "1")
    clean.setenv("FHIR_SERVER_PORT", "2")
    assert Settings().port == 2


def test_production_is_possible(clean: pytest.MonkeyPatch) -> None:
    for name, value in PRODUCTION.items():
        clean.setenv(name, value)
    assert Settings().cursor_secret() == b"a secret that nobody guesses"


@pytest.mark.parametrize("missing", [n for n in PRODUCTION if n != "FHIR_SERVER_ENVIRONMENT"])
def test_production_takes_no_defaults(clean: pytest.MonkeyPatch, missing: str) -> None:
    for name, value in PRODUCTION.items():
        clean.setenv(name, value)
    clean.delenv(missing)
    with pytest.raises(ValidationError, match=missing.removeprefix("FHIR_SERVER_")):
        Settings()


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("CURSOR_KEY", "short", "16 characters"),
        ("CURSOR_KEY", "", "CURSOR_KEY"),
        ("OIDC_ISSUER", "http://id.example.org/realms/hospital", "https"),
        ("OIDC_JWKS_URI", "http://id.example.org/keys", "https"),
        ("OIDC_ISSUER", "", "OIDC_ISSUER"),
        ("OIDC_AUDIENCE", "", "OIDC_AUDIENCE"),
        ("PUBLIC_URL", "", "PUBLIC_URL"),
    ],
)
def test_production_takes_nothing_weak(
    clean: pytest.MonkeyPatch, name: str, value: str, why: str
) -> None:
    for known, good in PRODUCTION.items():
        clean.setenv(known, good)
    clean.setenv(f"FHIR_SERVER_{name}", value)
    with pytest.raises(ValidationError, match=why):
        Settings()


def test_production_generates_and_takes_no_key_of_its_own(
    clean: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No token, no demo data, no secret in the data folder."""
    for known, good in {**PRODUCTION, "FHIR_SERVER_DATA_DIR": str(tmp_path)}.items():
        clean.setenv(known, good)
    Settings().cursor_secret()
    assert not Settings().accepts_development_key
    who = ["--tenant", "demo", "--sub", "usr_amina"]
    assert main(["token", *who]) == 1
    clean.setenv("FHIR_SERVER_DATABASE_URL", "postgresql://nowhere.invalid/x")
    with pytest.raises(PermissionError):
        asyncio.run(load(Settings()))
    assert "production" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


SECRET = "hidden"
# Every setting that may hold a secret, as it may hold one.
WITH_SECRETS = {
    "database_url": f"postgresql://u:{SECRET}@127.0.0.1:1/d",
    "nats_url": f"nats://u:{SECRET}@127.0.0.1:1",
    "redis_url": f"redis://u:{SECRET}@127.0.0.1:1/0",
    "terminology_url": f"https://u:{SECRET}@127.0.0.1:1/r4",
    "cursor_key": SECRET,
}


def test_every_address_may_hold_a_secret() -> None:
    """A setting named like one is in the table, or says why it holds none."""
    public = {"public_url", "cors_origins", "oidc_issuer", "oidc_jwks_uri", "oidc_fhir_base"}
    likely = re.compile(r"url|uri|key|secret|token|password|issuer|origins|base")
    named = {name for name in Settings.model_fields if likely.search(name)}
    lists = {"oidc_keys_ttl", "oidc_keys_max_age", "oidc_remembered_tokens"}
    assert named - public - lists == WITH_SECRETS.keys()


@pytest.mark.parametrize("name", WITH_SECRETS)
def test_no_secret_is_printed(clean: pytest.MonkeyPatch, name: str) -> None:
    clean.setenv(f"FHIR_SERVER_{name.upper()}", WITH_SECRETS[name])
    settings = Settings()
    assert SECRET not in repr(settings) + str(settings)
    clean.setenv("FHIR_SERVER_PORT", "-1")
    clean.setenv("FHIR_SERVER_ENVIRONMENT", "production")
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert SECRET not in str(refused.value) + repr(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        *(f"postgresql://u:x@{SECRET}@h/d", f"postgresql://u:{SECRET}/x@h/d", f"u:{SECRET}@h/d"),
        *(f"mysql://u:{SECRET}@h/d", f"host=h password={SECRET}", f"postgresql://u:{SECRET}]@h/d"),
    ],
)
def test_an_address_that_cannot_be_read_is_not_quoted(
    clean: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    clean.setenv("FHIR_SERVER_DATABASE_URL", url)
    assert main(["migrate"]) == 1
    printed = capsys.readouterr()
    assert SECRET not in printed.out + printed.err
    assert "DATABASE_URL" in printed.err


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://h/d",
        "postgres://u:p%40x@h:5432/d?sslmode=require",
        "postgresql://u@a:5432,b:5433/d",
        "postgresql://u@[::1]:5432/d",
        "postgresql://postgres:@/d?host=/run/postgresql",
    ],
)
def test_addresses_of_databases(clean: pytest.MonkeyPatch, url: str) -> None:
    clean.setenv("FHIR_SERVER_DATABASE_URL", url)
    assert Settings().database_url == url


def test_a_database_that_is_away_is_named_without_its_password(
    clean: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clean.setenv("FHIR_SERVER_DATABASE_URL", WITH_SECRETS["database_url"])
    assert main(["migrate"]) == 1
    printed = capsys.readouterr()
    assert SECRET not in printed.out + printed.err


def test_a_local_secret_is_made_once_and_private(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    secret = settings.cursor_secret()
    assert len(secret) == 64
    assert settings.cursor_secret() == secret
    assert (tmp_path / "data/cursor.key").stat().st_mode & 0o077 == 0


def test_secrets_are_not_printed() -> None:
    settings = Settings(database_url="postgresql://u:hidden@h/d", cursor_key=SecretStr("hidden"))
    assert "hidden" not in repr(settings)
