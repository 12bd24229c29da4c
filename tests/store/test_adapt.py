from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, LiteralString

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.store.adapt import ArrayDumper

TEXT = st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
INTS = st.none() | st.integers(-(2**63), 2**63 - 1)
DECIMALS = st.none() | st.sampled_from([*map(Decimal, ("1.00", "-1E+3", "1e-7", "Infinity"))])
INSTANTS = st.none() | st.datetimes(timezones=st.just(UTC))


@pytest.fixture(scope="module")
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True, options="-c timezone=UTC") as connection:
        connection.adapters.register_dumper(list, ArrayDumper)
        yield connection


def _back(connection: psycopg.Connection[Any], query: LiteralString, value: list[Any]) -> Any:
    row = connection.execute(query, [value]).fetchone()
    assert row is not None
    return row[0]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TEXT), st.lists(INTS), st.lists(DECIMALS), st.lists(INSTANTS))
def test_an_array_comes_back_as_it_was(
    connection: psycopg.Connection[Any],
    texts: list[str | None],
    ints: list[int | None],
    decimals: list[Decimal | None],
    instants: list[datetime | None],
) -> None:
    assert _back(connection, "SELECT %s::text[]", texts) == texts
    assert _back(connection, "SELECT %s::bigint[]", ints) == ints
    assert _back(connection, "SELECT %s::numeric[]", decimals) == decimals
    assert _back(connection, "SELECT %s::timestamptz[]", instants) == instants
