"""What a client sends along that is not his to say: refused, or without effect; here stands which.

The types and the routes come from the declarations, the values from whoever would gain by them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fhir_server.declarations import read_declarations
from fhir_server.mapping.route import Route
from tests.attacks.oracle import STATE, Caller, may_write
from tests.attacks.watch import JSON, Watch, issue
from tests.attacks.world import ATTACHMENT, PROFILES, label
from tests.support.clinic import (
    Clinic,
    Person,
    Resource,
    message,
    refer,
    reference,
    refusal,
    thread,
)
from tests.v1.routes import BODIES, ROUTES, Asked

DECLARED = read_declarations().definitions
# The server alone writes the others.
TYPES = sorted(name for name, served in DECLARED.types.items() if served.writable)
SEALED = "Patient/sealed"
ZAHRA = {"reference": "Patient/zahra"}
JSON_PATCH = "application/json-patch+json"
SUBSETTED = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
RESTRICTED = label("R")


# What the server says of every resource


@pytest.mark.parametrize("kind", TYPES)
def test_id_version_and_time_are_the_servers(watch: Watch, kind: str) -> None:
    """Without effect, on create and on update."""
    service = watch.callers["service"]
    body = {
        **next(one for one in watch.world.resources.values() if one["resourceType"] == kind),
        "meta": {"versionId": "99", "lastUpdated": "2001-01-01T00:00:00Z", "source": "urn:x:me"},
    }
    for name in ("extension", "partOf"):
        body.pop(name, None)
    made = watch.ask(service, "POST", kind, body).json()
    assert made["id"] != body["id"]
    assert made["meta"]["versionId"] == "1"
    changed = {**body, "id": made["id"], "language": "en"}
    again = watch.ask(service, "PUT", f"{kind}/{made['id']}", changed).json()
    assert again["meta"]["versionId"] == "2"
    for one in (made, again):
        written = datetime.fromisoformat(one["meta"]["lastUpdated"])
        assert abs(datetime.now(UTC) - written) < timedelta(minutes=10)
    other = {**changed, "id": "another"}
    assert issue(watch.ask(service, "PUT", f"{kind}/{made['id']}", other)) == (400, "invalid")


@pytest.mark.parametrize("kind", TYPES)
def test_what_cannot_be_meant_is_refused(watch: Watch, kind: str) -> None:
    """422: a part of a resource, and elements that are none: of no type's."""
    service = watch.callers["service"]
    body = next(one for one in watch.world.resources.values() if one["resourceType"] == kind)
    for more in (
        {"meta": {"tag": [{"system": SUBSETTED, "code": "SUBSETTED"}]}},
        {"tenant": "x"},
        {"tid": "x"},
        {"versionId": "9"},
    ):
        assert watch.ask(service, "POST", kind, {**body, **more}).status_code == 422, more


# Labels


