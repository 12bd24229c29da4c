"""A message that its sender marks entered in error: still there, and no longer news."""

from __future__ import annotations

from tests.v1.conftest import Caller, Ward


def withdraw(caller: Caller, message: str) -> None:
    patch = [{"op": "replace", "path": "/status", "value": "entered-in-error"}]
    headers = {"Content-Type": "application/json-patch+json"}
    address = "/fhir/R4/Communication/" + message.removeprefix("msg_")
    assert caller.client.patch(address, json=patch, headers=headers).status_code == 200


def test_a_withdrawn_message_is_neither_unread_nor_a_preview(ward: Ward) -> None:
    amina, farid = ward.doctor("amina"), ward.doctor("farid")
    thread = amina.open_thread("usr_farid")
    amina.send(thread, "Stop the insulin")
    wrong = amina.send(thread, "Double the insulin")
    withdraw(amina, wrong)
    states = [(one["messageId"], one["state"]) for one in farid.messages(thread)]
    assert states[0] == (wrong, "withdrawn")
    assert states[1][1] == "sent"
    [row] = farid.threads(unreadOnly="true")
    assert (row["unreadCount"], row["lastMessagePreview"]) == (1, "Stop the insulin")


def test_where_all_is_withdrawn_nothing_is_unread(ward: Ward) -> None:
    amina, farid = ward.doctor("amina"), ward.doctor("farid")
    thread = amina.open_thread("usr_farid")
    withdraw(amina, amina.send(thread, "Wrong patient"))
    assert farid.threads(unreadOnly="true") == []
    [row] = farid.threads()
    assert row["unreadCount"] == 0
    assert "lastMessagePreview" not in row


def test_a_message_that_everyone_has_read(ward: Ward) -> None:
    amina, farid = ward.doctor("amina"), ward.doctor("farid")
    thread = amina.open_thread("usr_farid")
    farid.read(thread, amina.send(thread))
    assert [one["state"] for one in amina.messages(thread)] == ["read"]
