"""Cursors that this server did not write for this caller and this list."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bad_input.faces import refused, well_shaped
from tests.bad_input.world import FHIR, V1, World

pytestmark = pytest.mark.usefixtures("unchanged")

SEARCH = f"{FHIR}/Communication?part-of=Communication/THREAD&_sort=-sent&_count=1"
LIST = f"{V1}/threads/thr_THREAD/messages?limit=1"
THREADS = f"{V1}/threads?limit=1"


def first_pages(world: World) -> Iterator[tuple[str, str]]:
    """The address of a list, up to its cursor, and the cursor of its second page."""
    thread = world.ids["thread"]
    address = SEARCH.replace("THREAD", thread)
    links = {link["relation"]: link["url"] for link in world.ask("GET", address).json()["link"]}
    yield f"{address}&_cursor=", links["next"].partition("_cursor=")[2]
    for address in (LIST.replace("THREAD", thread), THREADS):
        yield f"{address}&cursor=", world.ask("GET", address).json()["nextCursor"]


def all_pages(world: World) -> Iterator[tuple[str, str]]:
    """The same, and those of the pages before and last."""
    yield from first_pages(world)
    address, cursor = next(first_pages(world))
    for relation in ("previous", "last"):
        links = world.ask("GET", address + cursor).json()["link"]
        url = next(link["url"] for link in links if link["relation"] == relation)
        yield address, url.partition("_cursor=")[2]


def test_a_cursor_of_ones_own_is_good(world: World) -> None:
    for address, cursor in all_pages(world):
        assert world.ask("GET", address + cursor).status_code == 200


@pytest.mark.parametrize("caller", ["colleague", "foreigner", "system"])
def test_a_cursor_of_another_caller_is_refused(world: World, caller: str) -> None:
    for address, cursor in all_pages(world):
        # The other has a list of his own there, or none.
        response = world.ask("GET", address + cursor, caller=caller)
        refused(response, 400, 403, 404)


def test_a_cursor_of_another_list_is_refused(world: World) -> None:
    thread = world.ids["thread"]
    pages = list(first_pages(world))
    (search, cursor), (messages, of_messages), (threads, of_threads) = pages
    # The messages of a thread are one list, on whichever face.
    for address, foreign in (
        (search, of_threads),
        (messages, of_threads),
        (threads, cursor),
        (threads, of_messages),
    ):
        refused(world.ask("GET", address + foreign), 400)
    for address, foreign in list(all_pages(world))[len(pages) :]:
        assert address == search
        refused(world.ask("GET", threads + foreign), 400)
        refused(world.ask("GET", f"{FHIR}/Communication?_count=1&_cursor={foreign}"), 400)
    for query in (
        f"part-of=Communication/{thread}&_sort=sent&_count=1",
        f"part-of=Communication/{thread}&_count=1&_sort=_id",
        f"part-of=Communication/{thread}&_sort=-sent&_count=1&status=in-progress",
        "patient=Patient/zahra&_sort=-sent&_count=1",
        "_count=1",
        "",
    ):
        refused(world.ask("GET", f"{FHIR}/Communication?{query}&_cursor={cursor}"), 400)
    for kind in ("Patient", "Encounter", "CommunicationRequest"):
        refused(world.ask("GET", f"{FHIR}/{kind}?_cursor={cursor}"), 400)


FORGED = {
    "empty JSON": urlsafe_b64encode(bytes(16) + b"[]").decode(),
    "no JSON": urlsafe_b64encode(bytes(16) + b"{").decode(),
    "too short": "AAAA",
    "not base64": "!!!!",
    "not ASCII": "äöü",
    "NUL": "%00",
    "words": "next",
    "a number": "2",
    "huge": "A" * 30_000,
    "JSON": '["2026-01-01","x"]',
    "SQL": "' OR 1=1 --",
    "blank": " ",
}


@pytest.mark.parametrize("case", FORGED)
def test_a_forged_cursor_is_refused(world: World, case: str) -> None:
    for address, _ in first_pages(world):
        refused(world.ask("GET", address + FORGED[case]), 400, 414)


def test_a_cursor_cut_or_with_more_is_refused(world: World) -> None:
    for address, cursor in all_pages(world):
        for forged in (cursor[:-1], cursor[:22], cursor[1:], cursor + "A", cursor * 2):
            refused(world.ask("GET", address + forged), 400)


def test_every_flipped_bit_is_refused(world: World) -> None:
    for address, cursor in all_pages(world):
        raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        for at in range(0, len(raw) * 8, 7):
            flipped = bytearray(raw)
            flipped[at // 8] ^= 1 << at % 8
            forged = urlsafe_b64encode(flipped).rstrip(b"=").decode()
            refused(world.ask("GET", address + forged), 400)


@given(cursor=st.text(max_size=60))
def test_no_text_is_a_cursor(world: World, cursor: str) -> None:
    for path, name in ((f"{FHIR}/Communication", "_cursor"), (f"{V1}/threads", "cursor")):
        try:
            cursor.encode()
        except UnicodeEncodeError:
            return
        response = world.ask("GET", path, params={name: cursor})
        if cursor:
            refused(response, 400)
        well_shaped(response)