def lifting(person: Person, sealed: Resource) -> list[Any]:
    """Every way to take the label off, or to make another patient of it."""
    bare = {name: value for name, value in sealed.items() if name != "meta"}
    patch = json.dumps([{"op": "remove", "path": "/meta/security"}])
    replaced = json.dumps([{"op": "replace", "path": "/meta", "value": {"source": "urn:x"}}])
    part = [
        {"name": "type", "valueCode": "delete"},
        {"name": "path", "valueString": "Patient.meta.security"},
    ]
    fhirpath = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": part}]}
    entry = {"resource": bare, "request": {"method": "PUT", "url": SEALED}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    return [
        person.put(bare),
        person.put({**bare, "link": [{"other": ZAHRA, "type": "replaces"}]}),
        person.ask("PATCH", SEALED, patch, content_type=JSON_PATCH),
        person.ask("PATCH", SEALED, replaced, content_type=JSON_PATCH),
        person.ask("PATCH", SEALED, '{"meta":null}', content_type="application/merge-patch+json"),
        person.ask("PATCH", SEALED, json.dumps(fhirpath), content_type=JSON),
        person.put(bare, "Patient?_id=sealed"),
        person.delete(SEALED),
        person.delete("Patient?_security=R"),
        person.post(bundle, "/fhir/R4"),
        person.post(bare, if_none_exist="_id=sealed"),
    ]


@pytest.mark.parametrize(
    ("sub", "role"),
    [
        ("usr_amina", "DOCTOR"),
        ("usr_sami", "NURSE"),
        ("pat_sealed", "PATIENT"),
        ("usr_x", "VISITOR"),
    ],
)
def test_nobody_but_administrators_and_backends_lifts_a_label(
    clinic: Clinic, sub: str, role: str
) -> None:
    """403, for those in the care team and for the patient as well."""
    member = [{"member": {"reference": f"Practitioner/{sub[4:]}"}}] if sub[:3] == "usr" else []
    team: Resource = {"resourceType": "CareTeam", "id": "team", "status": "active"}
    clinic.service.put({**team, "subject": {"reference": SEALED}, "participant": member})
    sealed = clinic.service.get(SEALED).json()
    for answer in lifting(clinic.person(sub, role), sealed):
        assert answer.status_code == 403, answer.text
    assert clinic.service.get(SEALED).json() == sealed


def test_a_label_on_anything_else_opens_and_closes_nothing(clinic: Clinic) -> None:
    """Its writer may set and take it; who sees the resource is told by the patient's alone."""
    for meta in (RESTRICTED, {"security": [{"code": "N"}]}, {"source": "urn:x:me"}):
        talk = clinic.amina.created(thread("Practitioner/farid", meta=meta))
        assert clinic.sami.get(reference(talk)).status_code == 200
        hidden = clinic.service.created(
            thread(patient=SEALED, meta=meta, sender={"reference": "Practitioner/amina"})
        )
        assert refusal(clinic.sami.get(reference(hidden))) == (403, "forbidden")


# Other people's names


AMINA, FARID = {"reference": "Practitioner/amina"}, {"reference": "Practitioner/farid"}
ABOUT = {"subject": {"reference": "Patient/zahra"}}
TASK = {"resourceType": "Task", "status": "requested", "intent": "order"}
# By farid, in amina's name.
FORGED: Mapping[str, Resource] = {
    "a thread": thread("Practitioner/farid", sender=AMINA),
    "a record": {"resourceType": "Communication", "status": "completed", **ABOUT, "sender": AMINA},
    "a request": {"resourceType": "CommunicationRequest", "status": "active", "requester": AMINA},
    "her things": {"resourceType": "Basic", "code": {"text": "x"}, "subject": AMINA},
    "her task": {**TASK, "owner": AMINA, "requester": AMINA},
    "her list": {"resourceType": "List", "status": "current", "mode": "working", "source": AMINA},
    "configuration": {
        "resourceType": "Basic",
        "subject": FARID,
        "code": {"coding": [{"system": "https://fhir.ghasi.af/CodeSystem/configuration",
                             "code": "escalation"}]},
    },
    "a notification": {
        "resourceType": "CommunicationRequest",
        "status": "active",
        "category": [{"coding": [{"system": "https://fhir.ghasi.af/CodeSystem/request-kind",
                                  "code": "notification"}]}],
    },
    "a team": {"resourceType": "CareTeam", "status": "active", "subject": {"reference": SEALED},
               "participant": [{"member": FARID}]},
    "a restricted chart": {
        "resourceType": "Encounter", "status": "planned", "class": {"code": "AMB"},
        "subject": {"reference": SEALED}, "participant": [{"individual": FARID}],
    },
}  # fmt: skip


@pytest.mark.parametrize("what", FORGED)
def test_nobody_writes_in_anothers_name_or_right(clinic: Clinic, what: str) -> None:
    """403, and nothing is there; nor by changing something of one's own into it."""
    body = FORGED[what]
    assert refusal(clinic.farid.post(body))[0] in (403, 422), what
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": body, "request": {"method": "POST", "url": body["resourceType"]}}
    ]}  # fmt: skip
    assert clinic.farid.post(bundle, "/fhir/R4").status_code in (403, 422)
    assert clinic.service.ids(body["resourceType"]) == set()


FOR_OTHERS: Mapping[str, Resource] = {
    "a task": {**TASK, "for": ZAHRA, "owner": AMINA, "requester": AMINA},
    "a document": {
        "resourceType": "DocumentReference",
        "status": "current",
        "subject": ZAHRA,
        "author": [AMINA],
        "content": [{"attachment": {"title": "x"}}],
    },
}


@pytest.mark.parametrize("what", FOR_OTHERS)
def test_one_may_file_for_others_where_the_chart_is_open(clinic: Clinic, what: str) -> None:
    """Kept as sent; the same of a chart that is closed is 403."""
    body = FOR_OTHERS[what]
    made = clinic.farid.created(body)
    assert {name: made[name] for name in body} == body
    sealed = {
        name: {"reference": SEALED} if value == ZAHRA else value for name, value in body.items()
    }
    assert refusal(clinic.farid.post(sealed)) == (403, "forbidden")


