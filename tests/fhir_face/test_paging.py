"""The links of a page, followed as a client follows them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.support.clinic import Clinic, Person, refusal

COUNT = 2


def links(bundle: dict[str, Any]) -> dict[str, str]:
    return {link["relation"]: link["url"] for link in bundle["link"]}


def followed(client: Person, bundle: dict[str, Any], relation: str) -> dict[str, Any]:
    url = urlsplit(links(bundle)[relation])
    path = url.path.partition("/fhir/R4/")[2]
    answer = client.get(f"{path}?{url.query}" if url.query else path)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def shown(bundle: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (entry["fullUrl"], entry.get("resource", {}).get("meta", {}).get("versionId", ""))
        for entry in bundle.get("entry", ())
    ]


@pytest.fixture
def filled(clinic: Clinic) -> Clinic:
    for n in range(5):
        body = {"resourceType": "Organization", "id": "o", "name": str(n)}
        assert clinic.service.put(body).is_success
        body = {"resourceType": "Organization", "id": f"p{n}", "name": "many"}
        assert clinic.service.put(body).is_success
    return clinic


LISTS = (
    "Organization?name=many&_sort=-_lastUpdated",
    "Organization?name=many",
    "Organization/o/_history?",
    "Organization/_history?_since=2020",
    "_history?",
    "SearchParameter?_sort=name",
)


@pytest.mark.parametrize("address", LISTS)
def test_every_page_is_one_link_away(filled: Clinic, address: str) -> None:
    client = filled.service
    pages = [client.get(f"{address}&_count={COUNT}").json()]
    while "next" in links(pages[-1]):
        pages.append(followed(client, pages[-1], "next"))
    whole = [entry for page in pages for entry in shown(page)]
    assert len(whole) == len(set(whole)) > 2 * COUNT
    assert "previous" not in links(pages[0])
    for before, after in pairwise(pages):
        assert shown(followed(client, after, "previous")) == shown(before)
        assert shown(followed(client, after, "self")) == shown(after)
        assert shown(followed(client, after, "first")) == shown(pages[0])
        last = followed(client, after, "last")
        assert shown(last) in (whole[-COUNT:], shown(pages[-1]))
        assert "next" not in links(last)
    back = [followed(client, pages[0], "last")]
    while "previous" in links(back[-1]):
        back.append(followed(client, back[-1], "previous"))
    assert [entry for page in reversed(back) for entry in shown(page)] == whole


@pytest.mark.parametrize("address", LISTS)
def test_one_page_is_the_first_and_the_last(filled: Clinic, address: str) -> None:
    there = links(filled.service.get(f"{address}&_count=900").json())
    assert there["self"] == there["first"] == there["last"]
    assert there.keys() == {"self", "first", "last"}


def test_links_repeat_the_search(filled: Clinic) -> None:
    found = filled.service.get("Organization?name=many&_count=2&_total=estimate").json()
    assert found["total"] > COUNT
    for relation, url in links(followed(filled.service, found, "next")).items():
        asked = dict(parse_qsl(urlsplit(url).query))
        assert (relation == "first") == ("_cursor" not in asked)
        asked.pop("_cursor", None)
        assert asked == {"name": "many", "_count": "2", "_total": "estimate"}


@pytest.mark.parametrize("query", ["_before=3&_after=1", "_after=x", "_after=-1", "_cursor=x"])
def test_a_wrong_place_in_a_history(filled: Clinic, query: str) -> None:
    assert refusal(filled.service.get(f"Organization/o/_history?{query}"))[0] == 400


def test_a_foreign_cursor_names_its_parameter(filled: Clinic) -> None:
    bundle = filled.service.get("Organization/_history?_count=1").json()
    for relation in ("next", "last"):
        cursor = dict(parse_qsl(urlsplit(links(bundle)[relation]).query))["_cursor"]
        answer = filled.service.get(f"Organization?_cursor={cursor}")
        assert answer.status_code == 400
        assert answer.json()["issue"][0]["expression"] == ["_cursor"]
