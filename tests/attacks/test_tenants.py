"""To another tenant nothing is there: byte for byte the answer to an id that nobody has.

On both faces, by every way to name a resource, for callers of the same name and roles, whatever
headers, parameters and body they send to be taken for somebody else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from fhir_server.declarations import read_declarations
from tests.attacks.oracle import Caller
from tests.attacks.watch import JSON, Watch, ids

TYPES = sorted(read_declarations().definitions.types)
# As long as the ids of the world, so that lengths are alike too.
NOWHERE = "zz9999"
SCOPE = "user/*.cruds system/*.cruds messaging:read messaging:write messaging:escalate"
FOREIGN = ("amina", "zahra", "service")
Request = tuple[str, str, Any, dict[str, str]]
PRETENDING: tuple[dict[str, str], ...] = (
    {},
    {"X-Tenant-Id": "{tenant}", "X-Tenant": "{tenant}", "tid": "{tenant}"},
    {"X-Forwarded-Host": "{tenant}.example", "Forwarded": "host={tenant}"},
)


def foreigner(watch: Watch, name: str) -> Caller:
    return replace(watch.callers[name], tenant=f"north-{watch.tenant}", scope=SCOPE)


def requests(kind: str, id: str, body: dict[str, Any]) -> Iterator[Request]:
    """Every way to name a resource by its id."""
    at, patch = f"{kind}/{id}", {"content-type": "application/json-patch+json"}
    json = {"content-type": JSON}
    named = {**body, "id": id}
    yield "GET", at, None, {}
    yield "GET", at, None, {"if-none-match": 'W/"1"'}
    yield "GET", f"{at}/_history/1", None, {}
    yield "GET", f"{at}/_history", None, {}
    yield "DELETE", at, None, {}
    yield "DELETE", at, None, {"if-match": 'W/"1"'}
    yield "PATCH", at, [{"op": "remove", "path": "/text"}], patch
    yield "PUT", at, named, {**json, "if-match": 'W/"1"'}
    yield "GET", f"{kind}?_id={id}", None, {}
    yield "DELETE", f"{kind}?_id={id}", None, {}
    yield "PATCH", f"{kind}?_id={id}", [{"op": "remove", "path": "/text"}], patch
    if kind in ("Patient", "Encounter"):
        yield "GET", f"{at}/$everything", None, {}
        yield "GET", f"{at}/Communication", None, {}
        yield "GET", f"Communication?{kind.lower()}={at}", None, {}
    if kind == "Communication":
        yield "POST", f"{at}/$mark-read", MARK, json
        yield "GET", f"Communication?part-of={at}", None, {}


MARK = {"resourceType": "Parameters", "parameter": [
    {"name": "message", "valueReference": {"reference": f"Communication/{NOWHERE}"}}
]}  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_what_another_tenant_has_is_not_there(watch: Watch, name: str) -> None:
    caller = foreigner(watch, name)
    for n, kind in enumerate(TYPES):
        one = next(o for o in watch.world.resources.values() if o["resourceType"] == kind)
        there, nowhere = requests(kind, one["id"], one), requests(kind, NOWHERE, one)
        headers = {k: v.format(tenant=watch.tenant) for k, v in PRETENDING[n % 3].items()}
        for (method, path, body, more), (_, other, same, _) in zip(there, nowhere, strict=True):
            found = _asked(watch, caller, method, path, body, {**headers, **more})
            absent = _asked(watch, caller, method, other, same, {**headers, **more})
            assert _told(found, one["id"]) == _told(absent, NOWHERE), f"{method} {path}"


def test_queries_and_bodies_name_no_tenant(watch: Watch) -> None:
    """What is unknown is refused, or passed over; it opens nothing."""
    caller, tenant = foreigner(watch, "service"), watch.tenant
    for name in ("tid", "tenant", "_tenant", "X-Tenant-Id", "_security", "_source", "_tag"):
        answer = watch.get(caller, f"Patient?{name}={tenant}", prefer="handling=lenient")
        assert answer.status_code != 200 or ids(answer) == set()
        assert (
            watch.get(caller, f"Patient/{watch.world.id('zahra')}?{name}={tenant}").status_code
            == 404
        )
    assert ids(watch.get(caller, "?_count=1000")) == set()
    assert ids(watch.get(caller, "_history?_count=1000")) == set()


def test_a_claim_of_another_tenant_in_the_body_has_no_effect(watch: Watch) -> None:
    """Extensions, tags and elements that name one are the writer's own words."""
    caller, owner = foreigner(watch, "service"), watch.callers["service"]
    claims: tuple[dict[str, Any], ...] = (
        {"meta": {"tag": [{"system": "urn:tenant", "code": watch.tenant}]}},
        {"extension": [{"url": "urn:x:tenant", "valueString": watch.tenant}]},
        {"tid": watch.tenant},
        {"tenant": watch.tenant},
    )
    for number, more in enumerate(claims):
        body = {"resourceType": "Organization", "id": f"claim{number}", "name": "North", **more}
        answer = watch.ask(caller, "PUT", f"Organization/claim{number}", body)
        assert answer.status_code == (422 if number > 1 else 201), answer.text
        assert watch.get(owner, f"Organization/claim{number}").status_code == 404


