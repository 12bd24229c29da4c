from __future__ import annotations

import base64
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir.instant import interval
from fhir_server.validation.primitives import TESTS

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
GOOD: dict[str, list[object]] = {
    "base64Binary": ["aGVsbG8=", "aGVs bG8=", "aGVs\nbG8="],
    "boolean": [True, False],
    "code": ["a", "a b", "http://x"],
    "date": ["2024", "2024-02", "2024-02-29", "0001-01-01", "9999-12-31"],
    "dateTime": ["2024", "2024-02-29", "2024-02-29T23:59:59Z", "2024-01-01T00:00:00.123+14:00"],
    "decimal": [0, -1, 1.5, 1e300],
    "id": ["a", "A-1.b", "x" * 64],
    "instant": ["2024-02-29T23:59:59Z", "2024-02-29T23:59:59.000001-11:30"],
    "integer": [0, -(2**31), 2**31 - 1],
    "markdown": ["# a\n\tb"],
    "oid": ["urn:oid:1.2.840.0", "urn:oid:2.0"],
    "positiveInt": [1, 2**31 - 1],
    "string": ["a", " a ", "ä\t\r\n😀"],
    "time": ["00:00:00", "23:59:60.5"],
    "unsignedInt": [0],
    "uri": ["a", "urn:x", "http://a.b/c?d#e"],
    "uuid": ["urn:uuid:c757873d-ec9a-4326-a141-556f43239520"],
}
BAD: dict[str, list[object]] = {
    "base64Binary": ["", "a", "aGVsbG8", "aGVs*G8=", 1],
    "boolean": ["true", 1, 0, None],
    "code": ["", " a", "a ", "a  b", 1],
    "date": [
        "",
        "24",
        "2024-13",
        "2024-00",
        "2024-02-30",
        "2023-02-29",
        "2024-1-1",
        "0000",
        2024,
        "2024-02-29T00:00:00Z",
        "2024-02-29\n",
        "٢٠٢٤",
    ],
    "dateTime": [
        "2024-02-29T23:59:59",
        "2024-02-29T24:00:00Z",
        "2024-02-30T00:00:00Z",
        "2024-02-29T23:59Z",
        "2024-02-29T23:59:59+14:01",
        "2024-04-31",
    ],
    "decimal": ["1", True, float("nan"), float("inf"), None],
    "id": ["", "a_b", "a b", "x" * 65, "a\n", "ä", 1],
    "instant": ["2024-02-29", "2024-02-29T23:59:59", "2023-02-29T00:00:00Z"],
    "integer": [1.0, True, "1", 2**31, -(2**31) - 1],
    "oid": ["1.2.3", "urn:oid:3.1", "urn:oid:1.02"],
    "positiveInt": [0, -1, 2**31],
    "string": ["", "a\x00", "\x0b", "\ud800", 1, None, [], {}],
    "time": ["24:00:00", "10:00", "10:60:00"],
    "unsignedInt": [-1],
    "uri": ["", "a b", "a\n", 1],
    "uuid": [
        "c757873d-ec9a-4326-a141-556f43239520",
        "urn:uuid:C757873D-EC9A-4326-A141-556F43239520",
    ],
}


@pytest.mark.parametrize(("kind", "value"), [(k, v) for k, vs in GOOD.items() for v in vs])
def test_good_value(kind: str, value: object) -> None:
    assert TESTS[kind](value) is None


@pytest.mark.parametrize(("kind", "value"), [(k, v) for k, vs in BAD.items() for v in vs])
def test_bad_value(kind: str, value: object) -> None:
    assert TESTS[kind](value)


def test_nothing_longer_than_a_megabyte_is_a_string() -> None:
    assert TESTS["string"]("x" * 1024 * 1024) is None
    assert TESTS["string"]("x" * (1024 * 1024 + 1))


@given(st.dates())
def test_every_day_of_the_calendar_is_a_date(day: date) -> None:
    assert TESTS["date"](day.isoformat()) is None


@given(st.integers(1, 9999), st.integers(1, 12), st.integers(1, 31))
def test_a_date_is_accepted_exactly_when_the_calendar_has_it(
    year: int, month: int, day: int
) -> None:
    text = f"{year:04}-{month:02}-{day:02}"
    try:
        date(year, month, day)
    except ValueError:
        assert TESTS["date"](text)
    else:
        assert TESTS["date"](text) is None


ZONES = st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
MOMENTS = st.integers(-(10**10), 10**11).map(lambda s: EPOCH + timedelta(seconds=s))


@given(MOMENTS, ZONES)
def test_an_accepted_instant_is_an_interval_for_search(moment: datetime, zone: timezone) -> None:
    text = moment.astimezone(zone).isoformat(timespec="milliseconds")
    assert TESTS["instant"](text) is None
    low, high = interval(text)
    assert low < high


@given(st.from_regex(r"\A[0-9]{4}(-[0-9]{2}(-[0-9]{2}(T[0-6][0-9]:[0-6][0-9]:[0-6][0-9]Z)?)?)?\Z"))
def test_whatever_is_accepted_as_a_date_is_an_interval_for_search(text: str) -> None:
    # A leap second is good FHIR, but no clock here knows it: such a date is not found by search.
    if TESTS["dateTime"](text) is None and ":60" not in text:
        low, high = interval(text)
        assert low < high


@given(st.binary(min_size=1, max_size=64))
def test_all_base64_is_accepted(data: bytes) -> None:
    assert TESTS["base64Binary"](base64.b64encode(data).decode()) is None
