"""A date is a stretch of time, whatever its precision and zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir.instant import interval, now_text

OFFSET = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENT = st.datetimes(
    datetime.fromisoformat("0002-01-01"), datetime.fromisoformat("9998-01-01"), timezones=OFFSET
)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2024", utc(2024, 1, 1), utc(2025, 1, 1)),
        ("2024-02", utc(2024, 2, 1), utc(2024, 3, 1)),
        ("2024-12", utc(2024, 12, 1), utc(2025, 1, 1)),
        ("2024-02-29", utc(2024, 2, 29), utc(2024, 3, 1)),
        ("2024-02-29T10:30", utc(2024, 2, 29, 10, 30), utc(2024, 2, 29, 10, 31)),
        ("2024-02-29T10:30:05Z", utc(2024, 2, 29, 10, 30, 5), utc(2024, 2, 29, 10, 30, 6)),
        (
            "2024-03-01T01:00:00.5+04:30",
            utc(2024, 2, 29, 20, 30, 0, 500_000),
            utc(2024, 2, 29, 20, 30, 0, 600_000),
        ),
        (
            "2024-02-29T10:30:05.123456789Z",
            utc(2024, 2, 29, 10, 30, 5, 123_456),
            utc(2024, 2, 29, 10, 30, 5, 123_457),
        ),
    ],
)
def test_a_text_covers(text: str, low: datetime, high: datetime) -> None:
    assert interval(text) == (low, high)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "24",
        "2024-1",
        "2024-13",
        "2023-02-29",
        "2024-02-30",
        "0000",
        "2024-01-01T",
        "2024-01-01T25:00:00Z",
        "2024-01-01T10:00:61Z",
        "2024-01-01T10:00:00+15:00",
        "2024-01-01T10:00:00+01:60",
        "2024-01-01 10:00:00Z",
        "2024-01-01Z",
        "2024-01-01T10:00:00z",
        " 2024",
        "2024\n",
        "\u0662\u0660\u0662\u0664",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:00:00-14:00",
    ],
)
def test_no_date(text: str) -> None:
    with pytest.raises(ValueError):
        interval(text)


@pytest.mark.parametrize("text", ["9999", "9999-12", "9999-12-31", "9999-12-31T23:59:59Z"])
def test_the_end_of_time_is_no_error(text: str) -> None:
    low, high = interval(text)
    assert low < high


@given(MOMENT)
def test_a_moment_lies_within_each_of_its_precisions(moment: datetime) -> None:
    text = moment.astimezone(UTC).isoformat()
    for size in (4, 7, 10):
        low, high = interval(text[:size])
        assert low <= moment < high


@given(MOMENT)
def test_an_instant_is_read_as_written(moment: datetime) -> None:
    low, high = interval(now_text(moment))
    assert low <= moment < high
    assert high - low == timedelta(milliseconds=1)


@given(MOMENT, MOMENT)
def test_instants_sort_as_their_moments(one: datetime, two: datetime) -> None:
    if one <= two:
        assert now_text(one) <= now_text(two)


def test_now_text_is_utc_with_milliseconds() -> None:
    moment = datetime(26, 1, 31, 9, 5, 7, 120_999, tzinfo=timezone(timedelta(hours=1)))
    assert now_text(moment) == "0026-01-31T08:05:07.120Z"
