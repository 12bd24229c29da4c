"""COMMS-US-006 with ClamAV itself: the whole way over HTTP, and a daemon that goes away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fhir_server.settings import Settings
from tests.support import clamd
from tests.support.clamd import EICAR
from tests.v1.attachments import PDF, clean, fetch, send, settled, uploaded
from tests.v1.conftest import Ward, refused


@pytest.fixture(scope="module")
def settings_of_tests(database_url: str, folder: Path) -> Iterator[Settings]:
    with clamd.real(folder) as address:
        yield Settings(
            environment="test", database_url=database_url, data_dir=folder, clamd=address
        )


def test_us_006_clean(ward: Ward) -> None:
    """Given a file uploaded, when scan = clean, then attachment becomes attachable to messages."""
    amina = ward.doctor("amina")
    thread = amina.open_thread("usr_farid")
    attachment = clean(amina, thread)
    assert send(amina, thread, attachment).status_code == 201
    assert fetch(ward.doctor("farid"), attachment).content == PDF


def test_us_006_infected(ward: Ward) -> None:
    """Given scan = infected, when scan completes, then quarantine event emitted and attachment
    unusable.
    """
    amina = ward.doctor("amina")
    thread = amina.open_thread("usr_farid")
    attachment = uploaded(amina, thread, PDF + EICAR + b"\n%%EOF")
    assert settled(amina, attachment) == "infected"
    assert ward.events()[-1][0] == "communication.attachment.quarantined"
    assert refused(send(amina, thread, attachment)) == (422, "ATTACHMENT_REJECTED")
    assert refused(fetch(amina, attachment)) == (409, "INVALID_STATE_TRANSITION")
