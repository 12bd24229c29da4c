"""Joined Bundles say what built ones would."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir import bundle
from fhir_server.fhir.bundle import Answer, Entry, Version

RESOURCE = st.fixed_dictionaries({"resourceType": st.just("Basic"), "id": st.text(max_size=9)})


@given(
    st.lists(st.tuples(st.text(), RESOURCE, st.sampled_from(["match", "include", "outcome"]))),
    st.none() | st.integers(0, 10**9),
    st.lists(st.tuples(st.sampled_from(["self", "next"]), st.text())),
)
def test_a_searchset(
    found: list[tuple[str, dict[str, Any], Any]], total: int | None, links: list[tuple[str, str]]
) -> None:
    entries = [Entry(url, orjson.dumps(resource), mode) for url, resource, mode in found]
    expected: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
    if total is not None:
        expected["total"] = total
    if links:
        expected["link"] = [{"relation": relation, "url": url} for relation, url in links]
    if found:
        expected["entry"] = [
            {"fullUrl": url, "resource": resource, "search": {"mode": mode}}
            for url, resource, mode in found
        ]
    assert orjson.loads(bundle.searchset(entries, total, links)) == expected


def test_stored_text_is_answered_as_it_is() -> None:
    body = b'{"resourceType":"Basic","value":1.00}'
    assert body in bundle.searchset([Entry("u", body)], None, ())
    assert body in bundle.responses("batch", [Answer("200 OK", body=body)])


def test_a_history_tells_of_deletions() -> None:
    gone = Version("u", None, "DELETE", "Basic/1", "204", 'W/"2"', "2026-01-01T00:00:00.000Z")
    assert orjson.loads(bundle.history([gone], 1, ()))["entry"] == [
        {
            "fullUrl": "u",
            "request": {"method": "DELETE", "url": "Basic/1"},
            "response": {
                "status": "204",
                "etag": 'W/"2"',
                "lastModified": "2026-01-01T00:00:00.000Z",
            },
        }
    ]


def test_a_response_omits_what_there_is_not() -> None:
    answers = [Answer("204"), Answer("404", outcome=b'{"resourceType":"OperationOutcome"}')]
    told = orjson.loads(bundle.responses("transaction", answers))
    assert told["type"] == "transaction-response"
    assert told["entry"] == [
        {"response": {"status": "204"}},
        {"response": {"status": "404", "outcome": {"resourceType": "OperationOutcome"}}},
    ]
