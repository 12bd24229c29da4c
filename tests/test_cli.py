from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fhir_server import __version__
from fhir_server.cli import main
from fhir_server.context import Context


@pytest.fixture(autouse=True)
def _own_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHIR_SERVER_DATA_DIR", str(tmp_path))


@pytest.fixture
def on_database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHIR_SERVER_DATABASE_URL", database_url)


def events(tenant: str, capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    assert main(["events", "tail", "--tenant", tenant, "--no-follow"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"{__version__}\n"


def test_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 0
    assert capsys.readouterr().out.endswith("v1 routes: good.\n")


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "sendMessage"]) == 0
    printed = capsys.readouterr().out
    for part in ("POST /v1/communication/threads", "part-of", "p_part_of", "message.sent"):
        assert part in printed


def test_explain_suggests_the_nearest_route(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "sendMesage"]) == 1
    printed = capsys.readouterr().err
    assert printed == "fhir-server: no route sendMesage (did you mean sendMessage?)\n"


def test_token(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "--tenant", "demo", "--sub", "usr_amina", "--role", "DOCTOR"]) == 0
    assert capsys.readouterr().out.count(".") == 2


def test_production_makes_no_tokens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FHIR_SERVER_ENVIRONMENT", "production")
    monkeypatch.setenv("FHIR_SERVER_OIDC_ISSUER", "https://id.example.org")
    monkeypatch.setenv("FHIR_SERVER_OIDC_AUDIENCE", "fhir-server")
    monkeypatch.setenv("FHIR_SERVER_CURSOR_KEY", "a secret that nobody guesses")
    monkeypatch.setenv("FHIR_SERVER_PUBLIC_URL", "https://fhir.example.org")
    assert main(["token", "--tenant", "demo", "--sub", "usr_amina"]) == 1
    assert "production" in capsys.readouterr().err


def test_a_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FHIR_SERVER_POOL_SIZE", "none")
    assert main(["check"]) == 1
    assert capsys.readouterr().err.startswith("fhir-server: POOL_SIZE: ")


@pytest.mark.usefixtures("on_database")
def test_demo_again_is_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    capsys.readouterr()
    first = events("demo", capsys)
    assert main(["demo"]) == 0
    capsys.readouterr()
    assert events("demo", capsys) == first


@pytest.mark.usefixtures("on_database")
def test_events_are_cloudevents(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    capsys.readouterr()
    printed = events("demo", capsys)
    assert [event["type"] for event in printed] == [
        "communication.thread.created",
        *["communication.message.sent"] * 3,
    ]
    assert {event["specversion"] for event in printed} == {"1.0"}
    assert len({event["id"] for event in printed}) == len(printed)
    assert events("demo-north", capsys) == []


@pytest.mark.usefixtures("on_database")
def test_migrate_again_is_harmless() -> None:
    assert main(["migrate"]) == 0
    assert main(["migrate"]) == 0


@pytest.mark.usefixtures("on_database")
def test_gdpr_list_tells_what_is_open_and_what_is_late(
    tenant: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {"patientId": "pat_zahra", "familyName": "Ahmadi"}
    for type_ in ("registration.patient.created", "identity.user.gdpr_erasure_requested"):
        event = {"specversion": "1.0", "id": type_, "source": "urn:other", "type": type_}
        told = json.dumps({**event, "tenantid": tenant, "data": data}).encode()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(told)))
        assert main(["events", "publish"]) == 0
    capsys.readouterr()
    lines = []
    for later in (timedelta(), timedelta(days=31)):
        now = datetime.now(UTC) + later
        job = Context(tenant, "tests", roles=frozenset({"SERVICE"}), face="job", now=now)
        monkeypatch.setattr("fhir_server.gdpr.worker", lambda _, job=job: job)
        assert main(["gdpr", "list", "--tenant", tenant]) == 0
        lines += [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["late"] for line in lines] == [False, True]
    assert lines[0]["subject"] == "Patient/zahra"
    assert (lines[0]["code"], lines[0]["state"]) == ("erase", "requested")
