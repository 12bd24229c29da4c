"""What an operator may set, by environment: `FHIR_SERVER_` and the name in capitals.

Every setting is described in docs/settings.md, which is generated from this file.
"""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from fhir_server.communication import Limits
from fhir_server.files.kinds import KINDS
from fhir_server.http.auth.settings import AuthSettings, Environment
from fhir_server.http.connection import ConnectionSettings
from fhir_server.http.cors import read_origins
from fhir_server.interactions.audit.trail import Mode
from fhir_server.outbound import OutboundSettings

CURSOR_KEY_BYTES = 32
# Fewer could be guessed.
LEAST_SECRET = 16
# A database may have several hosts: `a:5432,[::1]`.
_HOST = re.compile(r"(\[[^\]]*\]|[^:@\[\]]*)(:\d+)?")


class Settings(AuthSettings, ConnectionSettings, OutboundSettings, BaseSettings):
    """The server's settings, those of sign-in included; a wrong value is refused at start-up."""

    model_config = SettingsConfigDict(
        env_prefix="FHIR_SERVER_",
        frozen=True,
        populate_by_name=True,
        extra="ignore",
        # An error would quote every setting, secrets and all.
        hide_input_in_errors=True,
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
        " required in production; without it, links take the address of the request",
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
    # Whoever takes an event from the outbox holds one connection while its effect needs another.
    pool_size: int = Field(default=10, ge=2, le=1000, description="Database connections at most")
    pool_timeout: float = Field(
        default=5.0, gt=0, description="Seconds to wait for a free connection; then 503"
    )
    request_timeout: float = Field(
        default=45.0,
        gt=0,
        le=3600,
        description="Seconds that a request may take, its body included, and any statement in the"
        " database; then 503. An upload has limits of its own",
    )
    body_limit: int = Field(
        default=2 * 1024 * 1024, ge=1024, description="Largest request body, in bytes; more is 413"
    )
    bundle_body_limit: int = Field(
        default=32 * 1024 * 1024,
        ge=1024,
        description="Largest batch or transaction, in bytes; more is 413",
    )
    bundle_entries: int = Field(
        default=1000,
        ge=1,
        le=10_000,
        description="Most entries of a batch or transaction; more is 413",
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

    redis_url: str | None = Field(
        default=None,
        repr=False,
        pattern=r"^(rediss?|unix)://\S+$",
        description="A Redis, such as `redis://host:6379/0`, in which all processes count requests"
        " together for the rate limits; without it, each process counts its own",
    )
    rate_limit_scale: float = Field(
        default=1.0,
        ge=0,
        le=1e6,
        description="Multiplies every rate limit of `mappings/_service.yaml`; 0 switches them off",
    )
    terminology_url: str | None = Field(
        default=None,
        repr=False,
        pattern=r"^https?://[^\s/?#]+[^\s?#]*$",
        description="FHIR base of a terminology server, such as `https://tx.example.org/r4`, that"
        " is asked about codes unknown here; without it they are 404",
    )
    terminology_timeout: float = Field(
        default=5.0, gt=0, le=60, description="Seconds to wait for the terminology server; then 503"
    )

    files: str | None = Field(
        default=None,
        description="Where attachments lie: a folder, or `s3://bucket/prefix`; without it, the"
        " folder `files` in the data folder",
    )
    clamd: str | None = Field(
        default=None,
        pattern=r"^(/.+|.+:\d{1,5})$",
        description="ClamAV's daemon that scans attachments: `host:port`, or the path of its Unix"
        " socket; without it, they stay in quarantine",
    )
    attachment_limit: int = Field(
        default=25 * 1024 * 1024, ge=1, lt=2**31, description="Largest attachment, in bytes"
    )
    attachment_types: str | None = Field(
        default=None,
        description="Media types that may be uploaded, separated by commas, out of those of"
        " docs/attachments.md; without it, all of them",
    )

    nats_url: str | None = Field(
        default=None,
        repr=False,
        pattern=r"^(nats|tls|wss?)://\S+$",
        description="A NATS with JetStream, such as `nats://user:secret@host:4222` or several"
        " separated by commas, to which events are published; without it, they are consumed here"
        " and can be tailed",
    )
    nats_stream: str = Field(
        default="DIGITAL_COMMUNICATION",
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="Name of the stream that is made for the events where none takes them yet",
    )
    events_kept: float = Field(
        default=7.0, gt=0, le=3650, description="Days for which published events stay in the outbox"
    )

    audit: Mode = Field(
        default="batched",
        description="`batched` writes the audit trail shortly after the requests are answered;"
        " `strict` answers nothing before its record is committed, and 503 where it cannot be",
    )

    @model_validator(mode="after")
    def _production_is_told(self) -> Self:
        """A link that repeats whatever Host a request names would lead where its sender likes."""
        needed = {"CURSOR_KEY": self.cursor_key, "PUBLIC_URL": self.public_url}
        missing = [f"FHIR_SERVER_{name}" for name, value in needed.items() if not value]
        if self.environment == "production" and missing:
            raise ValueError(f"production needs {' and '.join(missing)}")
        if self.environment == "production" and len(self.cursor_secret()) < LEAST_SECRET:
            raise ValueError(f"production needs a CURSOR_KEY of {LEAST_SECRET} characters or more")
        return self

    @field_validator("database_url")
    @classmethod
    def _database_is_an_address(cls, url: str | None) -> str | None:
        """PostgreSQL's own library would quote what it cannot read of it, a secret too."""
        if url is not None and not _is_database(url):
            raise ValueError(
                "is an address such as postgresql://user:secret@host/name;"
                " write @, / and : in a password as %40, %2F and %3A"
            )
        return url

    @field_validator("cors_origins")
    @classmethod
    def _origins_are_origins(cls, text: str | None) -> str | None:
        read_origins(text)
        return text

    @field_validator("files")
    @classmethod
    def _bucket_is_named(cls, text: str | None) -> str | None:
        if text is not None and (not text.strip() or re.match(r"s3:(?!//[^/\s]+)", text)):
            raise ValueError("is a folder, or s3://bucket/prefix")
        return text

    @field_validator("attachment_types")
    @classmethod
    def _types_are_known(cls, text: str | None) -> str | None:
        unknown = sorted(_names(text) - KINDS.keys())
        if unknown:
            raise ValueError(f"cannot tell files of type {unknown[0]} from others")
        return text

    @property
    def attachments(self) -> Limits:
        """What may be uploaded."""
        types = _names(self.attachment_types) or frozenset(KINDS)
        return Limits(self.attachment_limit, types)

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins of web pages that browsers may let in."""
        return read_origins(self.cors_origins)

    def cursor_secret(self) -> bytes:
        """The key that signs cursors; in development kept in the data folder across restarts."""
        if self.cursor_key is not None:
            return self.cursor_key.get_secret_value().encode()
        return local_secret(self.data_dir / "cursor.key")


def _is_database(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    _, at, hosts = parts.netloc.rpartition("@")
    known = parts.scheme in ("postgresql", "postgres") and parts.netloc.count(at or "@") <= 1
    return known and all(map(_HOST.fullmatch, hosts.split(",")))


def _names(text: str | None) -> frozenset[str]:
    """`a/b, c/d` → both."""
    return frozenset(filter(None, (name.strip() for name in (text or "").split(","))))


def local_secret(path: Path) -> bytes:
    """The secret in that file, made and kept private to this user when there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(CURSOR_KEY_BYTES))
    return path.read_bytes()
