"""`fhir-server reindex`: a new declaration becomes searchable, without a change of code."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from fhir_server import declared
from fhir_server.cli import main
from fhir_server.maintenance import Display
from fhir_server.settings import Settings
from fhir_server.workers.reindex import Progress
from tests.conftest import NewClinic
from tests.support.clinic import Clinic, Person, reference, thread
from tests.support.program import ROOT, environment
from tests.support.server import listening

INDEX = "https://fhir.ghasi.af/StructureDefinition/search-index"
DATE, TEXT, CODE = "note-time", "note-text", "reason"
NEW = (
    (DATE, "date", "Communication.note.time"),
    (TEXT, "string", "Communication.note.text"),
    (CODE, "token", "Communication.reasonCode"),
)


@pytest.fixture(autouse=True)
def _on_database(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHIR_SERVER_DATABASE_URL", database_url)
    monkeypatch.setenv("FHIR_SERVER_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Declared folders of this test's own, in the place of the project's."""
    for folder in declared.FOLDERS:
        shutil.copytree(ROOT / folder, tmp_path / folder)
    monkeypatch.setattr(declared, "_PACKAGE", tmp_path / "fhir_server")
    return tmp_path


def declare(root: Path) -> None:
    """Three new search parameters, the date in an index of its own."""
    file = root / "capability" / "CapabilityStatement.json"
    capability = json.loads(file.read_text())
    types = capability["rest"][0]["resource"]
    served = next(one for one in types if one["type"] == "Communication")
    served["extension"].append({"url": INDEX, "valueString": f"sender,-{DATE}"})
    for code, kind, expression in NEW:
        new = parameter(code, kind, expression)
        served["searchParam"].append({"name": code, "definition": new["url"], "type": kind})
        name = f"SearchParameter-Communication-{code}.json"
        (root / "profiles" / name).write_text(json.dumps(new))
    file.write_text(json.dumps(capability))


def parameter(code: str, kind: str, expression: str) -> dict[str, Any]:
    return {
        "resourceType": "SearchParameter",
        "id": f"Communication-{code}",
        "url": f"https://fhir.ghasi.af/SearchParameter/Communication-{code}",
        "name": code,
        "status": "active",
        "description": "A new one.",
        "code": code,
        "base": ["Communication"],
        "type": kind,
        "expression": expression,
    }


@pytest.fixture
def noted(clinic: Clinic) -> list[str]:
    """Threads with notes, the newest first, as they were stored before the declaration."""
    return [
        clinic.amina.created(
            thread(
                note=[{"text": f"Örtlich {n}", "time": f"2026-01-0{n}T08:00:00Z"}],
                reasonCode=[{"coding": [{"system": "urn:r", "code": f"r{n}"}]}],
            )
        )["id"]
        for n in (3, 2, 1)
    ]


