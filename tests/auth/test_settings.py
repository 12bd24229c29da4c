from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from fhir_server.http.auth import AuthSettings

GOOD: dict[str, Any] = {
    "environment": "production",
    "oidc_issuer": "https://id.example/realms/clinic",
    "oidc_audience": "fhir-server",
}


class Whole(BaseSettings, AuthSettings):
    model_config = SettingsConfigDict(env_prefix="FHIR_SERVER_")


def test_settings_compose_with_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(f"FHIR_SERVER_{name.upper()}", value)
    monkeypatch.setenv("FHIR_SERVER_OIDC_LEEWAY", "5")
    monkeypatch.setenv("FHIR_SERVER_DATA_DIR", str(tmp_path))
    whole = Whole()
    assert isinstance(whole, AuthSettings)
    assert (whole.oidc_leeway, whole.data_dir) == (5, tmp_path)
    assert not whole.accepts_development_key


@pytest.mark.parametrize(
    "change",
    [
        {"oidc_issuer": None},
        {"oidc_audience": None},
        {"oidc_audience": ""},
        {"oidc_issuer": "http://id.example/realms/clinic"},
        {"oidc_jwks_uri": "http://id.example/certs"},
        {"environment": "prod"},
        {"environment": "Production"},
        {"oidc_leeway": 3600},
        {"oidc_leeway": -1},
        {"oidc_timeout": 0},
    ],
)
def test_unsafe_settings_do_not_start(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AuthSettings(**(GOOD | change))


def test_issuer_without_audience_does_not_start_anywhere() -> None:
    with pytest.raises(ValidationError, match="OIDC_AUDIENCE"):
        AuthSettings(oidc_issuer="http://127.0.0.1:8080/realms/clinic")


def test_every_setting_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "sign-in.md").read_text()
    missing = [name for name in AuthSettings.model_fields if f"`{name.upper()}`" not in text]
    assert not missing
