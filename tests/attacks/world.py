"""A small world in which everything that could leak is recognised.

Each id, and each word that a resource holds, occurs nowhere else: `zi0007` is an id, `zq0007c` the
third word of the same resource. So whatever an answer tells can be told from the answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from string import ascii_lowercase
from typing import Any

from tests.attacks.marked import MADE, Json, Marked
from tests.attacks.oracle import STATE, Caller, Oracle

MARK = re.compile(r"z[iq]\d{4}[a-z]*")
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
PROFILES = "https://fhir.ghasi.af/StructureDefinition/"
ATTACHMENT = PROFILES + "comm-attachment"
GDPR = "https://fhir.ghasi.af/CodeSystem/gdpr-request"
# Types whose resources are about a patient, by the element that says so.
ABOUT = {
    "Communication": "subject",
    "CommunicationRequest": "subject",
    "Encounter": "subject",
    "DocumentReference": "subject",
    "Task": "for",
    "List": "subject",
    "RelatedPerson": "patient",
    "CareTeam": "subject",
    "Device": "patient",
    "Basic": "subject",
}


@dataclass
class World(Marked):
    """Resources by `Type/id`, and the references of those that have a name."""

    resources: dict[str, Json] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=dict)
    _made: int = 0

    @property
    def oracle(self) -> Oracle:
        return Oracle(dict(self.resources))

    def __getitem__(self, name: str) -> str:
        return self.named[name]

    def id(self, name: str) -> str:
        return self.named[name].partition("/")[2]

    def add(self, kind: str, /, name: str = "", **elements: Any) -> str:
        """A new resource, with words in each of its texts; its reference."""
        self._made += 1
        number = f"{self._made:04d}"
        self.words = (f"zq{number}{letter}" for letter in ascii_lowercase)
        id = f"zi{number}"
        meta = {"versionId": "1", "lastUpdated": MADE, **elements.pop("meta", {})}
        body = {**self.texts_of(kind), **elements}
        reference = f"{kind}/{id}"
        self.resources[reference] = {"resourceType": kind, "id": id, "meta": meta, **body}
        if name:
            self.named[name] = reference
        return reference


def refer(*references: str) -> list[Json]:
    return [{"reference": text} for text in references]


def to(reference: str | None) -> Json:
    return {"reference": reference} if reference else {}


def label(code: str) -> Json:
    return {"security": [{"system": CONFIDENTIALITY, "code": code}]}


def clinic() -> World:
    """People; patients that are open (zahra, omid), of sami's care team (sealed), of nobody's
    (vault); and of each type a resource about each of them, and about nobody, among other people.
    """
    world = _people()
    for kind in ("Organization", "Location", "HealthcareService", "Binary", "Bundle"):
        world.add(kind)
    together = [world["zahra"], world["vault"]]
    world.add("Group", member=[{"entity": to(one)} for one in together])
    world.add(
        "Appointment", participant=[{"actor": to(one), "status": "accepted"} for one in together]
    )
    world.add("PractitionerRole", practitioner=to(world["amina"]))
    world.add("Subscription")
    people = ["amina", "farid", "sami", "zahra", "karim", "sealed", "omid"]
    for n, about in enumerate(("zahra", "omid", "sealed", "vault", "")):
        _records(world, about and world[about], [world[p] for p in people[n:] + people[:n]])
    _conversations(world)
    for about in ("zahra", "sealed"):
        _request(world, about)
    return world


def talks() -> World:
    """The same people, and what they say to each other only."""
    world = _people()
    role = world.resources.pop(world.add("PractitionerRole"))
    world.resources["PractitionerRole/on-call"] = role | {"id": "on-call"}
    _conversations(world)
    _request(world, "zahra")
    world.add("AuditEvent", "entry", entity=[{"what": to(world["zahra"])}])
    return world


def _people() -> World:
    world = World()
    for name in ("amina", "farid", "sami", "laila"):
        world.add("Practitioner", name)
    for name, meta in (("zahra", {}), ("omid", {}), ("sealed", label("R")), ("vault", label("V"))):
        world.add("Patient", name, meta=meta, generalPractitioner=refer(world["amina"]))
    world.add("RelatedPerson", "karim", patient=to(world["zahra"]))
    _teams(world)
    return world


def _teams(world: World) -> None:
    """Farid was in the team of sealed; amina is in one that is over."""
    members: list[Json] = [
        {"member": to(world["sami"])},
        {"member": to(world["farid"]), "period": {"end": "2025-12-31"}},
    ]
    world.add("CareTeam", "team", subject=to(world["sealed"]), participant=members)
    for more in ({"status": "inactive"}, {"period": {"end": "2025-12-31"}}):
        mine = [{"member": to(world["amina"])}]
        world.add("CareTeam", subject=to(world["sealed"]), participant=mine, **more)
    world.add("CareTeam", subject=to(world["zahra"]), participant=[{"member": to(world["farid"])}])


def _records(world: World, about: str, people: list[str]) -> None:
    """One of each type about a patient; whoever comes first in `people` has most to do with it."""
    first, second, third, *_ = people
    staff = [one for one in people if one.startswith("Practitioner/")]

    def add(kind: str, **elements: Any) -> str:
        place: Json = {ABOUT[kind]: to(about)} if about and kind in ABOUT else {}
        return world.add(kind, **place, **elements)

    seen = add("Communication", sender=to(first), recipient=refer(second))
    add("Communication", sender=to(staff[-1]), recipient=refer(staff[0], third))
    add("CommunicationRequest", requester=to(first), recipient=refer(second))
    add("CommunicationRequest", requester=to(staff[1]), sender=to(third), recipient=refer(staff[0]))
    visit = add("Encounter", participant=[{"individual": to(staff[0])}])
    document = add("DocumentReference", author=refer(first))
    task = add("Task", owner=to(first), requester=to(staff[1]), focus=to(seen))
    add("Task", owner=to(staff[2]), requester=to(second), encounter=to(visit))
    add("List", source=to(staff[0]), entry=[{"item": to(text)} for text in (seen, document)])
    makers = [one for one in people if not one.startswith("RelatedPerson/")]
    add("List", source=to(makers[0]), encounter=to(visit), entry=[{"item": to(task)}])
    actors = [{"actor": to(one), "status": "accepted"} for one in (about, staff[1]) if one]
    world.add("Appointment", participant=actors)
    add("Device")
    # Whose it is: the caller's own, for who keeps one.
    world.add("Basic", subject=to(first), author=to(second))
    world.add("Basic", subject=to(about or third))
    if about:
        add("RelatedPerson")
        world.add("Group", member=[{"entity": to(about)}])
        entry = "entry" if about == world["zahra"] else ""
        world.add("AuditEvent", entry, entity=[{"what": to(about), "name": "chart"}])
        world.add("Provenance", target=refer(about))


def _conversations(world: World) -> None:
    """Threads with messages and attachments: about zahra, sealed and nobody."""
    for about in ("zahra", "sealed", ""):
        place = {"subject": to(world[about])} if about else {}
        both = [world["amina"], world["farid"], *([world[about]] if about else [])]
        thread = world.add("Communication", f"thread {about}", **place)
        body = world.resources[thread]
        del body["payload"], body["category"], body["note"]
        body |= {
            "meta": {**body["meta"], "profile": [PROFILES + "comm-thread"]},
            "topic": {"text": f"zq{thread[-4:]}z"},
            "sender": to(world["amina"]),
            "recipient": refer(*both),
        }
        profile = {"profile": [PROFILES + "comm-message"]}
        said = {"partOf": refer(thread), "sender": to(world["amina"]), "meta": profile, **place}
        files = {state: _attachment(world, thread, place, state) for state in STATES}
        for name, state, status in (
            ("sent", "clean", "in-progress"),
            ("withdrawn", "clean", "entered-in-error"),
        ):
            file = files[state] if name == "sent" else _attachment(world, thread, place, state)
            part = {"contentReference": to(file)}
            world.add(
                "Communication",
                f"{name} {about}",
                **{**said, "status": status, "recipient": refer(*both[1:]), "payload": [part]},
            )


def _request(world: World, about: str) -> None:
    """An export under the GDPR that is done, and whose file nobody keeps any more."""
    world.add(
        "Task",
        f"request {about}",
        meta={"profile": [PROFILES + "gdpr-request"]},
        status="completed",
        code={"coding": [{"system": GDPR, "code": "export"}]},
        authoredOn=MADE,
        requester=to(world["laila"]),
        restriction={"period": {"start": MADE, "end": "2026-03-02T09:00:00.000Z"}},
        **{"for": to(world[about])},
    )


STATES = {
    "initiated": ("current", "preliminary"),
    "quarantined": ("current", "preliminary"),
    "clean": ("current", "final"),
}


def _attachment(world: World, thread: str, place: Json, state: str) -> str:
    status, doc_status = STATES[state]
    return world.add(
        "DocumentReference",
        f"file {state} {thread}",
        meta={"profile": [ATTACHMENT]},
        extension=[{"url": STATE, "valueCode": state}],
        status=status,
        docStatus=doc_status,
        author=refer(world["amina"]),
        context={"related": refer(thread)},
        **place,
    )


def callers(world: World) -> dict[str, Caller]:
    """One of each kind of person; every role of the policy is somebody's."""

    def one(name: str, *roles: str, sub: str = "", **more: Any) -> Caller:
        return Caller(name, sub or f"usr_{world.id(name)}", roles, **more)

    def patient(name: str) -> Caller:
        return Caller(name, f"pat_{world.id(name)}", ("PATIENT",))

    zahra, sealed = world["zahra"], world["sealed"]
    listed = [
        one("amina", "DOCTOR"),
        one("farid", "DOCTOR"),
        one("sami", "NURSE"),
        one("laila", "NURSE", "ADMIN"),
        patient("zahra"),
        patient("sealed"),
        patient("omid"),
        one("karim", "PATIENT", sub=f"rel_{world.id('karim')}", patient=zahra),
        Caller("both", f"usr_{world.id('farid')}", ("PATIENT", "DOCTOR"), sealed),
        Caller("admin", "usr_admin", ("ADMIN",)),
        Caller("service", "usr_service", ("SERVICE",)),
        Caller("app", "some-app", ("DOCTOR",)),
        Caller("lost patient", "usr_lost", ("PATIENT",)),
        Caller("visitor", "usr_visitor", ("VISITOR",)),
        Caller("nobody", "usr_nobody"),
    ]
    return {caller.name: caller for caller in listed}
