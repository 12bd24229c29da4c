"""The JavaScript clients `fhir-kit-client` and `fhirclient` (SMART's), in node."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.clinic import Clinic
from tests.support.npm import installed, played

KIT, SMART = "fhir-kit-client.mjs", "fhirclient.mjs"
PAGES = [
    ["North 0", "North 1", "North 2"],
    ["North 3", "North 4", "North 5"],
    ["North 6"],
]
Play = Callable[[str, str], Any]


@pytest.fixture(scope="session")
def scripts() -> Path:
    return installed()


@pytest.fixture
def play(scripts: Path, clinic: Clinic, server_url: str) -> Play:
    """Plays a scenario of a script as the clinic's backend."""
    token = clinic.service.authorization.removeprefix("Bearer ")
    return partial(played, scripts, FHIR_BASE=f"{server_url}/fhir/R4", FHIR_TOKEN=token)


@pytest.mark.parametrize("script", [KIT, SMART])
def test_a_life(play: Play, clinic: Clinic, script: str) -> None:
    found = play(script, "life")
    assert found["names"] == ["North", "South", "East", "North"]
    assert found["methods"] == ["DELETE", "PATCH", "PUT", "POST"]
    assert found["gone"] == 410
    assert clinic.service.get(f"Organization/{found['id']}").status_code == 410


def test_fhir_kit_client_sees_the_headers(play: Play) -> None:
    assert play(KIT, "life")["etag"] == 'W/"3"'


def test_fhir_kit_client_searches(play: Play) -> None:
    found = play(KIT, "search")
    assert all(ids == [found["id"]] for ids in found["found"]), found
    assert len(found["found"]) == 8
    assert (found["modes"], found["chart"]) == (["match"], "searchset")


def test_fhirclient_searches_and_follows_references(play: Play) -> None:
    assert play(SMART, "search") == {
        "part": "Part",
        "whole": "North",
        "patient": "zahra",
        "chart": "searchset",
        "release": 4,
    }


def test_fhir_kit_client_pages(play: Play) -> None:
    assert play(KIT, "paging") == PAGES


def test_fhirclient_pages(play: Play) -> None:
    assert play(SMART, "paging") == {
        "pages": PAGES,
        "all": [name for page in PAGES for name in page],
    }


@pytest.mark.parametrize("script", [KIT, SMART])
def test_conditions(play: Play, clinic: Clinic, script: str) -> None:
    found = play(script, "conditional")
    assert found["same"] is True
    assert (found["version"], found["stale"]) == ("2", 412)
    assert found.get("statuses", [201, 200, 200]) == [201, 200, 200]
    assert len(clinic.service.ids("Organization")) == 1


def test_fhir_kit_client_is_told_why(play: Play) -> None:
    found = play(KIT, "refused")
    (issue,) = found["outcome"]["issue"]
    assert (found["status"], issue["expression"]) == (422, ["Organization.name"])
    assert (found["fhirVersion"], found["validated"]) == ("4.0.1", "error")


def test_fhirclient_is_told_why(play: Play) -> None:
    found = play(SMART, "refused")
    assert found["status"] == 422
    assert "Organization.name" in found["message"]
