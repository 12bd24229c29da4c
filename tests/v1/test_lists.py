"""Pages, cursors and rows of the v1 lists, and the old prefixes."""

from __future__ import annotations

import pytest

from tests.v1.conftest import BASE, Ward, refused


def test_pages_are_the_whole_list(ward: Ward) -> None:
    amina = ward.doctor("amina")
    thread = amina.open_thread("usr_farid")
    sent = [amina.send(thread, str(n)) for n in range(7)]
    found: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(4):
        answer = amina.get(f"/threads/{thread}/messages", limit="2", **cursor).json()
        found += [message["messageId"] for message in answer["items"]]
        if "nextCursor" not in answer:
            break
        cursor = {"cursor": answer["nextCursor"]}
        amina.send(thread, "arrives while paging")
    assert found == sent[::-1]


def test_a_cursor_of_another_list(ward: Ward) -> None:
    amina = ward.doctor("amina")
    one, two = (amina.open_thread("usr_farid") for _ in range(2))
    for _ in range(2):
        amina.send(one)
    cursor = amina.get(f"/threads/{one}/messages", limit="1").json()["nextCursor"]
    assert amina.get(f"/threads/{one}/messages", cursor=cursor).status_code == 200
    answer = amina.get(f"/threads/{two}/messages", cursor=cursor)
    assert refused(answer) == (400, "VALIDATION_ERROR")
    answer = ward.doctor("farid").get(f"/threads/{one}/messages", cursor=cursor)
    assert refused(answer) == (400, "VALIDATION_ERROR")


def test_a_thread_row_tells_what_an_inbox_shows(ward: Ward) -> None:
    amina, farid = ward.doctor("amina"), ward.doctor("farid")
    thread = amina.open_thread("usr_farid", patientId="pat_zahra")
    assert {"lastMessageAt", "lastMessagePreview", "encounterId"} & set(farid.threads()[0]) == set()
    amina.send(thread, "first")
    amina.send(thread, "x" * 200, "urgent")
    row = farid.threads(patientId="pat_zahra", unreadOnly="true", urgent="true")[0]
    last = amina.messages(thread)[0]
    assert row["threadId"] == thread
    assert row["subject"] == "Ward round"
    assert row["patientId"] == "pat_zahra"
    assert row["creatorId"] == "usr_amina"
    assert set(row["participantIds"]) == {"usr_amina", "usr_farid"}
    assert row["state"] == "active"
    assert row["lastMessageAt"] == last["sentAt"]
    assert row["lastMessagePreview"] == "x" * 140
    assert row["unreadCount"] == 2
    assert row["urgency"] == "urgent"
    assert amina.threads()[0]["unreadCount"] == 0
    assert amina.threads(unreadOnly="true") == []


@pytest.mark.parametrize(
    ("prefix", "sunset"),
    [
        ("/v1/digital-communication", "Fri, 31 Dec 2027 00:00:00 GMT"),
        ("/v1/messaging", "Wed, 30 Jun 2027 00:00:00 GMT"),
    ],
)
def test_old_prefixes_answer_the_same_and_say_where_to_go(
    ward: Ward, prefix: str, sunset: str
) -> None:
    amina = ward.doctor("amina")
    thread = amina.open_thread("usr_farid")
    old = amina.client.get(f"{prefix}/threads/{thread}")
    assert old.json() == amina.get(f"/threads/{thread}").json()
    assert old.headers["Sunset"] == sunset
    assert old.headers["Deprecation"].startswith("@")
    successor = f'<{BASE}/threads/{thread}>; rel="successor-version"'
    assert old.headers["Link"] == successor
    assert "Sunset" not in amina.get(f"/threads/{thread}").headers
