from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from fhir_server.communication import Limits
from fhir_server.settings import Settings

PRODUCTION = {
    "FHIR_SERVER_ENVIRONMENT": "production",
    "FHIR_SERVER_OIDC_ISSUER": "https://id.example.org/realms/hospital",
    "FHIR_SERVER_OIDC_AUDIENCE": "fhir-server",
    "FHIR_SERVER_CURSOR_KEY": "secret",
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
    assert Settings().cursor_secret() == b"secret"


@pytest.mark.parametrize("missing", [n for n in PRODUCTION if n != "FHIR_SERVER_ENVIRONMENT"])
def test_production_takes_no_defaults(clean: pytest.MonkeyPatch, missing: str) -> None:
    for name, value in PRODUCTION.items():
        clean.setenv(name, value)
    clean.delenv(missing)
    with pytest.raises(ValidationError, match=missing.removeprefix("FHIR_SERVER_")):
        Settings()


def test_a_local_secret_is_made_once_and_private(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    secret = settings.cursor_secret()
    assert len(secret) == 64
    assert settings.cursor_secret() == secret
    assert (tmp_path / "data/cursor.key").stat().st_mode & 0o077 == 0


def test_secrets_are_not_printed() -> None:
    settings = Settings(database_url="postgresql://u:hidden@h/d", cursor_key=SecretStr("hidden"))
    assert "hidden" not in repr(settings)
