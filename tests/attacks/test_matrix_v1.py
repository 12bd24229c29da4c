"""Every v1 route, for every kind of caller, ownership, scope and licence.

The routes come from `mappings/`; what each must answer is said in `expected`, in words of the
contract and of the oracle. Whatever it answers, no mark of what is hidden is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import httpx
import pytest

from fhir_server.mapping.route import Route
from tests.attacks.conftest import NewWatch
from tests.attacks.oracle import Caller, Oracle, Resource, may_write, references
from tests.attacks.watch import Watch
from tests.attacks.world import PROFILES, World, callers, talks
from tests.support.effort import effort, turns
from tests.v1.attachments import PDF
from tests.v1.conftest import BASE
from tests.v1.routes import MAPPINGS, ROUTES, Asked

NAMES = list(callers(talks()))
ABOUT = ("zahra", "sealed", "")
V1 = " ".join(MAPPINGS.service.scopes)
# Those that change the thread itself come last, and the one that closes it at the very end.
LAST = ("addParticipants", "removeParticipant", "archiveThread")
ORDERED = sorted(
    ROUTES.values(),
    key=lambda route: (route.id in LAST, LAST.index(route.id) if route.id in LAST else 0),
)
OF_THREADS = {"threadId", "attachmentId"}
every = pytest.mark.parametrize("name", NAMES)


def v1(watch: Watch, name: str, **more: Any) -> Caller:
    return replace(watch.callers[name], scope=V1, **more)


def asked(
    watch: Watch, caller: Caller, route: Route, ids: Mapping[str, str], **more: str
) -> httpx.Response:
    """A valid request for the route, by that caller."""
    request = Asked(route, ids)
    headers = {"idempotency_key": uuid4().hex} if route.method == "POST" else {}
    if request.uploads:
        headers |= {"content_type": "application/pdf", "upload_offset": "0"}
        return watch.ask(caller, route.method, request.path, PDF, **headers, **more)
    body = request.body() if request.takes_json else None
    if body is not None:
        body = {**body, **{name: NAMED[name](ids) for name in NAMED if name in body}}
        headers["content_type"] = "application/json"
    return watch.ask(caller, route.method, request.path, body, **headers, **more)


# Of what a body names, those that this world has.
NAMED: Mapping[str, Callable[[Mapping[str, str]], Any]] = {
    "participantIds": lambda ids: [ids["laila"]],
    "patientId": lambda ids: ids["patientId"],
}


def ids_of(world: World, about: str, file: str = "clean") -> dict[str, str]:
    thread = world[f"thread {about}"]
    return {
        "threadId": "thr_" + thread.partition("/")[2],
        "messageId": "msg_" + world.id(f"sent {about}"),
        "attachmentId": "att_" + world.id(f"file {file} {thread}"),
        "participantId": "usr_" + world.id("farid"),
        "laila": "usr_" + world.id("laila"),
        "patientId": "pat_" + world.id("zahra"),
        "requestId": "gdpr_" + world.id("request zahra"),
        "auditId": "aud_" + world.id("entry"),
    }


@dataclass(frozen=True)
class Cell:
    """A caller before a thread of his tenant that is open, and before a file of it."""

    oracle: Oracle
    caller: Caller
    thread: Resource
    file: Resource

    @property
    def member(self) -> bool:
        """v1 shows a thread to who takes part in it and may read it."""
        takes_part = self.caller.user in references(self.thread, "participant")
        return takes_part and self.oracle.visible(self.caller, self.thread)

    @property
    def reads(self) -> bool:
        return self.oracle.visible(self.caller, self.file)

    @property
    def uploader(self) -> bool:
        return self.reads and self.caller.user in references(self.file, "author")

    def writes(self, kind: str = "Communication") -> bool:
        return may_write(self.caller, kind)

    @property
    def removes(self) -> bool:
        """Farid: himself, who opened the thread, or a backend."""
        mine = self.caller.user in (self.thread["sender"]["reference"], f"Practitioner/{FARID}")
        own = mine or self.caller.is_system
        return own and self.writes() and self.oracle.visible(self.caller, self.thread)


def marks_read(cell: Cell) -> bool:
    """Whoever was sent a message may say that he had it, even where the chart is closed."""
    return cell.writes() and cell.caller.user in references(cell.thread, "participant")


# Who may use a route; everybody else is 403. And the answer, where it is not the declared one: the
# bytes of files were never uploaded in this world, and its file is beyond its upload.
MAY: Mapping[str, Callable[[Cell], bool]] = {
    "createThread": Cell.writes,
    "listThreads": lambda _: True,
    "getThread": lambda cell: cell.member,
    "listMessages": lambda cell: cell.member,
    "sendMessage": lambda cell: cell.member and cell.writes(),
    "markRead": marks_read,
    "addParticipants": lambda cell: cell.member and cell.writes(),
    "archiveThread": lambda cell: cell.member and cell.writes(),
    "removeParticipant": lambda cell: cell.removes,
    "escalateThread": lambda cell: cell.member and cell.writes("CommunicationRequest"),
    "initiateAttachment": lambda cell: cell.member and cell.writes("DocumentReference"),
    "getAttachment": lambda cell: cell.reads,
    "downloadAttachment": lambda cell: cell.reads,
    "uploadAttachment": lambda cell: cell.uploader,
    "appendToAttachment": lambda cell: cell.uploader,
    "getUpload": lambda cell: cell.uploader,
    # Of those with the role of an administrator, everybody.
    **dict.fromkeys(("listAuditLogs", "getAuditLog", "exportAuditLogs"), lambda _: True),
    **dict.fromkeys(("eraseData", "exportData", "getGdprRequest"), lambda _: True),
    **dict.fromkeys(("restrictProcessing", "liftRestriction", "downloadExport"), lambda _: True),
}
ANSWERS = {"downloadAttachment": 404, "uploadAttachment": 409, "appendToAttachment": 409,
           "getUpload": 409, "downloadExport": 404}  # fmt: skip


def expected(cell: Cell, route: Route) -> set[int]:
    """The statuses that are right; KeyError: say in MAY who may use a new route."""
    roles = route.declared.roles
    if roles and not set(roles) & set(cell.caller.roles):
        return {403}
    if route.at:
        # Nothing is configured before the first PUT.
        return {200, 404} if route.method == "GET" else {200}
    if cell.caller.user is None or not MAY[route.id](cell):
        return {403}
    return {ANSWERS.get(route.id, route.answered.status)}


FARID = talks().id("farid")


@every
def test_each_route_answers_whom_it_should(watches: NewWatch, name: str) -> None:
    """Threads about an open patient, about a restricted one, about nobody; of each, its files."""
    watch = watches(talks())
    caller, oracle, world = v1(watch, name), watch.oracle, watch.world
    wrong = []
    for turn, about in enumerate(ABOUT):
        thread = world.resources[world[f"thread {about}"]]
        # What belongs to no thread is asked once.
        once = [route for route in ORDERED if not turn or OF_THREADS & {*route.segments}]
        for route in once:
            ids = ids_of(world, about)
            file = world.resources["DocumentReference/" + ids["attachmentId"][4:]]
            answer = asked(watch, caller, route, ids)
            right = expected(Cell(oracle, caller, thread, file), route)
            if answer.status_code not in right:
                wrong.append((about, route.id, right, answer.status_code, answer.text[:200]))
            if route.id in LAST and answer.status_code == 200:
                _restore(watch, thread)
    assert wrong == []


def _restore(watch: Watch, thread: Resource) -> None:
    """As it was: the cells do not depend on each other."""
    answer = watch.ask(watch.callers["service"], "PUT", f"Communication/{thread['id']}", thread)
    assert answer.status_code == 200, answer.text


@every
@pytest.mark.parametrize("state", ["initiated", "quarantined", "clean"])
def test_files_are_their_uploaders_until_they_are_sent(watch: Watch, name: str, state: str) -> None:
    caller, oracle, world = v1(watch, name), watch.oracle, watch.world
    for about in ABOUT:
        found = ids_of(world, about, state)["attachmentId"]
        file = world.resources["DocumentReference/" + found[4:]]
        answer = watch.get(caller, f"{BASE}/attachments/{found}")
        assert answer.status_code == (200 if oracle.visible(caller, file) else 403)
        if answer.status_code == 200 and state != "clean":
            assert caller.user in references(file, "author") or caller.is_system


@every
def test_lists_hold_what_is_his(watch: Watch, name: str) -> None:
    """Threads, messages, and the counts and previews that are derived from messages."""
    caller, oracle = v1(watch, name), watch.oracle
    seen = oracle.seen(caller)
    mine = {
        id: one
        for id, one in seen.items()
        if PROFILES + "comm-thread" in one["meta"].get("profile", ())
        and caller.user in references(one, "participant")
    }
    answer = watch.get(caller, f"{BASE}/threads")
    if caller.user is None:
        assert _error(answer) == (403, "FORBIDDEN")
        return
    items = answer.json()["items"]
    assert {"Communication/" + item["threadId"][4:] for item in items} == set(mine)
    for item in items:
        thread = "Communication/" + item["threadId"][4:]
        said = {i: m for i, m in seen.items() if _part_of(m, thread)}
        unread = [m for m in said.values() if _unread_by(m, caller)]
        assert item["unreadCount"] == len(unread)
        listed = watch.get(caller, f"{BASE}/threads/{item['threadId']}/messages").json()["items"]
        assert {"Communication/" + one["messageId"][4:] for one in listed} == set(said)


def _part_of(one: Resource, thread: str) -> bool:
    return one["resourceType"] == "Communication" and thread in references(one, "part-of")


def _unread_by(message: Resource, caller: Caller) -> bool:
    to = {one["reference"] for one in message["recipient"]}
    return caller.user in to and message["status"] != "entered-in-error"


@pytest.mark.parametrize("name", ["amina", "zahra", "admin", "service", "nobody"])
def test_scopes_and_licences(watch: Watch, name: str) -> None:
    """Only the route's own scope opens it: no neighbour's, no SMART scope, not the same in part."""
    ids = ids_of(watch.world, "zahra")
    for n, route in enumerate(ROUTES.values()):
        needed = route.declared.scope
        others = " ".join(set(V1.split()) - {needed})
        smart = "user/*.cruds system/*.cruds patient/*.cruds user/*.*"
        parts = f"{needed}:x {needed[:-1]} {needed.upper()} {needed.partition(':')[0]}"
        for scope in turns((others, smart, parts, ""), n + NAMES.index(name), 2):
            caller = replace(watch.callers[name], scope=scope)
            answer = asked(watch, caller, route, ids)
            assert _error(answer) == (403, "FORBIDDEN"), route.id
        unlicensed = v1(watch, name, modules=("engage", "engage.messagin", "clinical"))
        if route.declared.module:
            assert _error(asked(watch, unlicensed, route, ids)) == (403, "MODULE_NOT_LICENSED")


@pytest.mark.parametrize("name", ["amina", "zahra", "laila", "service", "both"])
def test_another_tenants_ids_are_nobodys(watch: Watch, name: str) -> None:
    """Byte for byte the answer to an id that was never given."""
    caller = v1(watch, name, tenant=f"north-{watch.tenant}")
    there = ids_of(watch.world, "zahra")
    nowhere = {key: f"{value.partition('_')[0]}_zz9999" for key, value in there.items()}
    for route in (route for route in ROUTES.values() if route.segments):
        found, absent = asked(watch, caller, route, there), asked(watch, caller, route, nowhere)
        assert _told(found, there) == _told(absent, nowhere), route.id
        assert found.status_code == 404 or not _may_ask(caller, route), route.id


@pytest.mark.parametrize("name", ["amina", "zahra", "sami"])
def test_a_guessed_id_of_another_kind_is_no_thread(watch: Watch, name: str) -> None:
    """Resources of every type, asked for as a thread and as an attachment."""
    caller, world = v1(watch, name), watch.world
    for n, (place, one) in enumerate(world.resources.items()):
        kind, _, id = place.partition("/")
        if effort(1) == 1 and n % 6 and kind not in ("Communication", "DocumentReference"):
            continue
        profile = one["meta"].get("profile", [""])[0].rpartition("/")[2]
        if profile != "comm-thread":
            for path in (f"threads/thr_{id}", f"threads/thr_{id}/messages"):
                answer = watch.get(caller, f"{BASE}/{path}")
                assert answer.status_code in ({403, 404} if kind == "Communication" else {404})
        if profile != "comm-attachment":
            answer = watch.get(caller, f"{BASE}/attachments/att_{id}")
            assert answer.status_code in ({403, 404} if kind == "DocumentReference" else {404})


def _may_ask(caller: Caller, route: Route) -> bool:
    """Whether his role lets him try at all."""
    kind = route.resource if route.interaction == "create" else ""
    barred = set(route.declared.roles).isdisjoint(caller.roles) if route.declared.roles else False
    return not barred and (not kind or may_write(caller, kind))


def _error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def _told(answer: httpx.Response, ids: Mapping[str, str]) -> Any:
    text = answer.text
    for key, value in ids.items():
        text = text.replace(value.partition("_")[2], key)
    left = {k: v for k, v in answer.headers.items() if k != "date" and "ratelimit" not in k}
    return answer.status_code, text, left
