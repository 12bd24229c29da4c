"""A NATS of the tests' own, and the broker that the server's workers would have there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from fhir_server.app import Core
from fhir_server.settings import Settings
from fhir_server.workers.broker import Broker
from tests.support.nats import NatsServer, nats_server


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[NatsServer]:
    with nats_server(folder) as server:
        yield server


@pytest.fixture
async def broker(
    core: Core, server: NatsServer, settings_of_tests: Settings
) -> AsyncIterator[Broker]:
    broker = core.broker(settings_of_tests.model_copy(update={"nats_url": server.url}))
    assert broker is not None
    yield broker
    await broker.close()
