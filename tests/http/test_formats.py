"""Which format an Accept header, a `_format` and a content type mean."""

from __future__ import annotations

import pytest

from fhir_server.http.fhir.representation.formats import is_xml, wanted
from fhir_server.problems import Problem

JSON, XML = "application/fhir+json", "application/fhir+xml"
ACCEPTED: dict[str | None, str] = {
    None: JSON,
    "": JSON,
    " ": JSON,
    "*/*": JSON,
    "application/*": JSON,
    "text/*": "text/json; charset=utf-8",
    JSON: JSON,
    XML: XML,
    "application/json": "application/json",
    "application/xml": "application/xml",
    "text/xml": "text/xml; charset=utf-8",
    "text/json": "text/json; charset=utf-8",
    "application/json+fhir": JSON,
    "application/xml+fhir": XML,
    "APPLICATION/FHIR+XML": XML,
    f"{XML};charset=utf-8": XML,
    f"{XML}; fhirVersion=4.0": f"{XML}; fhirVersion=4.0",
    f"{JSON}; fhirVersion=3.0, {XML}": XML,
    f"{XML}, {JSON}": XML,
    f"*/*, {XML}": XML,
    f"{JSON};q=0.5, {XML};q=0.8": XML,
    f"{JSON};q=0.9, {XML};q=0.8": JSON,
    f"text/html, {XML};q=0.1": XML,
    f"{JSON};q=0, */*": "application/json",
    f"{XML};q=0, {JSON}": JSON,
    "application/json;q=x": "application/json",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": "application/xml",
}
NOT_ACCEPTED = [
    "text/html", "image/*", "application/fhir+turtle", f"{XML};q=0", f"{XML};fhirVersion=3.0",
    f"{JSON}; fhirVersion=5.0", "fhir", ";", ",,", "xml/", "*/json",
]  # fmt: skip
FORMATS = {
    "json": JSON,
    "xml": XML,
    "application/fhir+xml": XML,
    "application/fhir xml": XML,
    "application/json": "application/json",
    "text/xml": "text/xml; charset=utf-8",
    "application/fhir+json;fhirVersion=4.0": f"{JSON}; fhirVersion=4.0",
    " XML ": XML,
}


@pytest.mark.parametrize("accept", ACCEPTED)
def test_what_is_acceptable(accept: str | None) -> None:
    assert wanted(None, accept).content_type == ACCEPTED[accept]
    assert wanted(None, accept).xml == ("xml" in ACCEPTED[accept])


@pytest.mark.parametrize("accept", NOT_ACCEPTED)
def test_what_is_not(accept: str) -> None:
    with pytest.raises(Problem) as caught:
        wanted(None, accept)
    assert caught.value.status == 406


@pytest.mark.parametrize("format_", FORMATS)
def test_format_wins_over_accept(format_: str) -> None:
    assert wanted(format_, "text/html").content_type == FORMATS[format_]


@pytest.mark.parametrize("format_", ["", "ttl", "html", "jso", "*/*", "xml;fhirVersion=3.0"])
def test_another_format_is_406(format_: str) -> None:
    with pytest.raises(Problem) as caught:
        wanted(format_, JSON)
    assert caught.value.status == 406


@pytest.mark.parametrize(
    ("content_type", "xml"),
    [
        (JSON, False),
        ("application/json; charset=UTF-8", False),
        (XML, True),
        ("text/xml", True),
        (f"{XML};fhirVersion=4.0", True),
        (f'{XML}; charset="utf-8"', True),
    ],
)
def test_what_a_body_may_be(content_type: str, xml: bool) -> None:  # noqa: FBT001
    assert is_xml(content_type) is xml


@pytest.mark.parametrize(
    "content_type",
    [
        None, "", "*/*", "xml", "application/fhir+turtle", f"{JSON}; fhirVersion=3.0",
        f"{XML};charset=iso-8859-1", "application/xml-patch+xml",
    ],
)  # fmt: skip
def test_what_it_may_not_be(content_type: str | None) -> None:
    with pytest.raises(Problem) as caught:
        is_xml(content_type)
    assert caught.value.status == 415
