"""The official example resources survive a round trip word for word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fhir_server.definitions.model import Definitions
from tests.conftest import NewClinic
from tests.support.clinic import Clinic
from tests.support.official import examples, needs_shared

pytestmark = needs_shared


@pytest.fixture(scope="module")
def ward(new_clinic: NewClinic) -> Clinic:
    return new_clinic()


def exact(text: str) -> dict[str, Any]:
    """The resource with its numbers as they are written, and without meta."""
    found: dict[str, Any] = json.loads(text, parse_float=lambda digits: ("decimal", digits))
    return {name: value for name, value in found.items() if name != "meta"}


@pytest.mark.parametrize("path", examples(), ids=lambda path: path.stem)
def test_an_example_is_stored_and_read_back(
    ward: Clinic, definitions: Definitions, path: Path
) -> None:
    text = path.read_text("utf-8")
    resource = json.loads(text)
    served = definitions.types.get(resource["resourceType"])
    if served is None or not served.writable:
        pytest.skip("not a type that clients write")
    address = f"{resource['resourceType']}/{resource['id']}"
    written = ward.service.ask("PUT", address, text.encode(), content_type="application/fhir+json")
    assert written.status_code == 201, written.text
    read = ward.service.get(address)
    assert exact(read.text) == exact(text)
    meta = read.json()["meta"]
    assert meta["versionId"] == "1"
    kept = {k: v for k, v in resource.get("meta", {}).items() if k not in SERVERS_OWN}
    assert {k: meta[k] for k in kept} == kept


SERVERS_OWN = {"versionId", "lastUpdated"}


def test_decimals_keep_their_zeros(ward: Clinic) -> None:
    text = (
        '{"resourceType":"Location","id":"d","position":{"longitude":-83.6945691000000000000,'
        '"latitude":42.250,"altitude":1e2}}'
    )
    written = ward.service.ask("PUT", "Location/d", text, content_type="application/fhir+json")
    assert written.status_code == 201, written.text
    assert exact(ward.service.get("Location/d").text) == exact(text)
