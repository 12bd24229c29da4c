"""XML that is not FHIR's is refused, and what is dangerous is never looked at."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.definitions.shapes import r4_shapes
from fhir_server.fhir.json import parse
from fhir_server.fhir.xml import read
from fhir_server.problems import Problem

SHAPES = r4_shapes()
HEAD = '<Patient xmlns="http://hl7.org/fhir">'
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'
LAUGHS = "".join(
    f'<!ENTITY l{n} "' + f"&l{n - 1};" * 10 + '">'  # each is ten of the one before
    for n in range(1, 10)
)


def patient(inside: str) -> str:
    return f"{HEAD}{inside}</Patient>"


# What is sent, and the place that the refusal names.
WRONG: dict[str, tuple[str | bytes, str | None]] = {
    "nothing": ("", None),
    "no XML": ("{}", None),
    "not well-formed": (f"{HEAD}<active", None),
    "two roots": (patient("") * 2, None),
    "an entity of HTML": (patient('<name><text value="a&nbsp;b"/></name>'), None),
    "latin-1": (patient('<gender value="m&#228;"/>').encode() + b"\xe4", None),
    "UTF-16": (patient("").encode("utf-16"), None),
    "a document type": (f"<!DOCTYPE Patient>{patient('')}", None),
    "billion laughs": (
        f'<!DOCTYPE Patient [<!ENTITY l0 "ha">{LAUGHS}]>'
        + patient('<name><text value="&l9;"/></name>'),
        None,
    ),
    "an external entity": (
        '<!DOCTYPE Patient [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        + patient("<active>&x;</active>"),
        None,
    ),
    "an external definition": (
        f'<!DOCTYPE Patient SYSTEM "http://127.0.0.1:9/x.dtd">{patient("")}',
        None,
    ),
    "another namespace": ('<Patient xmlns="http://example.org"/>', "Patient"),
    "no namespace": ("<Patient/>", "Patient"),
    "an element without namespace": (patient('<active xmlns="" value="true"/>'), "Patient.active"),
    "an unknown type": ('<Person2 xmlns="http://hl7.org/fhir"/>', "Person2"),
    "a data type": ('<Period xmlns="http://hl7.org/fhir"/>', "Period"),
    "an inner type": ('<Patient.contact xmlns="http://hl7.org/fhir"/>', "Patient.contact"),
    "an unknown element": (patient('<nme value="x"/>'), "Patient.nme"),
    "an unknown element within": (
        patient('<contact/><contact><name><x value="1"/></name></contact>'),
        "Patient.contact[1].name.x",
    ),
    "an unknown attribute": (patient('<active value="true" x="1"/>'), "Patient.active"),
    "an attribute on a resource": (f'{HEAD[:-1]} id="x"/>', "Patient"),
    "a url as an element": (
        patient('<extension><url value="http://x"/></extension>'),
        "Patient.extension.url",
    ),
    "an id of an element as an element": (
        patient('<name><id value="x"/></name>'),
        "Patient.name.id",
    ),
    "the wrong order": (patient('<gender value="male"/><active value="true"/>'), "Patient.active"),
    "apart": (
        patient(
            '<name><text value="a"/></name><gender value="male"/><name><text value="b"/></name>'
        ),
        "Patient.name[1]",
    ),
    "twice": (patient('<active value="true"/><active value="true"/>'), "Patient.active[1]"),
    "text": (patient("true"), "Patient"),
    "text in a primitive": (patient("<active>true</active>"), "Patient.active"),
    "text after an element": (patient('<active value="true"/>x'), "Patient"),
    "CDATA": (patient("<![CDATA[x]]>"), "Patient"),
    "an element without value": (patient("<active/>"), "Patient.active"),
    "a value on an object": (patient('<name value="x"/>'), "Patient.name"),
    "two resources in one": (
        patient("<contained><Patient/><Patient/></contained>"),
        "Patient.contained",
    ),
    "an element of a resource within": (
        patient("<contained><Patient/></contained><contained><Patient><x/></Patient></contained>"),
        "Patient.contained[1].x",
    ),
    "no resource": (patient("<contained/>"), "Patient.contained"),
    "XHTML elsewhere": (patient(DIV), "Patient.div"),
    "a div that is none": (
        patient('<text><status value="empty"/><div>x</div></text>'),
        "Patient.text.div",
    ),
    "too deep": (
        patient('<extension url="x">' * 70 + "</extension>" * 70),
        None,
    ),
    "far too deep": (patient("<contained>" * 5000 + "</contained>" * 5000), None),
}


@pytest.mark.parametrize("case", WRONG)
def test_it_is_refused_and_the_place_is_named(case: str) -> None:
    text, place = WRONG[case]
    started = time.monotonic()
    with pytest.raises(Problem) as caught:
        read(text.encode() if isinstance(text, str) else text, SHAPES)
    assert caught.value.status == 400
    assert caught.value.issues[0].expression == place
    assert "passwd" not in caught.value.diagnostics
    assert time.monotonic() - started < 5


PIECES = st.sampled_from([
    b"<", b">", b"/>", b"<name/>", b"</Patient>", b'="', b"&", b"&#0;", b"&#xD800;", b"<!--",
    b"]]>", b"<![CDATA[", b"<?x ?>", b"\0", b"\xff", b' xmlns=""', b' xmlns:a="urn:x"',
    b" xml:id='x'",
    b'<div xmlns="http://www.w3.org/1999/xhtml"/>', b'<meta><id value="1"/></meta>', b" x:y='1'",
])  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 3), PIECES), min_size=1, max_size=4))
def test_whatever_is_broken_is_refused_or_read(changes: list[tuple[int, int, bytes]]) -> None:
    text = patient('<id value="x"/><name id="n"><text value="a"/></name>').encode()
    for at, cut, piece in changes:
        text = text[:at] + piece + text[at + cut :]
    with contextlib.suppress(Problem):
        assert parse(read(text, SHAPES))["resourceType"] == "Patient"


def test_a_byte_order_mark_is_no_harm() -> None:
    assert read(b"\xef\xbb\xbf" + patient("").encode(), SHAPES) == b'{"resourceType":"Patient"}'


def test_an_encoding_that_the_text_claims_does_not_count() -> None:
    inside = '<gender value="mäle"/>'
    text = '<?xml version="1.0" encoding="ISO-8859-1"?>' + patient(inside)
    assert "mäle" in read(text.encode(), SHAPES).decode()