def test_a_new_declaration_is_searchable_after_migrate_and_reindex(
    root: Path,
    noted: list[str],
    clinic: Clinic,
    settings_of_tests: Settings,
    capsys: pytest.CaptureFixture[str],
) -> None:
    declare(root)
    assert main(["migrate"]) == 0
    assert main(["reindex", "--type", "Communication", "--tenant", clinic.tenant]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert f"{clinic.tenant} Communication: 0 of 3" in printed
    assert f"{clinic.tenant} Communication: 3 of 3" in printed
    assert printed[-1] == "3 resources were indexed anew."
    # The server with the older declarations still serves, and writes.
    later = clinic.amina.created(thread(note=[{"text": "later", "time": "2026-02-01"}]))
    assert main(["reindex"]) == 0
    with listening(settings_of_tests) as address, httpx.Client(base_url=address) as http:
        amina = Person(http, clinic.amina.reference, clinic.amina.authorization)
        newest = [later["id"], *noted]
        order = f"Communication?sender={amina.reference}&_sort=-{DATE}"
        assert in_order(amina, order) == newest
        assert in_order(amina, f"{order}&{DATE}=lt2026-02-01") == noted
        assert amina.ids(f"Communication?{TEXT}=ortlich") == set(noted)
        assert amina.ids(f"Communication?{CODE}=urn:r|r2") == {noted[1]}
        assert amina.ids(f"Communication?{CODE}:missing=true") == {later["id"]}
    assert has_index("communication_sender_note_time")


def in_order(person: Person, query: str) -> list[str]:
    answer = person.get(query)
    assert answer.status_code == 200, answer.text
    return [entry["resource"]["id"] for entry in answer.json().get("entry", ())]


def has_index(name: str) -> bool:
    with psycopg.connect(Settings().database_url or "") as connection:
        rows = connection.execute("SELECT 1 FROM pg_indexes WHERE indexname = %s", [name])
        return bool(rows.fetchall())


@pytest.mark.usefixtures("noted")
def test_every_tenant_and_type_unless_told(
    root: Path, clinic: Clinic, new_clinic: NewClinic, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(root)
    other = new_clinic()
    assert other.amina.created(thread())
    assert main(["reindex"]) == 0
    printed = capsys.readouterr().out
    for tenant in (clinic.tenant, other.tenant):
        assert f"{tenant} Communication: " in printed
        assert f"{tenant} Patient: " not in printed
    assert main(["reindex"]) == 0
    assert capsys.readouterr().out == "0 resources were indexed anew.\n"


def test_reindexing_changes_nothing_that_a_client_sees(
    root: Path, noted: list[str], clinic: Clinic
) -> None:
    said = {"resourceType": "Communication", "id": noted[0]}
    before = clinic.amina.get(reference(said))
    declare(root)
    assert main(["reindex"]) == 0
    after = clinic.amina.get(reference(said))
    assert (after.content, after.headers["etag"]) == (before.content, before.headers["etag"])


def test_an_unknown_type_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reindex", "--type", "Comunication"]) == 1
    words = "fhir-server: no type Comunication (did you mean Communication?)\n"
    assert capsys.readouterr().err == words


@pytest.fixture
def many(database_url: str, tenant: str) -> Iterator[int]:
    """Rows that no declaration has indexed yet."""
    count = 4_000
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO task (tenant, id, version, updated, body, keys)"
            " SELECT %s, 'task' || n, 1, now(), json_build_object('resourceType', 'Task',"
            " 'id', 'task' || n, 'status', 'requested', 'intent', 'order'), '{}'"
            " FROM generate_series(1, %s) AS n",
            [tenant, count],
        )
        yield count


def renewed(url: str, tenant: str) -> int:
    query = "SELECT count(*) FROM task WHERE tenant = %s AND cardinality(keys) > 1"
    with psycopg.connect(url) as connection:
        return int(connection.execute(query, [tenant]).fetchall()[0][0])


def test_killed_it_goes_on_where_it_was(
    database_url: str,
    tenant: str,
    many: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = [sys.executable, "-m", "fhir_server", "reindex", "--tenant", tenant]
    env = environment(tmp_path, FHIR_SERVER_DATABASE_URL=database_url)
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE) as process:
        while not renewed(database_url, tenant):
            assert process.poll() is None
            time.sleep(0.005)
        process.kill()
    time.sleep(0.5)
    done = renewed(database_url, tenant)
    assert 0 < done < many
    assert main(["reindex", "--tenant", tenant]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"{many - done} resources were indexed anew."
    assert renewed(database_url, tenant) == many


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_bar_moves() -> None:
    out = Terminal()
    display = Display(out)
    for done in (0, 5, 10):
        display.show(Progress("t", "Task", done, 10))
    display.show(Progress("t", "Basic", 1, 2))
    display.end()
    assert out.getvalue().count("\r") == 4
    assert out.getvalue().count("\n") == 2
    assert "█" * 15 + "░" * 15 + " t Task: 5 of 10" in out.getvalue()


def test_elsewhere_there_are_plain_lines() -> None:
    out = io.StringIO()
    display = Display(out)
    for done in range(0, 1_001, 10):
        display.show(Progress("t", "Task", done, 1_000))
    display.end()
    assert out.getvalue() == "t Task: 0 of 1,000\nt Task: 1,000 of 1,000\n"
