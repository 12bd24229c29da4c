from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

from hypothesis import given
from hypothesis import strategies as st

from fhir_server.http.wire import http_date

ZONES = st.sampled_from([UTC, timezone(timedelta(hours=4, minutes=30))])
MOMENTS = st.datetimes(datetime(1900, 1, 2), datetime(9999, 12, 30), timezones=ZONES)  # noqa: DTZ001


@given(MOMENTS)
def test_an_http_date_is_what_the_standard_library_writes(moment: datetime) -> None:
    assert http_date(moment) == format_datetime(moment.astimezone(UTC), usegmt=True)
