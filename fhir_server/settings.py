"""What an operator may set, by environment: `FHIR_SERVER_` and the name in capitals.

Every setting is described in docs/settings.md, which is generated from this file.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Self

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from fhir_server.http.auth.settings import AuthSettings, Environment
from fhir_server.http.cors import read_origins

CURSOR_KEY_BYTES = 32


class Settings(AuthSettings, BaseSettings):
    """The server's settings, those of sign-in included; a wrong value is refused at start-up."""

    model_config = SettingsConfigDict(
        env_prefix="FHIR_SERVER_", frozen=True, populate_by_name=True, extra="ignore"
    )

    environment: Environment = Field(
        default="development",
        description="`production` refuses the local development key and generated secrets",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on")
    port: int = Field(
        default=8000,
        ge=0,
        le=65535,
        validation_alias=AliasChoices("FHIR_SERVER_PORT", "PORT"),
        description="Port to listen on; plain `PORT` is read as well; 0 takes a free one",
    )
    public_url: str | None = Field(
        default=None,
        description="The server's address as clients write it, such as `https://fhir.example.org`;"
        " without it, links take the address of the request",
    )
    database_url: str | None = Field(
        default=None,
        repr=False,
        description="A PostgreSQL 15 or newer, such as `postgresql://user:secret@host/name`;"
        " without it, the server runs its own under the data folder",
    )
    data_dir: Path = Field(
        default=Path("data"),
        description="Folder of the embedded PostgreSQL and of local keys",
    )
    pool_size: int = Field(default=10, ge=1, le=1000, description="Database connections at most")
    pool_timeout: float = Field(
        default=5.0, gt=0, description="Seconds to wait for a free connection; then 503"
    )
    body_limit: int = Field(
        default=2 * 1024 * 1024, ge=1024, description="Largest request body, in bytes; more is 413"
    )
    cors_origins: str | None = Field(
        default=None,
        description="Origins of web pages that may call this server from a browser, such as"
        " `https://app.example.org`, separated by commas; `*` for all; without it, none",
    )
    cursor_key: SecretStr | None = Field(
        default=None,
        description="Secret that signs paging cursors, the same on every instance; required in"
        " production, otherwise generated in the data folder",
    )

    terminology_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s/?#]+[^\s?#]*$",
        description="FHIR base of a terminology server, such as `https://tx.example.org/r4`, that"
        " is asked about codes unknown here; without it they are 404",
    )
    terminology_timeout: float = Field(
        default=5.0, gt=0, le=60, description="Seconds to wait for the terminology server; then 503"
    )

    @model_validator(mode="after")
    def _secrets_are_given(self) -> Self:
        if self.environment == "production" and self.cursor_key is None:
            raise ValueError("production needs FHIR_SERVER_CURSOR_KEY")
        return self

    @field_validator("cors_origins")
    @classmethod
    def _origins_are_origins(cls, text: str | None) -> str | None:
        read_origins(text)
        return text

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins of web pages that browsers may let in."""
        return read_origins(self.cors_origins)

    def cursor_secret(self) -> bytes:
        """The key that signs cursors; in development kept in the data folder across restarts."""
        if self.cursor_key is not None:
            return self.cursor_key.get_secret_value().encode()
        return local_secret(self.data_dir / "cursor.key")


def local_secret(path: Path) -> bytes:
    """The secret in that file, made and kept private to this user when there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(CURSOR_KEY_BYTES))
    return path.read_bytes()
