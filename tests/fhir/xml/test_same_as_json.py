"""What XML says is what JSON says, there and back."""

from __future__ import annotations

from pathlib import Path

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import HealthCheck, given, settings
from lxml import etree

from fhir_server.definitions.facts import load_facts
from fhir_server.definitions.shapes import r4_shapes
from fhir_server.fhir.json import dumps, parse
from fhir_server.fhir.xml import read, write
from tests.support.effort import effort
from tests.support.official import examples, needs_shared
from tests.support.resources import resources
from tests.support.written import meaning

SHAPES = r4_shapes()
TYPES = sorted(load_facts().resource_types)
# The library writes the id of an element as a child, and base64 without its line breaks.
NOT_SO_THERE = {"Provenance-example", "Binary-example"}

COMMUNICATION = b"""<?xml version="1.0" encoding="UTF-8"?>
<?note of no meaning?>
<Communication xmlns="http://hl7.org/fhir" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xsi:schemaLocation="http://hl7.org/fhir ../fhir-all.xsd">
  <!-- said aside -->
  <id value="one"/>
  <text>
    <status value="generated"/>
    <div xmlns="http://www.w3.org/1999/xhtml">Very <b>high</b> &#956; &amp; rising</div>
  </text>
  <contained><Patient><id value="p"/><active value="true"/></Patient></contained>
  <extension url="http://example.org/a"><valueDecimal value="1.50"/></extension>
  <status value="completed" id="s"/>
  <sent>
    <extension url="http://hl7.org/fhir/StructureDefinition/data-absent-reason">
      <valueCode value="unknown"/>
    </extension>
  </sent>
  <payload id="p1"><contentString value="7.2&#10;mmol/L &lt; 8"/></payload>
  <payload><contentAttachment><size value="12"/></contentAttachment></payload>
</Communication>
"""
AS_JSON = {
    "resourceType": "Communication",
    "id": "one",
    "text": {
        "status": "generated",
        "div": '<div xmlns="http://www.w3.org/1999/xhtml">Very <b>high</b> μ &amp; rising</div>',
    },
    "contained": [{"resourceType": "Patient", "id": "p", "active": True}],
    "extension": [{"url": "http://example.org/a", "valueDecimal": 1.5}],
    "status": "completed",
    "_status": {"id": "s"},
    "_sent": {
        "extension": [
            {
                "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
                "valueCode": "unknown",
            }
        ]
    },
    "payload": [
        {"id": "p1", "contentString": "7.2\nmmol/L < 8"},
        {"contentAttachment": {"size": 12}},
    ],
}


def test_an_xml_resource_by_the_letter_of_the_specification() -> None:
    found = read(COMMUNICATION, SHAPES)
    assert parse(found) == AS_JSON
    assert b'"valueDecimal":1.50' in found


def test_what_is_written_is_in_the_order_of_the_definition() -> None:
    text = write(dict(reversed(AS_JSON.items())), SHAPES)
    tags = [etree.QName(child).localname for child in etree.fromstring(text)]
    assert tags == [
        "id", "text", "contained", "extension", "status", "sent", "payload", "payload"
    ]  # fmt: skip


@given(resource=resources(SHAPES, TYPES))
@settings(
    max_examples=effort(150),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_there_and_back(resource: dict[str, object]) -> None:
    plain, pretty = write(resource, SHAPES), write(resource, SHAPES, pretty=True)
    assert meaning(parse(read(plain, SHAPES))) == meaning(parse(dumps(resource)))
    assert read(pretty, SHAPES) == read(plain, SHAPES)
    assert write(parse(read(plain, SHAPES)), SHAPES) == plain


@needs_shared
@pytest.mark.parametrize("path", examples(), ids=lambda path: path.stem)
def test_an_official_example_there_and_back(path: Path) -> None:
    resource = parse(path.read_bytes())
    for pretty in (False, True):
        text = write(resource, SHAPES, pretty=pretty)
        assert meaning(parse(read(text, SHAPES))) == meaning(resource)


@needs_shared
@pytest.mark.parametrize(
    "path",
    [path for path in examples() if path.stem not in NOT_SO_THERE],
    ids=lambda path: path.stem,
)
def test_another_implementation_reads_the_same(path: Path) -> None:
    resource = parse(path.read_bytes())
    model = get_fhir_model_class(resource["resourceType"])
    theirs = model.model_validate_xml(write(resource, SHAPES)).model_dump_json().encode()
    ours = model.model_validate_json(path.read_bytes()).model_dump_json().encode()
    assert meaning(parse(theirs)) == meaning(parse(ours))


def test_what_xml_cannot_say_is_shown_as_lost() -> None:
    resource = {"resourceType": "Patient", "name": [{"text": "a\x01b\ufffe"}]}
    assert parse(read(write(resource, SHAPES), SHAPES))["name"] == [{"text": "a\ufffdb\ufffd"}]


@pytest.mark.parametrize(
    "div",
    ["plain", "<div>open", "<div/><div/>", "<?xml version='1.0'?><div/>", "<!DOCTYPE div><div/>"],
)
def test_a_narrative_that_is_no_element_does_not_break_the_rest(div: str) -> None:
    resource = {"resourceType": "Patient", "text": {"status": "empty", "div": div}, "active": True}
    found = parse(read(write(resource, SHAPES), SHAPES))
    assert found["active"] is True
    assert "".join(etree.fromstring(found["text"]["div"]).itertext()) == div