def test_the_same_id_is_two_resources(watch: Watch) -> None:
    """Each tenant has its own; neither write moves the other."""
    caller, owner = foreigner(watch, "service"), watch.callers["service"]
    place = watch.world["zahra"]
    body = {"resourceType": "Patient", "id": watch.world.id("zahra"), "name": [{"family": "North"}]}
    assert watch.ask(caller, "PUT", place, body).status_code == 201
    assert watch.get(owner, place).json()["name"] == watch.world.resources[place]["name"]
    assert watch.ask(caller, "DELETE", place).status_code == 204
    assert watch.get(owner, place).status_code == 200


def test_references_and_links_do_not_cross(watch: Watch) -> None:
    """Chains, includes, `$everything` and conditional references stay within."""
    caller, zahra = foreigner(watch, "service"), watch.world["zahra"]
    word = watch.world.resources[zahra]["name"][0]["family"]
    task = {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "for": {"reference": zahra},
    }
    assert watch.ask(caller, "POST", "Task", task).status_code == 201
    assert len(ids(watch.get(caller, f"Task?patient={zahra}&_include=*"))) == 1
    assert ids(watch.get(caller, f"Task?patient.family={word}")) == set()
    assert ids(watch.get(caller, f"Task?patient._id={watch.world.id('zahra')}")) == set()
    entry = {"resource": {**task, "for": {"reference": f"Patient?family={word}"}},
             "request": {"method": "POST", "url": "Task"}}  # fmt: skip
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    assert watch.ask(caller, "POST", "/fhir/R4", bundle).status_code == 412


def test_cursors_are_of_one_tenant_caller_and_search(watch: Watch) -> None:
    service, admin = watch.callers["service"], watch.callers["admin"]
    for path, other in (("Patient", "Practitioner"), ("_history", "Patient/_history")):
        page = watch.get(service, f"{path}?_count=1").json()
        following = next(link["url"] for link in page["link"] if link["relation"] == "next")
        assert watch.get(service, _path(following)).status_code == 200
        for caller, address in (
            (admin, _path(following)),
            (foreigner(watch, "service"), _path(following)),
            (service, _path(following).replace(f"{path}?", f"{other}?")),
            (service, _path(following) + "&status=active"),
        ):
            assert watch.get(caller, address).status_code == 400, address


def _path(url: str) -> str:
    return url.partition("/fhir/R4/")[2]


def _asked(
    watch: Watch, caller: Caller, method: str, path: str, body: Any, headers: dict[str, str]
) -> httpx.Response:
    given = {name.replace("-", "_"): value for name, value in headers.items()}
    return watch.ask(caller, method, path, body, **given)


def _told(answer: httpx.Response, id: str) -> Any:
    headers = {k: v.replace(id, "ID") for k, v in answer.headers.items() if k != "date"}
    return answer.status_code, answer.text.replace(id, "ID"), headers
