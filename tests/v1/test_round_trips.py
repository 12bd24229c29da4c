"""What a request costs the database: statements, however much it is about."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fhir_server.settings import Settings
from tests.support.heard import statements
from tests.support.server import listening
from tests.v1.conftest import Ward

HOUR = "2026-01-01T{:02}:00:00.000Z"


@pytest.fixture(scope="module")
def server_url(settings_of_tests: Settings) -> Iterator[str]:
    """One that moves no events: whoever hears of a message may write it meanwhile."""
    with listening(settings_of_tests, moving=False) as address:
        yield address


def test_reading_many_messages_takes_the_statements_of_one(ward: Ward) -> None:
    amina, farid = ward.doctor("amina"), ward.doctor("farid")
    thread = amina.open_thread("usr_farid")
    sent = [amina.send(thread, str(n)) for n in range(200)]
    found = []
    for hour, count in enumerate((1, 50, 200)):
        with statements() as heard:
            answer = farid.read(thread, *sent[:count], readAt=HOUR.format(hour))
        assert answer.status_code == 200, answer.text
        found.append(heard)
    one, fifty, all_of_them = found
    # Several resources are written as rows of arrays: another text, and no more of them.
    assert fifty == all_of_them
    assert len(one) == len(fifty) == 2
    assert farid.threads()[0]["unreadCount"] == 0


def test_a_page_of_threads_is_one_statement(ward: Ward) -> None:
    amina, farid = ward.doctor("amina"), ward.doctor("farid")
    for _ in range(3):
        thread = amina.open_thread("usr_farid")
        for _ in range(3):
            amina.send(thread)
    for asked in ({}, {"unreadOnly": "true"}, {"urgent": "false"}, {"limit": "2"}):
        with statements() as heard:
            farid.threads(**asked)
        assert len(heard) == 1
