"""Nothing of a body is lost, and nothing strange gets in."""

from __future__ import annotations

import contextlib
import copy
import json as stdlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir import json
from fhir_server.problems import Problem

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
SCALAR = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), TEXT, st.floats(-1e9, 1e9)
)
VALUE = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)
OBJECT = st.dictionaries(TEXT, VALUE, max_size=5)
SPACE = st.text(" \t\r\n", max_size=2)


def refused(body: bytes) -> Problem:
    with pytest.raises(Problem) as caught:
        json.parse(body)
    assert caught.value.status == 400
    assert caught.value.issues[0].code in {"structure", "invalid"}
    return caught.value


@given(tree=OBJECT, indent=st.sampled_from([None, 1, 2, "\t"]), ascii_only=st.booleans())
def test_whatever_json_says_is_read(tree: dict[str, Any], indent: Any, *, ascii_only: bool) -> None:
    body = stdlib.dumps(tree, indent=indent, ensure_ascii=ascii_only).encode()
    assert json.parse(body) == tree
    assert json.parse(b"\xef\xbb\xbf" + body) == tree


@given(OBJECT)
def test_what_is_written_is_read_back(tree: dict[str, Any]) -> None:
    assert json.parse(json.dumps(tree)) == tree


@given(st.binary(max_size=60) | TEXT.map(str.encode))
def test_bytes_are_an_object_or_a_problem(body: bytes) -> None:
    with contextlib.suppress(Problem):
        assert isinstance(json.parse(body), dict)


@given(
    tree=OBJECT,
    key=TEXT,
    one=VALUE,
    two=VALUE,
    before=SPACE,
    after=SPACE,
    depth=st.integers(0, 3),
    escaped=st.booleans(),
)
def test_no_repeated_key_gets_through(
    tree: dict[str, Any],
    key: str,
    one: Any,
    two: Any,
    before: str,
    after: str,
    depth: int,
    *,
    escaped: bool,
) -> None:
    """However it is spelled and spaced, and wherever it hides."""
    name = stdlib.dumps(key)
    again = '"' + "".join(f"\\u{ord(c):04x}" for c in key if ord(c) < 0x10000) + '"'
    if not escaped or any(ord(c) >= 0x10000 for c in key):
        again = name
    inner = (
        f"{{{name}{before}:{stdlib.dumps(one)},{again}{after}:{stdlib.dumps(two)},"
        f'"deep":{stdlib.dumps(tree)}}}'
    )
    refused(('{"a":[' * depth + inner + "]}" * depth).encode())


def test_a_repeated_key_is_named_with_its_place() -> None:
    problem = refused(
        b'{"resourceType":"Communication","payload":[{},{"contentString":"a","contentString":"a"}]}'
    )
    assert "'contentString'" in problem.diagnostics
    assert problem.issues[0].expression == "Communication.payload[1]"


@pytest.mark.parametrize(
    "number",
    ["1.00", "1e3", "1E3", "0.10", "-0.0", "1.0", "100", "1.5e-7", "12345678.123456789012345678"],
)
@pytest.mark.parametrize("shape", ['{{"a":{}}}', '{{"a":[{}]}}', '{{"a":[1,{}],"b":{{"c":{}}}}}'])
def test_decimals_keep_their_text(number: str, shape: str) -> None:
    body = shape.format(number, number).encode()
    assert json.dumps(json.parse(body)) == body


@given(st.decimals(-(10**9), 10**9, places=4).map(str), st.sampled_from(["{}", "[{}]", " {} "]))
def test_any_decimal_keeps_its_text(number: str, shape: str) -> None:
    body = ('{"value":' + shape.format(number) + "}").encode()
    tree = json.parse(body)
    assert number.encode() in json.dumps(copy.deepcopy(tree))


def test_a_decimal_is_a_number() -> None:
    value = json.parse(b'{"a":1.50}')["a"]
    assert value == 1.5
    assert value + 1 == 2.5
    assert isinstance(value, json.FhirDecimal)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"{",
        b'{"a":1}x',
        b"{'a':1}",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":01}',
        b'{"a":1,}',
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\udc00x"}',
        b'{"\\ud800":1}',
        b'{"a":"\\u0000"}',
        b'{"a\\u0000":1}',
        b'{"a":["x\\u0000y"]}',
        b'{"a":"\0"}',
        b'{"a":' + b"9" * 30 + b"}",
        b'{"a":-9223372036854775809}',
        b'{"a":' + b"9" * 300 + b"}",
        b'{"a":' + b"9" * 6_000 + b"}",
        b"\xfe\xff\x00{",
    ],
)
def test_strange_bodies_are_refused(body: bytes) -> None:
    refused(body)


def test_backslashes_that_only_look_like_nul_are_text() -> None:
    assert json.parse(b'{"a":"\\\\u0000"}') == {"a": "\\u0000"}


@pytest.mark.parametrize("depth", [65, 66, 200, 260, 1_100, 10_000, 300_000])
@pytest.mark.parametrize(
    ("opening", "closing"), [(b'{"a":', b"}"), (b"[", b"]"), (b'{"a":[', b"]}")]
)
def test_deep_nesting_is_refused(depth: int, opening: bytes, closing: bytes) -> None:
    refused(b'{"a":' + opening * depth + b"1" + closing * depth + b"}")
    refused(b'{"a":' + opening * depth)


def test_nesting_as_deep_as_allowed_is_read() -> None:
    assert json.parse(b'{"a":' * 64 + b"1" + b"}" * 64)
    assert json.parse(b'{"a":' * 10 + b"1.00" + b"}" * 10, max_depth=10)
    with pytest.raises(Problem):
        json.parse(b'{"a":' * 11 + b"1" + b"}" * 11, max_depth=10)


def test_a_problem_tells_nothing_of_the_content() -> None:
    assert "Zahra" not in refused(b'{"name":"Zahra" "x"}').diagnostics
    assert "Zahra" not in refused(b'{"name":"Zahra","a":1,"a":2}').diagnostics


@pytest.mark.parametrize("value", [object(), {1, 2}])
def test_only_json_is_written(value: object) -> None:
    with pytest.raises(orjson.JSONEncodeError):
        json.dumps({"a": value})
