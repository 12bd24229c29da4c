"""Who sees what: charts, restricted patients, patients themselves, and narrowed scopes."""

from __future__ import annotations

import pytest

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

SEALED = "Patient/sealed"


class Talks:
    """Care-team talk about zahra, a conversation with zahra, and talk about sealed."""

    def __init__(self, clinic: Clinic) -> None:
        self.about = clinic.amina.created(thread("Practitioner/farid"))
        self.about_said = clinic.amina.created(message(self.about))
        self.with_her = clinic.amina.created(thread("Patient/zahra"))
        self.with_her_said = clinic.amina.created(message(self.with_her))
        signed = {"reference": "Practitioner/amina"}
        self.sealed = clinic.service.created(
            thread("Practitioner/farid", patient=SEALED, sender=signed)
        )
        self.sealed_said = clinic.service.created(message(self.sealed, sender=signed))
        self.private = clinic.amina.created(thread("Practitioner/farid", patient=None))


@pytest.fixture
def talks(clinic: Clinic) -> Talks:
    return Talks(clinic)


def ids(*resources: Resource) -> set[str]:
    return {resource["id"] for resource in resources}


def hidden(person: Person, *resources: Resource) -> None:
    """By no request the person learns what is in them."""
    for resource in resources:
        for path in ("", "/_history", "/_history/1"):
            assert refusal(person.get(reference(resource) + path)) == (403, "forbidden")
        id = resource["id"]
        assert person.ids(f"Communication?_id={id}") == set()
        assert person.ids(f"Communication?part-of={reference(resource)}") == set()
        assert person.ids(f"Communication?_has:Communication:part-of:part-of={id}") == set()
        assert id not in person.ids("Communication")
        assert id not in person.ids("Communication?status:not=completed")


def test_a_clinician_reads_the_charts_of_the_tenant(clinic: Clinic, talks: Talks) -> None:
    open_ones = ids(talks.about, talks.about_said, talks.with_her, talks.with_her_said)
    assert clinic.sami.ids("Communication?patient=zahra") == open_ones
    for one in (talks.about, talks.about_said):
        assert clinic.sami.get(reference(one)).status_code == 200


def test_without_a_patient_only_participants_see_it(clinic: Clinic, talks: Talks) -> None:
    assert clinic.farid.get(reference(talks.private)).status_code == 200
    hidden(clinic.sami, talks.private)


def test_a_restricted_chart_is_closed(clinic: Clinic, talks: Talks) -> None:
    hidden(clinic.sami, talks.sealed, talks.sealed_said)
    assert refusal(clinic.sami.get(SEALED)) == (403, "forbidden")
    assert clinic.sami.ids("Communication?patient=Patient/sealed") == set()
    assert clinic.sami.ids("Communication?subject:Patient._id=sealed") == set()
    assert clinic.sami.ids("Patient") == {"zahra", "omid"}
    assert clinic.sami.ids("Patient?_has:Communication:patient:status=in-progress") == {"zahra"}
    bundle = clinic.sami.get("Practitioner?_id=amina&_revinclude=Communication:sender").json()
    found = {entry["resource"]["id"] for entry in bundle["entry"]}
    assert not found & ids(talks.sealed, talks.sealed_said, talks.private)
    assert talks.about["id"] in found


def test_the_care_team_opens_it_and_nobody_else(clinic: Clinic, talks: Talks) -> None:
    team = {
        "resourceType": "CareTeam",
        "id": "team",
        "status": "active",
        "subject": {"reference": SEALED},
        "participant": [{"member": refer("Practitioner/sami")[0]}],
    }
    clinic.service.put(team)
    assert clinic.sami.get(SEALED).status_code == 200
    expected = ids(talks.sealed, talks.sealed_said)
    assert clinic.sami.ids("Communication?patient=sealed") == expected
    assert clinic.sami.created(thread(patient=SEALED))
    outsider = clinic.person("usr_noor", "DOCTOR")
    hidden(outsider, talks.sealed, talks.sealed_said)
    clinic.service.delete("CareTeam/team")
    hidden(clinic.sami, talks.sealed, talks.sealed_said)


