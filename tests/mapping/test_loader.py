# ruff: noqa: E501 - a table of faults reads best with one a line
"""A start shows every error of mappings/, each with file, key and the nearest name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fhir_server.mapping.loader import Mappings
from fhir_server.mapping.model import Declaration

Faults = Callable[..., list[str]]

ROUTE = """
  {key}:
    id: a
    summary: A
    scope: {scope}
    module: engage.messaging
    does: {does}
{more}
    gives: {{ 200: {gives} }}
"""


def file(fields: str, routes: str = "", head: str = "resource: Communication") -> str:
    return f"{head}\nfields:\n{fields}\nroutes: {routes or '{}'}\n"


def route(
    does: str,
    *,
    key: str = "GET /things/{threadId}",
    scope: str = "messaging:read",
    more: str = "",
    gives: str = "{ threadId }",
) -> str:
    return ROUTE.format(key=key, scope=scope, does=does, more=more, gives=gives)


THREAD = "  threadId: { path: id, prefix: thr_ }\n  state: { path: status, codes: thread-state }"


def test_the_projects_own_files_compile(mappings: Mappings) -> None:
    assert {route.id for route in mappings.routes} == {
        "createThread",
        "listThreads",
        "getThread",
        "archiveThread",
        "addParticipants",
        "removeParticipant",
        "sendMessage",
        "listMessages",
        "markRead",
        "getNotificationChannels",
        "putNotificationChannels",
        "getVirtualCare",
        "putVirtualCare",
        "getEscalationPolicy",
        "putEscalationPolicy",
        "escalateThread",
        "initiateAttachment",
        "uploadAttachment",
        "appendToAttachment",
        "getUpload",
        "getAttachment",
        "downloadAttachment",
        "listAuditLogs",
        "exportAuditLogs",
        "getAuditLog",
        "eraseData",
        "getGdprRequest",
        "exportData",
        "downloadExport",
        "restrictProcessing",
        "liftRestriction",
    }


@pytest.mark.parametrize(
    ("field", "error"),
    [
        ("{ path: statuss }", "fields.x.path: unknown element in 'statuss': statuss (did you mean status?)"),
        ("{ path: status, codes: urgncy }", "fields.x.codes: unknown ConceptMap urgncy (did you mean urgency?)"),
        ("{ path: topic }", "fields.x.path: 'topic' ends at a CodeableConcept, not at a value"),
        ("{ path: payload.content }", "fields.x.path: content is a choice: say ofType() of string, Attachment, Reference …"),
        ("{ path: payload.content.url }", "fields.x.path: content is a choice: say ofType() of string, Attachment, Reference …"),
        ("{ path: payload.content.ofType(Strin) }", "fields.x.path: unknown element in 'payload.content.ofType(Strin)': Strin"),
        ("{ path: 'sent!' }", "fields.x.path: cannot read the path from 'sent!'"),
        ("{ path: sent, list: true }", "fields.x.list: nothing repeats in 'sent'"),
        ("{ path: sent, each: payload }", "fields.x.each: unknown list payload"),
        ("{ path: sender.reference, to: { Practitoner: usr_ } }", "fields.x.to: unknown type Practitoner (did you mean Practitioner?)"),
        ("{ path: sender.reference, to: { Practitioner: u_, Patient: u_ } }", "fields.x.to: two types have the same prefix, so it cannot be read backwards"),
        ("{ path: sender.reference, to: Resource, prefix: x_ }", "fields.x.prefix: a reference to any Resource is a type and an id"),
        ("{ path: sent, encoding: base64 }", "fields.x.encoding: 'sent' is a dateTime"),
        ("{ path: sent, encoding: base46 }", "fields.x.encoding: Input should be 'base64'"),
        ("{ path: \"identifier.where(typ.text='a').value\" }", "fields.x.path: unknown element in 'identifier.where(typ.text='a').value': typ (did you mean type?)"),
        ("{ path: \"identifier.where(type.coding='a').value\" }", "fields.x.path: coding repeats, so where() cannot look into it"),
        ("{ path: sender.reference, to: Patient, prefix: pat }", "fields.x.to: Patient needs a prefix that ends with its one _"),
        ("{ pth: sent }", "fields.x: unknown key pth (did you mean path?)"),
        ("{ path: sent, count: 'Communication?sent=1' }", "fields.x: give one of path, count, exists, first, any, or `to` alone"),
        ("{ count: 'Communication?partof=$this' }", "fields.x.count.partof: unknown search parameter of Communication: partof (did you mean part-of?)"),
        ("{ count: 'Comunication?part-of=$this' }", "fields.x.count: unknown type Comunication (did you mean Communication?)"),
        ("{ first: 'Communication?part-of=$this', read: other.body }", "fields.x.read: unknown file other"),
        ("{ first: 'Communication?part-of=$this', read: thing.stat }", "fields.x.read: unknown field of thing: stat (did you mean state?)"),
    ],
)  # fmt: skip
def test_a_wrong_field(faults: Faults, field: str, error: str) -> None:
    found = faults(thing=file(f"{THREAD}\n  x: {field}"))
    assert any(f.startswith(f"mappings/thing.yaml: {error}") for f in found), found


@pytest.mark.parametrize(
    ("routes", "error"),
    [
        (route("read", scope="messaging:reed"), "scope: unknown scope messaging:reed (did you mean messaging:read?)"),
        (route("reed"), "does: must be create, read, search, update, patch or operation <name>"),
        (route("operation"), "does: `operation`, and only that, takes a name"),
        (route("read", gives="{ threadid }"), "gives.200: unknown field threadid (did you mean threadId?)"),
        (route("read", key="GET /things/{threadid}"), "unknown path parameter threadid (did you mean threadId?)"),
        (route("read", more="    takes: { state: active }"), "takes: a read writes nothing"),
        (route("read", more="    always: { status: completed }"), "always: a read searches nothing"),
        (route("read", more="    requires: { participnt: $caller }"), "requires.participnt: unknown search parameter of Communication: participnt (did you mean participant?)"),
        (route("read", more="    requires: { participant: $caler }"), "requires.participant: unknown word caler (did you mean caller?)"),
        (route("patch", key="PATCH /things/{threadId}", more="    set: { state: activ }"), "set.state: must be one of active, archived"),
        (route("patch", key="PATCH /things/{threadId}", more="    set: { stat: x }"), "unknown element in 'stat': stat (did you mean status?)"),
        (route("patch", key="PATCH /things/{threadId}", more="    takes: { state: actve }"), "takes.state: the default must be one of active, archived"),
        (route("patch", key="FETCH /things"), "a route is a method and a path: GET /threads/{threadId}"),
        (route("create", key="POST /things", gives="{ threadId }"), "nothing sets Communication.status, which is required"),
        (route("operation mark-red", key="POST /things/{threadId}"), "does: unknown operation of Communication: mark-red (did you mean mark-read?)"),
        (route("operation validate", key="POST /things/{threadId}"), "does: unknown operation of Communication: validate"),
        (route("search", gives="{ items: [threadId] }"), "gives.200: a list gives { items: [names], nextCursor }"),
        (route("read", more="    content: upload"), "`content: upload` and `append` belong to a patch, others to a read"),
        (route("read", more="    content: downlod"), "content: Input should be 'upload', 'append', 'progress', 'download' or 'export'"),
        (route("read", more="    content: export\n    formats: [csv]"), "`content: export` belongs to a search, and has no `page`"),
        (route("search", more="    content: export\n    formats: [csv]\n    page: {}"), "`content: export` belongs to a search, and has no `page`"),
        (route("search", more="    content: export"), "`content: export` and `formats` belong together"),
        (route("search", more="    formats: [csv]"), "`content: export` and `formats` belong together"),
        (route("search", more="    content: export\n    formats: [tsv]"), "formats.0: Input should be 'csv', 'ndjson' or 'fhir'"),
        (route("search", more="    content: export\n    formats: [csv]", gives="{ items: [threadId], nextCursor }"), "gives.200: a list gives { items: [names] }"),
        (route("search", more="    content: export\n    formats: [csv]\n    expects: { state: active }"), "`expects` belongs to `content`"),
        (route("search", more="    filters: { from: { type: date, field: state, search: { sent: ge$value } } }"), "`type` belongs to `search`, and stands for a field"),
        (route("search", more="    filters: { from: { type: date, search: { sent: gt$valu } } }"), "filters.from.search.sent: unknown word valu (did you mean value?)"),
        (route("search", more="    filters: { state: { search: { status: ge$value } } }"), "filters.state.search.status: 'ge$value': a word such as $caller stands alone"),
        (route("read", more="    content: download"), "content: the file does not say under `content` which fields describe the bytes"),
        (route("read", more="    expects: { state: active }"), "`expects` belongs to `content`"),
        (route("patch", key="PATCH /things/{threadId}", more="    content: upload\n    expects: { stat: active }"), "expects: unknown field stat (did you mean state?)"),
        (route("patch", key="PATCH /things/{threadId}", more="    content: upload\n    expects: { state: activ }"), "expects.state: must be one of active, archived"),
        (route("patch", key="PATCH /things/{threadId}", more="    content: upload\n    set: { state: $content.sise }"), "set.state: unknown word content.sise (did you mean content.size?)"),
        (route("patch", key="PATCH /things/{threadId}", more="    set: { state: $content.size }"), "set.state: $content.size is known to a route with `content` only"),
        (route("read", gives="{ offset }"), "gives.200: unknown field offset"),
        (route("read", more="    sets: {}"), "unknown key sets (did you mean set?)"),
    ],
)  # fmt: skip
def test_a_wrong_route(faults: Faults, routes: str, error: str) -> None:
    found = faults(thing=file(THREAD, routes))
    assert any(error in f and f.startswith("mappings/thing.yaml: routes.") for f in found), found


def test_a_field_that_should_describe_bytes_is_unknown(faults: Faults) -> None:
    head = "resource: Communication\ncontent: { file: fil, name: x, type: x, size: x, sha256: x }"
    found = faults(thing=file(THREAD, route("read", more="    content: download"), head=head))
    assert any("content: unknown field fil" in fault for fault in found), found


def test_every_error_is_reported_at_once(faults: Faults) -> None:
    found = faults(
        one=file("  a: { path: statuss }\n  b: { path: sentt }"),
        two=file(THREAD, route("read", gives="{ nothing }"), head="resource: Comunication"),
        three="fields: [",
    )
    assert {f.split(":")[0] for f in found} == {
        "mappings/one.yaml",
        "mappings/two.yaml",
        "mappings/three.yaml",
    }
    assert sum(f.startswith("mappings/one.yaml") for f in found) == 2


def test_an_element_that_the_profile_forbids(faults: Faults) -> None:
    text = file(
        "  body: { path: payload.content.ofType(string) }",
        head="resource: Communication\nprofile: comm-thread",
    )
    assert "has no element 'payload'" in faults(thing=text)[0] or "payload" in faults(thing=text)[0]


def test_an_unknown_profile(faults: Faults) -> None:
    head = "resource: Communication\nprofile: comm-thred"
    assert faults(thing=file(THREAD, head=head)) == [
        "mappings/thing.yaml: profile: unknown profile comm-thred (did you mean comm-thread?)"
    ]


def test_a_profile_of_another_type(faults: Faults) -> None:
    head = "resource: Encounter\nprofile: comm-thread"
    found = faults(thing=file("  threadId: { path: id, prefix: thr_ }", head=head))
    error = "comm-thread is a profile of Communication, not of Encounter"
    assert found == [f"mappings/thing.yaml: profile: {error}"]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("does: update, id: threadId, takes: { threadid: required }", "unknown field threadid"),
        ("does: update, id: threadId, takes: { state: required }", "id: threadId must be a field"),
        ("does: update, takes: { threadId: required }", "an update needs `id`"),
        ("does: create, takes: { state: required }", "a create needs `once`"),
        (
            "does: create, takes: {}, once: { statuss: x }",
            "once.statuss: unknown search parameter of Communication: statuss",
        ),
        (
            "does: create, takes: {}, once: { status: $body.state }",
            "nothing sets Communication.status, which is required",
        ),
        (
            "does: update, id: threadId, takes: { threadId: required }, set: { stat: x }",
            "set.stat",
        ),
    ],
)
def test_a_wrong_consumption(faults: Faults, line: str, error: str) -> None:
    text = file(THREAD) + f"consumes: {{ a.b: {{ subjects: [a.b], {line} }} }}"
    found = faults(thing=text)
    assert any(error in fault and "consumes" in fault for fault in found), found


TOLD = "communication.thing.made"
MADE = f"events: {{ {TOLD}: [threadId] }}\n"
TAKES = "does: create, takes: {}, set: { status: preparation }, once: { status: x }"


def consuming(line: str, head: str = "resource: Communication") -> str:
    return file(THREAD, head=head) + f"consumes: {{ {line} }}"


def test_an_event_that_would_cause_itself(faults: Faults) -> None:
    """Directly, or by the events of another file."""
    (fault,) = faults(thing=MADE + consuming(f"{TOLD}: {{ {TAKES} }}"))
    assert fault == (
        f"mappings/thing.yaml: consumes.{TOLD}: it may cause itself, for ever: {TOLD} → {TOLD}"
    )
    task = (
        "resource: Task\nfields: { id: { path: id } }\nevents: { communication.task.made: [id] }\n"
    )
    setting = "set: { status: requested, intent: order }, once: { status: x }"
    task += f"consumes: {{ {TOLD}: {{ does: create, takes: {{}}, {setting} }} }}"
    back = MADE + consuming(f"communication.task.made: {{ {TAKES} }}")
    found = faults(thing=back, task=task)
    assert len(found) == 2
    assert found[0].endswith(f"{TOLD} → communication.task.made → {TOLD}")


def test_an_event_of_ours_that_causes_others_may_be_consumed(
    loads: Callable[..., Mappings],
) -> None:
    task = "resource: Task\nfields: { id: { path: id } }\n"
    setting = "set: { status: requested, intent: order }, once: { status: x }"
    task += f"consumes: {{ {TOLD}: {{ does: create, takes: {{}}, {setting} }} }}"
    found = loads(thing=MADE + file(THREAD), task=task)
    assert found.consumed[TOLD].subjects == ("ghasi.digital_communication.thing.made",)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (
            f"communication.thing.mad: {{ {TAKES} }}",
            f"unknown event communication.thing.mad (did you mean {TOLD}?)",
        ),
        (f"a.b: {{ {TAKES} }}", "name the NATS subjects"),
        (f"{TOLD}: {{ subjects: [a.b], {TAKES} }}", "name no subjects"),
    ],
)
def test_where_events_come_from(faults: Faults, line: str, error: str) -> None:
    found = faults(thing=MADE + consuming(line))
    assert any(error in fault and "consumes" in fault for fault in found), found


def test_an_unknown_event_and_an_unknown_field_of_one(faults: Faults) -> None:
    told = "events: { thing.made: [threadid] }"
    text = file(THREAD, route("read", more="    events: [thing.mad]")) + told
    found = faults(thing=text)
    assert [f.rpartition(": ")[2] for f in found] == [
        "unknown field threadid (did you mean threadId?)",
        "unknown event thing.mad (did you mean thing.made?)",
    ]


def test_an_unknown_profile_with_routes(faults: Faults) -> None:
    head = "resource: Communication\nprofile: comm-thred"
    assert len(faults(thing=file(THREAD, route("read"), head=head))) == 1


def test_two_routes_with_one_name(faults: Faults) -> None:
    once = file(THREAD, route("read"))
    assert any("is declared in mappings/one.yaml as well" in f for f in faults(one=once, two=once))


def test_the_service_file_is_needed(faults: Faults) -> None:
    found = faults(_service="prefix: /v1\nlegacies: {}\n")
    assert "mappings/_service.yaml: : unknown key legacies (did you mean legacy?)" in found
    assert "mappings/_service.yaml: clientMutation: Field required" in found


def test_an_unknown_route_is_named_with_the_nearest(mappings: Mappings) -> None:
    with pytest.raises(KeyError, match=r"no route sendMesage \(did you mean sendMessage\?\)"):
        mappings.route("sendMesage")


def test_every_key_of_the_language_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs/mapping.md").read_text()
    keys = {
        field.alias or name
        for declaration in Declaration.__subclasses__()
        for name, field in declaration.model_fields.items()
    }
    assert {key for key in keys if f"`{key}`" not in page} == set()


def test_a_file_with_a_prefix_of_its_own(loads: Callable[..., Mappings]) -> None:
    head = "resource: Communication\nprefix: /v1"
    found = loads(
        thing=file(THREAD, route("read", more="    limit: default"), head),
        other=file(
            "  threadId: { path: id, prefix: thr_ }",
            route("read").replace("id: a", "id: b").replace("engage.messaging", "null"),
        ),
    )
    assert found.route("a").address == "/v1/things/{threadId}"
    assert found.route("b").address == "/v1/communication/things/{threadId}"
    assert found.route("b").declared.module is None
