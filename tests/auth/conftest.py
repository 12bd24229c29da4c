from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from fhir_server.http.auth import Authenticator, AuthSettings
from tests.auth.issuer import AUDIENCE, Issuer, serving

Make = Callable[..., Authenticator]


@pytest.fixture(scope="session")
def served() -> Iterator[Issuer]:
    with serving() as issuer:
        yield issuer


@pytest.fixture
def issuer(served: Issuer) -> Issuer:
    served.reset()
    return served


@pytest_asyncio.fixture
async def make(issuer: Issuer, tmp_path: Path) -> AsyncIterator[Make]:
    """Makes authenticators that trust the issuer; keyword arguments change their settings."""
    made: list[Authenticator] = []

    def one(clock: Callable[[], float] | None = None, **changes: Any) -> Authenticator:
        fields: dict[str, Any] = {
            "data_dir": tmp_path,
            "oidc_issuer": issuer.url,
            "oidc_audience": AUDIENCE,
            "oidc_timeout": 2.0,
        }
        settings = AuthSettings(**(fields | changes))
        made.append(Authenticator(settings, clock) if clock else Authenticator(settings))
        return made[-1]

    yield one
    for authenticator in made:
        await authenticator.aclose()


@pytest.fixture
def authenticator(make: Make) -> Authenticator:
    return make()
