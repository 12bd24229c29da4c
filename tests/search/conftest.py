"""A store on a fresh database, with one number parameter that no R4 type here has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from fhir_server.definitions.model import Definitions, SearchParameter
from tests.search.bench import Bench

NUMBER = SearchParameter("length-value", "number", "Encounter.length.value")


@pytest.fixture(scope="session")
def definitions(definitions: Definitions) -> Definitions:
    found = definitions
    encounter = found.types["Encounter"]
    search = {**encounter.search, NUMBER.code: NUMBER}
    return replace(found, types={**found.types, "Encounter": replace(encounter, search=search)})


@pytest.fixture
async def bench(database_url: str, definitions: Definitions) -> AsyncIterator[Bench]:
    async with Bench.on(database_url, definitions) as bench:
        yield bench