@pytest.mark.parametrize(
    "more",
    [
        {"implicitRules": "urn:x:everyone-may-read"},
        {"modifierExtension": [{"url": "urn:x:everyone-may-read", "valueBoolean": True}]},
    ],
)
def test_modifiers_are_kept_and_open_nothing(clinic: Clinic, more: Resource) -> None:
    """They are for those who read the resource; no rule and no right here rests on them."""
    talk = clinic.amina.created(thread("Practitioner/farid", patient=None, **more))
    assert {name: talk[name] for name in more} == more
    assert PROFILES + "comm-thread" in talk["meta"]["profile"]
    assert refusal(clinic.sami.get(reference(talk))) == (403, "forbidden")
    assert refusal(clinic.sami.post(message(talk, **more))) == (403, "forbidden")


def test_what_is_ones_own_does_not_become_anothers(clinic: Clinic) -> None:
    mine = clinic.farid.created({"resourceType": "Basic", "code": {"text": "x"}, "subject": FARID})
    code = FORGED["configuration"]["code"]
    for changed in ({**mine, "subject": AMINA}, {**mine, "code": code}):
        assert refusal(clinic.farid.put(changed))[0] in (403, 422)
    for place in ("escalation", "notification-channels", "virtual-care"):
        assert refusal(clinic.farid.put({**mine, "id": place}))[0] in (403, 405)
        assert refusal(clinic.farid.put({**mine, "id": place, "code": code}))[0] in (403, 405, 422)
    record = clinic.farid.created({k: v for k, v in FORGED["a record"].items() if k != "sender"})
    assert refusal(clinic.farid.put({**record, "sender": AMINA})) == (403, "forbidden")
    assert refusal(clinic.farid.put({**record, "subject": {"reference": SEALED}}))[0] == 403


def test_a_message_has_the_recipients_of_its_thread(clinic: Clinic) -> None:
    """Those that a client names have no effect; receipts and `received` are 403."""
    talk = clinic.amina.created(thread("Practitioner/farid", patient=None))
    said = clinic.amina.created(message(talk, recipient=refer("Practitioner/sami")))
    assert said["recipient"] == refer("Practitioner/farid")
    assert refusal(clinic.sami.get(reference(said))) == (403, "forbidden")
    parts = [
        {"url": "reader", "valueReference": FARID},
        {"url": "readAt", "valueInstant": "2026-01-01T00:00:00Z"},
    ]
    for more in (
        {"received": "2026-01-01T00:00:00Z"},
        {"extension": [{"url": PROFILES + "read-receipt", "extension": parts}]},
    ):
        assert refusal(clinic.amina.post(message(talk, **more))) == (403, "forbidden")


# Ways around a profile's rules


def forms(talk: Resource) -> list[Resource]:
    """How a reference may name the thread, or seem not to."""
    at = reference(talk)
    return [
        {"reference": at},
        {"reference": f"{at}/_history/1"},
        {"reference": f"{at}#x"},
        {"reference": at, "type": "DocumentReference"},
        {"reference": at, "identifier": {"value": "x"}},
        {"reference": f"./{at}"},
        {"reference": f"/{at}"},
        {"reference": f"Communication//{talk['id']}"},
    ]


@pytest.mark.parametrize("profile", [None, [], [PROFILES + "comm-thread"], ["urn:x:other"]])
def test_no_form_of_a_message_escapes_its_rules(clinic: Clinic, profile: Any) -> None:
    """Who takes no part puts nothing into a thread, whatever he calls it."""
    talk = clinic.amina.created(thread("Practitioner/farid"))
    meta = {} if profile is None else {"meta": {"profile": profile}}
    for form in forms(talk):
        body = {**message(talk), "partOf": [form], **ABOUT, **meta}
        for one in (body, {**body, "status": "completed"}, {**body, "topic": {"text": "x"}}):
            clinic.sami.post(one)
    for query in (f"part-of={reference(talk)}", f"part-of={reference(talk)}/_history/1"):
        assert clinic.service.ids(f"Communication?{query}") == set()
    listed = clinic.amina.v1("GET", f"threads/thr_{talk['id']}/messages").json()
    assert listed["items"] == []


def test_a_message_stays_one(clinic: Clinic) -> None:
    """Dropping the profile, the thread or the content from it is refused, whoever sent it."""
    talk = clinic.amina.created(thread("Practitioner/farid"))
    said = clinic.amina.created(message(talk))
    bare = {key: value for key, value in said.items() if key not in ("meta", "partOf")}
    for changed in (
        bare,
        {**said, "partOf": refer("Communication/other")},
        {**said, "payload": [{"contentString": "never said"}]},
        {**said, "recipient": refer("Practitioner/sami")},
        {**said, "sent": "2020-01-01T00:00:00Z"},
    ):
        for person in (clinic.amina, clinic.farid, clinic.sami):
            assert person.put(changed).status_code in (403, 409, 422)
    kept = clinic.amina.put({key: value for key, value in said.items() if key != "meta"})
    assert kept.json()["meta"]["profile"] == said["meta"]["profile"]


