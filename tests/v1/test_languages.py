"""Refusals in the language that the client asks for, where it is declared."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.http.v1.languages import Languages
from fhir_server.mapping.model import ErrorTexts
from tests.v1.conftest import Ward, refused

SPOKEN = Languages({"fa": {"NOT_FOUND": "…"}, "ps": {"NOT_FOUND": "…"}})


@pytest.mark.parametrize(
    ("header", "tag"),
    [
        (None, "en"),
        ("", "en"),
        ("fa", "fa"),
        ("FA-AF", "fa"),
        ("ps, fa;q=0.9", "ps"),
        ("fa;q=0.5, ps;q=0.8, en;q=0.1", "ps"),
        ("de, fa;q=0.3", "fa"),
        ("de", "en"),
        ("*", "en"),
        ("fa;q=0, ps;q=0.1", "ps"),
        ("en, fa;q=0.9", "en"),
        ("en-GB,en;q=0.9,fa;q=0.8", "en"),
        ("fa;q=7", "en"),
        ("fa" * 400, "en"),
    ],
)
def test_the_best_of_those_there_are(header: str | None, tag: str) -> None:
    assert SPOKEN.of(header).tag == tag


@given(st.text(max_size=80))
def test_any_header_gives_a_language(header: str) -> None:
    assert SPOKEN.of(header).tag in {"en", "fa", "ps"}


def test_a_refusal_in_persian(ward: Ward) -> None:
    client = ward.doctor("amina").client
    asked = {"Accept-Language": "fa-AF, en;q=0.5"}
    answer = client.get("/v1/communication/threads/thr_none", headers=asked)
    assert refused(answer) == (404, "NOT_FOUND")
    assert answer.headers["Content-Language"] == "fa"
    assert answer.headers["Vary"] == "accept-language"
    error = answer.json()["error"]
    assert error["message"] == "یافت نشد."
    assert error["details"] == {"reason": "thread not found"}
    nowhere = client.get("/v1/communication/nothing", headers=asked)
    assert nowhere.json()["error"]["message"] == "یافت نشد."


def test_without_the_header_english(ward: Ward) -> None:
    answer = ward.doctor("amina").get("/threads/thr_none")
    assert answer.headers["Content-Language"] == "en"
    assert answer.json()["error"]["message"] == "thread not found"
    assert answer.json()["error"]["details"] == {}


@pytest.mark.parametrize(
    "texts", [{"fa": {"NOT_FUOND": "x"}}, {"farsi": {}}, {"fa": {"NOT_FOUND": 1}}, []]
)
def test_texts_that_are_none_are_refused(texts: Any) -> None:
    with pytest.raises(ValueError, match=r"ErrorTexts|root|code|language"):
        ErrorTexts.model_validate(texts)
