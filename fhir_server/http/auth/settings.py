"""What an operator decides about sign-in; the settings of the whole program include these."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, model_validator

Environment = Literal["development", "test", "production"]


class AuthSettings(BaseModel):
    """Environment variables carry the prefix `FHIR_SERVER_`, e.g. `FHIR_SERVER_OIDC_ISSUER`.

    Times are in seconds. Tokens are accepted from `oidc_issuer`, and, outside production,
    from the local development key.
    """

    environment: Environment = "development"
    data_dir: Path = Path("data")

    oidc_issuer: str | None = Field(None, description="Exact `iss` of accepted tokens.")
    oidc_audience: str | None = Field(None, description="What a token's `aud` must hold.")
    oidc_client: str | None = Field(
        None, description="Client whose `resource_access` roles count; default: the audience."
    )
    oidc_jwks_uri: str | None = Field(None, description="Key set address; default: discovered.")
    oidc_fhir_base: str | None = Field(
        None, description="When set, an absolute `fhirUser` must lie under this address."
    )
    oidc_leeway: int = Field(30, ge=0, le=300, description="Clock skew allowed in exp, nbf, iat.")
    oidc_timeout: float = Field(5.0, gt=0, le=60, description="Limit for one fetch of the keys.")
    oidc_keys_ttl: float = Field(300.0, gt=0, description="Age at which keys are fetched again.")
    oidc_keys_max_age: float = Field(
        86_400.0, gt=0, description="Age at which keys are no longer used, issuer up or down."
    )
    oidc_refetch_interval: float = Field(
        10.0, ge=0, description="Least time between fetches caused by unknown key ids."
    )
    oidc_remembered_tokens: int = Field(
        10_000, ge=0, le=1_000_000, description="Proven tokens kept, so that each is proven once."
    )

    @property
    def accepts_development_key(self) -> bool:
        return self.environment != "production"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.oidc_issuer and not self.oidc_audience:
            raise ValueError("OIDC_ISSUER needs OIDC_AUDIENCE: else any client's token would do")
        if self.environment == "production":
            self._fit_for_production()
        return self

    def _fit_for_production(self) -> None:
        if not self.oidc_issuer:
            raise ValueError("ENVIRONMENT=production needs OIDC_ISSUER")
        for url in filter(None, (self.oidc_issuer, self.oidc_jwks_uri)):
            if urlsplit(url).scheme != "https":
                raise ValueError("ENVIRONMENT=production needs https issuer and key addresses")