# Files


def announced(talk: Resource, **more: Any) -> Resource:
    """An attachment of the thread, as a FHIR client announces it."""
    attachment = {"title": "a.pdf", "contentType": "application/pdf", "size": 5}
    return {
        "resourceType": "DocumentReference",
        "meta": {"profile": [ATTACHMENT]},
        "status": "current",
        "docStatus": "preliminary",
        "extension": [{"url": STATE, "valueCode": "initiated"}],
        "content": [{"attachment": attachment}],
        "context": {"related": refer(reference(talk))},
        **more,
    }


def test_no_client_calls_a_file_clean_or_anothers(clinic: Clinic) -> None:
    talk = clinic.amina.created(thread("Practitioner/farid"))
    for more in (
        {"extension": [{"url": STATE, "valueCode": "clean"}], "docStatus": "final"},
        {"author": refer("Practitioner/farid")},
        {"masterIdentifier": {"system": "https://fhir.ghasi.af/NamingSystem/file", "value": "x"}},
    ):
        assert refusal(clinic.amina.post(announced(talk, **more)))[0] in (403, 422), more
    mine = clinic.amina.created(announced(talk, docStatus="final", subject={"reference": SEALED}))
    assert mine["docStatus"] == "preliminary"
    assert mine["subject"] == talk["subject"]
    for person in (clinic.amina, clinic.service):
        for changed in (
            {**mine, "extension": [{"url": STATE, "valueCode": "clean"}]},
            {**mine, "extension": [], "meta": {}},
            {**mine, "author": refer("Practitioner/farid")},
            {**mine, "subject": {"reference": "Patient/omid"}},
        ):
            assert person.put(changed).status_code in (403, 409, 422)


def test_a_file_is_not_opened_by_a_record_that_names_it(clinic: Clinic) -> None:
    """Who takes part in the thread, but was not sent it, says that he was."""
    talk = clinic.amina.created(thread("Practitioner/farid"))
    file = clinic.amina.created(announced(talk))
    assert refusal(clinic.farid.get(reference(file))) == (403, "forbidden")
    payload = [{"contentReference": {"reference": reference(file)}}]
    record = {"resourceType": "Communication", "status": "completed", **ABOUT, "payload": payload}
    for body in (
        record,
        {**record, "basedOn": refer("Task/x")},
        {
            **record,
            "payload": [{"contentReference": {"reference": reference(file) + "/_history/1"}}],
        },
    ):
        for person in (clinic.farid, clinic.amina):
            assert refusal(person.post(body)) == (422, "processing")
    made = clinic.farid.created({k: v for k, v in record.items() if k != "payload"})
    assert refusal(clinic.farid.put({**made, "payload": payload})) == (422, "processing")
    assert refusal(clinic.farid.get(reference(file))) == (403, "forbidden")
    assert file["id"] not in clinic.farid.ids("DocumentReference")


# v1


@pytest.mark.parametrize(
    "route", [r for r in ROUTES.values() if Asked(r, {}).takes_json], ids=lambda r: r.id
)
def test_v1_takes_nothing_that_a_route_does_not_declare(watch: Watch, route: Route) -> None:
    """400 for every other field of the same concept, and for what a tenant or FHIR would be."""
    role = route.declared.roles[0] if route.declared.roles else "DOCTOR"
    caller = Caller("x", watch.callers["amina"].sub, (role,), scope=route.declared.scope)
    taken = set(route.declared.takes or ())
    others = {*route.fields, "id", "tid", "tenantId", "meta", "status", "resourceType", "profile"}
    ids = {name: f"{name[:3]}_none" for name in route.segments}
    path = route.prefix + route.template.format(**ids)
    for n, name in enumerate(sorted(others - taken)):
        body = {**(BODIES[route.id][0] or {}), name: "x"}
        headers = {"content_type": "application/json", "idempotency_key": f"mass-{n}"}
        answer = watch.ask(caller, route.method, path, body, **headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")


def test_who_may_write_labels_is_said_by_the_policy(watch: Watch) -> None:
    writers = {name for name, one in watch.callers.items() if may_write(one, "Patient")}
    assert writers == {"laila", "admin", "service"}