@pytest.mark.parametrize(
    "over",
    [
        {"status": "inactive"},
        {"status": "proposed"},
        {"status": "suspended"},
        {"status": "entered-in-error"},
        {"period": {"end": "2026-01-01"}},
        {
            "participant": [
                {"member": {"reference": "Practitioner/sami"}, "period": {"end": "2026"}}
            ]
        },
    ],
)
def test_a_team_that_is_over_does_not_open_it(clinic: Clinic, talks: Talks, over: Resource) -> None:
    team: Resource = {
        "resourceType": "CareTeam",
        "id": "team",
        "status": "active",
        "subject": {"reference": SEALED},
        "participant": [
            {"member": refer("Practitioner/sami")[0], "period": {"start": "2025-01-01"}}
        ],
    }
    clinic.service.put(team)
    assert clinic.sami.get(SEALED).status_code == 200
    assert clinic.sami.ids("CareTeam?current-member=Practitioner/sami") == {"team"}
    clinic.service.put(team | over)
    assert refusal(clinic.sami.get(SEALED)) == (403, "forbidden")
    assert clinic.sami.ids("CareTeam") == set()
    assert refusal(clinic.sami.get(f"{SEALED}/$everything")) == (403, "forbidden")
    hidden(clinic.sami, talks.sealed, talks.sealed_said)


def test_a_label_closes_a_chart_at_once(clinic: Clinic, talks: Talks) -> None:
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "V"}
    clinic.service.put({"resourceType": "Patient", "id": "zahra", "meta": {"security": [label]}})
    hidden(clinic.sami, talks.about, talks.about_said)


def test_a_patient_sees_what_she_takes_part_in(clinic: Clinic, talks: Talks) -> None:
    seen = ids(talks.with_her, talks.with_her_said)
    assert clinic.zahra.ids("Communication") == seen
    assert clinic.zahra.ids("Communication?patient=Patient/zahra") == seen
    assert clinic.zahra.get(reference(talks.with_her_said)).status_code == 200
    hidden(clinic.zahra, talks.about, talks.about_said, talks.sealed, talks.private)


def test_a_patient_does_not_learn_who_talks_about_her(clinic: Clinic, talks: Talks) -> None:
    zahra = clinic.zahra
    assert zahra.ids("Patient") == {"zahra"}
    assert refusal(zahra.get("Patient/omid")) == (403, "forbidden")
    bundle = zahra.get("Patient?_id=zahra&_revinclude=Communication:subject").json()
    found = {entry["resource"]["id"] for entry in bundle["entry"]}
    assert found == {"zahra"} | ids(talks.with_her, talks.with_her_said)
    talkers = "Practitioner?_has:Communication:recipient:subject=Patient/zahra"
    assert zahra.ids(talkers) == {"amina"}
    assert clinic.sami.ids(talkers) == {"amina", "farid"}


def test_a_patient_answers_in_her_conversation(clinic: Clinic, talks: Talks) -> None:
    said = clinic.zahra.created(message(talks.with_her))
    assert said["sender"] == {"reference": "Patient/zahra"}
    assert clinic.zahra.read(talks.with_her, talks.with_her_said).status_code == 200
    assert refusal(clinic.zahra.post(message(talks.about))) == (403, "forbidden")


def test_the_version_of_what_is_closed_is_not_told(clinic: Clinic, talks: Talks) -> None:
    outsider = clinic.person("usr_noor", "DOCTOR")
    for version in ('W/"1"', 'W/"2"', "*"):
        answer = outsider.put(talks.private, if_match=version)
        assert refusal(answer) == (403, "forbidden")
        assert refusal(outsider.delete(reference(talks.private), if_match=version))[0] == 403


def test_a_role_that_is_unknown_sees_nothing(clinic: Clinic, talks: Talks) -> None:
    visitor = clinic.person("usr_visitor", "VISITOR")
    hidden(visitor, talks.about)
    assert visitor.ids("Patient") == set()
    admin = clinic.person("usr_admin", "ADMIN")
    hidden(admin, talks.about)
    assert admin.ids("Patient") == {"zahra", "omid", "sealed"}


def test_a_patient_scope_narrows_a_clinician(clinic: Clinic, talks: Talks) -> None:
    other = clinic.amina.created(thread(patient="Patient/omid"))
    narrowed = clinic.person(
        "usr_farid", "DOCTOR", "patient/Communication.cruds patient/Patient.rs", patient="zahra"
    )
    assert other["id"] not in narrowed.ids("Communication")
    assert narrowed.ids("Patient") == {"zahra"}
    hidden(narrowed, other, talks.private)
    assert narrowed.get(reference(talks.about)).status_code == 200
    assert refusal(narrowed.post(thread("Practitioner/amina", patient="Patient/omid")))[0] == 403
    assert refusal(narrowed.put({**other, "status": "completed"}))[0] == 403
    assert refusal(narrowed.get("Encounter"))[0] == 403
    assert narrowed.created(thread("Practitioner/amina"))


