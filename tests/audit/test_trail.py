"""First."""

from tests.support.clinic import Clinic, message, reference, thread


def test_read_and_search_and_create_are_recorded(new_clinic) -> None:
    clinic: Clinic = new_clinic()
    made = clinic.amina.created(thread())
    clinic.amina.created(message(made))
    assert clinic.amina.get(reference(made)).status_code == 200
    assert clinic.amina.get("Communication?patient=Patient/zahra&_text=secret").status_code == 200
    assert clinic.amina.get("Communication/nothing").status_code == 404
    assert not clinic.zahra.ids("AuditEvent")
    admin = clinic.person("usr_admin", "ADMIN")
    import time, json
    time.sleep(1)
    found = admin.get("AuditEvent?_sort=-date&_count=20")
    print(json.dumps(found.json(), indent=1))
    assert found.status_code == 200
    for e in found.json()["entry"]:
        r=e["resource"]; print(r["action"], r["outcome"], r["subtype"][0]["code"], r["agent"][0]["who"], [x.get("what") for x in r.get("entity",())])
    assert admin.get("AuditEvent?patient=Patient/zahra&agent=Practitioner/amina&action=R").json()["entry"]
    assert 0
