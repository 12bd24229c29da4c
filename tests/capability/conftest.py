from __future__ import annotations

import httpx
import pytest

from tests.capability.statement import Json, types_of
from tests.conftest import NewClinic
from tests.support.clinic import Clinic


@pytest.fixture(scope="module")
def ward(new_clinic: NewClinic) -> Clinic:
    """One tenant for all tests of a file."""
    return new_clinic()


@pytest.fixture(scope="module")
def statement(server_url: str) -> Json:
    """As the server serves it."""
    found: Json = httpx.get(f"{server_url}/fhir/R4/metadata").json()
    return found


@pytest.fixture(scope="module")
def claims(statement: Json) -> dict[str, Json]:
    """What it says of each type."""
    return types_of(statement)