@pytest.mark.parametrize(
    ("subject", "role"),
    [
        ("usr_amina", "DOCTOR"),
        ("usr_farid", "NURSE"),
        ("usr_noor", "DOCTOR"),
        ("pat_zahra", "PATIENT"),
        ("pat_omid", "PATIENT"),
        ("pat_sealed", "PATIENT"),
        ("usr_admin", "ADMIN"),
        ("usr_visitor", "VISITOR"),
        ("backend", "SERVICE"),
    ],
)
def test_every_way_to_a_resource_is_open_or_none(
    clinic: Clinic, talks: Talks, subject: str, role: str
) -> None:
    person = clinic.person(subject, role)
    headers = [talks.about, talks.with_her, talks.sealed, talks.private]
    said = [talks.about_said, talks.with_her_said, talks.sealed_said]
    everything = {one["id"]: one for one in headers + said}
    seen = person.ids("Communication?_count=100")
    for id, one in everything.items():
        paths = [reference(one), f"{reference(one)}/_history", f"{reference(one)}/_history/1"]
        expected = 200 if id in seen else 403
        assert {person.get(path).status_code for path in paths} == {expected}
        assert person.ids(f"Communication?_id={id}") == seen & {id}
        by_part = person.ids(
            f"Communication?_has:Communication:part-of:status=in-progress&_id={id}"
        )
        assert by_part <= seen
        assert (by_part == {id}) == (
            id in seen and any(part["id"] in seen for part in said if is_part(part, one))
        )
    includes = "_include=Communication:part-of&_revinclude=Communication:part-of&_count=100"
    bundle = person.get(f"Communication?{includes}").json()
    assert {e["resource"]["id"] for e in bundle.get("entry", ())} == seen


def is_part(said: Resource, header: Resource) -> bool:
    return bool(said["partOf"] == refer(reference(header)))


@pytest.mark.parametrize(
    ("scope", "method", "path"),
    [
        ("user/Communication.rs", "POST", "Communication"),
        ("user/Communication.cud", "GET", "Communication"),
        ("user/Patient.*", "GET", "Communication"),
        ("messaging:read messaging:write", "GET", "Communication"),
        ("system/*.cruds", "GET", "Communication"),
        ("", "GET", "Patient/zahra"),
        ("patient/*.cruds", "GET", "Patient/zahra"),
    ],
)
def test_what_the_scope_does_not_name_is_403(
    clinic: Clinic, scope: str, method: str, path: str
) -> None:
    person = clinic.person("usr_amina", "DOCTOR", scope)
    answer = person.post(thread()) if method == "POST" else person.get(path)
    assert refusal(answer) == (403, "forbidden")
    assert "insufficient_scope" in answer.headers["www-authenticate"]


def test_a_task_is_no_way_into_a_closed_chart(clinic: Clinic) -> None:
    """Whoever names himself its owner could read it, but not write it."""
    sami = {"reference": "Practitioner/sami"}
    task: Resource = {"resourceType": "Task", "status": "requested", "intent": "order"}
    mine = task | {"owner": sami, "requester": sami}
    about_sealed = mine | {"for": {"reference": SEALED}}
    assert refusal(clinic.sami.post(about_sealed)) == (403, "forbidden")
    assert clinic.service.ids("Task") == set()
    plain = clinic.sami.created(mine)
    open_one = clinic.sami.created(mine | {"for": {"reference": "Patient/zahra"}})
    for one in (plain, open_one):
        moved = one | {"for": {"reference": SEALED}}
        assert refusal(clinic.sami.put(moved)) == (403, "forbidden")
        assert clinic.sami.put(one | {"status": "accepted"}).status_code == 200
    given = clinic.service.created(about_sealed)
    assert clinic.sami.get(reference(given)).status_code == 200
    freed = {name: value for name, value in given.items() if name != "for"}
    for answer in (
        clinic.sami.put(given | {"status": "accepted"}),
        clinic.sami.put(freed),
        clinic.sami.delete(reference(given)),
    ):
        assert refusal(answer) == (403, "forbidden")
    not_mine = task | {"owner": {"reference": "Practitioner/farid"}}
    assert refusal(clinic.sami.post(not_mine)) == (403, "forbidden")
    clinic.service.put({
        "resourceType": "CareTeam", "id": "team", "subject": {"reference": SEALED},
        "participant": [{"member": sami}],
    })  # fmt: skip
    assert clinic.sami.put(given | {"status": "accepted"}).status_code == 200
