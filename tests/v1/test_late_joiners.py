"""A house where joiners see everything: one line more in the access policy, as docs/messaging.md
says, and no other change."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fhir_server import declared
from fhir_server.settings import Settings
from tests.support.program import ROOT
from tests.support.server import listening
from tests.v1.conftest import Caller, Ward, refused

OWN = "      - participant=$caller&patient:missing=true\n    write: true\n  CommunicationRequest:"
MORE = "      - part-of:Communication.participant=$caller\n"


@pytest.fixture(scope="module")
def server_url(settings_of_tests: Settings, folder: Path) -> Iterator[str]:
    """The server with a policy of its own."""
    for name in declared.FOLDERS:
        shutil.copytree(ROOT / name, folder / name)
    policy = folder / "capability" / "access-policy.yaml"
    text = policy.read_text()
    assert text.count(OWN) == 1
    policy.write_text(text.replace(OWN, MORE + OWN))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(declared, "_PACKAGE", folder / "fhir_server")
        with listening(settings_of_tests) as address:
            yield address


def test_who_joins_sees_what_was_said_before(ward: Ward, amina: Caller) -> None:
    thread = amina.open_thread("usr_farid")
    before = amina.send(thread, "before")
    sami = ward.doctor("sami")
    amina.post(f"/threads/{thread}/participants", {"participantIds": ["usr_sami"]})
    assert [message["body"] for message in sami.messages(thread)] == ["before"]
    assert sami.fhir(before.replace("msg_", "/Communication/"))["id"] in before
    address = f"/v1/communication/threads/{thread}/participants/usr_sami"
    assert sami.client.delete(address).status_code == 200
    assert refused(sami.get(f"/threads/{thread}/messages")) == (403, "FORBIDDEN")
    read = sami.client.get(before.replace("msg_", "/fhir/R4/Communication/"))
    assert read.status_code == 403
